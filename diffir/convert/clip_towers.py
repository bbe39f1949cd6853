"""Names of two towers of CLIP: those of its publication to those of timm.

    RN50, which looks at the picture's content           conv1, bn1, layer1.0.conv1, ...
    ViT-B/32 of DA-CLIP, which looks at its degradation  conv1, transformer.resblocks.0.ln_1, ...

DA-CLIP wraps the blocks of its controller and adds a linear layer to each, which feeds a second
tower: the method does not use that one, nor what turns tokens into one vector.
"""

from __future__ import annotations

import re

from diffir.weights.placing import Dropped

POOLED = Dropped("turns CLIP's tokens into one vector; the method uses the tokens")
FEEDS_ANOTHER = Dropped("feeds DA-CLIP's second tower, which the method does not use")

_RESNET_ENDS = re.compile(r"(conv|bn)([123])\.(\w+)")
_RESNET_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.(conv|bn)([123])\.(\w+)")
_RESNET_SHORTCUT = re.compile(r"layer([1-4])\.(\d+)\.downsample\.([01])\.(\w+)")
_LAYERS = {"1": "conv1_1x1", "2": "conv2_kxk", "3": "conv3_1x1"}

_VIT = {
    "conv1.weight": "patch_embed.proj.weight",
    "class_embedding": "cls_token",
    "positional_embedding": "pos_embed",
    "ln_pre.weight": "norm_pre.weight",
    "ln_pre.bias": "norm_pre.bias",
}
_VIT_BLOCK = re.compile(r"transformer\.(?:transformer\.)?resblocks\.(\d+)\.(.+)")
_VIT_LAYERS = {
    "ln_1.weight": "norm1.weight",
    "ln_1.bias": "norm1.bias",
    "attn.in_proj_weight": "attn.qkv.weight",
    "attn.in_proj_bias": "attn.qkv.bias",
    "attn.out_proj.weight": "attn.proj.weight",
    "attn.out_proj.bias": "attn.proj.bias",
    "ln_2.weight": "norm2.weight",
    "ln_2.bias": "norm2.bias",
    "mlp.c_fc.weight": "mlp.fc1.weight",
    "mlp.c_fc.bias": "mlp.fc1.bias",
    "mlp.c_proj.weight": "mlp.fc2.weight",
    "mlp.c_proj.bias": "mlp.fc2.bias",
}


def resnet_tower_name(name: str) -> str | Dropped | None:
    """Name in timm of a parameter of CLIP's RN50; `None` where it is none."""
    if name.startswith("attnpool."):
        return POOLED
    if found := _RESNET_ENDS.fullmatch(name):
        kind, number, leaf = found.groups()
        return f"stem.conv{number}.{kind}.{leaf}"
    if found := _RESNET_BLOCK.fullmatch(name):
        stage, block, kind, number, leaf = found.groups()
        return f"stages.{int(stage) - 1}.{block}.{_LAYERS[number]}.{kind}.{leaf}"
    if found := _RESNET_SHORTCUT.fullmatch(name):
        stage, block, place, leaf = found.groups()
        kind = "conv" if place == "0" else "bn"
        return f"stages.{int(stage) - 1}.{block}.shortcut.conv.{kind}.{leaf}"
    return None


def vit_tower_name(name: str) -> str | Dropped | None:
    """Name in timm of a parameter of CLIP's ViT or DA-CLIP's controller; `None` if it is none."""
    if name.startswith("transformer.zero_modules."):
        return FEEDS_ANOTHER
    if name in ("ln_post.weight", "ln_post.bias", "proj"):
        return POOLED
    if found := _VIT_BLOCK.fullmatch(name):
        inside = _VIT_LAYERS.get(found[2])
        return inside and f"blocks.{found[1]}.{inside}"
    return _VIT.get(name)
