"""AdamW by name: torch's own numbers, without torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from diffir.train.named_adamw import NamedAdamW

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


def test_it_does_not_import_the_compiler() -> None:
    code = """
import sys, torch
from diffir.train.named_adamw import NamedAdamW
weight = torch.nn.Parameter(torch.ones(2))
weight.grad = torch.ones(2)
NamedAdamW({"weight": weight}, betas=(.9, .99), weight_decay=0.).step(.1)
assert weight.tolist() != [1, 1]
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
