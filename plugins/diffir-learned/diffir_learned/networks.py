"""CompressAI's networks, by name: from tensors to something that codes pictures.

Convolutions are computed by one thread while coding: encoder and decoder must get the same
probabilities to the last bit, and sums over several threads need not be.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor, nn

from diffir.errors import CodecError
from diffir_learned.stream import STRIDE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from diffir.contracts.codec import Pixels

ARCHITECTURES = ("cheng2020-attn", "cheng2020-anchor", "mbt2018-mean")
CODING_BUFFERS = ("_offset", "_quantized_cdf", "_cdf_length", "scale_table")
"""Ends of the names of tensors that follow from the others."""

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # CompressAI imports what torch calls deprecated
    from compressai.models import (  # type: ignore[import-untyped]
        Cheng2020Anchor,
        Cheng2020Attention,
        MeanScaleHyperprior,
    )
    from compressai.zoo.pretrained import load_pretrained  # type: ignore[import-untyped]


class Network(Protocol):
    """What of CompressAI's models is used to code."""

    def compress(self, x: Tensor) -> dict[str, list[list[bytes]] | torch.Size]:
        """`(1,3,H,W)` in [0,1] to strings and the hyper-latent's size."""
        ...

    def decompress(self, strings: list[list[bytes]], shape: torch.Size) -> dict[str, Tensor]:
        """Strings and size to `x_hat`."""
        ...


def build(architecture: str, width: int, latent_channels: int) -> nn.Module:
    """A fresh network.

    Args:
        architecture: one of `ARCHITECTURES`.
        width: channels N inside.
        latent_channels: M; in Cheng's networks it is N.
    """
    if architecture == "cheng2020-attn":
        return cast("nn.Module", Cheng2020Attention(N=width))
    if architecture == "cheng2020-anchor":
        return cast("nn.Module", Cheng2020Anchor(N=width))
    return cast("nn.Module", MeanScaleHyperprior(N=width, M=latent_channels))


def network_from(tensors: Mapping[str, Tensor], architecture: str, where: str) -> Network:
    """The network whose weights these are, ready to code.

    Args:
        tensors: of any float type.
        architecture: one of `ARCHITECTURES`.
        where: names the source in errors.

    Raises:
        CodecError: unknown architecture, or tensors of another one.
    """
    if architecture not in ARCHITECTURES:
        raise CodecError(
            f"{where} says architecture {architecture!r}", hint=f"Known: {', '.join(ARCHITECTURES)}"
        )
    try:
        width = tensors["h_a.0.weight"].shape[0]
        latent_channels = tensors["h_a.0.weight"].shape[1]
    except KeyError as error:
        raise CodecError(f"{where} holds no {architecture}: {error} is missing") from error
    network = build(architecture, width, latent_channels)
    wanted = {key: t.shape for key, t in network.state_dict().items() if not is_buffer(key)}
    given = {key: t.float() for key, t in tensors.items() if not is_buffer(key)}
    wrong = sorted(
        key
        for key in wanted.keys() | given.keys()
        if key not in wanted or key not in given or wanted[key] != given[key].shape
    )
    if wrong:
        raise CodecError(
            f"{where} holds no {architecture} of width {width}: {len(wrong)} tensors are missing, "
            f"unexpected or of another shape, the first is {wrong[0]}"
        )
    network.load_state_dict({**network.state_dict(), **given})
    network.eval()
    network.update(force=True)  # type: ignore[operator]
    return cast("Network", network)


def published_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a published file under the names that CompressAI has today."""
    return cast("dict[str, Tensor]", load_pretrained(tensors))


def is_buffer(key: str) -> bool:
    """Whether a tensor of that name follows from the others."""
    return key.endswith(CODING_BUFFERS)


def compress(network: Network, pixels: Pixels) -> tuple[bytes, bytes]:
    """`(H,W,3) uint8`, sides multiples of `STRIDE`, to the strings of latent and hyper-latent."""
    image = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()) / 255
    with _coding():
        strings = cast("list[list[bytes]]", network.compress(image)["strings"])
    return strings[0][0], strings[1][0]


def decompress(network: Network, strings: tuple[bytes, bytes], height: int, width: int) -> Pixels:
    """The strings of `compress` to `(height,width,3) uint8`."""
    shape = torch.Size((height // STRIDE, width // STRIDE))
    with _coding():
        restored = network.decompress([[string] for string in strings], shape)["x_hat"]
    pixels = (restored[0].clamp(0, 1) * 255).round().to(torch.uint8)
    return cast("Pixels", pixels.permute(1, 2, 0).contiguous().numpy())


@contextmanager
def _coding() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)
