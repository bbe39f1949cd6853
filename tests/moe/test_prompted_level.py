from __future__ import annotations

import pytest
import torch

from diffir.diffusion.layers import stack
from diffir.moe.prompted_level import PromptedLevel


@pytest.fixture
def level():
    torch.manual_seed(0)
    return PromptedLevel(6, 3, degradation_width=4)


def maps() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(1)
    return torch.randn(2, 6, 5, 7, generator=source), torch.randn(2, 4, generator=source)


def test_it_is_a_stack_of_blocks_by_names_and_by_what_it_does(level):
    x, degradation = maps()
    plain = stack(6, 3)
    plain.load_state_dict(level.state_dict())
    assert torch.equal(level(x, degradation), plain(x))
    assert torch.equal(level(x, None), plain(x))


def test_new_experts_stand_behind_every_block(level):
    x, degradation = maps()
    extended = level.with_new_experts(2)
    for experts in extended.new:
        torch.nn.init.normal_(experts.prompts, std=0.3)
    slow = x
    for block, experts in zip(level, extended.new, strict=True):
        slow = block(slow)
        shares = 2 * (degradation @ experts.strength.weight.T).sigmoid()  # (B,M)
        added = torch.zeros_like(slow)
        for picture in range(2):
            for expert in range(2):
                matrix = shares[picture, expert] * experts.prompts[expert]
                added[picture] += torch.einsum("chw,ck->khw", slow[picture], matrix)
        slow = slow + added
    torch.testing.assert_close(extended(x, degradation), slow)


def test_kernel_experts_and_new_experts_go_together():
    torch.manual_seed(0)
    level = PromptedLevel(6, 2, degradation_width=4, experts=3)
    for block in level:
        torch.nn.init.normal_(block.conv1.experts, std=0.3)
    x, degradation = maps()
    slow = level[1](level[0](x, degradation), degradation)
    torch.testing.assert_close(level(x, degradation), slow)
    assert (level(x, degradation) - level(x, None)).abs().max() > 1e-3
    extended = level.with_new_experts(1)
    assert torch.equal(extended(x, degradation), slow)
    torch.nn.init.normal_(extended.new[0].prompts)
    assert (extended(x, degradation) - slow).abs().max() > 1e-3


def test_they_are_silent_where_nothing_is_known_of_the_degradation(level):
    x, _ = maps()
    extended = level.with_new_experts(1)
    torch.nn.init.normal_(extended.new[0].prompts)
    assert torch.equal(extended(x, None), level(x, None))


def test_they_alone_are_new(level):
    extended = level.with_new_experts(1)
    own = {id(p) for p in level.parameters()}
    new = [name for name, p in extended.named_parameters() if id(p) not in own]
    assert len(new) == 3 * 3
    assert all(name.startswith("new.") for name in new)


@pytest.mark.parametrize("counts", [(-1, 0), (2, -1)])
def test_negative_counts_are_refused(counts):
    blocks, experts = counts
    with pytest.raises(ValueError, match=f"0 or more blocks and kernel experts, got {blocks} and"):
        PromptedLevel(6, blocks, degradation_width=4, experts=experts)
