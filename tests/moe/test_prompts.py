from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.moe.prompts import PromptPool


def pool(*, experts: int = 5, top_k: int = 2, seed: int = 0) -> PromptPool:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = PromptPool(6, experts=experts, top_k=top_k)
        torch.nn.init.normal_(made.gate.logits.weight)  # it starts at zero, without a preference
    return made.eval()


def tokens(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 6, generator=torch.Generator().manual_seed(1))


@given(experts=st.integers(1, 7), data=st.data())
@settings(max_examples=15, deadline=None)
@torch.no_grad()
def test_the_mixture_is_a_sum_over_the_chosen_experts(experts, data):
    top_k = data.draw(st.integers(1, experts))
    made, x = pool(experts=experts, top_k=top_k), tokens(2, 3)
    look = x.flip(1)
    mixed, gates = made(x, look)
    for place in ((b, i) for b in range(2) for i in range(3)):
        shares = (look[place] @ made.gate.logits.weight.T)[:experts].softmax(dim=0)
        chosen = sorted(range(experts), key=lambda e: -float(shares[e]))[:top_k]
        slow = sum(shares[e] * (x[place] @ made.prompts[e]) for e in chosen)
        torch.testing.assert_close(mixed[place], slow)
        assert set(gates[place].nonzero().flatten().tolist()) == set(chosen)


def test_gates_are_zero_off_the_top_and_not_renormalized():
    _, gates = pool(experts=5, top_k=2)(tokens(40), tokens(40))
    assert ((gates > 0).sum(dim=-1) == 2).all()
    assert (gates.sum(dim=-1) < 1).all()


def test_all_experts_together_have_the_whole_share():
    _, gates = pool(experts=5, top_k=5)(tokens(40), tokens(40))
    torch.testing.assert_close(gates.sum(dim=-1), torch.ones(40))


def test_any_shape_of_tokens():
    mixed, gates = pool()(tokens(2, 3, 4), tokens(2, 3, 4))
    assert mixed.shape == (2, 3, 4, 6)
    assert gates.shape == (2, 3, 4, 5)


class TestNoise:
    def test_a_finished_model_does_not_change_its_mind(self):
        made, x = pool(), tokens(20)
        assert torch.equal(made(x, x)[0], made(x, x)[0])

    def test_a_learning_one_explores(self):
        made, x = pool().train(), tokens(200)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            first, second = made(x, x)[1], made(x, x)[1]
            torch.manual_seed(0)
            again = made(x, x)[1]
        assert ((first > 0) != (second > 0)).any()
        assert torch.equal(first, again)


def test_gates_and_prompts_learn():
    made, x = pool().train(), tokens(20)
    made(x, x)[0].pow(2).sum().backward()
    assert made.prompts.grad.abs().sum() > 0
    assert made.gate.logits.weight.grad.abs().sum(dim=1).gt(0).all()  # the noise's half, too


@pytest.mark.parametrize("top_k", [0, 6, -1])
def test_a_top_k_that_cannot_be(top_k):
    with pytest.raises(ValueError, match=rf"1\.\.5 \(the number of experts\), got {top_k}"):
        PromptPool(6, experts=5, top_k=top_k)
