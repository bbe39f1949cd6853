from __future__ import annotations

import pytest
import torch

from diffir.moe.feature_prompts import FeaturePrompts


@pytest.fixture
def prompts():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = FeaturePrompts(5, degradation_width=3, experts=4, top_k=2)
        torch.nn.init.normal_(made.gate.logits.weight)
        torch.nn.init.normal_(made.prompts)
    return made.eval()


X = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
DEGRADATION = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_each_picture_gets_the_mixture_of_its_own_experts(prompts):
    out = prompts(X, DEGRADATION)
    gates = prompts.gate(DEGRADATION)
    for picture in range(2):
        assert (gates[picture] > 0).sum() == 2
        for row in range(3):
            for column in range(4):
                x = X[picture, :, row, column]
                experts = zip(gates[picture], prompts.prompts, strict=True)
                change = sum(gate * (x @ prompt) for gate, prompt in experts)
                torch.testing.assert_close(out[picture, :, row, column], x + change)


def test_nothing_changes_without_a_degradation(prompts):
    assert prompts(X, None) is X


def test_they_start_near_the_identity():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fresh = FeaturePrompts(64, degradation_width=3, experts=7, top_k=3).eval()
    x = torch.randn(2, 64, 4, 4, generator=torch.Generator().manual_seed(0))
    change = fresh(x, DEGRADATION) - x
    assert 0 < change.std() < 0.1


def test_more_experts_cannot_take_part_than_there_are():
    with pytest.raises(ValueError, match=r"top_k must be in 1\.\.2 \(the number of experts\)"):
        FeaturePrompts(5, degradation_width=3, experts=2, top_k=3)
