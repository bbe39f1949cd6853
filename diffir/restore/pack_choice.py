"""Which prompt pack serves a picture: by its file, by its pixels, or as the user says.

a pack was named          -> it serves every picture
the file names its codec  -> the pack for that codec, if it was compressed hard enough for it
pixels are all there is   -> the pack whose recognizer is surest, above its threshold,
                             or the one for the codec that the base sees in them, or none
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.contracts.codec import CodecInfo
from diffir.errors import CheckpointError
from diffir.restore.guard import (
    LOOK_MULTIPLE,
    crops_to_look_at,
    is_known,
    strength_for,
    what_is_told,
)
from diffir.restore.recognizer import Recognizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from diffir.contracts.picture import Picture
    from diffir.contracts.prompt_pack import PackCard, PromptPack


@dataclass(frozen=True)
class Treatment:
    """How a picture is restored.

    told: what the model is told of its codec. strength: share of the model's changes that is let
    through, in [0,1]. card: of the pack that serves it, or None.
    """

    told: CodecInfo
    strength: float
    card: PackCard | None


class PackChoice:
    """Chooses among packs.

    Args:
        packs: each serves the pictures of its codecs; the first of several for one codec.
        always: serves every picture instead.

    Raises:
        CheckpointError: a recognizer is not one of this version's.
    """

    def __init__(self, packs: Sequence[PromptPack], always: PromptPack | None = None) -> None:
        self.always = None if always is None else always.card
        self.of_codec: dict[str, PackCard] = {}
        for pack in packs:
            for codec in pack.card.codecs:
                self.of_codec.setdefault(codec, pack.card)
        self.recognizers = [(pack.card, _recognizer(pack)) for pack in packs if pack.recognizer]

    def by_codec(self, codec: CodecInfo) -> PackCard | None:
        """The pack that serves pictures whose codec is told."""
        card = self.of_codec.get(codec.name or "")
        if card is not None and codec.severity is not None:
            card = card if codec.severity >= card.least_severity else None
        return self.always or card

    def treatment(self, model: nn.Module, picture: Picture, strength: float | None) -> Treatment:
        """What is to be done with a picture.

        Args:
            model: the base; its router may be able to look.
            picture: as it was read.
            strength: as the user wants it, or None, to go by how hard it was compressed.
        """
        card, told = self.by_codec(picture.codec), picture.codec
        if card is None and not picture.codec.known and self.recognizers:
            card, told = self._recognize(model, picture)
        if card is None or self._is_of_known_codec(model, told, card):
            told = what_is_told(model, picture)
            # A codec that the base takes for a relative is not one of the relative's pack.
            card = self.by_codec(told) if picture.codec.name in (None, told.name) else None
        if strength is None:
            guessed = told.severity != picture.codec.severity
            strength = strength_for(told.severity, guessed=guessed)
        return Treatment(told, strength, card)

    @staticmethod
    def _is_of_known_codec(model: nn.Module, told: CodecInfo, card: PackCard) -> bool:
        """Whether the base knows the picture's codec, or, if that is not told, one of the pack's.

        Then it sees in the pixels what the file leaves open, as it does without a pack.
        """
        names = [told.name] if told.known else card.codecs
        return any(is_known(model, CodecInfo(name)) for name in names)

    def _recognize(self, model: nn.Module, picture: Picture) -> tuple[PackCard | None, CodecInfo]:
        traces = getattr(model.get_submodule("router"), "traces", None)
        if traces is None:
            return None, picture.codec
        parameter = next(model.parameters())
        crops = crops_to_look_at(picture, LOOK_MULTIPLE).to(parameter.device, parameter.dtype)
        seen = traces(crops).float().cpu()
        found = []
        for card, recognizer in self.recognizers:
            assert card.recognition is not None
            logit, severity = recognizer.judge(seen)
            found.append((logit - card.recognition.threshold, severity, card))
        surplus, severity, card = max(found, key=lambda row: row[0])
        if surplus <= 0:
            return None, picture.codec
        told = CodecInfo(
            name=card.codecs[0],
            severity=severity,
            sources={"name": "estimate", "severity": "estimate"},
        )
        return card, told


def _recognizer(pack: PromptPack) -> Recognizer:
    try:
        if pack.card.recognition is None:
            raise KeyError("recognition")
        return Recognizer.from_tensors(pack.recognizer)
    except (KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"the recognizer of the prompt pack '{pack.card.name}' cannot be read: {error}",
            hint="It was made by another version of diffir.",
        ) from error
