from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest

from diffir.contracts.picture import Picture
from diffir.errors import DataError
from diffir.pictures.writing import write
from diffir.train.synthetic import synthetic_picture
from diffir.train.transfer_cell import FORMAT, Cell
from diffir.train.transfer_protocol import plan_cells, run_cells
from diffir.train.transfer_report import curves, figure, share_of_gain, to_json, to_markdown


@pytest.fixture
def template(tmp_path, tiny_weights, lpips):
    photos = tmp_path / "photos"
    for seed in range(4):
        pixels = synthetic_picture(128, np.random.default_rng(seed))
        write(Picture(pixels), photos / f"{seed}.png")
    judged = shutil.copytree(photos, tmp_path / "judged")
    return Cell(
        codec="mpeg2",
        pictures=1,
        seed=0,
        way="prompts",
        data=str(photos),
        test=str(judged),
        model=str(tiny_weights),
        seconds=None,
        steps=2,
        crops=8,
        device="cpu",
    )


def record(way="prompts", seed=0, *, pictures=16, gain=-0.08, **facts):
    cell = Cell("mpeg2", pictures, seed, way, "data", "test", "tiny", 60.0)
    scores = {"lpips": 0.3, "dists": 0.2, "psnr": 30.0}
    interval = {"mean": gain, "low": gain, "high": gain}
    return {
        "cell": asdict(cell),
        "base_hash": "ab",
        "crops_per_step": 2,
        "steps": 100,
        "seconds": 60.0,
        "step_seconds": 0.5,
        "step_work": 0.4 if way == "prompts" else 0.8,
        "peak_bytes": 1_000_000_000,
        "training_bytes": 100_000_000 if way == "prompts" else 400_000_000,
        "parameters": 100_000,
        "bytes": 200_000,
        "verdict": {
            "input": scores,
            "base": scores,
            "mean": {**scores, "lpips": 0.3 + gain},
            "lpips": interval,
            "dists": interval,
            "psnr": interval,
        },
        **facts,
    }


class TestCells:
    def test_seed_by_seed_each_way(self, template):
        cells = plan_cells(template, ["mpeg2", "jpeg2000"], [1, 4], 2)
        assert len(cells) == 2 * 2 * 2 * 3
        assert len({cell.name for cell in cells}) == len(cells)
        assert {cell.seed for cell in cells[:12]} == {0}

    def test_pictures_to_judge_by_are_not_learned_from(self, template):
        with pytest.raises(DataError, match=r"0.png is both trained on and judged by"):
            plan_cells(replace(template, test=template.data), ["mpeg2"], [1], 1)

    def test_some_ways_alone(self, template):
        cells = plan_cells(template, ["mpeg2"], [1, 4], 2, ways=("prompts",))
        assert [(cell.way, cell.pictures) for cell in cells] == [("prompts", 1), ("prompts", 4)] * 2

    def test_what_is_named_twice_counts_once(self, template):
        cells = plan_cells(template, ["mpeg2", "mpeg2"], [4, 4], 1, ways=("prompts",))
        assert [cell.name for cell in cells] == ["mpeg2-4-prompts-0"]

    def test_counts_go_as_far_as_the_folder_does(self, template):
        cells = plan_cells(template, ["mpeg2"], None, 1, ways=("prompts",))
        assert [cell.pictures for cell in cells] == [1, 4]
        with pytest.raises(DataError, match="has 4 pictures, and cells with 16 were asked for"):
            plan_cells(template, ["mpeg2"], [1, 16], 1)

    def test_what_is_there_is_not_made_again(self, template, tmp_path):
        path = tmp_path / f"{template.name}.json"
        made = {"format": FORMAT, "cell": asdict(template), "base_hash": "ab", "kept": True}
        path.write_text(json.dumps(made))
        [(_, found)] = run_cells([template], tmp_path)
        assert found["kept"]
        with pytest.raises(DataError, match="was made with another seconds"):
            list(run_cells([replace(template, seconds=5.0)], tmp_path))
        second = replace(template, seed=1)
        later = {"format": FORMAT, "cell": asdict(second), "base_hash": "cd"}
        (tmp_path / f"{second.name}.json").write_text(json.dumps(later))
        with pytest.raises(DataError, match="is of other weights than the records before it"):
            list(run_cells([template, second], tmp_path))
        path.write_text(json.dumps({**made, "format": FORMAT - 1}))
        with pytest.raises(DataError, match="was made with another version of diffir"):
            list(run_cells([template], tmp_path))
        path.write_text("{")
        with pytest.raises(DataError, match="is not a record"):
            list(run_cells([template], tmp_path))

    def test_one_that_fails_does_not_stop_the_others(self, template, tmp_path, capfd):
        broken = replace(template, data=str(tmp_path / "nowhere"))
        [(_, found)] = run_cells([broken], tmp_path)
        assert found is None
        assert not list(tmp_path.glob("*.json"))
        assert "nowhere is not a folder" in capfd.readouterr().err

    @pytest.mark.slow
    @pytest.mark.parametrize("way", ["prompts", "full", "scratch"])
    def test_a_cell_in_a_process_of_its_own(self, way, template, tmp_path):
        assert os.environ["DIFFIR_CACHE"]  # the child's, too
        wide = replace(template, way=way, pictures=4)
        [(_, found)] = run_cells([wide], tmp_path)
        assert found["steps"] == 2
        assert 0 < found["training_bytes"] < found["peak_bytes"]
        assert (found["parameters"] == found["model_parameters"]) is (way == "full")


class TestReport:
    def test_share_of_the_gain(self):
        rows = [record(gain=-0.08), record("full", gain=-0.1)]
        rows += [record(seed=1, gain=-0.06), record("full", 1, gain=-0.1)]
        share = share_of_gain(rows)
        assert share.mean == pytest.approx(0.7)
        assert share.half == pytest.approx(12.706 * 0.1, rel=1e-3)
        assert share_of_gain([record(), record("full", gain=0.1)]) is None
        assert share_of_gain([record()]) is None

    def test_one_seed_has_no_interval(self):
        assert f"{figure([0.25]):.2f}" == "0.25"
        assert f"{figure([0.25, 0.25]):.2f}" == "0.25 ± 0.00"

    def test_markdown(self):
        text = to_markdown([record(), record("full", gain=-0.1)], command="diffir x")
        assert "## mpeg2, 16 pictures" in text
        assert (
            "| prompts only | 0.2200 | 0.2000 | 30.00 | 100000 | 200 | 100 | 2 | 0.50 | 1000 | "
            "100 |" in text
        )
        assert "Prompts alone have 0.80 of the full fine-tune's gain in LPIPS." in text
        assert "A step takes 0.50 of its work, and 1.00 of its peak memory; without" in text
        assert "held before the first step, 0.25." in text
        assert "`diffir x`" in text

    def test_json(self):
        content = json.loads(to_json([record(), record("full")], command="diffir x"))
        assert content["derived"][0]["step_ratio"]["mean"] == 0.5
        assert len(content["records"]) == 2

    def test_curves(self):
        rows = [record(pictures=4), record(pictures=16, gain=-0.15)]
        assert curves(rows, "mpeg2") == {
            "prompts only": [(4, pytest.approx(0.22 / 0.3)), (16, pytest.approx(0.5))]
        }
