from __future__ import annotations

import math

import numpy as np
import pytest

from diffir.codecs.avc import Avc
from diffir.codecs.jpeg import Jpeg
from diffir.errors import DataError
from diffir.evaluate.fidelity_metrics import psnr_rgb
from diffir.evaluate.rate_distortion import RatePoint, measure_rate, rate_table, usual_qualities
from diffir.evaluate.rate_plot import draw_rate_plot

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)


class TestMeasure:
    def test_figures_are_of_all_pictures(self):
        codec, pictures = Jpeg(), [PIXELS, PIXELS[:20]]
        (point,) = measure_rate(codec, pictures, [30])
        files = [codec.encode(p, 30) for p in pictures]
        bits = [8 * len(f) / p[..., 0].size for f, p in zip(files, pictures, strict=True)]
        lost = [codec.decode(f).astype(float) - p for f, p in zip(files, pictures, strict=True)]
        error = sum((one**2).mean() for one in lost) / 2
        assert point.bits_per_pixel == pytest.approx(sum(bits) / 2)
        assert point.psnr == pytest.approx(10 * math.log10(255**2 / error))

    def test_a_picture_that_lost_nothing_does_not_hide_the_others(self):
        codec, flat = Jpeg(), np.full((16, 16, 3), 128, np.uint8)
        (point,) = measure_rate(codec, [PIXELS, flat], [30])
        alone = psnr_rgb(PIXELS, codec.decode(codec.encode(PIXELS, 30)))
        assert point.psnr == pytest.approx(alone + 10 * math.log10(2))
        assert measure_rate(codec, [flat], [30])[0].psnr == math.inf

    def test_usual_qualities_run_from_bad_to_good(self):
        assert usual_qualities(Jpeg()) == (10, 15, 20, 41, 60, 80)
        assert usual_qualities(Avc()) == (47, 42, 37, 31, 20, 10)

    def test_no_picture(self):
        with pytest.raises(DataError, match="one picture or more, got none"):
            measure_rate(Jpeg(), [], [30])


def test_table():
    points = [RatePoint(10, 0.25, 30.123), RatePoint(90, 2.0, math.inf)]
    assert rate_table(points, label="QP").splitlines()[2:] == [
        "| 10 | 0.250 | 30.12 |",
        "| 90 | 2.000 | exact |",
    ]


class TestPlot:
    points = (RatePoint(10, 0.25, 30.0), RatePoint(20, 1.0, 38.0))

    def test_each_codec_has_a_curve_of_its_color(self):
        plot = np.asarray(draw_rate_plot({"mine": self.points, "jpeg": self.points[:1]}))
        assert plot.shape == (400, 640, 3)
        red = (plot[..., 0].astype(int) - plot[..., 2]) > 120
        rows, columns = np.nonzero(red[:, 120:])  # right of the names
        assert rows[columns.argmin()] > rows[columns.argmax()]  # better is higher

    def test_points_without_loss_are_left_out(self):
        points = (*self.points, RatePoint(100, 8.0, math.inf))
        assert draw_rate_plot({"exact": points[2:], "mine": points}).size == (640, 400)

    def test_one_point_is_enough(self):
        assert draw_rate_plot({"mine": self.points[:1]}).size == (640, 400)

    def test_nothing_to_draw(self):
        with pytest.raises(DataError, match="every picture came back exactly"):
            draw_rate_plot({"mine": [RatePoint(100, 8.0, math.inf)]})
