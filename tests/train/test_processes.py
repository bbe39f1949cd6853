"""Two processes on the CPU, as `accelerate launch` starts one per GPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from small_sd21 import NATIVE, small_recipe

HERE = Path(__file__).parent
LAUNCH = [
    # "--multi_gpu" is how accelerate calls several processes on one machine; these run on the CPU.
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
    *("--main_process_port", "0"),
]


@pytest.fixture
def train(photos, lpips, tmp_path):
    def run(name, recipe, stage, *, processes, batch, last=()):
        start = LAUNCH if processes == 2 else [sys.executable]
        words = [
            HERE / "launched_run.py",
            photos,
            tmp_path / name,
            recipe,
            stage,
            str(batch),
            *last,
        ]
        variables = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
        }
        done = subprocess.run(
            [*start, *words], env=variables, capture_output=True, text=True, timeout=400
        )
        # Of two that are killed, the one that still listens to the other fails in its own way.
        assert last or done.returncode == 0, done.stderr
        run.steps = re.findall(r"step (\d)", done.stdout)
        return tmp_path / name

    return run


def distance(one: Path, other: Path) -> float:
    first, second = (load_file(folder / "state" / "model.safetensors") for folder in (one, other))
    return sum(float((first[n] - value).square().sum()) for n, value in second.items()) ** 0.5


@pytest.mark.slow
def test_two_processes_take_the_step_of_a_batch_of_both(train, tiny_toml):
    # The loss of this stage is a mean over the batch, and draws nothing.
    both = train("both", tiny_toml, "autoencoder", processes=2, batch=1)
    alone = train("alone", tiny_toml, "autoencoder", processes=1, batch=2)
    half = train("half", tiny_toml, "autoencoder", processes=1, batch=1)
    assert distance(both, alone) < 0.05 * distance(half, alone)
    lines = [(folder / "log.jsonl").read_text().count("\n") for folder in (both, alone)]
    assert lines[0] == lines[1]  # one process writes


def test_two_processes_that_were_killed_go_on_together(train, tiny_toml):
    straight = train("straight", tiny_toml, "faithful", processes=2, batch=1)
    killed = train("killed", tiny_toml, "faithful", processes=2, batch=1, last=["1"])
    assert '"step": 1' in (killed / "state" / "position.json").read_text()
    train("killed", tiny_toml, "faithful", processes=2, batch=1)
    assert sorted(train.steps) == ["2", "2", "3", "3"]  # of both, and not the first again
    assert distance(killed, straight) == 0
    assert (killed / "model.safetensors").read_bytes()[-1000:] == (
        straight / "model.safetensors"
    ).read_bytes()[-1000:]


@pytest.mark.slow
def test_the_frozen_prior_in_two_processes(train, tmp_path):
    recipe = tmp_path / "small.toml"
    recipe.write_text(small_recipe(NATIVE).text, encoding="utf-8")
    output = train("run", recipe, "steering", processes=2, batch=1)
    weights = load_file(output / "model.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values())
    assert len(list((output / "state").glob("random_states_*"))) == 2
