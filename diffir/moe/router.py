"""The MoE-Prompt module: a pyramid over the degraded latent that yields one prompt map per level.

    latent -> conv -> [window blocks -> norm -> prompt pool -> prompt map 0]
                        | /2 (the tokens before the prompts: prompts shape side outputs only)
                        v
                      [window blocks -> norm -> prompt pool -> prompt map 1] ...

The gate of each pool sees the level's tokens plus an embedding of the degradation. Where neither
file nor user says what that is, the degradation encoder can be asked first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from diffir.contracts.interfaces import Routing
from diffir.moe.degradation_encoder import DegradationEncoder
from diffir.moe.degradation_prior import SEVERITY_UNTOLD, DegradationPrior
from diffir.moe.simpler_prompts import token_prompts
from diffir.moe.windows import WindowBlock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from diffir.contracts.codec import CodecInfo


def _check_relatives(relatives: Mapping[str, str], codecs: Sequence[str]) -> None:
    """Of each codec that is not known, one that is.

    Raises:
        ValueError: another one.
    """
    for stranger, known in relatives.items():
        if stranger in codecs or known not in codecs:
            raise ValueError(
                f"relatives are of codecs that are not among {', '.join(codecs)}, and name one of "
                f"these each; got {stranger} = {known}"
            )


class MoERouter(nn.Module):
    """Mixture-of-experts prompt router.

    Args:
        latent_channels: channels of the latent.
        width: width D of tokens and prompt maps.
        levels: U-Net levels to serve.
        experts: basic prompts N per level.
        top_k: prompts that take part at each token, K.
        codecs: codec names that prior and degradation encoder know.
        blocks: window blocks per level.
        mixture: "moe", or what stands in its place: see `diffir.moe.simpler_prompts`.
        relatives: of codecs that it does not know, by name, the known one that pictures of theirs
            are restored as: that whose prompts do them best, measured.
        prior: whether gates see codec and severity. Without it they see the tokens alone, and the
            decoder's gates the mean of the finest level's.
        extensible: whether the pack of a codec that comes later has experts in the pools. In a
            decoder with expert prompts of its own the same numbers teach more: docs/experiments.md.
    """

    def __init__(
        self,
        *,
        latent_channels: int,
        width: int,
        levels: int,
        codecs: Sequence[str],
        experts: int = 7,
        top_k: int = 3,
        blocks: int = 1,
        mixture: str = "moe",
        prior: bool = True,
        extensible: bool = False,
        relatives: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.relatives = dict(relatives or {})
        _check_relatives(self.relatives, codecs)
        self.stem = nn.Conv2d(latent_channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(WindowBlock(width) for _ in range(blocks))) for _ in range(levels)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(levels))
        self.pools = nn.ModuleList(
            token_prompts(mixture, width, experts=experts, top_k=top_k, extensible=extensible)
            for _ in range(levels)
        )
        self.downs = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(levels - 1)
        )
        self.prior = DegradationPrior(width=width, codecs=codecs) if prior else None
        self.degradation_encoder = DegradationEncoder(codecs=codecs)

    def route(self, latent: Tensor, codecs: Sequence[CodecInfo]) -> Routing:
        """See `diffir.contracts.interfaces.PromptRouter.route`."""
        known = [self._as_relative(codec) for codec in codecs]
        told = None if self.prior is None else self.prior(known)  # (B,D)
        x = self.stem(latent)
        prompts, shares, seen = [], [], []
        for level, (block, norm, pool) in enumerate(
            zip(self.blocks, self.norms, self.pools, strict=True)
        ):
            x = x if level == 0 else self.downs[level - 1](x)
            tokens = block(x.permute(0, 2, 3, 1))  # (B,h,w,D)
            normed = norm(tokens)
            seen.append(normed)
            mixed, gates = pool(normed, normed if told is None else normed + told[:, None, None, :])
            prompts.append(mixed.permute(0, 3, 1, 2))
            shares.append((gates / gates.sum(dim=-1, keepdim=True)).mean(dim=(1, 2)))
            x = tokens.permute(0, 3, 1, 2)
        degradation = seen[0].mean(dim=(1, 2)) if told is None else told
        return Routing(tuple(prompts), torch.stack(shares).mean(dim=0), degradation)

    def knows(self, codec: CodecInfo) -> bool:
        """Whether the codec and its severity say something to this router."""
        return self.prior is not None and self.prior.describe(codec) is not None

    def relative(self, codec: CodecInfo) -> str | None:
        """The codec that pictures of an unknown one are restored as, where that is settled."""
        return self.relatives.get(codec.name or "")

    def _as_relative(self, codec: CodecInfo) -> CodecInfo:
        """A pack for a codec with a relative begins where the base stands: as that one.

        Of pairs that tell no severity it learns at the middle, as its embedding does.
        """
        relative = self.relative(codec)
        if relative is None:
            return codec
        severity = SEVERITY_UNTOLD if codec.severity is None else codec.severity
        return replace(codec, name=relative, severity=severity)

    def identify(self, image: Tensor) -> CodecInfo:
        """What pressed one picture: see `DegradationEncoder.identify`."""
        return self.degradation_encoder.identify(image)

    def traces(self, image: Tensor) -> Tensor:
        """What the pixels show of a codec, known or not: see `DegradationEncoder.traces`."""
        return self.degradation_encoder.traces(image)

    def auxiliary_loss(self, image: Tensor, codecs: Sequence[CodecInfo]) -> Tensor:
        """The degradation encoder's loss, for the stage that trains it."""
        return self.degradation_encoder.loss(image, codecs)
