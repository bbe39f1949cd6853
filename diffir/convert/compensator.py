"""Names of the decoder's compensator, StableSR's "controllable feature wrapping".

    decoder.fusion_layer_1, _2        fusions.0, .1       of the maps at 1/2 and 1/4 of the size
      .encode_enc_1, _3                 .reduce, .refine  residual blocks; conv_out is the skip
      .encode_enc_2.{0,1}               .dense.{0,1}      RRDBs
        .rdb{1..3}.conv{1..5}             .blocks.{0..2}.convs.{0..4}

Prompts of the decoder and the losses are in some checkpoints; the published test leaves both out.
"""

from __future__ import annotations

import re

_ENDS = {"1": "reduce", "3": "refine"}
_LAYERS = {
    "norm1": "norm1",
    "conv1": "conv1",
    "norm2": "norm2",
    "conv2": "conv2",
    "conv_out": "skip",
}
_END = re.compile(r"decoder\.fusion_layer_([12])\.encode_enc_([13])\.(\w+)\.(\w+)")
_DENSE = re.compile(
    r"decoder\.fusion_layer_([12])\.encode_enc_2\.(\d)\.rdb([123])\.conv([1-5])\.(\w+)"
)


def compensator_name(name: str) -> str | None:
    """Name below `decoder`, from the whole name; `None` where it is not of the compensator."""
    if found := _END.fullmatch(name):
        level, end, layer, leaf = found.groups()
        known = layer in _LAYERS
        return f"fusions.{int(level) - 1}.{_ENDS[end]}.{_LAYERS[layer]}.{leaf}" if known else None
    if found := _DENSE.fullmatch(name):
        level, block, dense, conv, leaf = found.groups()
        inside = f"dense.{block}.blocks.{int(dense) - 1}.convs.{int(conv) - 1}.{leaf}"
        return f"fusions.{int(level) - 1}.{inside}"
    return None
