from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from diffir.diffusion.expert_kernels import ExpertBlock, ExpertConv
from diffir.diffusion.layers import ResidualBlock


@pytest.fixture
def block():
    torch.manual_seed(0)
    made = ExpertBlock(6, experts=3, degradation_width=4)
    for conv in (made.conv1, made.conv2):
        torch.nn.init.normal_(conv.experts, std=0.1)
    return made


def maps(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 6, 5, 7, generator=source)
    return x, torch.randn(batch, 4, generator=source)


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_each_picture_is_convolved_with_its_own_mixture(batch, layout):
    torch.manual_seed(0)
    conv = ExpertConv(6, experts=3)
    torch.nn.init.normal_(conv.experts)
    x, _ = maps(batch)
    gates = torch.rand(batch, 3)
    mixed = conv(x.contiguous(memory_format=layout), gates)
    for picture in range(batch):
        kernel = conv.weight + sum(
            gates[picture, i] * conv.experts[i].reshape(6, 6, 3, 3) for i in range(3)
        )
        slow = F.conv2d(x[picture : picture + 1], kernel, conv.bias, padding=1)
        torch.testing.assert_close(mixed[picture : picture + 1], slow)


def test_the_degradation_decides(block):
    x, degradation = maps(1)
    other = block(x, degradation + 1)
    assert (block(x, degradation) - other).abs().max() > 1e-3


def test_a_picture_comes_out_the_same_in_any_company(block):
    x, degradation = maps(3)
    together = block(x, degradation)
    for picture in range(3):
        one = slice(picture, picture + 1)
        torch.testing.assert_close(block(x[one], degradation[one]), together[one])


def test_fresh_experts_and_no_degradation_leave_a_residual_block():
    torch.manual_seed(0)
    plain = ResidualBlock(6)
    made = ExpertBlock(6, experts=3, degradation_width=4)
    missing, unexpected = made.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert set(missing) == set(made.own_parameters())
    x, degradation = maps()
    torch.testing.assert_close(made(x, degradation), plain(x))
    torch.testing.assert_close(made(x), plain(x))


def test_it_starts_as_a_residual_block_starts():
    torch.manual_seed(0)
    plain = ResidualBlock(6)
    torch.manual_seed(0)
    made = ExpertBlock(6, experts=3, degradation_width=4)
    assert torch.equal(made.conv1.weight, plain.conv1.weight)
    assert torch.equal(made.conv2.weight, plain.conv2.weight)


def test_experts_learn_apart(block):
    """Fresh ones, too: their shares differ, so their gradients do."""
    torch.nn.init.zeros_(block.conv1.experts)
    torch.nn.init.zeros_(block.conv2.experts)
    block(*maps()).square().sum().backward()
    gradient = block.conv2.experts.grad
    assert gradient is not None
    assert (gradient[0] - gradient[1]).abs().max() > 1e-3 * gradient.abs().max()


def test_an_identity_passes_everything_through(block):
    block.become_identity()
    x, degradation = maps()
    assert torch.equal(block(x, degradation), x)
