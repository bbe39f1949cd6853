from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Metadata, Picture
from diffir.degradations.tasks import find_task
from diffir.errors import UnknownComponentError
from diffir.evaluate.benchmark import run
from diffir.evaluate.metrics import load_metrics
from diffir.evaluate.protocol import MATLAB_Y_GRAY, NATIVE_RGB, PAPER_256, find_protocol
from diffir.evaluate.protocol_pixels import as_8bit, matlab_luma, small_square
from diffir.evaluate.trials import Plan, trials
from diffir.host.manager import default_host

DATA = os.environ.get("DIFFIR_TEST_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="DIFFIR_TEST_DATA is not set")


def _untouched(protocol, name, *tasks):
    """Mean PSNR of the degraded pictures of a set, by task."""
    paths = sorted((Path(str(DATA)) / name).glob("*.png"))
    chosen = [find_task(default_host(), task) for task in tasks]
    gray = protocol.gray
    result = run(Plan(paths, chosen, protocol=protocol), load_metrics(["psnr"], gray=gray))
    return [row.mean("psnr") for row in result.rows]


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


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(UnknownComponentError, match="no protocol called 'paper'") as raised:
        find_protocol("paper")
    assert raised.value.hint == "Did you mean paper-256?"
    with pytest.raises(UnknownComponentError, match="no protocol called 'x'") as raised:
        find_protocol("x")
    assert raised.value.hint == "Known: native-rgb, paper-256, matlab-y-gray."


class TestGray:
    def test_luma_runs_from_16_to_235(self) -> None:
        ends = np.array([[[0, 0, 1], [255, 255, 254], [255, 0, 0]]], np.uint8)
        assert matlab_luma(ends)[0, :, 0].tolist() == [16, 235, 81]

    def test_gray_pictures_stay(self) -> None:
        gray = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2)
        assert matlab_luma(gray) is gray

    def test_the_restorer_is_given_what_a_gray_jpeg_holds(self, scene, tmp_path) -> None:
        Image.fromarray(scene).save(tmp_path / "a.png")
        task = find_task(default_host(), "jpeg-10")
        (trial,) = trials(Plan([tmp_path / "a.png"], [task], protocol=MATLAB_Y_GRAY))
        luma = np.rint(16 + scene @ (np.array([65.481, 128.553, 24.966]) / 255))
        file = io.BytesIO()
        Image.fromarray(luma.astype(np.uint8)).save(file, "JPEG", quality=10)
        assert trial.degraded.gray
        np.testing.assert_array_equal(trial.degraded.pixels[..., 0], np.asarray(Image.open(file)))
        np.testing.assert_array_equal(trial.reference.pixels[..., 0], luma)

    @needs_data
    def test_rows_of_classic5(self) -> None:
        rows = _untouched(MATLAB_Y_GRAY, "classic5", "jpeg-10", "jpeg-20", "jpeg-40")
        assert rows == pytest.approx([27.82, 30.12, 32.43], abs=0.005)

    @needs_data
    def test_rows_of_live1(self) -> None:
        rows = _untouched(MATLAB_Y_GRAY, "live1", "jpeg-10", "jpeg-20", "jpeg-40")
        assert rows == pytest.approx([27.77, 30.07, 32.35], abs=0.005)


class TestPaper:
    @given(height=st.integers(1, 400), width=st.integers(1, 400))
    def test_any_size_becomes_a_square_of_256(self, height: int, width: int) -> None:
        flat = np.full((height, width, 3), 77, np.uint8)
        assert (small_square(flat) == 77).all()
        assert small_square(flat).shape == (256, 256, 3)

    def test_256_stays(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (256, 320, 3), np.uint8)
        np.testing.assert_array_equal(small_square(noise), noise[:, 32:288])

    def test_half_the_size_without_antialias_is_the_mean_of_four(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
        means = noise.reshape(256, 2, 256, 2, 3).mean((1, 3))
        np.testing.assert_array_equal(small_square(noise), np.rint(means))

    def test_degraded_first_and_made_small_afterwards(self, tmp_path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (288, 320, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "a.png")
        task = find_task(default_host(), "jpeg-10")
        (trial,) = trials(Plan([tmp_path / "a.png"], [task], protocol=PAPER_256))
        jpeg = default_host().codec("jpeg")
        data = jpeg.encode(noise, 10)
        np.testing.assert_array_equal(trial.degraded.pixels, small_square(jpeg.decode(data)))
        np.testing.assert_array_equal(trial.reference.pixels, small_square(noise))
        assert trial.degraded.codec == jpeg.read_info(data)

    @needs_data
    @pytest.mark.parametrize(("name", "expected"), [("live1", 29.70), ("classic5", 33.52)])
    def test_jpeg_rows(self, name: str, expected: float) -> None:
        """The mean of the method's three levels."""
        rows = _untouched(PAPER_256, name, "jpeg-10", "jpeg-15", "jpeg-20")
        assert np.mean(rows) == pytest.approx(expected, abs=0.005)

    @needs_data
    @pytest.mark.slow
    @pytest.mark.parametrize(("name", "expected"), [("live1", 29.51), ("classic5", 31.93)])
    def test_webp_rows(self, name: str, expected: float) -> None:
        rows = _untouched(PAPER_256, name, "webp-1", "webp-5", "webp-10")
        assert np.mean(rows) == pytest.approx(expected, abs=0.005)
