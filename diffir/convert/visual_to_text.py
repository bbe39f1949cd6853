"""Names of the visual-to-text adapter, below `cond_stage_model`.

    conv1, bn1, layer1 ...                 tower.*      CLIP's RN50, its drifted statistics as well
    conv.0                                 conv
    prompt_model_semantic.prompt_param     learned
    adapter1.fc.0, .2                      down, up

A model without the adapter has a text tower there (`model.*`), which was only ever asked for the
empty caption.
"""

from __future__ import annotations

from diffir.convert.clip_towers import resnet_tower_name
from diffir.weights.placing import Dropped

TEXT_TOWER = "model."

_ADAPTER = {
    "conv.0.weight": "conv.weight",
    "conv.0.bias": "conv.bias",
    "prompt_model_semantic.prompt_param": "learned",
    "adapter1.fc.0.weight": "down.weight",
    "adapter1.fc.2.weight": "up.weight",
}


def conditioner_name(name: str) -> str | Dropped | None:
    """Name below `conditioner`; `None` where it is not of the adapter."""
    if name.startswith(TEXT_TOWER):
        return Dropped("the text tower; its answer to an empty caption is what the method uses")
    if name in _ADAPTER:
        return _ADAPTER[name]
    target = resnet_tower_name(name)
    return f"tower.{target}" if isinstance(target, str) else target
