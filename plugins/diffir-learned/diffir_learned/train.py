"""Trains the weights of a family: `python -m diffir_learned.train --family NAME --data FOLDER`.

Each level starts from the one before, `--levels` says in which order: what a code of few bits
keeps is mostly what a code of more bits keeps. Clean pictures only go in. Rate is what the entropy
model says, in bits per pixel.

    cheng2020-psnr    rate + lambda * 255^2 * MSE
    cheng2020-ssim    rate + lambda * (1 - MS-SSIM), from the weights for PSNR where given
    generative        rate + lambda * 255^2 * MSE, then the decoder alone: L1, LPIPS and a critic
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (typer reads it)
from typing import TYPE_CHECKING, Annotated, cast

import torch
import torch.nn.functional as F
import typer
from rich.progress import Progress, TextColumn
from torch import Tensor, nn
from torch.utils.data import DataLoader

from diffir.perceptual.lpips import Lpips
from diffir.perceptual.weights import cache_folder
from diffir.train.clean_pictures import PictureCache, find_pictures
from diffir.train.pairs import Pairs, collate
from diffir.train.patch_discriminator import PatchDiscriminator
from diffir_learned.families import FAMILIES, LEVELS, Family
from diffir_learned.networks import build
from diffir_learned.weights import load_weights, save_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from diffir.contracts.picture import Picture

AUXILIARY_RATE = 1e-3
PERCEPTUAL_WEIGHTS = {"l1": 1.0, "lpips": 0.5, "critic": 0.05}
REPORT_EVERY = 200
SSIM_CROP = 192
"""MS-SSIM halves the picture four times, and its window has 11 pixels."""


@dataclass(frozen=True)
class Plan:
    """How much to train. steps: of the first level; the others take `later` of it."""

    steps: int
    later: float
    batch: int
    crop: int
    learning_rate: float
    seed: int


class NoDegradation:
    """Pairs whose two halves are equal."""

    def degrade(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """The picture as it is."""
        return picture


def batches(data: Path, plan: Plan, crop: int, seed: int) -> Iterator[Tensor]:
    """Endless clean crops `(B,3,crop,crop)` in [0,1]."""
    cache = PictureCache(cache_folder() / "pictures")
    pictures = [cache.scales(path) for path in find_pictures(data)]
    pairs = Pairs(pictures, NoDegradation(), crop=crop, synthetic=0.1, clean=0, seed=seed)
    loader = DataLoader(
        pairs,
        batch_size=plan.batch,
        sampler=cast("list[int]", itertools.count()),
        collate_fn=collate,
        num_workers=1,
    )
    for batch in loader:
        yield batch.clean


def rate(likelihoods: dict[str, Tensor], images: Tensor) -> Tensor:
    """Bits per pixel, a scalar."""
    pixels = images.shape[0] * images.shape[2] * images.shape[3]
    # Without the floor, a symbol far off its distribution costs infinitely many bits.
    floored = (likelihood.clamp_min(1e-9) for likelihood in likelihoods.values())
    bits = sum(-likelihood.log2().sum() for likelihood in floored)
    return cast("Tensor", bits / pixels)


def distortion(family: Family, restored: Tensor, images: Tensor) -> Tensor:
    """What lambda multiplies."""
    if family.metric == "ms-ssim":
        from pytorch_msssim import ms_ssim  # type: ignore[import-untyped]

        return cast("Tensor", 1 - ms_ssim(restored, images, data_range=1.0))
    return 255**2 * F.mse_loss(restored, images)


def train_level(
    network: nn.Module, family: Family, level: int, images: Iterator[Tensor], plan: Plan, steps: int
) -> Iterator[str]:
    """Train for rate and distortion, in place; yields what to show after each step."""
    main, auxiliary = (
        [p for name, p in network.named_parameters() if name.endswith("quantiles") == own]
        for own in (False, True)
    )
    optimizer = torch.optim.Adam(main, lr=plan.learning_rate)
    for_quantiles = torch.optim.Adam(auxiliary, lr=AUXILIARY_RATE)
    price = family.lambdas[level - 1]
    for step in range(steps):
        _cool(optimizer, plan.learning_rate, step / steps)
        batch = next(images)
        out = network(batch)
        bits = rate(out["likelihoods"], batch)
        error = distortion(family, out["x_hat"], batch)
        _step(network, optimizer, bits + price * error)
        own_loss = network.aux_loss()  # type: ignore[operator]
        torch.autograd.backward(own_loss)
        for_quantiles.step()
        for_quantiles.zero_grad(set_to_none=True)
        yield f"{bits.item():.3f} bpp, distortion {error.item():.4f}"


def train_decoder(
    network: nn.Module, images: Iterator[Tensor], plan: Plan, steps: int
) -> Iterator[str]:
    """Train the decoder for the eye; encoder and entropy model, and so the rate, stay."""
    lpips, critic = Lpips("alex"), PatchDiscriminator()
    decoder = network.get_submodule("g_s")
    optimizer = torch.optim.Adam(decoder.parameters(), lr=plan.learning_rate)
    for_critic = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.99))
    weights = PERCEPTUAL_WEIGHTS
    for step in range(steps):
        _cool(optimizer, plan.learning_rate, step / steps)
        batch = next(images)
        with torch.no_grad():
            out = network(batch)
            latent = network.get_submodule("g_a")(batch)
            means = network.get_submodule("h_s")(_hyper(network, latent)).chunk(2, 1)[1]
            rounded = (latent - means).round() + means
            blurred = out["x_hat"].clamp(0, 1)
        restored = decoder(rounded)
        loss = weights["l1"] * F.l1_loss(restored, batch)
        loss = loss + weights["lpips"] * lpips(restored, batch).mean()
        if step > steps // 10:
            loss = loss + weights["critic"] * critic.generator_loss(blurred, restored)
        _step(decoder, optimizer, loss)
        _step(critic, for_critic, critic.loss(blurred, batch, restored))
        yield f"loss {loss.item():.4f}"


def _hyper(network: nn.Module, latent: Tensor) -> Tensor:
    hyper = network.get_submodule("h_a")(latent)
    quantiles = network.get_parameter("entropy_bottleneck.quantiles")
    medians = quantiles[None, :, 0, 1, None, None]
    return cast("Tensor", (hyper - medians).round() + medians)


def _cool(optimizer: torch.optim.Optimizer, rate_: float, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate_ * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def _step(module: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()


def main(
    family: Annotated[str, typer.Option(help=f"One of {', '.join(FAMILIES)}.")],
    data: Annotated[Path, typer.Option(help="Folder of clean pictures.")],
    output: Annotated[Path, typer.Option(help="Folder of the weights.")],
    start: Annotated[Path | None, typer.Option(help="Weights to start from.")] = None,
    width: Annotated[int, typer.Option(help="Channels N, a multiple of 2.")] = 48,
    levels: Annotated[str, typer.Option(help="In this order.")] = "3,2,1",
    steps: Annotated[int, typer.Option(help="Of the first level.")] = 4000,
    later: Annotated[float, typer.Option(help="Share of it for each other level.")] = 0.3,
    batch: Annotated[int, typer.Option(help="Crops a step.")] = 4,
    crop: Annotated[int, typer.Option(help="Side of a crop, a multiple of 64.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="At the start.")] = 5e-4,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    """Train levels of a family and write their weights."""
    if family not in FAMILIES:
        raise typer.BadParameter(f"one of {', '.join(FAMILIES)}, not '{family}'")
    wanted = levels.split(",")
    if not set(wanted) <= set(map(str, LEVELS)):
        raise typer.BadParameter(f"levels of {LEVELS}, separated by commas, not '{levels}'")
    order = [int(level) for level in wanted]
    torch.manual_seed(seed)
    chosen = FAMILIES[family]
    plan = Plan(steps, later, batch, crop, learning_rate, seed)
    network = build(chosen.architecture, width, 3 * width // 2)
    if start is not None:
        load_weights(network, start)
    output.mkdir(parents=True, exist_ok=True)
    side = max(crop, SSIM_CROP) if chosen.metric == "ms-ssim" else crop
    images = batches(data, plan, side, seed)
    card = {"data": data.name, "steps": str(steps), "seed": str(seed), "license": "Apache-2.0"}
    for level in order:
        path = output / f"{family}-{level}.safetensors"
        count = steps if level == order[0] else round(later * steps)
        _show(train_level(network, chosen, level, images, plan, count), f"{path.name}", count)
        save_weights(network, path, chosen.architecture, card, dtype=torch.float16)
    if chosen.metric == "perceptual":
        for level in order:
            path = output / f"{family}-{level}.safetensors"
            load_weights(network, path)
            count = round(later * steps)
            _show(train_decoder(network, images, plan, count), f"{path.name}, decoder", count)
            save_weights(network, path, chosen.architecture, card, dtype=torch.float16)


def _show(training: Iterator[str], what: str, steps: int) -> None:
    with Progress(*Progress.get_default_columns(), TextColumn("{task.fields[now]}")) as bar:
        task = bar.add_task(what, total=steps, now="")
        for step, now in enumerate(training, start=1):
            bar.update(task, advance=1, now=now)
            if step % REPORT_EVERY == 0 or step == steps:
                bar.console.print(f"{what} {step}: {now}")


if __name__ == "__main__":
    typer.run(main)
