"""The degradation prior: what a DA-CLIP image controller sees in a degraded image, for the gates.

    image -> short side to 224, centre crop -> ViT-B/32 -> 49 tokens of 768 -> unit length
    level tokens --query--> cross-attention <--key, value-- these tokens; the result feeds the gate

DA-CLIP's image controller (Luo et al., 2024) is a CLIP tower that was trained to see degradations.
It is frozen. Its weights come with a converted model; a fresh model has random ones.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffir.moe.clip_input import clip_input

if TYPE_CHECKING:
    from typing import Self


class DegradationTokens(nn.Module):
    """Image to degradation tokens.

    Args:
        mode: "official" repeats what the published code does: no class token, no position, values
            in [-1,1], and tokens that a wrong reshape scrambles before they are scaled.
        tower: a vision transformer of timm. tower_options: its arguments, for tests.
    """

    def __init__(
        self,
        *,
        mode: Literal["native", "official"] = "native",
        tower: str = "vit_base_patch32_clip_224",
        tower_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.official = mode == "official"
        self.tower = timm.create_model(
            tower, pretrained=False, num_classes=0, global_pool="", **(tower_options or {})
        )
        self.width = int(self.tower.num_features)
        self.side = int(self.tower.patch_embed.img_size[0])
        self.tower.norm = nn.Identity()  # the last layer's tokens are taken before it
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: what is frozen keeps still."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """`(B,3,H,W)` in [0,1] to `(B,49,768)`."""
        pixels = clip_input(image, side=self.side, normalize=not self.official)
        if not self.official:
            tokens = self.tower.forward_features(pixels)[:, 1:]  # without the class token
            return F.normalize(tokens.float(), dim=-1).to(image.dtype)
        patches = self.tower.patch_embed(pixels)
        tokens = self.tower.blocks(self.tower.norm_pre(patches))
        batch, count, width = tokens.shape
        side = math.isqrt(count)
        rows = tokens.reshape(batch, width, side, side)
        rows = F.normalize(rows.float(), dim=-1).to(image.dtype)  # over a row of 7 values
        return rows.flatten(2).transpose(1, 2)


class PriorAttention(nn.Module):
    """What each token of a level finds among the degradation tokens; no residual.

    Args:
        width: D of the level's tokens. seen_width: of the degradation tokens.
        heads, head_width: of the attention.
    """

    def __init__(
        self, width: int, *, seen_width: int, heads: int = 8, head_width: int = 64
    ) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * head_width
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_k = nn.Linear(seen_width, inner, bias=False)
        self.to_v = nn.Linear(seen_width, inner, bias=False)
        self.to_out = nn.Linear(inner, width)

    def forward(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """Tokens `(B,h,w,D)` and seen `(B,L,S)` to `(B,h,w,D)`."""
        flat = tokens.flatten(1, 2)
        query, key, value = (
            t.reshape(*t.shape[:2], self.heads, -1).transpose(1, 2)
            for t in (self.to_q(flat), self.to_k(seen), self.to_v(seen))
        )
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        out: Tensor = self.to_out(found).reshape(tokens.shape)
        return out
