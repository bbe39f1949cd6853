"""Names of the enhancer: Restormer blocks on the degraded latent, before CLIP sees it.

transformer_encoder.0            conv_in
transformer_encoder.{1,2}.*      blocks.{0,1}.*
transformer_decoder.{0,1}.*      blocks.{2,3}.*
transformer_decoder.2            conv_out
"""

from __future__ import annotations

_ENDS = {"transformer_encoder.0": "conv_in", "transformer_decoder.2": "conv_out"}
_BLOCKS = {
    "transformer_encoder.1": "blocks.0",
    "transformer_encoder.2": "blocks.1",
    "transformer_decoder.0": "blocks.2",
    "transformer_decoder.1": "blocks.3",
}
_INSIDE = {
    "norm1.body.weight": "norm1.weight",
    "norm1.body.bias": "norm1.bias",
    "norm2.body.weight": "norm2.weight",
    "norm2.body.bias": "norm2.bias",
    "attn.temperature": "attention.temperature",
    "attn.qkv.weight": "attention.qkv.weight",
    "attn.qkv_dwconv.weight": "attention.qkv_depthwise.weight",
    "attn.project_out.weight": "attention.proj.weight",
    "ffn.project_in.weight": "feed_forward.expand.weight",
    "ffn.dwconv.weight": "feed_forward.depthwise.weight",
    "ffn.project_out.weight": "feed_forward.proj.weight",
}


def enhancer_name(name: str) -> str | None:
    """Name below the enhancer, from the whole name; `None` where it is not of the enhancer."""
    half, _, rest = name.partition(".")
    number, _, inside = rest.partition(".")
    place = f"{half}.{number}"
    if place in _ENDS:
        return f"{_ENDS[place]}.{inside}"
    known = place in _BLOCKS and inside in _INSIDE
    return f"{_BLOCKS[place]}.{_INSIDE[inside]}" if known else None
