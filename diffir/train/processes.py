"""The processes of one training, as `accelerate launch` starts them: one per GPU.

Each computes the gradients of its own crops; the gradients are averaged before each step, so that
all processes take the same one. The stages look into the model and do not call it as a whole, which
is why torch's wrapper for this is not used. With one process nothing here does anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import broadcast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from accelerate import Accelerator
    from torch import nn


class Processes:
    """This process among the others.

    Attributes:
        count: how many there are. is_first: whether this is the one that writes files.
        seed_offset: added to seeds, so that no two draw the same noise.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.count = int(accelerator.num_processes)
        self.index = int(accelerator.process_index)
        self.is_first = bool(accelerator.is_main_process)
        self.seed_offset = self.index * 10**12

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        """Model and optimizer on this process's device, known to what saves and loads states."""
        if self.count == 1:
            prepared: tuple[Any, Any] = self._accelerator.prepare(model, optimizer)
            return prepared
        plain = self._accelerator.prepare_model(model, evaluation_mode=True)  # not wrapped
        return plain, self._accelerator.prepare_optimizer(optimizer)

    def numbers(self, first: int, last: int, *, batch: int) -> Iterator[int]:
        """Numbers of this process's pairs in steps `first` to `last`: no pair comes twice."""
        for step in range(first, last):
            start = (step * self.count + self.index) * batch
            yield from range(start, start + batch)

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes.

        What took part in the loss differs between them: of a picture whose codec is told, nothing
        that looks at pixels learns. So they agree first on which gradients there are.
        """
        if self.count == 1:
            return
        device = self._accelerator.device
        there = torch.tensor([float(p.grad is not None) for p in parameters], device=device)
        anywhere = self._accelerator.reduce(there, reduction="sum").tolist()
        for parameter, count in zip(parameters, anywhere, strict=True):
            if count:
                own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = self._accelerator.reduce(own, reduction="mean")

    def first_says(self, what: bool) -> bool:
        """What the first process thinks: clocks differ, and all must save at the same step."""
        if self.count == 1:
            return what
        flag = torch.tensor([what], dtype=torch.uint8, device=self._accelerator.device)
        return bool(broadcast(flag).item())
