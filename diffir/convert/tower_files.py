"""Files of the frozen towers, known by the names in them.

CLIP RN50    visual.layer1 ...     OpenAI's names          conditioner.tower
stem.conv1.conv ...   timm's
DA-CLIP      visual_control ...                            router.prior.tower
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.convert.clip_towers import resnet_tower_name, vit_tower_name
from diffir.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

TOWERS = {"conditioner.tower.": "CLIP RN50", "router.prior.tower.": "DA-CLIP"}
"""Place in the model to name."""

_WRAPPED = "module."  # what training on several devices puts in front of every name
_CONTROL, _VISUAL = "visual_control.", "visual."


def tower_place(names: Mapping[str, Tensor]) -> str | None:
    """Where the tower with these names goes; `None` where they are of no such tower."""
    plain = {name.removeprefix(_WRAPPED) for name in names}
    if f"{_CONTROL}conv1.weight" in plain:
        return "router.prior.tower."
    if plain & {f"{_VISUAL}layer1.0.conv1.weight", "stem.conv1.conv.weight"}:
        return "conditioner.tower."
    return None


def tower_tensors(stored: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """A tower's tensors under their names in the model; what pools or feeds others is left out.

    Raises:
        CheckpointError: it is no such tower.
    """
    place = tower_place(stored)
    if place is None:
        raise CheckpointError(
            f"{path} is neither CLIP's RN50 nor DA-CLIP: its names begin like '{min(stored)}'",
            hint="CLIP's RN50 has names in visual.layer1 or stem.conv1, DA-CLIP in visual_control.",
        )
    found = {}
    for name, tensor in stored.items():
        target = _target(name.removeprefix(_WRAPPED), place)
        if target is not None:
            found[f"{place}{target}"] = tensor
    return found


def _target(name: str, place: str) -> str | None:
    if place.startswith("router."):
        below = vit_tower_name(name.removeprefix(_CONTROL)) if name.startswith(_CONTROL) else None
    elif name.startswith(_VISUAL):
        below = resnet_tower_name(name.removeprefix(_VISUAL))
    else:
        below = name if name.startswith(("stem.", "stages.")) else None
    return below if isinstance(below, str) else None
