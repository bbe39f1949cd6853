"""What the gate knows of the degradation: the codec and how hard it pressed.

    (share of each codec, severity) -> embedding -> gate

This stands where the method has the tokens of DA-CLIP ("degradation prior"). The facts come from
the bitstream, from the user, or from `diffir.moe.degradation_encoder`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.contracts.codec import CodecInfo


SEVERITY_UNTOLD = 0.5
"""What counts as the severity of a codec that came later, where nothing tells it."""


class DegradationPrior(nn.Module):
    """Degradation embedding for the gate.

    Args:
        width: width D of the embedding.
        codecs: names that the model knows; one more class is for the others.
    """

    def __init__(self, *, width: int, codecs: Sequence[str]) -> None:
        super().__init__()
        self.codecs = tuple(codecs)
        self.width = width
        facts = len(self.codecs) + 2
        self.embed = nn.Sequential(nn.Linear(facts, width), nn.ReLU(), nn.Linear(width, width))
        self.unknown = nn.Parameter(torch.full((facts,), 1 / facts))
        """Facts that stand for a picture of which nothing is known, learned."""

    def forward(self, codecs: Sequence[CodecInfo]) -> Tensor:
        """One `CodecInfo` each to `(B,D)`."""
        rows = []
        for codec in codecs:
            facts = self.describe(codec)
            rows.append(self.unknown if facts is None else self.unknown.new_tensor(facts))
        embedding: Tensor = self.embed(torch.stack(rows))
        return embedding

    def describe(self, codec: CodecInfo) -> list[float] | None:
        """Class shares and severity of a known codec, else None."""
        if codec.name not in self.codecs or codec.severity is None:
            return None
        shares = [float(codec.name == name) for name in self.codecs]
        return [*shares, 0.0, codec.severity]

    def with_new_experts(self, count: int) -> nn.Module:
        """See `diffir.contracts.prompt_pack.Transferable`; there is one embedding to learn."""
        return TransferredPrior(self)


class TransferredPrior(nn.Module):
    """The embedding of a codec that came later: what the prior makes of it, shifted."""

    def __init__(self, base: DegradationPrior) -> None:
        super().__init__()
        self.base = base
        width = base.width
        self.shift = nn.Parameter(torch.zeros(2, width))  # of every severity, and per unit of it

    def forward(self, codecs: Sequence[CodecInfo]) -> Tensor:
        """As `DegradationPrior.forward`; see `SEVERITY_UNTOLD`."""
        told = [SEVERITY_UNTOLD if codec.severity is None else codec.severity for codec in codecs]
        severity = self.shift.new_tensor(told)[:, None]
        embedding: Tensor = self.base(codecs)
        return embedding + self.shift[0] + severity * self.shift[1]
