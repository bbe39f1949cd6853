from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from diffir.contracts.picture import Picture
from diffir.degradations.tasks import find_task
from diffir.errors import CodecError, DataError
from diffir.evaluate.benchmark import run
from diffir.evaluate.contenders import AS_COMPRESSED, Dialed, Undialed, Version
from diffir.evaluate.fidelity_metrics import psnr_rgb
from diffir.evaluate.metrics import load_metrics
from diffir.evaluate.trials import Plan, Task, Trial, trials
from diffir.host.manager import default_host
from diffir.pictures.reading import read
from diffir.pictures.writing import write

if TYPE_CHECKING:
    from pathlib import Path


def _tasks(*names: str) -> list[Task]:
    return [find_task(default_host(), name) for name in names]


def _pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))


class Cropping:
    """A task that breaks the rule of one size."""

    name = "cropping"

    def degrade(self, picture: Picture, rng: np.random.Generator) -> Picture:
        return picture.with_pixels(picture.pixels[1:])


class TestRows:
    def test_untouched_row_first_then_each_fidelity(self, folder: Path, restorer: Any) -> None:
        plan = Plan(
            _pictures(folder), _tasks("jpeg-10", "webp-5"), [Dialed("it", restorer, (0.5, 1.0), "")]
        )
        result = run(plan, load_metrics(["psnr", "ssim"]))
        assert [(row.task, row.version.fidelity) for row in result.rows] == [
            ("jpeg-10", None),
            ("jpeg-10", 0.5),
            ("jpeg-10", 1.0),
            ("webp-5", None),
            ("webp-5", 0.5),
            ("webp-5", 1.0),
        ]
        assert result.pictures == ("a.png", "b.png")
        assert result.metrics == ("psnr", "ssim")
        assert all(len(row.scores["psnr"]) == 2 for row in result.rows)

    def test_scores_are_those_of_the_pictures(self, folder: Path, restorer: Any) -> None:
        """Fidelity 1 of this restorer is its input, so that row repeats the untouched one."""
        paths = _pictures(folder)
        untouched, smooth, faithful = run(
            Plan(paths, _tasks("jpeg-10"), [Dialed("it", restorer, (0.0, 1.0), "")]),
            load_metrics(["psnr"]),
        ).rows
        jpeg = default_host().codec("jpeg")
        clean = [read(path).pixels.astype(np.uint8) for path in paths]
        bytes_of = [jpeg.encode(pixels, 10) for pixels in clean]
        expected = [psnr_rgb(c, jpeg.decode(b)) for c, b in zip(clean, bytes_of, strict=True)]
        assert untouched.scores["psnr"] == pytest.approx(expected)
        assert untouched.mean("psnr") == pytest.approx(np.mean(expected))
        assert faithful.scores == untouched.scores
        assert smooth.scores != untouched.scores
        bits = [
            len(b) * 8 / (c.shape[0] * c.shape[1]) for c, b in zip(clean, bytes_of, strict=True)
        ]
        assert untouched.bits_per_pixel == pytest.approx(np.mean(bits))
        assert untouched.seconds is None
        assert smooth.seconds is not None

    def test_what_takes_more_views_has_a_run_and_a_time_of_its_own(
        self, folder: Path, restorer: Any
    ) -> None:
        contender = Dialed("it", restorer, (0.0, 1.0, 0.5), "")
        plan = Plan(_pictures(folder)[:1], _tasks("jpeg-10"), [contender])
        [trial] = trials(plan)
        assert [list(made) for made in contender.restore(trial.degraded)] == [[0.0, 0.5], [1.0]]
        one, other, faithful = (trial.seconds[Version("it", f)] for f in (0.0, 0.5, 1.0))
        assert one == other != faithful

    def test_without_a_restorer(self, folder: Path) -> None:
        result = run(Plan(_pictures(folder), _tasks("jpeg-10")), load_metrics(["psnr"]))
        assert [row.version for row in result.rows] == [AS_COMPRESSED]

    def test_one_seed_one_result(self, folder: Path) -> None:
        plan = Plan(_pictures(folder), _tasks("double-jpeg"), seed=3)
        measures = load_metrics(["psnr"])
        assert run(plan, measures) == run(plan, measures)

    def test_a_task_does_not_change_with_its_neighbors(self, folder: Path) -> None:
        measures = load_metrics(["psnr"])
        alone = run(Plan(_pictures(folder), _tasks("double-jpeg")), measures)
        pair = run(Plan(_pictures(folder), _tasks("web-repost", "double-jpeg")), measures)
        assert pair.rows[1] == alone.rows[0]


