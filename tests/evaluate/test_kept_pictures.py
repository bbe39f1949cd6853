"""Restored pictures that are kept, and runs that go on from them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from diffir.contracts.picture import Picture
from diffir.degradations.tasks import find_task
from diffir.errors import CodecError, DataError
from diffir.evaluate.benchmark import run
from diffir.evaluate.contenders import Undialed, Version
from diffir.evaluate.kept_pictures import KeptPictures, _as_name
from diffir.evaluate.metrics import load_metrics
from diffir.evaluate.trials import Plan
from diffir.host.manager import default_host
from diffir.pictures.reading import read

if TYPE_CHECKING:
    from pathlib import Path


class Darkening:
    """Counts how often it is asked, and gives up at the picture that it is told to."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.asked = 0
        self._fails_at = fails_at

    def __call__(self, picture: Picture) -> Picture:
        self.asked += 1
        if self.asked == self._fails_at:
            raise KeyboardInterrupt
        return picture.with_pixels(picture.pixels // 2)


def _plan(folder: Path, kept: KeptPictures | None, make: Darkening, about: str = "half") -> Plan:
    tasks = [find_task(default_host(), name) for name in ("jpeg-10", "webp-5")]
    contenders = [Undialed("dark: er", make, about)]
    return Plan(sorted(folder.glob("*.png")), tasks, contenders, kept=kept)


PSNR = ["psnr"]


def test_a_run_that_was_stopped_goes_on(folder: Path, tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path / "kept")
    with pytest.raises(KeyboardInterrupt):
        run(_plan(folder, kept, Darkening(fails_at=3)), load_metrics(PSNR))
    again = Darkening()
    result = run(_plan(folder, kept, again), load_metrics(PSNR))
    assert again.asked == 2
    whole = run(_plan(folder, None, Darkening()), load_metrics(PSNR))
    assert [row.scores for row in result.rows] == [row.scores for row in whole.rows]
    third = Darkening()
    times = [row.seconds for row in run(_plan(folder, kept, third), load_metrics(PSNR)).rows]
    assert third.asked == 0
    assert times == [row.seconds for row in result.rows]


def test_large_pictures_are_found_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptPictures(tmp_path / "kept")
    plan = _plan(folder, kept, Darkening())
    degraded = plan.tasks[0].degrade(read(folder / "a.png"), np.random.default_rng(0))
    [contender] = plan.contenders
    what = "jpeg-10", "a.png", degraded, contender
    kept.keep(*what, {Version("dark: er"): (degraded, 1.5)})
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    found = kept.find(*what)
    assert found is not None
    picture, seconds = found[Version("dark: er")]
    assert np.array_equal(picture.pixels, degraded.pixels)
    assert seconds == 1.5


def test_what_is_kept_can_be_looked_at(folder: Path, tmp_path: Path) -> None:
    run(_plan(folder, KeptPictures(tmp_path / "kept"), Darkening()), load_metrics(PSNR))
    files = sorted(path.relative_to(tmp_path / "kept").parts for path in tmp_path.rglob("*.png"))
    assert ("jpeg-10", "dark%3A er", "a.png") in files
    assert len(files) == 4
    jpeg = default_host().codec("jpeg")
    degraded = jpeg.decode(jpeg.encode(read(folder / "a.png").pixels, 10))
    shown = read(tmp_path / "kept" / "jpeg-10" / "dark%3A er" / "a.png")
    assert np.array_equal(shown.pixels, degraded // 2)


def test_another_restorer_of_that_name_is_told(folder: Path, tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path / "kept")
    run(_plan(folder, kept, Darkening()), load_metrics(PSNR))
    with pytest.raises(
        DataError, match=r"a.png is made of another picture, by other weights"
    ) as caught:
        run(_plan(folder, kept, Darkening(), about="third"), load_metrics(PSNR))
    assert "--overwrite" in (caught.value.hint or "")


def test_another_picture_of_that_name_is_told(folder: Path, tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path / "kept")
    run(_plan(folder, kept, Darkening()), load_metrics(PSNR))
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.png").write_bytes((folder / "b.png").read_bytes())
    with pytest.raises(DataError, match=r"a.png is made of another picture"):
        run(_plan(other, kept, Darkening()), load_metrics(PSNR))


def test_what_does_not_fit_is_replaced_where_it_may_be(folder: Path, tmp_path: Path) -> None:
    run(_plan(folder, KeptPictures(tmp_path / "kept"), Darkening()), load_metrics(PSNR))
    make = Darkening()
    kept = KeptPictures(tmp_path / "kept", overwrite=True)
    run(_plan(folder, kept, make, about="third"), load_metrics(PSNR))
    assert make.asked == 4
    run(_plan(folder, kept, make, about="third"), load_metrics(PSNR))
    assert make.asked == 4  # what fits is taken all the same


def test_another_setting_of_the_dial_is_told(folder: Path, tmp_path: Path) -> None:
    one, other = (Version("it", fidelity) for fidelity in (0.9999999, 1.0))
    assert one.label != other.label
    assert Version("it", 1).label == other.label == "it, fidelity 1"


def test_gray_is_another_picture(folder: Path, tmp_path: Path) -> None:
    """Restorers are given one channel of it, and three of one with colors."""
    kept = KeptPictures(tmp_path / "kept")
    [contender] = _plan(folder, kept, Darkening()).contenders
    colored = Picture(np.full((16, 24, 3), 7, np.uint8))
    kept.keep("t", "a.png", colored, contender, {Version("dark: er"): (colored, 1.0)})
    assert kept.find("t", "a.png", colored, contender)
    for other in (replace(colored, gray=True), Picture(np.full((24, 16, 3), 7, np.uint8))):
        with pytest.raises(DataError, match="is made of another picture"):
            kept.find("t", "a.png", other, contender)


def test_every_picture_has_a_file(folder: Path, tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path / "kept")
    [contender] = _plan(folder, kept, Darkening()).contenders
    names = ("a.png", "a.webp", "a.webp.png", "b/a.png", "b.c/a.PNG", "b/a.webp")
    for shade, name in enumerate(names):
        flat = Picture(np.full((8, 8, 3), shade, np.uint8))
        kept.keep("t", name, flat, contender, {Version("dark: er"): (flat, 1.0)})
    assert (tmp_path / "kept" / "t" / "dark%3A er" / "a.png").is_file()
    for shade, name in enumerate(names):
        flat = Picture(np.full((8, 8, 3), shade, np.uint8))
        assert kept.find("t", name, flat, contender) is not None


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_file_that_is_something_else(folder: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kept" / "jpeg-10" / "dark%3A er" / "a.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a.png is not a picture that was kept"):
        run(_plan(folder, KeptPictures(tmp_path / "kept"), Darkening()), load_metrics(PSNR))
    assert path.read_bytes() == content


def test_a_picture_of_yours_is_not_taken(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "kept" / "jpeg-10" / "dark%3A er" / "a.png"
    path.parent.mkdir(parents=True)
    path.write_bytes((folder / "a.png").read_bytes())
    with pytest.raises(DataError, match=r"a.png is made of another picture"):
        run(_plan(folder, KeptPictures(tmp_path / "kept"), Darkening()), load_metrics(PSNR))


def test_a_restorer_that_failed_is_asked_again(folder: Path, tmp_path: Path) -> None:
    def fussy(picture: Picture) -> Picture:
        raise CodecError("not today", hint=None)

    kept = KeptPictures(tmp_path / "kept")
    plan = _plan(folder, kept, Darkening())
    failed = run(
        replace(plan, contenders=[Undialed("dark: er", fussy, "half")]), load_metrics(PSNR)
    )
    assert len(failed.failures) == 2
    assert not run(plan, load_metrics(PSNR)).failures


@given(st.text(min_size=1, max_size=400), st.text(min_size=1, max_size=40))
@example("..", ".")
@example("a.", "a%2E")
@example("\u044f" * 300, "\u044f" * 301)
def test_labels_are_names(one: str, other: str) -> None:
    names = [_as_name(label) for label in (one, other)]
    assert (names[0] == names[1]) == (one == other)
    for name in names:
        assert not set(name) & set('/\\:*?"<>|\0')
        assert not name.endswith((".", " "))
        assert len(name.encode(errors="surrogateescape")) <= 250
