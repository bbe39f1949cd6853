"""The counts of `sd21_cost.py` against their targets; on a CUDA device the times, too."""

from __future__ import annotations

from pathlib import Path

import pytest
import sd21_cost
import torch

from diffir.train.finetuning import SAMPLED_SIDE
from diffir.train.transfer import MANY_CROPS


@pytest.fixture(scope="module")
def model():
    return sd21_cost.build()


@pytest.fixture(scope="module")
def cost(model):
    return sd21_cost.cost(model, 512)


def test_fifty_steps_against_the_bare_network(cost):
    assert cost["our U-Net step"] == cost["bare U-Net step"]
    assert cost["ours, 50 steps"] <= 1.10 * cost["bare, 50 steps"]


def test_the_routers_share_of_a_step(cost):
    assert cost["router"] <= 0.05 * cost["bare U-Net step"]
    # The degradation tower costs the same at any size: at 512 pixels it is 1 % more.
    assert cost["router with its degradation prior"] <= 0.06 * cost["bare U-Net step"]


def test_the_bare_network_is_as_large_as_it_is_known_to_be(cost):
    assert cost["bare U-Net step"] == pytest.approx(402, rel=0.05)


def test_prompts_alone_against_everything(model, cost):
    table = sd21_cost.training_table(model, 256)
    prompts, everything = table["prompts and gates"], table["everything"]
    assert prompts.multiply_adds < 0.5 * everything.multiply_adds
    assert prompts.activations < 0.5 * everything.activations
    assert prompts.states < 0.01 * everything.states
    weights = 4 * sum(parameter.numel() for parameter in model.parameters())
    area = (SAMPLED_SIDE / 256) ** 2
    assert weights + MANY_CROPS * area * prompts.activations + prompts.states < 8e9  # of 16
    model.requires_grad_(False)
    at_256 = sd21_cost.cost(model, 256)
    frozen = 2 * at_256["encode"] + at_256["context"]  # what is kept per crop, and what is not
    assert prompts.multiply_adds < (everything.multiply_adds + frozen) / 3


ROWS = {
    "U-Net, one step, with prompts": "our U-Net step",
    "encoder": "encode",
    "decoder, bare": "bare decode",
    "decoder with compensator": "our decode",
    "router, once": "router",
    "router with degradation tower, once": "router with its degradation prior",
    "scale and shift of all sites, once": "scale and shift maps",
    "visual-to-text, once": "context",
    "50 steps, bare U-Net and autoencoder": "bare, 50 steps",
    "50 steps, ours": "ours, 50 steps",
}


def test_one_step_of_a_large_picture_in_half_a_second(model):
    operations = 2e9 * sd21_cost.cost(model, 1024)["ours, one step"]
    assert operations / 0.5 < 0.07 * 989e12  # of an H200's data sheet, bfloat16, dense


def test_the_page_tells_what_is_counted(cost):
    page = Path(__file__).parents[2].joinpath("docs/sd21.md").read_text(encoding="utf-8")
    for row, name in ROWS.items():
        line = next(line for line in page.splitlines() if line.startswith(f"| {row} |"))
        assert float(line.split("|")[3]) == pytest.approx(cost[name], abs=0.06)


@pytest.mark.gpu
def test_times_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    fast = sd21_cost.build("cuda").to(torch.bfloat16, memory_format=torch.channels_last)
    found = {n: sd21_cost.timed(piece) for n, piece in sd21_cost.pieces(fast, 512).items()}
    totals = sd21_cost.with_totals(found)
    assert totals["ours, 50 steps"] <= 1.10 * totals["bare, 50 steps"]
    assert found["router"] <= 0.05 * found["bare U-Net step"]
