from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffir.evaluate.benchmark import Result, Row
from diffir.evaluate.bootstrap import differences, paired_interval
from diffir.evaluate.contenders import AS_COMPRESSED, Version
from diffir.evaluate.protocol import NATIVE_RGB


def test_as_wide_as_the_normal_approximation() -> None:
    """1.96 standard errors either side, where pictures are many."""
    rng = np.random.default_rng(0)
    others = rng.normal(30, 5, 400)
    scores = others + rng.normal(0.3, 1, 400)
    interval = paired_interval(scores, others)
    assert interval is not None
    error = (scores - others).std() / math.sqrt(400)
    assert interval.mean == pytest.approx((scores - others).mean())
    assert interval.half_width == pytest.approx(1.96 * error, rel=0.05)


def test_pictures_are_drawn_in_pairs() -> None:
    """Scores that differ much between pictures, and by one step in each: nothing is left open."""
    interval = paired_interval([11, 31, 52], [10, 30, 51])
    assert interval is not None
    assert (interval.mean, interval.low, interval.high) == (1, 1, 1)
    assert not interval.holds_zero


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=12), st.integers(0, 9))
def test_bounds(gaps: list[float], seed: int) -> None:
    interval = paired_interval(gaps, [0.0] * len(gaps), seed=seed)
    assert interval is not None
    assert min(gaps) - 1e-9 <= interval.low <= interval.high <= max(gaps) + 1e-9
    assert interval == paired_interval(gaps, [0.0] * len(gaps), seed=seed)


def test_two_pictures_by_hand() -> None:
    """Draws of two: a quarter both the first, a half one of each, a quarter both the second."""
    interval = paired_interval([0.0, 2.0], [0.0, 0.0])
    assert interval is not None
    assert (interval.mean, interval.low, interval.high) == (1, 0, 2)
    assert interval.holds_zero


def test_infinite_scores_have_none() -> None:
    assert paired_interval([math.inf, 30], [math.inf, 29]) is None


def test_many_pictures_take_no_more_memory() -> None:
    interval = paired_interval(np.arange(3000.0), np.zeros(3000))
    assert interval is not None
    assert interval.half_width == pytest.approx(1.96 * 866 / math.sqrt(3000), rel=0.05)


def test_every_row_less_every_row_above_it() -> None:
    versions = (AS_COMPRESSED, Version("tiny", 0.05), Version("fbcnn"))
    rows = [
        Row(task, version, {"psnr": (float(n), n + 2.0)}, None, None)
        for task in ("jpeg-10", "jpeg-20")
        for n, version in enumerate(versions)
    ]
    result = Result(NATIVE_RGB, 0, ("a", "b"), ("psnr",), tuple(rows))
    found = differences(result)
    assert [(one.version.label, one.minus.label) for one in found if one.task == "jpeg-20"] == [
        ("tiny, fidelity 0.05", "as compressed"),
        ("fbcnn", "as compressed"),
        ("fbcnn", "tiny, fidelity 0.05"),
    ]
    gap = found[1].intervals["psnr"]
    assert gap is not None
    assert (gap.mean, gap.low, gap.high) == (2, 2, 2)


def test_one_picture_has_no_interval() -> None:
    rows = [Row("jpeg-10", Version(n), {"psnr": (1.0,)}, None, None) for n in (None, "a")]
    assert differences(Result(NATIVE_RGB, 0, ("a",), ("psnr",), tuple(rows))) == ()
