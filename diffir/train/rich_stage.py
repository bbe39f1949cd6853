"""The last stage: what the rich estimate adds to a faithful one, for the eye as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn

from diffir.train.losses import error, lattice, lpips_at_two_scales
from diffir.train.patch_discriminator import PatchDiscriminator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffir.diffusion.model import RestorationModel
    from diffir.train.pairs import Batch

LPIPS_WEIGHTS: dict[Literal["alex", "vgg"], float] = {"alex": 0.3, "vgg": 0.3}
ADVERSARIAL_WEIGHT = 0.02
ADVERSARIAL_FROM = 150
RICH_L1_WEIGHT = 0.25
LATTICE_WEIGHT = 2.0


class RichStage:
    """For the eye as well: what the rich estimate adds to a faithful one that stays as it is."""

    def __init__(self) -> None:
        from diffir.perceptual.lpips import Lpips

        self.lpips = nn.ModuleDict({backbone: Lpips(backbone) for backbone in LPIPS_WEIGHTS})
        self.critic: PatchDiscriminator | None = PatchDiscriminator()

    def parameters(self, model: RestorationModel) -> Iterator[nn.Parameter]:
        """What the decoder says is the rich estimate's alone; else the decoder."""
        decoder = model.get_submodule("decoder")
        own = getattr(decoder, "rich_parameters", decoder.parameters)
        yield from cast("Iterator[nn.Parameter]", own())

    def loss(self, model: RestorationModel, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """L1, LPIPS and being found out by the critic; error of a faithful estimate that moves."""
        decoded, _ = model(batch.degraded, batch.told)
        loss = RICH_L1_WEIGHT * F.l1_loss(decoded.rich, batch.clean)
        loss = loss + LATTICE_WEIGHT * lattice(decoded.rich, batch.clean)
        if decoded.faithful.requires_grad:  # the two share levels, and one must not forget
            loss = loss + error(decoded.faithful, batch.clean)
        # Every second picture: VGG costs more than the model does.
        by_vgg = self.lpips["vgg"](decoded.rich[::2], batch.clean[::2]).mean()
        loss = loss + LPIPS_WEIGHTS["vgg"] * by_vgg
        loss = loss + LPIPS_WEIGHTS["alex"] * lpips_at_two_scales(
            self.lpips["alex"], decoded.rich, batch.clean
        )
        if self.critic is not None and step >= ADVERSARIAL_FROM:
            found_out = self.critic.generator_loss(batch.degraded, decoded.rich)
            loss = loss + ADVERSARIAL_WEIGHT * found_out
        return loss, decoded.rich
