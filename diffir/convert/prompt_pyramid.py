"""Names of the MoE-Prompt module: the pyramid over the degraded latent, prompts and gates.

    conv_first.0                             stem
    blocks{l}.b.{norm1, attn.qkv, ...}       levels.{l-1}.blocks.b.{norm1, qkv, ...}
    norm{l}, downsample{l}.op                levels.{l-1}.norm, downs.{l-1}
    Prompt_model{l}.prompt_param             pools.{l-1}.prompts
    Prompt_model{l}.f_gate.{0..20}.0.weight  pools.{l-1}.gate.weight, stacked
    Prompt_model{l}.attn.to_*                levels.{l-1}.prior_attention.to_*

The ablations: one matrix for all levels (`Prompt_model.prompt_param`), or vectors and a linear
layer that weighs them (`Prompt_model{l}.linear_layer`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

Variant = Literal["moe", "single", "multiple"]
SHARED = "Prompt_model.prompt_param"
"""The one prompt of all levels, of an ablation."""

_BLOCK = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.qkv": "qkv",
    "attn.proj": "proj",
    "mlp.fc1": "fc1",
    "mlp.fc2": "fc2",
}
_POOL = {
    "prompt_param": "pools.{}.prompts",
    "f_gate.weight": "pools.{}.gate.weight",
    "linear_layer.weight": "pools.{}.weights.weight",
    "linear_layer.bias": "pools.{}.weights.bias",
    "attn.to_q.weight": "levels.{}.prior_attention.to_q.weight",
    "attn.to_k.weight": "levels.{}.prior_attention.to_k.weight",
    "attn.to_v.weight": "levels.{}.prior_attention.to_v.weight",
    "attn.to_out.0.weight": "levels.{}.prior_attention.to_out.weight",
    "attn.to_out.0.bias": "levels.{}.prior_attention.to_out.bias",
}
_GATE = re.compile(r"(.*Prompt_model\d+\.f_gate)\.(\d+)\.0\.weight")
_NUMBERED = re.compile(r"(blocks|norm|downsample|Prompt_model)([1-4])\.(.+)")


def variant_of(names: Iterable[str]) -> Variant:
    """Which of the method's prompt designs the names are of."""
    names = set(names)
    if SHARED in names:
        return "single"
    return "multiple" if "Prompt_model1.linear_layer.weight" in names else "moe"


def with_whole_gates(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, the gates of a level stacked: 21 of `(2N,D)` to one of `(21,2N,D)`.

    Gates that are not numbered from 0 without a gap, or differ in shape, are left as they are.
    """
    gates: dict[str, dict[int, str]] = {}
    for name in tensors:
        if found := _GATE.fullmatch(name):
            gates.setdefault(found[1], {})[int(found[2])] = name
    stacked, replaced = {}, set()
    for pool, numbered in gates.items():
        parts = [tensors[numbered[index]] for index in sorted(numbered)]
        if sorted(numbered) == list(range(len(parts))) and len({p.shape for p in parts}) == 1:
            stacked[f"{pool}.weight"] = torch.stack(parts)
            replaced |= set(numbered.values())
    return {n: t for n, t in tensors.items() if n not in replaced} | stacked


def pyramid_name(name: str) -> str | None:
    """Name below `router`, from that below `structcond_stage_model`; gates are whole.

    `None` where it is not of the pyramid.
    """
    if name in ("conv_first.0.weight", "conv_first.0.bias"):
        return f"stem.{name.rpartition('.')[2]}"
    if name == SHARED:
        return "pools.0.prompt"
    found = _NUMBERED.fullmatch(name)
    if found is None:
        return None
    kind, number, rest = found.groups()
    level = int(number) - 1
    if kind == "norm":
        return f"levels.{level}.norm.{rest}"
    if kind == "downsample":
        return f"downs.{level}.{rest.removeprefix('op.')}"
    if kind == "Prompt_model":
        target = _POOL.get(rest)
        return target and target.format(level)
    inside = _in_block(rest)
    return inside and f"levels.{level}.{inside}"


def _in_block(rest: str) -> str | None:
    block, _, inside = rest.partition(".")
    layer, _, leaf = inside.rpartition(".")
    return f"blocks.{block}.{_BLOCK[layer]}.{leaf}" if layer in _BLOCK else None
