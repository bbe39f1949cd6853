"""The transformer block of the published pyramid, for pictures of any size.

A 256-pixel crop has 1024 tokens, and every token attends to every other, as published. A picture of
1024 pixels has 16 times the tokens and 256 times the pairs; there the map is divided into areas no
larger than the published crop's, as equal as can be, and tokens attend within theirs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class VitBlock(nn.Module):
    """Pre-norm block over `(B,h,w,D)` tokens: attention, then an MLP of 4 times the width.

    Args:
        width: token width D. heads: of the attention.
        field: the side of the largest area within which all tokens attend to each other.
    """

    def __init__(self, width: int, *, heads: int, field: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of its {heads} heads")
        self.heads, self.field = heads, field
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """`(B,h,w,D)` to the same shape, any h and w."""
        queries_keys_values = self.qkv(self.norm1(tokens))
        tokens = tokens + self.proj(self._in_fields(queries_keys_values))
        out: Tensor = tokens + self.fc2(F.gelu(self.fc1(self.norm2(tokens))))
        return out

    def _in_fields(self, qkv: Tensor) -> Tensor:
        """Attention within each field of `(B,h,w,3D)`: `(B,h,w,D)`."""
        down, across = (-(-side // self.field) for side in qkv.shape[1:3])
        if down == across == 1:
            return self._attend(qkv)
        rows = (
            torch.cat([self._attend(part) for part in row.tensor_split(across, dim=2)], dim=2)
            for row in qkv.tensor_split(down, dim=1)
        )
        return torch.cat(list(rows), dim=1)

    def _attend(self, qkv: Tensor) -> Tensor:
        batch, height, width, _ = qkv.shape
        rows = qkv.reshape(batch, height * width, 3, self.heads, -1)
        query, key, value = rows.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)  # (B,heads,h*w,D/heads)
        return mixed.transpose(1, 2).reshape(batch, height, width, -1)
