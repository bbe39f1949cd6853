from __future__ import annotations

import math

import numpy as np
import pytest

from diffir.errors import CodecError, DataError, UnknownComponentError
from diffir.evaluate.benchmark import Result, Row
from diffir.evaluate.contenders import AS_COMPRESSED, Version
from diffir.evaluate.curves import Sweep, curves_of, draw_metric, parse_sweep, parse_sweeps
from diffir.evaluate.protocol import NATIVE_RGB
from diffir.evaluate.tables import curve_table
from diffir.host.manager import default_host

SWEEP = Sweep("jpeg", (10, 20, 40, 80))
TINY = Version("tiny", 1.0)


def _result(*, gain: float = 1.0, bits: tuple[float | None, ...] = (0.4, 0.6, 0.9, 1.6)) -> Result:
    rows = [
        Row(
            task,
            version,
            {"psnr": (20.0 + 3 * n + more,), "dists": (0.4 - 0.1 * n - more / 20,)},
            bits[n],
            None,
        )
        for n, task in enumerate(SWEEP.tasks)
        for version, more in ((AS_COMPRESSED, 0.0), (TINY, gain))
    ]
    return Result(NATIVE_RGB, 0, ("a.png",), ("psnr", "dists"), tuple(rows))


class TestSweep:
    def test_usual_qualities(self) -> None:
        sweep = parse_sweep("jpeg", default_host())
        assert sweep.tasks == ("jpeg-10", "jpeg-15", "jpeg-20", "jpeg-41", "jpeg-60", "jpeg-80")

    def test_own_qualities(self) -> None:
        assert parse_sweep("hevc:47,32.5", default_host()).tasks == ("hevc-47", "hevc-32.5")

    def test_no_numbers(self) -> None:
        with pytest.raises(CodecError, match="expected qualities such as jpeg:10,20,40,80, got"):
            parse_sweep("jpeg:low", default_host())

    def test_no_codec(self) -> None:
        with pytest.raises(UnknownComponentError, match="jpg"):
            parse_sweep("jpg", default_host())


def test_the_codec_alone_and_restored() -> None:
    alone, restored, *_ = curves_of(_result(), [SWEEP])
    assert (alone.label, restored.label) == ("jpeg", "jpeg + tiny, fidelity 1")
    assert alone.points == ((0.4, 20), (0.6, 23), (0.9, 26), (1.6, 29))
    assert (alone.bd_rate, alone.bd_score) == (None, None)
    assert restored.bd_score == pytest.approx(1)
    assert restored.bd_rate is not None
    assert restored.bd_rate < -10


def test_where_less_is_better() -> None:
    *_, restored = curves_of(_result(), [SWEEP])
    assert restored.metric == "dists"
    assert restored.bd_score == pytest.approx(-0.05)
    assert restored.bd_rate is not None
    assert restored.bd_rate < -10


def test_a_version_that_lacks_a_task_is_left_out() -> None:
    result = _result()
    rows = [row for row in result.rows if (row.task, row.version) != ("jpeg-40", TINY)]
    short = Result(NATIVE_RGB, 0, ("a.png",), ("psnr",), tuple(rows))
    assert [curve.version for curve in curves_of(short, [SWEEP])] == [AS_COMPRESSED]


def test_without_bits_there_is_no_curve() -> None:
    assert curves_of(_result(bits=(0.4, None, 0.9, 1.6)), [SWEEP]) == ()


def test_table() -> None:
    table = curve_table(curves_of(_result(), [SWEEP]))
    by_psnr, by_dists = [[cell.text for cell in row] for row in table.rows]
    assert by_psnr[:2] == ["jpeg + tiny, fidelity 1", "PSNR dB"]
    assert by_psnr[3] == "+1.00"
    assert by_dists[1] == "DISTS"
    assert by_dists[3] == "-0.0500"
    apart = curve_table(curves_of(_result(gain=20), [SWEEP]))
    assert apart.rows[0][2].text == ""


class TestPlot:
    def test_rising_and_falling(self) -> None:
        """PSNR rises to the right, DISTS falls; the first curve is the red one."""
        for metric, rises in (("psnr", True), ("dists", False)):
            plot = np.asarray(draw_metric(curves_of(_result(), [SWEEP]), metric)).astype(int)
            rows, columns = np.nonzero(plot[150:, :, 0] - plot[150:, :, 2] > 120)
            assert (rows[columns.argmax()] < rows[columns.argmin()]) == rises, metric

    def test_nothing_finite(self) -> None:
        row = Row("jpeg-10", AS_COMPRESSED, {"psnr": (math.inf,)}, 1.0, None)
        result = Result(NATIVE_RGB, 0, ("a.png",), ("psnr",), (row,))
        with pytest.raises(DataError, match="nothing to draw"):
            draw_metric(curves_of(result, [Sweep("jpeg", (10,))]), "psnr")


def test_a_codec_that_is_named_twice_has_one_curve() -> None:
    texts = ["jpeg:60,80", "webp:5,20", "jpeg:80,10"]
    assert parse_sweeps(texts, default_host()) == [
        Sweep("jpeg", (10, 60, 80)),
        Sweep("webp", (5, 20)),
    ]
