"""Names and shapes of Stable Diffusion as it was first published, built from its definition.

Walks through the model as its constructor does, so that it shares nothing with the maps of names.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Size:
    """Of a U-Net and an autoencoder; as published where nothing is said."""

    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    context: int = 1024
    linear: bool = True
    latent: int = 4
    pixels: tuple[int, ...] = (128, 256, 512, 512)


SMALL = Size(widths=(32, 64, 128, 128), context=24, pixels=(32, 64, 128, 128))


def conv(name: str, out: int, into: int, side: int = 3) -> Shapes:
    return {f"{name}.weight": (out, into, side, side), f"{name}.bias": (out,)}


def linear(name: str, out: int, into: int, *, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (out, into)} | ({f"{name}.bias": (out,)} if bias else {})


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def unet(size: Size) -> Shapes:
    time = 4 * size.widths[0]
    shapes = linear("time_embed.0", time, size.widths[0]) | linear("time_embed.2", time, time)
    shapes |= conv("input_blocks.0.0", size.widths[0], size.latent)
    skips, now, number = [size.widths[0]], size.widths[0], 1
    for level, width in enumerate(size.widths):
        for _ in range(2):
            shapes |= resnet(f"input_blocks.{number}.0", now, width, time)
            now = width
            if level < 3:
                shapes |= transformer(f"input_blocks.{number}.1", width, size)
            skips.append(now)
            number += 1
        if level < 3:
            shapes |= conv(f"input_blocks.{number}.0.op", now, now)
            skips.append(now)
            number += 1
    shapes |= resnet("middle_block.0", now, now, time)
    shapes |= transformer("middle_block.1", now, size)
    shapes |= resnet("middle_block.2", now, now, time)
    number = 0
    for level in (3, 2, 1, 0):
        width = size.widths[level]
        for block in range(3):
            shapes |= resnet(f"output_blocks.{number}.0", now + skips.pop(), width, time)
            now, place = width, 1
            if level < 3:
                shapes |= transformer(f"output_blocks.{number}.1", width, size)
                place = 2
            if level and block == 2:
                shapes |= conv(f"output_blocks.{number}.{place}.conv", width, width)
            number += 1
    return shapes | norm("out.0", now) | conv("out.2", size.latent, now)


def resnet(name: str, into: int, out: int, time: int) -> Shapes:
    shapes = norm(f"{name}.in_layers.0", into) | conv(f"{name}.in_layers.2", out, into)
    shapes |= linear(f"{name}.emb_layers.1", out, time)
    shapes |= norm(f"{name}.out_layers.0", out) | conv(f"{name}.out_layers.3", out, out)
    return shapes | (conv(f"{name}.skip_connection", out, into, 1) if into != out else {})


def transformer(name: str, width: int, size: Size) -> Shapes:
    shapes = norm(f"{name}.norm", width)
    for end in ("proj_in", "proj_out"):
        layer = f"{name}.{end}"
        shapes |= linear(layer, width, width) if size.linear else conv(layer, width, width, 1)
    block = f"{name}.transformer_blocks.0"
    for attention, into in (("attn1", width), ("attn2", size.context)):
        shapes |= linear(f"{block}.{attention}.to_q", width, width, bias=False)
        shapes |= linear(f"{block}.{attention}.to_k", width, into, bias=False)
        shapes |= linear(f"{block}.{attention}.to_v", width, into, bias=False)
        shapes |= linear(f"{block}.{attention}.to_out.0", width, width)
    shapes |= linear(f"{block}.ff.net.0.proj", 8 * width, width)
    shapes |= linear(f"{block}.ff.net.2", width, 4 * width)
    for number in (1, 2, 3):
        shapes |= norm(f"{block}.norm{number}", width)
    return shapes


def autoencoder(size: Size) -> Shapes:
    widths = size.pixels
    shapes, now = conv("encoder.conv_in", widths[0], 3), widths[0]
    for level, width in enumerate(widths):
        for block in range(2):
            shapes |= plain_resnet(f"encoder.down.{level}.block.{block}", now, width)
            now = width
        if level < 3:
            shapes |= conv(f"encoder.down.{level}.downsample.conv", now, now)
    shapes |= middle("encoder.mid", now) | norm("encoder.norm_out", now)
    shapes |= conv("encoder.conv_out", 2 * size.latent, now)
    shapes |= conv("quant_conv", 2 * size.latent, 2 * size.latent, 1)
    shapes |= conv("post_quant_conv", size.latent, size.latent, 1)
    shapes |= conv("decoder.conv_in", now, size.latent) | middle("decoder.mid", now)
    for level in (3, 2, 1, 0):
        width = widths[level]
        for block in range(3):
            shapes |= plain_resnet(f"decoder.up.{level}.block.{block}", now, width)
            now = width
        if level:
            shapes |= conv(f"decoder.up.{level}.upsample.conv", now, now)
    return shapes | norm("decoder.norm_out", now) | conv("decoder.conv_out", 3, now)


def plain_resnet(name: str, into: int, out: int, *, shortcut: str = "nin_shortcut") -> Shapes:
    shapes = norm(f"{name}.norm1", into) | conv(f"{name}.conv1", out, into)
    shapes |= norm(f"{name}.norm2", out) | conv(f"{name}.conv2", out, out)
    return shapes | (conv(f"{name}.{shortcut}", out, into, 1) if into != out else {})


def middle(name: str, width: int) -> Shapes:
    shapes = plain_resnet(f"{name}.block_1", width, width) | norm(f"{name}.attn_1.norm", width)
    for layer in ("q", "k", "v", "proj_out"):
        shapes |= conv(f"{name}.attn_1.{layer}", width, width, 1)
    return shapes | plain_resnet(f"{name}.block_2", width, width)


def prefixed(prefix: str, shapes: Shapes) -> Shapes:
    return {f"{prefix}{name}": shape for name, shape in shapes.items()}


def random_tensors(shapes: Shapes, *, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights that keep activations at about their size: norms near 1, the rest by fan-in."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        if len(shape) >= 2:
            tensors[name] = noise * _fan_in(shape) ** -0.5
        elif name.endswith("weight"):
            tensors[name] = 1 + 0.1 * noise
        else:
            tensors[name] = 0.1 * noise
    return tensors


def _fan_in(shape: tuple[int, ...]) -> int:
    into = 1
    for side in shape[1:]:
        into *= side
    return into


def meta_tensors(shapes: Shapes) -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
