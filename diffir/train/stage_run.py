"""One stage of training under way: optimizers, averages of the weights, and the state on disk."""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from diffir.degradations.diet import mix
from diffir.errors import DataError, DiffirError, OutputError, RecipeError
from diffir.restore.checkpoint import save_checkpoint
from diffir.restore.memory import memory_told
from diffir.train.pairs import Pairs, Told, collate_told
from diffir.train.processes import Processes
from diffir.train.stages import find_stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from diffir.diffusion.model import RestorationModel
    from diffir.recipes.recipe import Stage
    from diffir.train.loop import Trainer
    from diffir.train.pairs import Batch

CRITIC_LEARNING_RATE = 2e-4
WARMUP_STEPS = 50
LESS_AT_ONCE = (
    "Give it less at once: a smaller --batch or --crop, --accumulate, --gradient-checkpointing, or "
    "--precision bf16."
)


class StageRun:
    """One stage under way: model, optimizers, averages, and where it stands."""

    def __init__(self, trainer: Trainer, index: int) -> None:
        self.trainer, self.index, self.plan = trainer, index, trainer.plan[index]
        self.steps = self.plan.steps
        self.stage = stage = find_stage(self.plan.name)()
        settings = trainer.settings
        self.accelerator = Accelerator(mixed_precision=settings.precision, cpu=settings.cpu)
        for parameter in trainer.model.parameters():
            parameter.requires_grad_(False)
        learned = list(stage.parameters(trainer.model))
        for parameter in learned:
            parameter.requires_grad_()
        # Adam's fused kernel reads and writes each parameter once.
        optimizer = torch.optim.AdamW(
            scaled_groups(trainer.model, learned, self.plan),
            lr=self.plan.learning_rate,
            betas=self.plan.betas,
            weight_decay=self.plan.weight_decay,
            fused=True,
        )
        self.processes = Processes(self.accelerator)
        self.model, self.optimizer = self.processes.prepare(trainer.model, optimizer)
        self.critic, self.critic_optimizer = stage.critic, None
        if stage.critic is not None:
            critic_optimizer = torch.optim.AdamW(
                stage.critic.parameters(), lr=CRITIC_LEARNING_RATE, betas=(0.5, 0.99)
            )
            self.critic, self.critic_optimizer = self.processes.prepare(
                stage.critic, critic_optimizer
            )
        device = self.accelerator.device
        lpips = getattr(stage, "lpips", None)
        if lpips is not None:
            lpips.to(device)
        # What does not train equals its average: only the rest is averaged, at every step, and
        # the copy shares a frozen prior with the model.
        shared = {id(p): p for p in trainer.model.parameters() if not p.requires_grad}
        self.average = copy.deepcopy(trainer.model, shared)
        self.averaged = list(stage.parameters(self.average))
        self.move_average = get_ema_multi_avg_fn(self.plan.average)  # type: ignore[no-untyped-call]
        self.learned = learned
        self.accelerator.register_for_checkpointing(self.average)
        self.saved_at = time.monotonic()

    def steps_from(self, first: int) -> Iterator[tuple[int, float]]:
        """Train from step `first` to the end of the stage, yielding step and loss."""
        trainer, settings = self.trainer, self.trainer.settings
        self.model.train()
        for step, batch in enumerate(self._batches(first), start=first):
            started = time.monotonic()
            with memory_told(LESS_AT_ONCE):
                loss = self._step(batch.to(self.accelerator.device), step)
            trainer.seconds += time.monotonic() - started
            last = step + 1 == self.steps
            every = settings.judge_every
            if every is not None and (last or (step + 1) % every == 0):
                self._judge()
            if last or (step + 1) % 20 == 0:
                self._log(step, loss)
            due = time.monotonic() - self.saved_at > 60 * settings.save_minutes
            if last or self.processes.first_says(due):
                self.save(step + 1)
            yield step, loss

    def _batches(self, first: int) -> Iterator[Batch]:
        settings, training = self.trainer.settings, self.trainer.recipe.training
        pairs = Pairs(
            self.trainer.pictures,
            mix(training.degradations, self.trainer.host),
            crop=self.plan.crop,
            synthetic=training.synthetic,
            clean=training.clean,
            untold=training.untold,
            seed=settings.seed * 1000 + self.index,
            alike=self.plan.batch if getattr(self.stage, "one_degradation", False) else 1,
        )
        memory = self.trainer.memory
        numbers = self.processes.numbers(first, self.steps, batch=self.plan.batch)
        loader: DataLoader[Any] = DataLoader(
            Told(pairs if memory is None else memory.over(pairs, training.degradations)),
            batch_size=self.plan.batch,
            sampler=numbers,
            num_workers=settings.workers,
            collate_fn=collate_told,
            prefetch_factor=4 if settings.workers else None,
        )
        for batch in loader:
            if isinstance(batch, DiffirError):
                raise batch
            yield batch

    def _step(self, batch: Batch, step: int) -> float:
        seed = self.trainer.settings.seed * 100 + self.index
        torch.manual_seed(seed * 1_000_000 + step + self.processes.seed_offset)
        for group in self.optimizer.param_groups:
            rate = self.plan.learning_rate * group["scale"]
            constant = self.plan.schedule == "constant"
            group["lr"] = rate if constant else rate * _cosine(step, self.steps)
        parts = batch.parts(self.trainer.settings.accumulate)
        value, restored = 0.0, []
        for part in parts:
            with self.accelerator.autocast():
                loss, image = self.stage.loss(self.trainer.model, part, step)
            value += float(loss.detach()) / len(parts)
            if not math.isfinite(value):
                raise DataError(
                    f"the loss became {value} at step {step}",
                    hint="Resume with a lower learning rate in the recipe, or --precision no.",
                )
            self.accelerator.backward(loss / len(parts))
            restored.append(image.detach())
        self.processes.average_gradients(self.learned)
        self.accelerator.clip_grad_norm_(self.learned, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.critic is not None and self.critic_optimizer is not None:
            self.critic_optimizer.zero_grad()  # the model's pass has left gradients here, too
            for part, image in zip(parts, restored, strict=True):
                critic_loss = self.critic.loss(part.degraded, part.clean, image)
                self.accelerator.backward(critic_loss / len(parts))
            self.processes.average_gradients(list(self.critic.parameters()))
            self.critic_optimizer.step()
        self.move_average(self.averaged, self.learned, None)
        return value

    def _judge(self) -> None:
        if not self.processes.is_first:
            return
        lpips = self.trainer.lpips.to(self.accelerator.device)
        with memory_told("Use --judge-every with a large number, or another --device."):
            self.trainer.judgement = self.trainer.held_out.judge(self.average, lpips)

    def _log(self, step: int, loss: float) -> None:
        if not self.processes.is_first:
            return
        row: dict[str, Any] = {
            "stage": self.plan.name,
            "step": step + 1,
            "loss": round(loss, 5),
            "seconds": round(self.trainer.seconds, 1),
        }
        if self.trainer.judgement is not None:
            row.update(vars(self.trainer.judgement))
        with (self.trainer.settings.output / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    def save(self, step: int) -> None:
        """Write the averaged model, then the state; the state before stays until both are there."""
        output = self.trainer.settings.output
        partial = output / "state.partial"
        if self.processes.is_first:
            save_checkpoint(
                self.average,
                output / "model.safetensors",
                recipe=self.trainer.recipe,
                dtype=torch.float16,
                card=self._card(),
            )
            shutil.rmtree(partial, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        with _space_told(partial):
            self.accelerator.save_state(str(partial))
        self.accelerator.wait_for_everyone()
        if self.processes.is_first:
            self._exchange_states(partial, step)
        self.accelerator.wait_for_everyone()
        self.saved_at = time.monotonic()

    def _exchange_states(self, partial: Path, step: int) -> None:
        output = self.trainer.settings.output
        state = output / "state"
        done = step == self.steps
        position = {
            **self.trainer.identity,
            "stage": self.index,
            "step": step,
            "done": done,
            "seconds": self.trainer.seconds,
        }
        with _space_told(partial):
            (partial / "position.json").write_text(json.dumps(position))
        previous = output / "state.previous"
        shutil.rmtree(previous, ignore_errors=True)
        if state.exists():
            os.replace(state, previous)
        os.replace(partial, state)
        shutil.rmtree(previous, ignore_errors=True)

    def load(self) -> None:
        """Go back to the saved state."""
        self.accelerator.load_state(str(self.trainer.settings.output / "state"))

    def _card(self) -> dict[str, str]:
        trainer, settings = self.trainer, self.trainer.settings
        crops = self.plan.batch * self.processes.count
        return {
            "license": settings.license,
            "pictures": f"{len(trainer.pictures)} trained on",
            "stages": ", ".join(stage.name for stage in trainer.plan[: self.index + 1]),
            "batch": f"{crops} crops of {self.plan.crop}x{self.plan.crop}",
            "seed": str(settings.seed),
            "device": f"{self.accelerator.device}, {torch.get_num_threads()} threads",
            "seconds": f"{trainer.seconds:.0f}",
            "held_out": str(trainer.judgement),
        }


def scaled_groups(
    model: RestorationModel, learned: Sequence[torch.nn.Parameter], plan: Stage
) -> list[dict[str, Any]]:
    """What learns, in groups by the factor that the recipe gives the model's part.

    Raises:
        RecipeError: a factor for something of which nothing learns in this stage.
    """
    parts = {id(p): name.partition(".")[0] for name, p in model.named_parameters()}
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for parameter in learned:
        groups.setdefault(plan.scales.get(parts[id(parameter)], 1.0), []).append(parameter)
    idle = set(plan.scales) - {parts[id(parameter)] for parameter in learned}
    if idle:
        raise RecipeError(
            f"stage '{plan.name}' scales the learning rate of {', '.join(sorted(idle))}, where "
            "nothing learns",
            hint="Name parts of the model: router, conditioner, denoiser, decoder, encoder.",
        )
    return [{"params": group, "scale": scale} for scale, group in groups.items()]


@contextmanager
def _space_told(partial: Path) -> Iterator[None]:
    """What is inside writes a state; where it cannot, what is there of it goes.

    torch and safetensors have errors of their own for a full disk.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OutputError(
            f"cannot write the state to {partial.parent}: {error}",
            hint="Free some space; the same command goes on from the last state that was written.",
        ) from error


def _cosine(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then a half cosine down to 2 %."""
    if step < WARMUP_STEPS:
        return (step + 1) / WARMUP_STEPS
    done = (step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))
