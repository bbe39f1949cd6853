from __future__ import annotations

import numpy as np
import pytest
import torch

from diffir.degradations.codec_degradation import CodecDegradation
from diffir.host.manager import default_host
from diffir.restore.recognizer import Recognizer
from diffir.train.recognizing import MOST_TAKEN, learn_to_recognize
from diffir.train.synthetic import synthetic_picture
from diffir.train.transfer_crops import CleanPicture


def means(image: torch.Tensor) -> torch.Tensor:
    """A router's traces, plain ones: how steep pictures are, and at steps over block borders."""
    steps = (image[..., 1:] - image[..., :-1]).abs()
    whole = steps.mean(dim=(1, 2, 3))
    borders = steps[..., 7::8].mean(dim=(1, 2, 3))
    return torch.stack([whole, borders, borders / (whole + 1e-3)], dim=1)


@pytest.fixture(scope="module")
def learned():
    host = default_host()
    hard = CodecDegradation(host.codec("jpeg"), (1.0,))
    sources = [CleanPicture(synthetic_picture(96, np.random.default_rng(n)), hard) for n in (0, 1)]
    light = CodecDegradation(host.codec("jpeg"), (95.0,))
    return learn_to_recognize(sources, light, means, regions=24, seed=0)


def test_it_takes_what_is_its_own_and_hardly_anything_else(learned):
    _, recognition = learned
    assert recognition.found > 0.7
    assert recognition.taken <= MOST_TAKEN


def test_it_is_what_its_tensors_say(learned):
    network, _ = learned
    again = Recognizer.from_tensors(network.state_dict())
    traces = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    assert again.judge(traces) == network.judge(traces)
    assert not any(parameter.requires_grad for parameter in again.parameters())
