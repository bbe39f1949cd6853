"""A critic for fine-tuning: a patch discriminator with its own optimizer, resumable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from diffir.train.patch_discriminator import PatchDiscriminator

if TYPE_CHECKING:
    from torch import Tensor

    from diffir.train.feature_cache import Rows

LEARNING_RATE = 2e-4
WEIGHT = 0.02
FROM_STEP = 100
"""Until then it learns, and nobody listens."""


class Critic:
    """Learns to tell restored crops from clean ones, and charges the model for being found out."""

    def __init__(self, device: torch.device) -> None:
        self.network = PatchDiscriminator().to(device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=LEARNING_RATE, betas=(0.5, 0.99)
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
        self.optimizer.step()

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Weights and moments, as a state file has them."""
        named = dict(self.network.named_parameters())
        moments = {name: self.optimizer.state[p] for name, p in named.items()}
        return {
            "critic": dict(self.network.state_dict()),
            "critic-first": {n: m["exp_avg"] for n, m in moments.items() if m},
            "critic-second": {n: m["exp_avg_sq"] for n, m in moments.items() if m},
        }

    def load(self, groups: dict[str, dict[str, Tensor]], step: int) -> None:
        """Go back to what `tensors` gave after so many steps."""
        self.network.load_state_dict(groups["critic"])
        for name, parameter in self.network.named_parameters():
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(step)),
                "exp_avg": groups["critic-first"][name].to(parameter.device),
                "exp_avg_sq": groups["critic-second"][name].to(parameter.device),
            }
