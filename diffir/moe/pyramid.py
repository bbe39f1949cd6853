"""The MoE-Prompt module at the published size: a pyramid of ViT blocks over the degraded latent.

    latent -> conv 3x3 -> [2 blocks -> norm -> pool -> prompt map 0]
                            | /2 (the tokens before the prompts: prompts shape side outputs only)
                            v
                          [2 blocks -> norm -> pool -> prompt map 1] ...
    image -> degradation tower -> tokens -> cross-attention of each level -> its gate

Without the degradation tower the gate looks at the level's own tokens. Two modes:

    native     one gate for all codecs; no noise in use; CLIP's normalization; every level normed
    official   what the published code does, for its weights: a gate per task, chosen by the
               `CodecInfo`; the last level's norm is skipped; the degradation tower's tokens are
               scrambled; noise in use, where `noise_draws` asks for it

The trunk knows no absolute position, so a picture may have any size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from diffir.contracts.interfaces import Routing
from diffir.moe.degradation_tokens import DegradationTokens, PriorAttention
from diffir.moe.pyramid_gate import PyramidGate
from diffir.moe.pyramid_pools import ABLATIONS, ExpertPool, Variant
from diffir.moe.task_table import TASKS, tasks_of
from diffir.moe.vit_block import VitBlock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffir.contracts.codec import CodecInfo

Mode = Literal["native", "official"]


class PyramidLevel(nn.Module):
    """Blocks and norm of one level, and what its gate sees.

    Args:
        width: token width D.
        blocks, heads: of the trunk. field: see `VitBlock`.
        prior_width: width of the degradation tokens, or None where there are none.
    """

    def __init__(
        self,
        width: int,
        *,
        blocks: int,
        heads: int,
        field: int,
        prior_width: int | None,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            VitBlock(width, heads=heads, field=field) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.prior_attention = (
            None if prior_width is None else PriorAttention(width, seen_width=prior_width)
        )

    def forward(
        self, tokens: Tensor, degradation: Tensor | None, *, skip_norm: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens `(B,h,w,D)` to the trunk's, what experts act on, and what the gate looks at."""
        for block in self.blocks:
            tokens = block(tokens)
        seen = tokens if skip_norm else self.norm(tokens)
        judged = seen
        if self.prior_attention is not None and degradation is not None:
            judged = self.prior_attention(seen, degradation)
        return tokens, seen, judged


class PyramidRouter(nn.Module):
    """Mixture-of-experts prompt router of MoE-DiffIR.

    Args:
        latent_channels: channels of the latent.
        width: width D of tokens and prompt maps.
        levels: U-Net levels to serve.
        experts, top_k: basic prompts N per level, and how many take part at each token, K.
        blocks, heads: ViT blocks per level, and heads of each.
        mode: see above.
        variant: "moe", or one of the method's ablations.
        field: side of the latent area within which tokens attend to each other, in positions: 32
            is the published crop of 256 pixels.
        noise_draws: in use, average the gates over so many draws of their noise; 0 has none.
        renormalize: let the K gates sum to 1; the method does not.
        prior: arguments of `DegradationTokens`, or None to let gates see the level's tokens.
    """

    def __init__(
        self,
        *,
        latent_channels: int,
        width: int,
        levels: int = 4,
        experts: int = 7,
        top_k: int = 3,
        blocks: int = 2,
        heads: int = 4,
        mode: Mode = "native",
        variant: Variant = "moe",
        field: int = 32,
        noise_draws: int = 0,
        renormalize: bool = False,
        prior: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if mode not in ("native", "official"):
            raise ValueError(f"mode must be native or official, got '{mode}'")
        if variant != "moe" and variant not in ABLATIONS:
            known = ", ".join(("moe", *ABLATIONS))
            raise ValueError(f"variant must be one of {known}, got '{variant}'")
        self.official = mode == "official"
        self.prior = None if prior is None else DegradationTokens(mode=mode, **prior)

        def gate() -> PyramidGate:
            return PyramidGate(
                width,
                experts=experts,
                top_k=top_k,
                tasks=TASKS if self.official else None,
                noise_draws=noise_draws,
                renormalize=renormalize,
            )

        self.stem = nn.Conv2d(latent_channels, width, 3, padding=1)
        self.levels = nn.ModuleList(
            PyramidLevel(
                width,
                blocks=blocks,
                heads=heads,
                field=max(1, field >> level),
                prior_width=None if self.prior is None else self.prior.width,
            )
            for level in range(levels)
        )
        pools: Sequence[nn.Module]
        if variant == "moe":
            pools = [ExpertPool(width, gate()) for _ in range(levels)]
        else:
            pools = [ABLATIONS[variant](width) for _ in range(levels)]
        # One matrix serves all levels in the ablation that has one matrix.
        self.pools = nn.ModuleList(pools[:1] if variant == "single" else pools)
        self.downs = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(levels - 1)
        )

    def route(self, latent: Tensor, codecs: Sequence[CodecInfo]) -> Routing:
        """See `diffir.contracts.interfaces.PromptRouter.route`; the gates see tokens alone."""
        return self.route_seen(latent, None, codecs)

    def route_image(self, image: Tensor, latent: Tensor, codecs: Sequence[CodecInfo]) -> Routing:
        """As `route`, with the degraded image `(B,3,H,W)` in [0,1] for the degradation tower."""
        return self.route_seen(latent, self.see(image), codecs)

    def see(self, image: Tensor) -> Tensor | None:
        """What the frozen degradation tower makes of an image, `(B,49,768)`; None without one."""
        seen: Tensor | None = None if self.prior is None else self.prior(image)
        return seen

    def learned_parameters(self) -> Iterator[nn.Parameter]:
        """All but the degradation tower's, which stays as it came."""
        frozen = set() if self.prior is None else {id(p) for p in self.prior.parameters()}
        yield from (p for p in self.parameters() if id(p) not in frozen)

    def route_seen(
        self, latent: Tensor, degradation: Tensor | None, codecs: Sequence[CodecInfo]
    ) -> Routing:
        """As `route_image`, with what `see` made of the image."""
        tasks = [tasks_of(codec) for codec in codecs]
        x = self.stem(latent)
        prompts, shares = [], []
        for index, level in enumerate(self.levels):
            x = x if index == 0 else self.downs[index - 1](x)
            skip_norm = self.official and index == len(self.levels) - 1
            tokens, seen, judged = level(x.permute(0, 2, 3, 1), degradation, skip_norm=skip_norm)
            mixed, gates = self.pools[min(index, len(self.pools) - 1)](seen, judged, tasks)
            prompts.append(mixed.permute(0, 3, 1, 2))
            shares.append((gates / gates.sum(dim=-1, keepdim=True)).mean(dim=(1, 2)))
            x = tokens.permute(0, 3, 1, 2)
        return Routing(tuple(prompts), torch.stack(shares).mean(dim=0))
