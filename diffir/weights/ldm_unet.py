"""Names of Stable Diffusion's U-Net: those of its first publication (LDM) to those of diffusers.

LDM counts blocks through all levels, diffusers within a level. With two residual blocks to a level
on the way down and three on the way up, both count by threes:

    input_blocks.0              conv_in
    input_blocks.{3i+1+j}.0|.1  down_blocks.i.resnets.j | attentions.j            j = 0, 1
    input_blocks.{3i+3}.0.op    down_blocks.i.downsamplers.0.conv
    middle_block.0|.1|.2        mid_block.resnets.0 | attentions.0 | resnets.1
    output_blocks.{3i+j}.0|.1   up_blocks.i.resnets.j | attentions.j              j = 0, 1, 2
    output_blocks.{3i+2}.*.conv up_blocks.i.upsamplers.0.conv     .1 where there is no attention
    out.0|.2                    conv_norm_out | conv_out

Inside of attentions both use the same names.
"""

from __future__ import annotations

import re

PERIOD = 3
"""Blocks to a level in LDM's count: two and the downsampler, or three."""

_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_MIDDLE = {"0": "mid_block.resnets.0", "1": "mid_block.attentions.0", "2": "mid_block.resnets.1"}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_BLOCK = re.compile(r"(input|output)_blocks\.(\d+)\.(\d+)\.(.+)")


def unet_name(name: str) -> str | None:
    """Diffusers' name of a parameter, from LDM's without `model.diffusion_model.`.

    `None` where it is no parameter of this U-Net.
    """
    module, _, leaf = name.rpartition(".")
    if module in _ENDS:
        return f"{_ENDS[module]}.{leaf}"
    if name.startswith("middle_block."):
        _, place, rest = name.split(".", 2)
        return _inside(_MIDDLE.get(place), rest)
    found = _BLOCK.fullmatch(name)
    if found is None:
        return None
    way, number, place, rest = found.groups()
    return _down(int(number), place, rest) if way == "input" else _up(int(number), place, rest)


def resnet_name(name: str) -> str | None:
    """Diffusers' name of a residual block, from LDM's: mid or up blocks, where prompts enter."""
    target = unet_name(f"{name}.in_layers.0.weight")
    return target and target.removesuffix(".norm1.weight")


def _down(number: int, place: str, rest: str) -> str | None:
    level, block = divmod(number - 1, PERIOD)
    if rest.startswith("op."):
        return f"down_blocks.{level}.downsamplers.0.conv.{rest.removeprefix('op.')}"
    return _inside(_part(f"down_blocks.{level}", place, block), rest)


def _up(number: int, place: str, rest: str) -> str | None:
    level, block = divmod(number, PERIOD)
    if rest.startswith("conv."):
        return f"up_blocks.{level}.upsamplers.0.{rest}"
    return _inside(_part(f"up_blocks.{level}", place, block), rest)


def _part(level: str, place: str, block: int) -> str | None:
    kind = {"0": "resnets", "1": "attentions"}.get(place)
    return kind and f"{level}.{kind}.{block}"


def _inside(part: str | None, rest: str) -> str | None:
    """A parameter of a residual block, whose names differ, or of an attention, whose do not."""
    if part is None or ".attentions." in part:
        return part and f"{part}.{rest}"
    module, _, leaf = rest.rpartition(".")
    return f"{part}.{_RESNET[module]}.{leaf}" if module in _RESNET else None
