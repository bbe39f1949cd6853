"""The degradation encoder: which codec pressed a picture, and how hard, from the pixels alone.

    image -> Y'CbCr -> DCT of 8x8 blocks, on the grid of the file and half a block off it
          -> log(1 + 2 |coefficient|) -> the same small network at each block -> mean, deviation
          -> codec, severity

A quantizer shows in how large the coefficients of blocks are, and blocking in how the two grids
differ. Convolutions over pixels learned neither in the time that this network takes to name nine
pictures in ten. The latent is of no use: at an eighth of the size, and trained to restore, it has
no trace left (measured: every picture was "JPEG, severity .7"). See docs/experiments.md.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.contracts.codec import CodecInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK = 8
LEAST_SIDE = 2 * BLOCK
"""In pixels: one block on each grid."""


class DegradationEncoder(nn.Module):
    """Image to shares of the codecs and severity.

    Args:
        codecs: names that it tells apart; one more class is for undegraded pictures.
        width: channels of what it makes of a block.
    """

    def __init__(self, *, codecs: Sequence[str], width: int = 96) -> None:
        super().__init__()
        self.codecs = tuple(codecs)
        self.register_buffer("basis", _dct_basis(), persistent=False)
        self.blocks = nn.Sequential(
            nn.Conv2d(2 * 3 * BLOCK**2, width + 32, 1),
            nn.ReLU(),
            nn.Conv2d(width + 32, width, 1),
            nn.ReLU(),
        )
        self.verdict = nn.Sequential(
            nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, len(self.codecs) + 2)
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """`(B,3,H,W)` in [0,1] to class logits `(B,codecs+1)` and severity `(B,)` in [0,1].

        Its upper left corner lies on the grid of the file's blocks.
        """
        verdict: Tensor = self.verdict(self.traces(image))
        return verdict[:, :-1], verdict[:, -1].sigmoid()

    def traces(self, image: Tensor) -> Tensor:
        """What the verdict is made from, `(B,3,H,W)` in [0,1] to `(B,2*width)`."""
        x = self.blocks(self._magnitudes(image))
        return torch.cat([x.mean(dim=(2, 3)), x.std(dim=(2, 3), correction=0)], dim=1)

    def _magnitudes(self, image: Tensor) -> Tensor:
        """Log magnitudes of the coefficients on both grids, `(B,384,h,w)`."""
        down, right = (max(0, LEAST_SIDE - side) for side in image.shape[-2:])
        image = F.pad(image, (0, right, 0, down), mode="replicate")
        red, green, blue = image.unbind(dim=1)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        planes = 255 * torch.stack([luma - 0.5, blue - luma, red - luma], dim=1)
        half = BLOCK // 2
        grids = planes[..., :-BLOCK, :-BLOCK], planes[..., half:-half, half:-half]
        basis = cast("Tensor", self.basis)
        spectra = [F.conv2d(grid, basis, stride=BLOCK, groups=3) for grid in grids]
        return torch.log1p(2 * torch.cat(spectra, dim=1).abs())

    def loss(self, image: Tensor, codecs: Sequence[CodecInfo]) -> Tensor:
        """How badly it names what is known: cross-entropy plus severity error, a scalar.

        A `CodecInfo` without a name is an undegraded picture, of severity 0.
        """
        logits, severity = self(image)
        clean = len(self.codecs)
        names = [self.codecs.index(c.name) if c.name in self.codecs else clean for c in codecs]
        target = torch.tensor(names, device=image.device)
        true = torch.tensor([c.severity or 0.0 for c in codecs]).to(severity)
        loss: Tensor = F.cross_entropy(logits, target) + 2 * (severity - true).abs().mean()
        return loss

    @torch.no_grad()
    def identify(self, image: Tensor) -> CodecInfo:
        """What pressed one picture, of which these are crops, `(B,3,H,W)` in [0,1].

        The most likely codec is named even where none is likely; the severity is near 0 then.
        """
        logits, severity = self(image)
        shares = logits.float().softmax(dim=1)
        pressed = float((severity.float() * (1 - shares[:, -1])).mean())
        return CodecInfo(
            name=self.codecs[int(shares.mean(dim=0)[:-1].argmax())] if self.codecs else None,
            severity=pressed,
            sources={"name": "estimate", "severity": "estimate"},
        )


def _dct_basis() -> Tensor:
    """The orthonormal 8x8 DCT-II as convolution kernels, once per plane: `(192,1,8,8)`."""
    place = torch.arange(BLOCK)
    rows = torch.cos((2 * place[None] + 1) * place[:, None] * math.pi / (2 * BLOCK))
    rows = rows * torch.where(place == 0, 0.5**0.5, 1.0)[:, None] / 2
    kernels = rows[:, None, :, None] * rows[None, :, None, :]
    return kernels.reshape(BLOCK**2, 1, BLOCK, BLOCK).repeat(3, 1, 1, 1)
