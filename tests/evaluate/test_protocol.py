from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Metadata, Picture
from diffir.evaluate.protocol import NATIVE_RGB, as_8bit


def test_reference_is_pixels_alone() -> None:
    pixels = np.full((2, 3, 3), 514, np.uint16)
    alpha = np.zeros((2, 3), np.uint16)
    picture = Picture(pixels, alpha, True, CodecInfo("jpeg"), Metadata(icc=b"icc"))
    reference = NATIVE_RGB.reference(picture)
    assert reference.pixels.dtype == np.uint8
    assert (reference.pixels == 2).all()
    assert reference.gray
    assert (reference.alpha, reference.codec, reference.metadata) == (
        None,
        CodecInfo.unknown(),
        Metadata(),
    )


@given(value=st.integers(0, 255))
def test_sixteen_bits_round_to_what_they_came_from(value: int) -> None:
    deep = np.full((1, 1, 3), value * 257, np.uint16)
    assert (as_8bit(deep) == value).all()
    near = np.clip(deep.astype(np.int64) + 128, 0, 65535).astype(np.uint16)
    assert (as_8bit(near) == value).all()


def test_eight_bits_stay() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert as_8bit(pixels) is pixels


def test_randomness_depends_on_seed_task_and_picture_alone() -> None:
    def draw(seed: int, task: str, picture: int) -> float:
        return float(NATIVE_RGB.random(seed, task=task, picture=picture).random())

    assert draw(0, "jpeg-10", 3) == draw(0, "jpeg-10", 3)
    assert len({draw(0, "a", 0), draw(1, "a", 0), draw(0, "b", 0), draw(0, "a", 1)}) == 4
