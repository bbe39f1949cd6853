"""What MoE-DiffIR on Stable Diffusion 2.1 costs: multiply-adds and kept activations, counted.

    python tests/benchmarks/sd21_cost.py [--time]

Counted on the meta device, where tensors have shapes and no values; with --time the same runs are
timed on a CUDA device as well, with random weights, on which speed does not depend.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from diffir.contracts.codec import CodecInfo
from diffir.contracts.interfaces import Encoded
from diffir.host.manager import default_host
from diffir.recipes.recipe import load_recipe
from diffir.restore.assemble import assemble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from diffir.diffusion.model import RestorationModel

STEPS = 50
CODECS = [CodecInfo(name="jpeg", quality=10.0)]


def build(device: str = "meta", name: str = "moe-diffir-sd21") -> RestorationModel:
    """The model with random weights."""
    host = default_host()
    with torch.device(device):
        return assemble(load_recipe(name, host), host).eval()


def multiply_adds(function: Callable[[], object]) -> float:
    """Of convolutions, matrix products and attention, in units of 1e9."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        function()
    return counter.get_total_flops() / 2e9


@dataclass(frozen=True)
class Inputs:
    """Of one picture, on the device of the model."""

    model: RestorationModel
    side: int

    @property
    def image(self) -> torch.Tensor:
        return self._map(3, 1)

    @property
    def latent(self) -> torch.Tensor:
        return self._map(4, 8)

    @property
    def encoded(self) -> Encoded:
        return Encoded(self.image, self.latent, (self._map(256, 2), self._map(512, 4)))

    @property
    def seen(self) -> torch.Tensor:
        return torch.zeros(1, 49, 768, **self._kind)

    @property
    def prompts(self) -> tuple[torch.Tensor, ...]:
        return tuple(self._map(256, 8 << level) for level in range(4))

    @property
    def context(self) -> torch.Tensor:
        return torch.zeros(1, 98, 1024, **self._kind)

    @property
    def timesteps(self) -> torch.Tensor:
        return torch.zeros(1, dtype=torch.long, device=self._kind["device"])

    @property
    def _kind(self) -> dict:
        parameter = next(self.model.parameters())
        return {"device": parameter.device, "dtype": parameter.dtype}

    def _map(self, channels: int, scale: int) -> torch.Tensor:
        return torch.zeros(1, channels, self.side // scale, self.side // scale, **self._kind)


def pieces(model: RestorationModel, side: int) -> dict[str, Callable[[], object]]:
    """What a restoration is made of, each to be called on its own."""
    given = Inputs(model, side)
    prepared = model.denoiser.prepare(given.prompts)
    routing = model.route(given.encoded, CODECS)
    unet = model.denoiser.unet
    return {
        "bare U-Net step": lambda: unet(
            given.latent, given.timesteps, encoder_hidden_states=given.context
        ),
        "our U-Net step": lambda: model.denoiser(
            given.latent, given.timesteps, prepared, given.context
        ),
        "encode": lambda: model.encoder.encode(given.image),
        "bare decode": lambda: model.decoder.reconstruct(given.latent),
        "our decode": lambda: model.decoder.decode(given.latent, given.encoded, routing),
        "router": lambda: model.router.route(given.latent, CODECS),
        "router with its degradation prior": lambda: model.route(given.encoded, CODECS),
        "scale and shift maps": lambda: model.denoiser.prepare(given.prompts),
        "context": lambda: model.conditioner.condition(given.image, given.latent),
    }


def cost(model: RestorationModel, side: int) -> dict[str, float]:
    """Multiply-adds of the pieces, and of a whole restoration bare and ours, in units of 1e9."""
    with torch.no_grad():
        found = {name: multiply_adds(piece) for name, piece in pieces(model, side).items()}
    return with_totals(found)


def with_totals(found: dict[str, float]) -> dict[str, float]:
    """The pieces, and what they sum to in 50 steps."""
    bare = STEPS * found["bare U-Net step"] + found["encode"] + found["bare decode"]
    once = ("router with its degradation prior", "scale and shift maps", "context")
    around = found["encode"] + found["our decode"] + sum(found[name] for name in once)
    return {
        **found,
        "ours, one step": found["our U-Net step"] + around,
        f"bare, {STEPS} steps": bare,
        f"ours, {STEPS} steps": STEPS * found["our U-Net step"] + around,
    }


@dataclass(frozen=True)
class Training:
    """Of one training step: multiply-adds in 1e9, kept activations and the rest in bytes."""

    multiply_adds: float
    activations: int
    states: int


def training_cost(
    model: RestorationModel, side: int, learned: list[torch.nn.Parameter], *, split: bool
) -> Training:
    """One step of noise prediction, of which `learned` learns, with a batch of one.

    Router and U-Net alone: latents, degradation tokens and context are given. States are gradients,
    and Adam's two moments, in float32. With `split` the way down is not counted, as where its
    result is kept.
    """
    given, kept = Inputs(model, side), {}
    model.requires_grad_(False)
    for parameter in learned:
        parameter.requires_grad_()
    owned = {p.untyped_storage()._cdata for p in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in owned:
            kept[storage._cdata] = tensor  # held, so that no number is given twice
        return tensor

    with torch.no_grad():
        descent = model.denoiser.descend(given.latent, given.timesteps, given.context)
    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        prompts = model.router.route_seen(given.latent, given.seen, CODECS).prompts
        if split:
            out = model.denoiser.climb(descent, prompts, given.context)
        else:
            out = model.denoiser(given.latent, given.timesteps, prompts, given.context)
        activations = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
        out.sum().backward()
    states = 12 * sum(parameter.numel() for parameter in learned)
    return Training(counter.get_total_flops() / 2e9, activations, states)


def training_table(model: RestorationModel, side: int) -> dict[str, Training]:
    """Prompts alone, what steers, and everything that predicts noise."""
    prompts = [p for n, p in model.router.named_parameters() if n.startswith("pools.")]
    steering = [*model.router.learned_parameters(), *model.denoiser.steering_parameters()]
    everything = [*model.router.learned_parameters(), *model.denoiser.parameters()]
    return {
        "prompts and gates": training_cost(model, side, prompts, split=True),
        "router and injections": training_cost(model, side, steering, split=False),
        "everything": training_cost(model, side, everything, split=False),
    }


def timed(function: Callable[[], object], *, repeats: int = 5) -> float:
    """Milliseconds on the current CUDA device: the least of `repeats`, after a warm-up."""
    best = float("inf")
    with torch.inference_mode():
        for index in range(repeats + 2):
            torch.cuda.synchronize()
            started = time.perf_counter()
            function()
            torch.cuda.synchronize()
            if index >= 2:
                best = min(best, time.perf_counter() - started)
    return 1000 * best


def lines(*, with_times: bool) -> Iterator[str]:
    """The tables."""
    model = build()
    for side in (256, 512, 1024):
        yield f"\n{side}x{side} pixels, 1e9 multiply-adds, counted"
        yield from (f"  {name:36}{value:12.1f}" for name, value in cost(model, side).items())
    yield "\none training step of 256x256, batch 1, in bfloat16"
    yield "                                   1e9 multiply-adds, GB of activations, GB of states"
    for name, one in training_table(model.to(torch.bfloat16), 256).items():
        gigabytes = one.activations / 1e9, one.states / 1e9
        yield f"  {name:36}{one.multiply_adds:12.1f}{gigabytes[0]:8.2f}{gigabytes[1]:8.2f}"
    if not with_times:
        return
    fast = build("cuda").to(torch.bfloat16, memory_format=torch.channels_last)
    for side in (512, 1024):
        yield f"\n{side}x{side} pixels, milliseconds in bfloat16, timed"
        found = {name: timed(piece) for name, piece in pieces(fast, side).items()}
        yield from (f"  {n:36}{value:12.2f}" for n, value in with_totals(found).items())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", action="store_true", help="time the pieces on a CUDA device, too")
    for line in lines(with_times=parser.parse_args().time):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
