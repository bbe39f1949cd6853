from __future__ import annotations

import pytest
import torch

from diffir.moe.visual_to_text import VisualToText


@pytest.mark.parametrize("size", [(8, 8), (32, 96), (160, 130)])
def test_64_tokens_seen_and_some_learned(size):
    image = torch.rand(2, 3, *size)
    assert VisualToText(width=8, learned=5).condition(image, image).shape == (2, 64 + 5, 8)


def test_learned_tokens_are_the_same_for_all_pictures_and_seen_ones_are_not():
    conditioner = VisualToText(width=8)
    torch.nn.init.normal_(conditioner.learned)
    tokens = conditioner.condition(torch.rand(2, 3, 64, 64), torch.empty(0))
    assert torch.equal(tokens[0, 64:], tokens[1, 64:])
    assert not torch.equal(tokens[0, :64], tokens[1, :64])


def test_learned_tokens_begin_apart():
    """Equal ones would get equal gradients, and stay equal."""
    learned = VisualToText(width=8, learned=5).learned[0]
    assert len(torch.unique(learned, dim=0)) == 5


@pytest.mark.slow
@pytest.mark.parametrize("trunk", ["resnet18", "mobilenetv3_small_050"])
def test_any_convolutional_trunk_of_timm(trunk):
    conditioner = VisualToText(width=8, learned=3, tower=trunk).eval()
    tokens = conditioner.condition(torch.rand(1, 3, 32, 32), torch.empty(0))
    assert tokens.shape == (1, 4 * 4 + 3, 8)
    tokens.sum().backward()
    assert all(p.grad is not None for p in conditioner.parameters())
