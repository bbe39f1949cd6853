from __future__ import annotations

import pytest
import torch

from diffir.contracts.codec import CodecInfo
from diffir.moe.degradation_prior import DegradationPrior

JPEG = CodecInfo(name="jpeg", severity=0.75)
WEBP = CodecInfo(name="webp", severity=0.25)
BLIND = CodecInfo.unknown()
FOREIGN = CodecInfo(name="jpeg2000", severity=0.5)


@pytest.fixture
def prior():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DegradationPrior(latent_channels=4, width=8, codecs=["jpeg", "webp"])


def latents(count: int, height: int = 5, width: int = 3) -> torch.Tensor:
    return torch.randn(count, 4, height, width, generator=torch.Generator().manual_seed(0))


class TestDescribe:
    def test_known(self, prior):
        assert prior.describe(JPEG) == [1, 0, 0, 0.75]
        assert prior.describe(WEBP) == [0, 1, 0, 0.25]

    @pytest.mark.parametrize("info", [BLIND, FOREIGN, CodecInfo(name="jpeg")], ids=str)
    def test_pixels_must_decide(self, prior, info):
        assert prior.describe(info) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (13, 6)])
def test_an_estimate_from_any_latent(prior, size):
    logits, severity = prior.estimate(latents(2, *size))
    assert logits.shape == (2, 3)
    assert severity.shape == (2,)
    assert ((severity >= 0) & (severity <= 1)).all()


def test_known_pictures_are_not_looked_at(prior):
    x = latents(2)
    assert torch.equal(prior(x, [JPEG, WEBP]), prior(x + 1, [JPEG, WEBP]))
    assert not torch.equal(prior(x, [JPEG, BLIND])[1], prior(x + 1, [JPEG, BLIND])[1])


def test_an_unknown_name_is_judged_as_if_nothing_were_said(prior):
    x = latents(1)
    assert torch.equal(prior(x, [FOREIGN]), prior(x, [BLIND]))


def test_known_and_unknown_in_one_batch(prior):
    x, codecs = latents(4), [JPEG, BLIND, WEBP, FOREIGN]
    together = prior(x, codecs)
    for index, codec in enumerate(codecs):
        torch.testing.assert_close(prior(x[index : index + 1], [codec])[0], together[index])


def test_what_is_told_and_what_is_estimated_live_in_one_space(prior):
    """An estimate that is certain and right gives the embedding of the fact."""
    torch.nn.init.zeros_(prior.classify.weight)
    with torch.no_grad():
        prior.classify.bias.copy_(torch.tensor([40.0, -40.0, -40.0, 1.0986123]))  # sigmoid: 0.75
    torch.testing.assert_close(prior(latents(1), [BLIND]), prior(latents(1), [JPEG]))


def test_the_loss_falls_where_codecs_can_be_told_apart(prior):
    codecs = [JPEG, WEBP, BLIND] * 4
    shift = torch.tensor([1.0, -1.0, 0.0] * 4)[:, None, None, None]
    x = 0.2 * latents(12) + shift
    optimizer = torch.optim.Adam(prior.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = prior.loss(x, codecs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    logits, severity = prior.estimate(x)
    assert logits.argmax(dim=1).tolist() == [0, 1, 2] * 4
    true = torch.tensor([0.75, 0.25, 0.0] * 4)
    assert (severity - true).abs().mean() < 0.2
