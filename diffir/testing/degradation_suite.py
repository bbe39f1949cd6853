"""The conformance suite of degradations: picture to worse picture, all chance from the `rng`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from diffir.contracts.picture import Metadata, Picture
from diffir.testing.fresh_process import call_in_fresh_process, pickled
from diffir.testing.info_facts import require_facts
from diffir.testing.sample_pictures import ODD_SIZES, gray_scene, scene
from diffir.testing.side_effects import random_state_required, silence_required
from diffir.testing.suite import Suite, require

if TYPE_CHECKING:
    from diffir.contracts.interfaces import Degradation

HEIGHT, WIDTH = 67, 58
METADATA = Metadata(icc=b"profile", exif=b"MM\0*", xmp=b"<x/>", dpi=(72.0, 72.0), comment=b"said")
SEEDS = range(4)


class DegradationSuite(Suite):
    """Checks one degradation. The fixture `degradation` returns the object."""

    def test_any_size_comes_back(self, degradation: Degradation) -> None:
        """From 1x1 up, odd sides too: a `Picture` of the same size, uint8."""
        for seed, (height, width) in enumerate(ODD_SIZES):
            degraded = degradation.degrade(Picture(scene(height, width)), _rng(seed))
            got = (
                f"{degraded.pixels.shape} {degraded.pixels.dtype}"
                if isinstance(degraded, Picture)
                else type(degraded).__name__
            )
            require(
                got == f"{(height, width, 3)} uint8",
                expected=f"degrade to return a Picture of {(height, width, 3)} uint8",
                got=got,
                fix="Pad before and crop after, and return picture.with_pixels(pixels).",
            )

    def test_it_degrades(self, degradation: Degradation) -> None:
        """For some of a few seeds, pixels differ from the input's."""
        results = [degradation.degrade(_picture(), _rng(seed)).pixels for seed in SEEDS]
        require(
            any(not np.array_equal(pixels, _picture().pixels) for pixels in results),
            expected="degrade to change pixels",
            got=f"the input's pixels for {len(SEEDS)} seeds",
            fix="Return picture.with_pixels(...) with the pixels that were decoded.",
        )

    def test_input_is_left_alone(self, degradation: Degradation) -> None:
        """Pixels and alpha of the input keep their values."""
        picture = _picture()
        degradation.degrade(picture, _rng())
        require(
            np.array_equal(picture.pixels, _picture().pixels)
            and np.array_equal(_alpha(picture), _alpha(_picture())),
            expected="the input picture unchanged",
            got="other pixels or alpha",
            fix="Work on a copy: picture.pixels.copy().",
        )

    def test_alpha_and_metadata_are_carried(self, degradation: Degradation) -> None:
        """Alpha keeps its shape, metadata its bytes."""
        degraded = degradation.degrade(_picture(), _rng())
        require(
            degraded.alpha is not None and degraded.alpha.shape == (HEIGHT, WIDTH),
            expected=f"alpha of {(HEIGHT, WIDTH)} in the result",
            got=None if degraded.alpha is None else degraded.alpha.shape,
            fix="Return picture.with_pixels(...), which keeps alpha.",
        )
        require(
            degraded.metadata == METADATA,
            expected="the input's metadata in the result",
            got=degraded.metadata,
            fix="Return picture.with_pixels(...), which keeps metadata.",
        )

    def test_gray_stays_gray(self, degradation: Degradation) -> None:
        """The channels of a picture that is marked gray stay equal."""
        picture = Picture(gray_scene(HEIGHT, WIDTH), gray=True)
        degraded = degradation.degrade(picture, _rng())
        equal = (degraded.pixels == degraded.pixels[:, :, :1]).all()
        require(
            degraded.gray and equal,
            expected="a gray picture to stay marked gray, with three equal channels",
            got=f"gray={degraded.gray} and {'equal' if equal else 'different'} channels",
            fix="Average the channels where picture.gray is set.",
        )

    def test_equal_seeds_give_equal_results(self, degradation: Degradation) -> None:
        """All randomness comes from `rng`."""
        for seed in SEEDS:
            first, second = (degradation.degrade(_picture(), _rng(seed)) for _ in range(2))
            require(
                np.array_equal(first.pixels, second.pixels) and first.codec == second.codec,
                expected="equal generators to give equal pictures",
                got=f"two different ones for seed {seed}",
                fix="Draw from the `rng` that is passed in, and keep no state between calls.",
            )

    def test_codec_info_has_sources(self, degradation: Degradation) -> None:
        """What the result tells of its compression is in range and names its sources."""
        require_facts(degradation.degrade(_picture(), _rng()).codec, of="the result's codec")

    def test_pickles(self, degradation: Degradation) -> None:
        """A copy that went through pickle gives the same picture."""
        _require_same(
            pickled(degradation).degrade(_picture(), _rng()),
            degradation,
            place="the pickled degradation",
            fix="Keep every setting in attributes that pickle takes along.",
        )

    def test_works_in_a_worker_process(self, degradation: Degradation) -> None:
        """A new process, as a data loader starts it, gives the same picture, without torch."""
        answer = call_in_fresh_process(degradation, "degrade", _picture(), _rng())
        _require_same(
            answer.result,
            degradation,
            place="a worker process",
            fix="Do not rely on settings that only the main process has made.",
        )
        require(
            "torch" not in answer.modules,
            expected="a degradation that works without torch",
            got="torch imported in the worker process",
            fix="Use numpy: every data-loader worker pays for the import, in time and memory.",
        )

    def test_leaves_global_random_state_alone(self, degradation: Degradation) -> None:
        """Neither draws from nor seeds the generators of random, numpy and torch."""
        with random_state_required("degrade", fix="Draw from the `rng` that is passed in."):
            degradation.degrade(_picture(), _rng())

    def test_prints_nothing(self, degradation: Degradation) -> None:
        """Neither to stdout nor to stderr."""
        with silence_required("degrade"):
            degradation.degrade(_picture(), _rng())


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _picture() -> Picture:
    alpha = scene(HEIGHT, WIDTH, seed=1)[:, :, 0].copy()
    return Picture(scene(HEIGHT, WIDTH), alpha=alpha, metadata=METADATA)


def _alpha(picture: Picture) -> np.ndarray:
    return np.asarray(picture.alpha)


def _require_same(result: Picture, degradation: Degradation, *, place: str, fix: str) -> None:
    require(
        np.array_equal(result.pixels, degradation.degrade(_picture(), _rng()).pixels),
        expected=f"the same picture from {place}",
        got="other pixels",
        fix=fix,
    )
