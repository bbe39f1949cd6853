"""AdamW by name: torch's own numbers, without torch's compiler."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from diffir.contracts.picture import Picture
from diffir.pictures.writing import write
from diffir.train.named_adamw import NamedAdamW
from diffir.train.synthetic import synthetic_picture

if TYPE_CHECKING:
    from pathlib import Path

BETAS, DECAY = (0.9, 0.99), 0.01


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def charge(model: nn.Sequential, step: int) -> None:
    """Gradients of a loss; the last layer has none at first."""
    torch.manual_seed(step)
    seen = model[:2] if step < 2 else model
    seen(torch.randn(5, 3)).square().mean().backward()


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 99),
    rates=st.lists(st.floats(1e-5, 1e-1), min_size=3, max_size=6),
    killed_after=st.integers(0, 2),
)
def test_it_moves_as_the_optimizer_of_torch_does_also_after_a_kill(
    seed: int, rates: list[float], killed_after: int
) -> None:
    ours, theirs = network(seed), network(seed)
    by_name = dict(ours.named_parameters())
    optimizer = NamedAdamW(by_name, betas=BETAS, weight_decay=DECAY)
    reference = torch.optim.AdamW(theirs.parameters(), betas=BETAS, weight_decay=DECAY)
    for step, rate in enumerate(rates):
        for model, one in ((ours, optimizer), (theirs, reference)):
            one.zero_grad()
            charge(model, step)
        optimizer.step(rate)
        reference.param_groups[0]["lr"] = rate
        reference.step()
        if step == killed_after and step < 2:  # after that not all have taken as many steps
            groups = optimizer.tensors("its-")
            optimizer = NamedAdamW(by_name, betas=BETAS, weight_decay=DECAY)
            optimizer.load(groups, step + 1, "its-")
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other), name


@pytest.mark.usefixtures("fetched")
def test_fine_tuning_does_not_import_the_compiler(tiny_weights: Path, tmp_path: Path) -> None:
    """The command as users run it, its recognizer and its critic included."""
    for seed in range(4):
        pixels = synthetic_picture(128, np.random.default_rng(seed))
        write(Picture(pixels), tmp_path / "data" / f"{seed}.png")
    code = """
import sys
from diffir.cli.main import build_app
from diffir.host.manager import default_host
build_app(default_host())(sys.argv[1:], standalone_mode=False)
sys.exit("torch._dynamo" in sys.modules)
"""
    words = ["finetune-prompts", "--codec", "jpeg2000", "--data", tmp_path / "data", "--critic"]
    words += ["--model", tiny_weights, "--steps", 1, "--crops", 8, "-o", tmp_path / "p.safetensors"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert (tmp_path / "p.safetensors").exists(), done.stderr
    assert done.returncode == 0
