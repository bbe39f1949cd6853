"""Names of Stable Diffusion's autoencoder: those of its first publication (LDM) to diffusers'.

    encoder.down.i.block.j, .downsample.conv   encoder.down_blocks.i.resnets.j, .downsamplers.0.conv
    decoder.up.{3-i}.block.j, .upsample.conv   decoder.up_blocks.i.resnets.j, .upsamplers.0.conv
    *.mid.block_1|attn_1|block_2               *.mid_block.resnets.0 | attentions.0 | resnets.1
    *.norm_out, *.conv_in, *.conv_out          *.conv_norm_out, *.conv_in, *.conv_out
    quant_conv, post_quant_conv                the same

LDM's attention is made of 1x1 convolutions, diffusers' of linear layers: the same numbers.
LDM counts the decoder's levels from the finest, diffusers from the coarsest.
"""

from __future__ import annotations

import re

COARSEST = 3
"""LDM's number of the decoder's coarsest level, of four."""

_ENDS = {
    "conv_in": "conv_in",
    "norm_out": "conv_norm_out",
    "conv_out": "conv_out",
}
_MIDDLE = {"block_1": "resnets.0", "attn_1": "attentions.0", "block_2": "resnets.1"}
_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_SAMPLERS = {"downsample.conv": "downsamplers.0.conv", "upsample.conv": "upsamplers.0.conv"}
_RESNET = {
    **{name: name for name in ("norm1", "conv1", "norm2", "conv2")},
    "nin_shortcut": "conv_shortcut",
}
_LEVEL = re.compile(r"(down|up)\.(\d+)\.(?:block\.(\d+)\.)?(.+)")


def autoencoder_name(name: str) -> str | None:
    """Diffusers' name of a parameter, from LDM's without `first_stage_model.`.

    `None` where it is no parameter of this autoencoder.
    """
    module, _, leaf = name.rpartition(".")
    if module in ("quant_conv", "post_quant_conv"):
        return name
    half, _, inside = module.partition(".")
    target = _half(inside) if half in ("encoder", "decoder") else None
    return target and f"{half}.{target}.{leaf}"


def current_name(name: str) -> str:
    """A name of today's diffusers, from one of diffusers before 0.15, as most stored folders have.

    Attention has changed names; all others are the same.
    """
    for old, new in _OLD_ATTENTION.items():
        name = name.replace(f".attentions.0.{old}.", f".attentions.0.{new}.")
    return name


def _half(module: str) -> str | None:
    if module in _ENDS:
        return _ENDS[module]
    if module.startswith("mid."):
        _, place, inner = module.split(".", 2)
        names = _ATTENTION if place == "attn_1" else _RESNET
        known = place in _MIDDLE and inner in names
        return f"mid_block.{_MIDDLE[place]}.{names[inner]}" if known else None
    found = _LEVEL.fullmatch(module)
    return found and _level(*found.groups())


def _level(way: str, number: str, block: str | None, inner: str) -> str | None:
    level = int(number) if way == "down" else COARSEST - int(number)
    names = _SAMPLERS if block is None else _RESNET
    if inner not in names or level < 0:
        return None
    part = names[inner] if block is None else f"resnets.{block}.{names[inner]}"
    return f"{way}_blocks.{level}.{part}"
