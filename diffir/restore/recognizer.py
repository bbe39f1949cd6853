"""A pack's recognizer: was this picture, of which pixels are all there is, made by its codec?

    crops -> the base's degradation encoder -> traces (B,F) -> two small layers -> logit, severity

The encoder knows the base's codecs alone; what it makes of the blocks of a picture tells others
apart as well. A picture is taken where the mean logit of its crops exceeds the pack's threshold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping

HIDDEN = 24


class Recognizer(nn.Module):
    """Traces to a logit and a severity.

    Args:
        features: how many numbers F the router's `traces` yields per crop.
        hidden: width between the layers.
    """

    def __init__(self, features: int, *, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, 2))

    def forward(self, traces: Tensor) -> tuple[Tensor, Tensor]:
        """`(B,F)` to logits `(B,)`, high for the pack's codecs, and severities `(B,)` in [0,1]."""
        center, scale = (cast("Tensor", part) for part in (self.center, self.scale))
        logit, severity = self.layers((traces.float() - center) * scale).unbind(dim=1)
        return logit, severity.sigmoid()

    @torch.no_grad()
    def judge(self, traces: Tensor) -> tuple[float, float]:
        """Mean logit and mean severity of one picture's crops `(B,F)`."""
        logit, severity = self(traces)
        return float(logit.mean()), float(severity.mean())

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The inverse of `state_dict`.

        Raises:
            KeyError, RuntimeError: not such tensors.
        """
        hidden, features = tensors["layers.0.weight"].shape
        made = cls(features, hidden=hidden)
        made.load_state_dict(dict(tensors))
        return made.eval().requires_grad_(False)