class TestPictures:
    def test_one_too_small_is_told_before_any_is_degraded(self, tmp_path: Path) -> None:
        for name, side in (("a.png", 40), ("b.png", 10)):
            write(Picture(np.zeros((side, 50, 3), np.uint8)), tmp_path / name)
        seen: list[Trial] = []
        plan = Plan(_pictures(tmp_path), _tasks("jpeg-10"))
        message = r"b.png: SSIM needs 11x11 pixels or more, got 50x10"
        with pytest.raises(DataError, match=message):
            run(plan, load_metrics(["psnr", "ssim"]), watch=seen.append)
        assert not seen

    def test_one_that_a_codec_refuses_is_named(self, folder: Path) -> None:
        class Refusing:
            name = "refusing"

            def degrade(self, picture: Picture, rng: np.random.Generator) -> Picture:
                raise CodecError("it is too wide", hint="Cut it.")

        with pytest.raises(CodecError, match=r"^a.png, refusing: it is too wide") as caught:
            list(trials(Plan(_pictures(folder), [Refusing()])))
        assert caught.value.hint == "Cut it."

    def test_names_that_are_alike_stand_with_their_folders(self, tmp_path: Path) -> None:
        for place in ("one/1.png", "two/1.png", "two/2.png"):
            write(Picture(np.zeros((16, 16, 3), np.uint8)), tmp_path / place)
        plan = Plan(sorted(tmp_path.rglob("*.png")), _tasks("jpeg-10"))
        assert plan.names == ("one/1.png", "two/1.png", "two/2.png")
        assert run(plan, load_metrics(["psnr"])).pictures == plan.names


class TestOtherRestorers:
    """One that makes a single picture; one that fails leaves its rows out, and no others."""

    def test_its_row_has_its_name(self, folder: Path, restorer: Any) -> None:
        contenders = [
            Dialed("it", restorer, (1.0,), ""),
            Undialed("same", lambda picture: picture, ""),
        ]
        plan = Plan(_pictures(folder), _tasks("jpeg-10"), contenders)
        untouched, _, same = run(plan, load_metrics(["psnr"])).rows
        assert same.version == Version("same")
        assert same.scores == untouched.scores
        assert same.seconds is not None

    def test_a_failure_leaves_out_that_task_alone(self, folder: Path) -> None:
        asked = []

        def fussy(picture: Picture) -> Picture:
            asked.append(picture.codec.name)
            if picture.codec.name == "jpeg":
                return picture.with_pixels(picture.pixels[:-1])
            return picture

        tasks = _tasks("jpeg-10", "webp-5")
        result = run(
            Plan(_pictures(folder), tasks, [Undialed("fussy", fussy, "")]), load_metrics(["psnr"])
        )
        assert [(row.task, row.version.restorer) for row in result.rows] == [
            ("jpeg-10", None),
            ("webp-5", None),
            ("webp-5", "fussy"),
        ]
        (failure,) = result.failures
        assert (failure.restorer, failure.task, failure.picture) == ("fussy", "jpeg-10", "a.png")
        assert failure.message == "expected 80x64 pixels, got 80x63"
        assert failure.hint == "Degradations and restorers keep the size of a picture."
        assert asked == ["jpeg", "webp", "webp"]

    def test_gray_stays_gray(self) -> None:
        picture = Picture(np.full((4, 4, 3), 9, np.uint8), gray=True)
        tinted = picture.pixels + np.array([0, 3, 6], np.uint8)
        made = next(Undialed("tint", lambda p: p.with_pixels(tinted), "").restore(picture))
        assert (made[None].pixels == 12).all()


def test_watch_sees_every_trial(folder: Path, restorer: Any) -> None:
    seen: list[Trial] = []
    contenders = [Dialed("it", restorer, (1.0,), "")]
    plan = Plan(_pictures(folder), _tasks("jpeg-10", "jpeg-20"), contenders)
    run(plan, load_metrics(["psnr"]), watch=seen.append)
    assert [(trial.name, trial.task) for trial in seen] == [
        ("a.png", "jpeg-10"),
        ("a.png", "jpeg-20"),
        ("b.png", "jpeg-10"),
        ("b.png", "jpeg-20"),
    ]
    assert seen[0].degraded.codec.name == "jpeg"


def test_progress_goes_to_standard_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(Plan(_pictures(folder), _tasks("jpeg-10")), load_metrics(["psnr"]), progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "b.png jpeg-10" in printed.err


class TestRefusals:
    def test_no_pictures(self) -> None:
        with pytest.raises(DataError, match="one picture or more, got none"):
            Plan([], _tasks("jpeg-10"))

    def test_no_tasks(self, folder: Path) -> None:
        with pytest.raises(DataError, match="one task or more, each once, got none"):
            Plan(_pictures(folder), [])

    def test_one_task_twice(self, folder: Path) -> None:
        with pytest.raises(DataError, match="each once, got jpeg-10, jpeg-10"):
            Plan(_pictures(folder), _tasks("jpeg-10", "jpeg-10"))

    def test_two_restorers_of_one_name(self, folder: Path, restorer: Any) -> None:
        twins = [Dialed("it", restorer, (1.0,), ""), Undialed("it", lambda picture: picture, "")]
        with pytest.raises(DataError, match="restorers of different names, got it, it"):
            Plan(_pictures(folder), _tasks("jpeg-10"), twins)

    def test_a_changed_size(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"a.png, cropping: expected 80x64 pixels, got 80x63"):
            next(trials(Plan(_pictures(folder), [Cropping()])))
