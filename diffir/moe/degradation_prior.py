"""What the gate knows of the degradation: the codec and how hard it pressed.

A picture whose bitstream was read comes with a `CodecInfo`; for the others a small network names
the codec and the severity from the latent. Both end in one space, so one replaces the other:

    (share of each codec, severity) -> embedding -> gate

This stands where the method has the tokens of DA-CLIP ("degradation prior").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.contracts.codec import CodecInfo


class DegradationPrior(nn.Module):
    """Degradation embedding for the gate.

    Args:
        latent_channels: channels of the latent.
        width: width D of the embedding.
        codecs: names that the model knows. Others, and undegraded pictures, share one more class.
    """

    def __init__(self, *, latent_channels: int, width: int, codecs: Sequence[str]) -> None:
        super().__init__()
        self.codecs = tuple(codecs)
        classes = len(self.codecs) + 1
        self.trunk = nn.Sequential(
            nn.Conv2d(latent_channels, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.classify = nn.Linear(2 * width, classes + 1)
        self.embed = nn.Sequential(
            nn.Linear(classes + 1, width), nn.ReLU(), nn.Linear(width, width)
        )

    def forward(self, latent: Tensor, codecs: Sequence[CodecInfo]) -> Tensor:
        """`(B,C,h,w)` and one `CodecInfo` each to `(B,D)`; only unknown ones are estimated."""
        described = [self.describe(codec) for codec in codecs]
        if all(row is not None for row in described):
            facts = torch.tensor([row for row in described if row is not None])
            return self._embed(facts.to(latent))
        logits, severity = self.estimate(latent)
        facts = torch.cat([logits.softmax(dim=1), severity[:, None]], dim=1)
        rows = [
            facts[index] if row is None else torch.tensor(row).to(latent)
            for index, row in enumerate(described)
        ]
        return self._embed(torch.stack(rows))

    def _embed(self, facts: Tensor) -> Tensor:
        embedding: Tensor = self.embed(facts)
        return embedding

    def describe(self, codec: CodecInfo) -> list[float] | None:
        """Class shares and severity of a known codec, or None where pixels must decide."""
        if codec.name not in self.codecs or codec.severity is None:
            return None
        shares = [float(codec.name == name) for name in self.codecs]
        return [*shares, 0.0, codec.severity]

    def estimate(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits `(B,codecs+1)` and severity `(B,)` in [0,1], from the latent alone."""
        x = self.trunk(latent)
        pooled = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        logits: Tensor = self.classify(pooled)
        return logits[:, :-1], logits[:, -1].sigmoid()

    def loss(self, latent: Tensor, codecs: Sequence[CodecInfo]) -> Tensor:
        """How badly the estimate names what is known: cross-entropy plus severity error.

        A `CodecInfo` without a name counts as the last class, an undegraded picture of severity 0.
        """
        logits, severity = self.estimate(latent)
        other = len(self.codecs)
        names = [self.codecs.index(c.name) if c.name in self.codecs else other for c in codecs]
        target = torch.tensor(names, device=latent.device)
        true_severity = torch.tensor([c.severity or 0.0 for c in codecs]).to(severity)
        return F.cross_entropy(logits, target) + (severity - true_severity).abs().mean()

    def with_new_experts(self, count: int) -> nn.Module:
        """See `diffir.contracts.prompt_pack.Transferable`; there is one embedding to learn."""
        return TransferredPrior(self)


class TransferredPrior(nn.Module):
    """The embedding of a codec that came later: what the prior sees in it, shifted."""

    def __init__(self, base: DegradationPrior) -> None:
        super().__init__()
        self.base = base
        width = base.classify.in_features // 2
        self.shift = nn.Parameter(torch.zeros(2, width))  # of every severity, and per unit of it

    def forward(self, latent: Tensor, codecs: Sequence[CodecInfo]) -> Tensor:
        """As `DegradationPrior.forward`; a severity that is not known counts as one half."""
        told = [0.5 if codec.severity is None else codec.severity for codec in codecs]
        severity = latent.new_tensor(told)[:, None]
        embedding: Tensor = self.base(latent, codecs)
        return embedding + self.shift[0] + severity * self.shift[1]
