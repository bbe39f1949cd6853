"""Prompt packs: what a model learned about one more codec, as a small file beside the model.

    base model + pack -> a model for the pack's codecs; the base model stays as it is

A pack holds experts and gates that stand beside those of one base model, and nothing else of it.
Its card says for which codecs, over which base (by hash), from what data, and what it gained.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a pack may be called: it becomes the name of a file on other people's machines."""


@dataclass(frozen=True)
class Gain:
    """A change in a metric on held-out crops, mean and 95 % confidence interval.

    Signed so that it tells what the metric did: negative is better for LPIPS and DISTS,
    positive for PSNR.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Recognition:
    """How well a pack's recognizer tells its codecs by pixels, on pictures that it had not seen.

    threshold: what its logit must exceed. found: share of the codecs' pictures that it names.
    taken: share of other codecs' pictures, and of clean ones, that it takes for theirs.
    """

    threshold: float
    found: float
    taken: float


@dataclass(frozen=True)
class PackCard:
    """What a pack is.

    name: as `NAME` has it. codecs: names of the codecs whose pictures it serves. levels: qualities
    that it was trained on, on the codec's own scale. base: name of the recipe; base_hash: of the
    base model's weights, see `diffir.restore.prompt_packs.model_hash`. experts: new experts per
    place. pictures: clean pictures, or pairs, that it learned from. lpips, dists: against the base
    model's rich estimates. psnr: against its faithful ones.
    recognition: of its codecs by pixels, where the pack can do that.
    least_severity: in [0,1], of the pictures that it serves; lighter compression is the base's.

    Raises:
        ValueError: a name that could lead out of the folder of packs; no number of experts; a
            severity outside [0,1].
    """

    name: str
    codecs: tuple[str, ...]
    levels: tuple[float, ...]
    base: str
    base_hash: str
    experts: int
    pictures: int
    lpips: Gain
    dists: Gain
    psnr: Gain
    license: str
    version: str
    recognition: Recognition | None = None
    least_severity: float = 0.0

    def __post_init__(self) -> None:
        """Check the name: packs come from strangers."""
        if not NAME.fullmatch(self.name):
            raise ValueError(f"a pack cannot be called {self.name!r}")
        if not isinstance(self.experts, int) or self.experts < 1:
            raise ValueError(f"a pack cannot have {self.experts!r} experts")
        if not 0 <= self.least_severity <= 1:
            raise ValueError(f"a pack cannot serve from severity {self.least_severity!r} on")

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: not such a table.
        """
        return cls(
            **{
                **table,
                "codecs": tuple(str(name) for name in table["codecs"]),
                "levels": tuple(float(level) for level in table["levels"]),
                **{metric: Gain(**table[metric]) for metric in ("lpips", "dists", "psnr")},
                "least_severity": float(table.get("least_severity", 0.0)),
                "recognition": table["recognition"] and Recognition(**table["recognition"]),
            }
        )


@dataclass(frozen=True, eq=False)
class PromptPack:
    """A card, the tensors by their names in the extended model, and those of the recognizer.

    recognizer: of `diffir.restore.recognizer.Recognizer`; empty where the pack has none.
    """

    card: PackCard
    tensors: Mapping[str, Tensor]
    recognizer: Mapping[str, Tensor] = field(default_factory=dict)


class Transferable(Protocol):
    """A module with expert prompts, or with a gate, that can learn about one more codec.

    Any `torch.nn.Module` inside a router or a decoder may be one; those that are not stay as they
    are.
    """

    def with_new_experts(self, count: int) -> nn.Module:
        """Return a module to stand in this one's place.

        It holds this one, unchanged, as a submodule, and gives the same results until it is
        trained. Its own parameters, and no others, require gradients. Or return this one itself,
        where nothing is to be learned.
        """
        ...
