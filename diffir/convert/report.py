"""What became of every name of a checkpoint, as tables."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from diffir.weights.placing import Placement

PARTS = {
    "denoiser.unet": "prior's U-Net",
    "denoiser.injections": "prompt injections",
    "encoder": "autoencoder, encoder",
    "decoder.decoder": "autoencoder, decoder",
    "decoder.post_quant_conv": "autoencoder, decoder",
    "decoder.fusions": "compensator",
    "router.prior": "degradation tower",
    "router": "MoE-Prompt module",
    "conditioner.tower": "CLIP tower",
    "conditioner.enhancer": "enhancer",
    "conditioner": "context",
}
"""Names of ours to what they are called in the method, the longer of two that begin alike first."""

FEW = 5
"""Names of a kind that are shown where not all are asked for."""


def part_of(name: str) -> str:
    """What a parameter belongs to, in words."""
    return next((part for prefix, part in PARTS.items() if name.startswith(prefix)), "other")


def parts_table(placement: Placement) -> list[tuple[str, str, str]]:
    """One row per part that got tensors: its name, how many, and millions of numbers."""
    tensors: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    for name, tensor in placement.tensors.items():
        tensors[part_of(name)] += 1
        numbers[part_of(name)] += tensor.numel()
    return [(part, str(tensors[part]), f"{numbers[part] / 1e6:.2f}") for part in tensors]


def dropped_table(placement: Placement) -> list[tuple[str, str]]:
    """One row per reason: how many tensors were left out for it."""
    return [(str(count), why) for why, count in Counter(placement.dropped.values()).items()]


def faults_table(placement: Placement, *, all_of_them: bool = False) -> list[tuple[str, str]]:
    """One row per name that did not fit: what is wrong, and the name with its shapes."""
    rows = _some("missing", placement.missing, all_of_them)
    rows += _some("misshapen", map(str, placement.misshapen), all_of_them)
    return rows + _some("unexpected", placement.unexpected, all_of_them)


def as_record(placement: Placement) -> dict[str, Any]:
    """Everything, for `--json`."""
    return {
        "placed": {target: placement.origins[target] for target in placement.tensors},
        "dropped": dict(placement.dropped),
        "unexpected": list(placement.unexpected),
        "missing": list(placement.missing),
        "misshapen": [str(misfit) for misfit in placement.misshapen],
    }


def _some(what: str, names: Iterable[str], all_of_them: bool) -> list[tuple[str, str]]:
    listed: Sequence[str] = list(names)
    shown = listed if all_of_them else listed[:FEW]
    more = len(listed) - len(shown)
    rows = [(what, name) for name in shown]
    return [*rows, (what, f"... and {more} more: see --report")] if more else rows
