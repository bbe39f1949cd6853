from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from diffir.ablation.cells import CellResult, cells
from diffir.ablation.comparison import ALL, compare, sentences
from diffir.ablation.plot import draw_plot
from diffir.ablation.report import Report
from diffir.errors import DataError
from diffir.evaluate.student import QUANTILES, Mean, difference, mean

UNRESTORED = {"jpeg-10": {"psnr": 25.0, "dists": 0.24}, "av1-50": {"psnr": 27.0, "dists": 0.2}}
NOISE = (0.0, 0.02, -0.01)


def results(plan, **gains):
    """Every cell of a plan; a variant has the gain given, and a little of its own per seed."""
    return {
        cell.name: CellResult(
            cell.name,
            12_000_000,
            2e5,
            1.0,
            {
                task: {
                    "psnr": of["psnr"] + 1 + cell.seed + gain + noise,
                    "dists": of["dists"] - gain / 10,
                }
                for task, of in UNRESTORED.items()
            },
        )
        for cell in cells(plan)
        for gain in [gains.get(cell.variant.name.replace("-", "_"), 0)]
        for noise in [NOISE[cell.seed] if cell.variant.name != "default" else 0]
    }


class TestMeans:
    def test_by_hand(self):
        found = mean([1.0, 2.0, 4.0])
        assert found.value == pytest.approx(7 / 3)
        assert found.half_width == pytest.approx(4.303 * 1.527525 / 3**0.5, rel=1e-5)

    def test_one_value_says_nothing_of_its_interval(self):
        assert mean([3.0]) == Mean(3.0, None)
        assert not mean([3.0]).clear

    def test_many(self):
        assert mean([0.0, 1.0] * 40).half_width == pytest.approx(2.042 * 0.5031 / 80**0.5, rel=1e-3)

    def test_what_all_pairs_share_is_no_doubt(self):
        found = difference([1.1, 5.1, 9.1], [1.0, 5.0, 9.0])
        assert found.clear
        assert found.half_width == pytest.approx(0, abs=1e-9)

    def test_quantiles_fall(self):
        assert list(QUANTILES) == sorted(QUANTILES, reverse=True)


class TestReading:
    def test_better_worse_and_open(self, plan):
        made = plan("prompts", seeds=(0, 1, 2))
        found = results(made, prompts_none=-0.5, prompts_multiple=0.2)
        lines = sentences(compare(made, made.questions[0], found, UNRESTORED))
        assert lines[0] == (
            "PSNR dB: better than mixture of experts: multiple (+0.203 ± 0.038); worse than "
            "mixture of experts: no prompt (-0.497 ± 0.038); no difference outside the interval: "
            "single."
        )
        assert "worse than mixture of experts: no prompt (+0.05000 ± 0.00000)" in lines[1]

    def test_gains_are_over_the_unrestored(self, plan):
        made = plan("prior", seeds=(0, 1))
        rows = compare(made, made.questions[0], results(made), UNRESTORED).rows
        assert rows[-1].gains[ALL]["psnr"].value == pytest.approx(1.5)
        assert not rows[-1].differences

    def test_one_seed_has_no_interval(self, plan):
        made = plan("prior")
        lines = sentences(compare(made, made.questions[0], results(made), UNRESTORED))
        assert lines[0] == "PSNR dB: one seed has no interval: gates see the picture alone."

    def test_seeds_that_lack_a_cell_are_left_out(self, plan):
        made = plan("prior", seeds=(0, 1, 2))
        found = results(made)
        del found["default.compensator.seed-1"]
        assert compare(made, made.questions[0], found, UNRESTORED).seeds == (0, 2)
        with pytest.raises(DataError, match="no seed has all variants of 'prior'"):
            compare(made, made.questions[0], {}, UNRESTORED)


class TestFiles:
    @pytest.fixture
    def report(self, plan):
        made = plan("N", "K", seeds=(0, 1, 2))
        return Report(made, results(made, n_1=-0.3), UNRESTORED, "diffir ablate live1")

    def test_all_are_written(self, report, tmp_path):
        report.write(tmp_path)
        names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
        assert names == ["ablation-K.png", "ablation-N.png", "report.json", "report.md"]
        with Image.open(tmp_path / "ablation-N.png") as plot:
            assert plot.size == (190 + 2 * 220, 34 + 5 * 26 + 30)

    def test_markdown_has_tables_and_plain_words(self, report):
        text = report.markdown()
        assert "precision no, from fresh weights. Unrestored: jpeg-10 25.00 dB" in text
        assert "## N: How many prompts?" in text
        assert "worse than N = 7: N = 1 (-0.297 ± 0.038)" in text
        assert "| N = 7 | +2.000 ± 2.484 | default | default | 12.00 M | 200.0 k |" in text
        assert "`diffir ablate live1`" in text

    def test_json_has_every_cell(self, report):
        table = json.loads(report.json())
        assert len(table["cells"]) == 3 * 9
        assert [question["question"] for question in table["questions"]] == ["N", "K"]

    def test_a_question_of_one_variant_has_a_plot_too(self, plan):
        made = plan("prior")
        alone = replace(made.questions[0], variants=made.questions[0].variants[-1:])
        assert draw_plot(compare(made, alone, results(made), UNRESTORED)).height == 34 + 26 + 30

    def test_what_is_clear_is_red(self, report):
        red = [
            (np.asarray(draw_plot(comparison)).astype(int) @ [1, -1, 0] > 100).any()
            for comparison in report.comparisons()
        ]
        assert red == [True, False]
