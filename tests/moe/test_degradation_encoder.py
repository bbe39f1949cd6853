from __future__ import annotations

import pytest
import torch

from diffir.contracts.codec import CodecInfo
from diffir.moe.degradation_encoder import DegradationEncoder

JPEG = CodecInfo(name="jpeg", severity=0.75)
WEBP = CodecInfo(name="webp", severity=0.25)
CLEAN = CodecInfo.unknown()


@pytest.fixture
def encoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DegradationEncoder(codecs=["jpeg", "webp"], width=16)


def images(count: int, height: int = 40, width: int = 24) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 8), (33, 70)])
def test_a_verdict_on_any_image(encoder, size):
    logits, severity = encoder(images(2, *size))
    assert logits.shape == (2, 3)
    assert severity.shape == (2,)
    assert ((severity >= 0) & (severity <= 1)).all()


def test_crops_of_one_picture_make_one_fact(encoder):
    seen = encoder.identify(images(5))
    assert seen.name in ("jpeg", "webp")
    assert 0 <= seen.severity <= 1
    assert seen.sources == {"name": "estimate", "severity": "estimate"}
    assert encoder.identify(images(5).flip(0)).severity == pytest.approx(seen.severity, rel=1e-4)


def test_a_picture_that_is_surely_clean_has_no_severity(encoder):
    with torch.no_grad():
        encoder.verdict[-1].weight.zero_()
        encoder.verdict[-1].bias.copy_(torch.tensor([0.0, 1.0, 40.0, 9.0]))
    seen = encoder.identify(images(2))
    assert seen.severity == pytest.approx(0, abs=1e-6)
    assert seen.name == "webp"


def test_without_codecs_there_is_no_name():
    seen = DegradationEncoder(codecs=[], width=4).identify(images(1))
    assert seen.name is None
    assert seen.severity is not None


def test_the_loss_falls_where_codecs_can_be_told_apart(encoder):
    codecs = [JPEG, WEBP, CLEAN] * 4
    image = images(12, 32, 32)
    blocks = torch.kron(torch.rand(4, 3, 4, 4), torch.ones(1, 1, 8, 8))
    image[0::3] = 0.9 * blocks + 0.1 * image[0::3]
    image[1::3] = torch.nn.functional.avg_pool2d(image[1::3], 5, stride=1, padding=2)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=3e-3)
    losses = []
    for _ in range(200):
        loss = encoder.loss(image, codecs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    logits, severity = encoder(image)
    assert logits.argmax(dim=1).tolist() == [0, 1, 2] * 4
    assert (severity - torch.tensor([0.75, 0.25, 0.0] * 4)).abs().mean() < 0.2
