"""The training loop, on accelerate: stages in order, checkpoints every few minutes, resumable.

The output folder holds

    model.safetensors   the averaged weights as float16, with recipe and card: what `restore` loads
    state/              everything to go on from: weights, optimizer, averages, step
    log.jsonl           one line per log interval

A run that was killed and resumed ends with the weights that it would have had: pairs are a function
of their number, noise is seeded per step, and the state is exchanged atomically.
"""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from diffir.degradations.diet import mix
from diffir.errors import CheckpointError, DataError, RecipeError
from diffir.perceptual.lpips import Lpips
from diffir.perceptual.weights import cache_folder
from diffir.restore.assemble import assemble
from diffir.restore.checkpoint import load_checkpoint, save_checkpoint
from diffir.train.clean_pictures import PictureCache, find_pictures
from diffir.train.held_out import HeldOut, Judgement
from diffir.train.pairs import Batch, Pairs, collate
from diffir.train.stages import find_stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from diffir.diffusion.model import RestorationModel
    from diffir.host.manager import Host
    from diffir.recipes.recipe import Recipe
    from diffir.train.stages import Stage

HELD_OUT_EVERY = 15
move_average = get_ema_multi_avg_fn(0.995)  # type: ignore[no-untyped-call]
CRITIC_LEARNING_RATE = 2e-4
WARMUP_STEPS = 50


@dataclass(frozen=True)
class Settings:
    """How a run is made; what the model is stands in the recipe.

    stages: names of those to run, in order; None runs the recipe's. steps: overrides each stage's.
    crop: side in pixels, a multiple of 32. precision: "no", "bf16" or "fp16".
    weights: a file of the same recipe to start from, in place of fresh weights.
    """

    data: Path
    output: Path
    stages: tuple[str, ...] | None = None
    steps: int | None = None
    batch: int = 8
    crop: int = 128
    seed: int = 0
    weights: Path | None = None
    workers: int = 1
    cpu: bool = False
    precision: str = "no"
    resume: bool = True
    judge_every: int = 500
    save_minutes: float = 5.0
    cache: Path = field(default_factory=lambda: cache_folder() / "pictures")


@dataclass(frozen=True)
class Progress:
    """Where a run stands, for whoever shows it. `judgement` is the latest one."""

    stage: str
    step: int
    steps: int
    loss: float
    judgement: Judgement | None


class Trainer:
    """Trains the model of a recipe.

    Args:
        recipe: what to build and train. host: where its components come from.
        settings: of this run.

    Raises:
        DataError: the folder does not serve. RecipeError: no such stage, no degradations.
        CheckpointError: `weights` are not the recipe's; those of LPIPS have not been fetched.
    """

    def __init__(self, recipe: Recipe, host: Host, settings: Settings) -> None:
        if settings.crop % 32:
            raise DataError(f"--crop must be a multiple of 32, got {settings.crop}")
        if not recipe.training.degradations:
            raise RecipeError(
                f"recipe '{recipe.name}' says no degradations to train on",
                hint="Add rows to [training] degradations.",
            )
        self.recipe, self.host, self.settings = recipe, host, settings
        names = settings.stages or tuple(stage.name for stage in recipe.training.stages)
        self.plan = [recipe.training.stage(name) for name in names]
        for stage in self.plan:
            find_stage(stage.name)  # now, not after the hours of the stages before it
        self.lpips = Lpips("alex")  # of the judgements; the same holds
        torch.manual_seed(settings.seed)
        self.model = _starting_model(recipe, host, settings.weights)
        self.model.to(memory_format=torch.channels_last)
        settings.output.mkdir(parents=True, exist_ok=True)
        paths = find_pictures(settings.data)
        cache = PictureCache(settings.cache)
        pictures = [cache.scales(path) for path in paths]
        held = pictures[::HELD_OUT_EVERY]
        learned = [p for i, p in enumerate(pictures) if i % HELD_OUT_EVERY] or pictures
        self.pictures = learned
        self.held_out = HeldOut([scales[-1] for scales in held], host)
        self.judgement: Judgement | None = None
        self.seconds = 0.0

    def run(self) -> Iterator[Progress]:
        """Train, stage by stage, yielding after each step; the result is in the output folder."""
        position = self._saved_position() if self.settings.resume else None
        start_stage, start_step = position or (0, 0)
        for index, stage in enumerate(self.plan):
            if index < start_stage:
                continue
            resumed = index == start_stage and position is not None
            steps = self.settings.steps or stage.steps
            torch.manual_seed(self.settings.seed * 100 + index)  # of a critic's first weights
            run = _StageRun(self, index, find_stage(stage.name)(), steps, stage.learning_rate)
            if resumed:
                run.load()
            first = start_step if resumed else 0
            for step, loss in run.steps_from(first):
                yield Progress(stage.name, step + 1, steps, loss, self.judgement)

    def _saved_position(self) -> tuple[int, int] | None:
        state, previous = (self.settings.output / name for name in ("state", "state.previous"))
        if previous.is_dir() and not state.exists():
            os.replace(previous, state)  # killed between the two steps of an exchange
        path = state / "position.json"
        if not path.is_file():
            return None
        saved = json.loads(path.read_text())
        if saved["stages"] != [stage.name for stage in self.plan]:
            raise CheckpointError(
                f"{path.parent} belongs to a run of the stages {saved['stages']}",
                hint="Resume with the same stages, use --no-resume, or another output folder.",
            )
        self.seconds = saved["seconds"]
        return saved["stage"], saved["step"]


