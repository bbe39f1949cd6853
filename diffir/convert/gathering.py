"""Tensors of several files, with the names that each is to have in the model.

Where two files have the same thing the order is: decoder checkpoint, diffusion checkpoint, towers
and base; what comes later fills gaps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from diffir.convert.official import (
    AUTOENCODER,
    CAPTION,
    CONTEXT,
    autoencoder_place,
    decoder_name,
    diffusion_name,
)
from diffir.convert.prompt_pyramid import with_whole_gates
from diffir.convert.visual_to_text import TEXT_TOWER
from diffir.weights.empty_caption import empty_caption
from diffir.weights.placing import Dropped, Placement, Shape, place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from diffir.weights.base_weights import BaseWeights, Part

FUSIONS = "decoder.fusions."
REPLACED = Dropped("the decoder checkpoint's autoencoder is used, as in the published test")
UNUSED = Dropped("a part that this variant of the method does not use")

_OPTIONAL = ("router.prior.", "conditioner.enhancer.", "conditioner.tower.")
_PARTS: dict[Part, tuple[str, ...]] = {
    "unet": ("denoiser.unet.",),
    "vae": ("encoder.", "decoder."),
    "text_encoder": (CAPTION,),
}
_COUNTERS = "num_batches_tracked"
_TEXT = f"{CONTEXT}{TEXT_TOWER}"


class Gathering:
    """Everything that was found, for a model that wants certain names and shapes.

    Attributes:
        notes: what was computed or left out on purpose, in words.
    """

    def __init__(self, wanted: Mapping[str, Shape]) -> None:
        self.wanted = wanted
        self.notes: list[str] = []
        self._tensors: dict[str, Tensor] = {}
        self._names: dict[str, str | Dropped | None] = {}

    def add_diffusion(self, stored: Mapping[str, Tensor]) -> None:
        """Take the diffusion checkpoint, its gates made whole."""
        for name, tensor in with_whole_gates(stored).items():
            self._add(name, tensor, self._unless_unused(diffusion_name(name)))

    def add_decoder(self, stored: Mapping[str, Tensor]) -> None:
        """Take the decoder checkpoint; its autoencoder goes before the other one's."""
        for name in self._names:
            if name.startswith(AUTOENCODER):
                self._names[name] = REPLACED
        for name, tensor in stored.items():
            self._add(f"decoder checkpoint: {name}", tensor, decoder_name(name))

    def fill(self, origin: str, named: Mapping[str, Tensor]) -> None:
        """Take tensors under names of ours, where nothing has that place yet."""
        taken = self._taken()
        for name, tensor in named.items():
            if name not in taken:
                self._add(f"{origin}: {name}", tensor, name)

    def fill_from_base(self, base: BaseWeights) -> None:
        """Take what the base has and nothing else has."""
        unet, autoencoder = base.parts.get("unet", {}), base.parts.get("vae", {})
        self.fill("base", {f"denoiser.unet.{name}": tensor for name, tensor in unet.items()})
        self.fill("base", {autoencoder_place(name): t for name, t in autoencoder.items()})
        if CAPTION in self._gaps() and "text_encoder" in base.parts:
            self._caption(base.parts["text_encoder"], "base")

    def lacking(self) -> tuple[Part, ...]:
        """The parts of a prior that are not there, wholly or partly."""
        gaps = [name for name in self._gaps() if not name.startswith(FUSIONS)]
        return tuple(p for p, places in _PARTS.items() if any(n.startswith(places) for n in gaps))

    def compute(self) -> None:
        """Add what follows from what is there: the empty caption, counters that some files lack."""
        tower = {
            n.removeprefix(CONTEXT): t for n, t in self._tensors.items() if n.startswith(_TEXT)
        }
        if CAPTION in self._gaps() and tower:
            self._caption(tower, "checkpoint")
        counters = [name for name in self._gaps() if name.endswith(_COUNTERS)]
        self.fill("zero", {name: torch.zeros(self.wanted[name]) for name in counters})

    def silence_compensator(self) -> None:
        """Let a compensator that is in no file add nothing: zero weights and zero biases."""
        gaps = [name for name in self._gaps() if name.startswith(FUSIONS)]
        if gaps:
            self.fill("zero", {name: torch.zeros(self.wanted[name]) for name in gaps})
            self.notes.append("the compensator does nothing: no decoder checkpoint was given")

    def placed(self) -> Placement:
        """What becomes of every name."""
        return place(self._tensors, self._names.__getitem__, self.wanted)

    def _caption(self, tower: Mapping[str, Tensor], whose: str) -> None:
        self._add("tokens of the empty caption", empty_caption(tower), CAPTION)
        self.notes.append(f"the empty caption's tokens are computed by the {whose}'s text tower")

    def _add(self, label: str, tensor: Tensor, target: str | Dropped | None) -> None:
        self._tensors[label], self._names[label] = tensor, target

    def _taken(self) -> set[str]:
        return {target for target in self._names.values() if isinstance(target, str)}

    def _gaps(self) -> list[str]:
        taken = self._taken()
        return [name for name in self.wanted if name not in taken]

    def _unless_unused(self, target: str | Dropped | None) -> str | Dropped | None:
        """`UNUSED` for a part of which the model has nothing at all."""
        if not isinstance(target, str):
            return target
        part = next((part for part in _OPTIONAL if target.startswith(part)), None)
        unused = part and not any(name.startswith(part) for name in self.wanted)
        return UNUSED if unused else target
