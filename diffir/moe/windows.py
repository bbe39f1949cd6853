"""Transformer blocks whose attention stays inside square windows.

The method attends over all tokens of a 256x256 crop. A photograph has a thousand times as many
pairs; windows make the cost grow with the picture's area, and a tile see what the picture would.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

WINDOW = 8


class WindowBlock(nn.Module):
    """Pre-norm transformer block over `(B,h,w,D)` tokens, attention in 8x8 windows."""

    def __init__(self, width: int, *, heads: int = 4, expansion: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """`(B,h,w,D)` to the same shape, any h and w."""
        tokens = tokens + self.proj(self._attend(self.norm1(tokens)))
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out

    def _attend(self, tokens: Tensor) -> Tensor:
        batch, height, width, channels = tokens.shape
        down, right = -height % WINDOW, -width % WINDOW
        tokens = F.pad(tokens, (0, 0, 0, right, 0, down))
        rows, columns = (height + down) // WINDOW, (width + right) // WINDOW
        windows = tokens.reshape(batch, rows, WINDOW, columns, WINDOW, channels)
        windows = windows.transpose(2, 3).reshape(-1, WINDOW * WINDOW, channels)
        query, key, value = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for t in self.qkv(windows).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        mixed = mixed.reshape(batch, rows, columns, WINDOW, WINDOW, channels).transpose(2, 3)
        mixed = mixed.reshape(batch, height + down, width + right, channels)
        return mixed[:, :height, :width]
