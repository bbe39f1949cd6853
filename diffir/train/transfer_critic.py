"""A critic for fine-tuning: a patch discriminator with its own optimizer, resumable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.train.named_adamw import NamedAdamW
from diffir.train.patch_discriminator import PatchDiscriminator

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from diffir.train.feature_cache import Rows
    from diffir.train.named_adamw import Group

LEARNING_RATE = 2e-4
WEIGHT = 0.02
FROM_STEP = 100
"""Until then it learns, and nobody listens."""


class Critic:
    """Learns to tell restored crops from clean ones, and charges the model for being found out."""

    def __init__(self, device: torch.device) -> None:
        self.network = PatchDiscriminator().to(device)
        self.optimizer = NamedAdamW(
            dict(self.network.named_parameters()), betas=(0.5, 0.99), weight_decay=0.01
        )

    def charge(self, rows: Rows, rich: Tensor, step: int) -> Tensor | float:
        """What the model pays, in units of its loss."""
        if step < FROM_STEP:
            return 0.0
        return WEIGHT * self.network.generator_loss(rows.encoded.image, rich)

    def learn(self, rows: Rows, rich: Tensor) -> None:
        """One step of its own."""
        self.optimizer.zero_grad()  # the model's pass has left gradients here, too
        loss = self.network.loss(rows.encoded.image, rows.clean, rich.detach())
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(LEARNING_RATE)

    def tensors(self) -> Group:
        """Weights and moments, as a state file has them."""
        weights = dict(self.network.state_dict())
        return {"critic": weights, **self.optimizer.tensors("critic-")}

    def load(self, groups: Group, step: int) -> None:
        """Go back to what `tensors` gave after so many steps."""
        self.network.load_state_dict(groups["critic"])
        self.optimizer.load(groups, step, "critic-")
