"""Compiling the denoiser, on request: where many steps or pictures pay for the minutes it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from diffir.errors import DeviceError

if TYPE_CHECKING:
    import torch

    from diffir.diffusion.model import RestorationModel

Compiled = Literal["off", "kernels", "graphs"]

MOST_WORDS = 200
"""Characters of a compiler's message that are passed on: the others are its stack."""

_COMPILERS = ("torch._dynamo", "torch._inductor")


def compile_denoiser(model: RestorationModel, compiled: Compiled, device: torch.device) -> None:
    """Have a model's denoiser compiled when it first runs, by `torch.compile`, in place.

    The rest runs once per picture and stays as it is. Graphs are replayed without the CPU's help,
    which is what a small network on a fast device waits for.

    Raises:
        DeviceError: graphs of a device that is not CUDA.
    """
    if compiled == "graphs" and device.type != "cuda":
        raise DeviceError(
            f"graphs are replayed by CUDA alone, and this is {device.type}",
            hint="Use --compile kernels, or a CUDA device.",
        )
    if compiled != "off":
        denoiser = model.get_submodule("denoiser")
        denoiser.compile(mode="reduce-overhead" if compiled == "graphs" else None)


def compiler_error(error: RuntimeError) -> DeviceError | None:
    """What to tell of an error of the compiler; None for any other."""
    if not type(error).__module__.startswith(_COMPILERS):
        return None
    words = " ".join(str(error).split())
    return DeviceError(
        f"the denoiser cannot be compiled here: {words[:MOST_WORDS]}",
        hint="torch.compile needs a C++ compiler (g++) or, on CUDA, Triton. Leave out --compile.",
    )
