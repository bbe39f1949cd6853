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
        return DegradationPrior(width=8, codecs=["jpeg", "webp"])


class TestDescribe:
    def test_known(self, prior):
        assert prior.describe(JPEG) == [1, 0, 0, 0.75]
        assert prior.describe(WEBP) == [0, 1, 0, 0.25]

    @pytest.mark.parametrize("info", [BLIND, FOREIGN, CodecInfo(name="jpeg")], ids=str)
    def test_nothing_that_helps(self, prior, info):
        assert prior.describe(info) is None


def test_codec_and_severity_both_tell(prior):
    rows = prior([JPEG, WEBP, CodecInfo(name="jpeg", severity=0.5), BLIND])
    assert rows.shape == (4, 8)
    assert len({tuple(row.tolist()) for row in rows}) == 4


def test_an_unknown_name_is_as_if_nothing_were_said(prior):
    assert torch.equal(prior([FOREIGN]), prior([BLIND]))


def test_known_and_unknown_in_one_batch(prior):
    codecs = [JPEG, BLIND, WEBP, FOREIGN]
    together = prior(codecs)
    for index, codec in enumerate(codecs):
        torch.testing.assert_close(prior([codec])[0], together[index])


def test_what_stands_for_nothing_known_is_learned(prior):
    prior([BLIND]).sum().backward()
    assert prior.unknown.grad is not None
    assert prior.unknown.grad.abs().sum() > 0