def _starting_model(recipe: Recipe, host: Host, weights: Path | None) -> RestorationModel:
    if weights is None:
        return assemble(recipe, host)
    model, trained = load_checkpoint(weights, host)
    if trained.name != recipe.name:
        raise CheckpointError(
            f"{weights} holds '{trained.name}', not '{recipe.name}'",
            hint=f"Give weights of '{recipe.name}', or train recipe '{trained.name}'.",
        )
    return model


class _StageRun:
    """One stage under way: model, optimizers, averages, and where it stands."""

    def __init__(
        self, trainer: Trainer, index: int, stage: Stage, steps: int, learning_rate: float
    ) -> None:
        self.trainer, self.index, self.stage, self.steps = trainer, index, stage, steps
        self.learning_rate = learning_rate
        settings = trainer.settings
        self.accelerator = Accelerator(mixed_precision=settings.precision, cpu=settings.cpu)
        for parameter in trainer.model.parameters():
            parameter.requires_grad_(False)
        learned = [p.requires_grad_() for p in stage.parameters(trainer.model)]
        # Adam's fused kernel reads and writes each parameter once.
        optimizer = torch.optim.AdamW(
            learned, lr=learning_rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True
        )
        self.model, self.optimizer = self.accelerator.prepare(trainer.model, optimizer)
        self.critic, self.critic_optimizer = stage.critic, None
        if stage.critic is not None:
            critic_optimizer = torch.optim.AdamW(
                stage.critic.parameters(), lr=CRITIC_LEARNING_RATE, betas=(0.5, 0.99)
            )
            self.critic, self.critic_optimizer = self.accelerator.prepare(
                stage.critic, critic_optimizer
            )
        device = self.accelerator.device
        lpips = getattr(stage, "lpips", None)
        if lpips is not None:
            lpips.to(device)
        # What does not train equals its average: only the rest is averaged, at every step.
        self.average = copy.deepcopy(trainer.model)
        self.averaged = list(stage.parameters(self.average))
        self.learned = learned
        self.accelerator.register_for_checkpointing(self.average)
        self.saved_at = time.monotonic()

    def steps_from(self, first: int) -> Iterator[tuple[int, float]]:
        """Train from step `first` to the end of the stage, yielding step and loss."""
        trainer, settings = self.trainer, self.trainer.settings
        self.model.train()
        for step, batch in enumerate(self._batches(first), start=first):
            started = time.monotonic()
            loss = self._step(batch.to(self.accelerator.device), step)
            trainer.seconds += time.monotonic() - started
            last = step + 1 == self.steps
            if last or (step + 1) % settings.judge_every == 0:
                self._judge()
            if last or (step + 1) % 20 == 0:
                self._log(step, loss)
            if last or time.monotonic() - self.saved_at > 60 * settings.save_minutes:
                self.save(step + 1)
            yield step, loss

    def _batches(self, first: int) -> Iterator[Batch]:
        settings, training = self.trainer.settings, self.trainer.recipe.training
        pairs = Pairs(
            self.trainer.pictures,
            mix(training.degradations, self.trainer.host),
            crop=settings.crop,
            synthetic=training.synthetic,
            clean=training.clean,
            seed=settings.seed * 1000 + self.index,
        )
        numbers = range(first * settings.batch, self.steps * settings.batch)
        loader: DataLoader[Any] = DataLoader(
            pairs,
            batch_size=settings.batch,
            sampler=numbers,
            num_workers=settings.workers,
            collate_fn=collate,
            prefetch_factor=4 if settings.workers else None,
        )
        yield from loader

    def _step(self, batch: Batch, step: int) -> float:
        torch.manual_seed((self.trainer.settings.seed * 100 + self.index) * 1_000_000 + step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * _schedule(step, self.steps)
        with self.accelerator.autocast():
            loss, restored = self.stage.loss(self.trainer.model, batch, step)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DataError(
                f"the loss became {value} at step {step}",
                hint="Resume with a lower learning rate in the recipe, or --precision no.",
            )
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.critic is not None and self.critic_optimizer is not None:
            self.critic_optimizer.zero_grad()  # the model's pass has left gradients here, too
            critic_loss = self.critic.loss(batch.degraded, batch.clean, restored)
            self.accelerator.backward(critic_loss)
            self.critic_optimizer.step()
        move_average(self.averaged, self.learned, None)
        return value

    def _judge(self) -> None:
        lpips = self.trainer.lpips.to(self.accelerator.device)
        self.trainer.judgement = self.trainer.held_out.judge(self.average, lpips)

    def _log(self, step: int, loss: float) -> None:
        row: dict[str, Any] = {
            "stage": self.trainer.plan[self.index].name,
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
        save_checkpoint(
            self.average,
            output / "model.safetensors",
            recipe=self.trainer.recipe,
            dtype=torch.float16,
            card=self._card(),
        )
        partial, state = output / "state.partial", output / "state"
        shutil.rmtree(partial, ignore_errors=True)
        self.accelerator.save_state(str(partial))
        done = step == self.steps
        position = {
            "stages": [stage.name for stage in self.trainer.plan],
            "stage": self.index,
            "step": step,
            "done": done,
            "seconds": self.trainer.seconds,
        }
        (partial / "position.json").write_text(json.dumps(position))
        previous = output / "state.previous"
        shutil.rmtree(previous, ignore_errors=True)
        if state.exists():
            os.replace(state, previous)
        os.replace(partial, state)
        shutil.rmtree(previous, ignore_errors=True)
        self.saved_at = time.monotonic()

    def load(self) -> None:
        """Go back to the saved state."""
        self.accelerator.load_state(str(self.trainer.settings.output / "state"))

    def _card(self) -> dict[str, str]:
        trainer, settings = self.trainer, self.trainer.settings
        return {
            "license": "Apache-2.0",
            "pictures": f"{len(trainer.pictures)} trained on",
            "stages": ", ".join(stage.name for stage in trainer.plan[: self.index + 1]),
            "batch": f"{settings.batch} crops of {settings.crop}x{settings.crop}",
            "seed": str(settings.seed),
            "device": f"{self.accelerator.device}, {torch.get_num_threads()} threads",
            "seconds": f"{trainer.seconds:.0f}",
            "held_out": str(trainer.judgement),
        }


def _schedule(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then a half cosine down to 2 %."""
    if step < WARMUP_STEPS:
        return (step + 1) / WARMUP_STEPS
    done = (step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))
