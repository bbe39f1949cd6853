"""A level of the decoder in which a codec that comes later finds a place for prompts.

    block -> x + x P -> block -> x + x P -> ...     P: the later codec's, mixed per picture

The model's own prompts stand where maps meet. A pack has one behind every residual block as well:
there a matrix over channels steers the 3x3 convolution after it, and teaches a codec more than two
experts where maps meet do.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from diffir.diffusion.expert_kernels import ExpertBlock
from diffir.diffusion.layers import ResidualBlock
from diffir.moe.feature_prompts import apply_matrices, mix_matrices
from diffir.moe.gate import NewExperts


class PromptedLevel(nn.ModuleList):
    """Residual blocks one after the other, without prompts of their own.

    Args:
        channels: channels C of the map. blocks: how many.
        degradation_width: width D of the degradation embedding that gates and a later codec's
            strengths see.
        experts: further kernels of each convolution, which take part by codec and severity.

    Raises:
        ValueError: `blocks` or `experts` is negative.
    """

    def __init__(
        self, channels: int, blocks: int, *, degradation_width: int, experts: int = 0
    ) -> None:
        if min(blocks, experts) < 0:
            raise ValueError(
                f"expected 0 or more blocks and kernel experts, got {blocks} and {experts}"
            )
        super().__init__(
            ExpertBlock(channels, experts=experts, degradation_width=degradation_width)
            if experts
            else ResidualBlock(channels)
            for _ in range(blocks)
        )
        self.channels, self.degradation_width, self.experts = channels, degradation_width, experts

    def forward(self, x: Tensor, degradation: Tensor | None) -> Tensor:
        """`x (B,C,h,w)`, `degradation (B,D)` to the shape of `x`."""
        for index in range(len(self)):
            x = self.block(index, x, degradation)
        return x

    def block(self, index: int, x: Tensor, degradation: Tensor | None) -> Tensor:
        """What one of the blocks makes of a map; shapes as in `forward`."""
        block = self[index]
        return cast("Tensor", block(x, degradation) if self.experts else block(x))

    def with_new_experts(self, count: int) -> nn.Module:
        """See `diffir.contracts.prompt_pack.Transferable`."""
        return TransferredLevel(self, count)


class TransferredLevel(nn.Module):
    """The same with `count` experts behind each block, which always take part."""

    def __init__(self, base: PromptedLevel, count: int) -> None:
        super().__init__()
        self.base = base
        self.new = nn.ModuleList(
            NewExperts(base.channels, base.degradation_width, count) for _ in base
        )

    def forward(self, x: Tensor, degradation: Tensor | None) -> Tensor:
        """As `PromptedLevel.forward`."""
        if degradation is None:
            return cast("Tensor", self.base(x, None))
        for index, new in enumerate(self.new):
            experts = cast("NewExperts", new)
            x = self.base.block(index, x, degradation)
            matrices = mix_matrices(experts.strengths(degradation), experts.prompts)
            x = x + apply_matrices(x, matrices)
        return x
