"""AdamW (Loshchilov and Hutter, 2019) over named parameters, on torch's functional form.

`torch.optim.AdamW` imports torch's compiler as soon as one is made: 120 MB and seconds, for nothing
here is compiled. And a state file wants moments by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.optim.adamw import adamw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

EPSILON = 1e-8
Group = dict[str, dict[str, "Tensor"]]


class NamedAdamW:
    """Moves parameters by their gradients, and keeps the gradients' two moments by name.

    Args:
        parameters: what it moves; one without a gradient stays where it is.
        betas: of the first and the second moment.
        weight_decay: over the learning rate.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        *,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        self.parameters = dict(parameters)
        self.betas, self.weight_decay = betas, weight_decay
        self.first: dict[str, Tensor] = {}
        self.second: dict[str, Tensor] = {}
        self.steps: dict[str, Tensor] = {}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move each parameter that has a gradient."""
        moved = {name: p for name, p in self.parameters.items() if p.grad is not None}
        for name, parameter in moved.items():
            if name not in self.first:
                self.first[name] = torch.zeros_like(parameter)
                self.second[name] = torch.zeros_like(parameter)
                self.steps[name] = torch.zeros(())
        adamw(
            list(moved.values()),
            [p.grad for p in moved.values() if p.grad is not None],
            [self.first[name] for name in moved],
            [self.second[name] for name in moved],
            [],
            [self.steps[name] for name in moved],
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=learning_rate,
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
        )

    def tensors(self, prefix: str = "") -> Group:
        """The moments, as a state file has them: groups "first" and "second" behind a prefix."""
        return {f"{prefix}first": self.first, f"{prefix}second": self.second}

    def load(self, groups: Group, step: int, prefix: str = "") -> None:
        """Go back to what `tensors` gave after so many steps; without such groups, to none."""
        devices = {name: p.device for name, p in self.parameters.items()}
        self.first, self.second = (
            {name: t.to(devices[name]) for name, t in groups.get(f"{prefix}{which}", {}).items()}
            for which in ("first", "second")
        )
        self.steps = {name: torch.tensor(float(step)) for name in self.first}
