"""The training loop, on accelerate: stages in order, checkpoints every few minutes, resumable.

The output folder holds

    model.safetensors   the averaged weights as float16, with recipe and card: what `restore` loads
    state/              everything to go on from: weights, optimizer, averages, step
    log.jsonl           one line per log interval

A run that was killed and resumed ends with the weights that it would have had: pairs are a function
of their number, noise is seeded per step, and the state is exchanged atomically.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from diffir.degradations.diet import mix
from diffir.errors import CheckpointError, DataError, RecipeError
from diffir.perceptual.lpips import Lpips
from diffir.perceptual.weights import cache_folder
from diffir.train.clean_pictures import HALF, PictureCache, find_pictures
from diffir.train.held_out import HeldOut, Judgement
from diffir.train.stage_run import StageRun
from diffir.train.stages import find_stage
from diffir.train.starting_model import starting_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from diffir.host.manager import Host
    from diffir.recipes.recipe import Recipe, Stage
    from diffir.train.pair_memory import PairMemory

HELD_OUT_EVERY = 15


@dataclass(frozen=True)
class Settings:
    """How a run is made; what the model is stands in the recipe.

    stages: names of those to run, in order; None runs the recipe's. steps, batch, crop: override
    each stage's; a crop's side is a multiple of 32. precision: "no", "bf16" or "fp16".
    weights: a file of the same recipe to start from, or of one that may grow into it
    (see `diffir.train.starting_model`).
    license: of the weights, for their card.
    judge_every: steps between judgements, and one at the end of each stage; None does without.
    checkpointing: compute activations anew on the way back, where a part can: less memory, a third
    more time.
    accumulate: a step's crops go through the model in so many parts, one after the other: less
    memory. Where a loss draws noise it is drawn in another order, and where one compares crops with
    each other, as the price on idle experts does, it compares those of a part.
    """

    data: Path
    output: Path
    stages: tuple[str, ...] | None = None
    steps: int | None = None
    batch: int | None = None
    crop: int | None = None
    seed: int = 0
    weights: Path | None = None
    workers: int = 1
    cpu: bool = False
    precision: str = "no"
    resume: bool = True
    judge_every: int | None = 500
    save_minutes: float = 5.0
    license: str = "unstated"
    checkpointing: bool = False
    accumulate: int = 1
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
        memory: of pairs, for runs that see the same ones; needs `settings.workers` at 0.

    Raises:
        DataError: the folder does not serve. RecipeError: no such stage, no degradations, or
            nothing for a stage to train.
        UnknownComponentError: a codec of the recipe's is not there.
        CheckpointError: `weights` are not the recipe's; those of LPIPS have not been fetched.
    """

    def __init__(
        self,
        recipe: Recipe,
        host: Host,
        settings: Settings,
        *,
        memory: PairMemory | None = None,
    ) -> None:
        if not recipe.training.degradations:
            raise RecipeError(
                f"recipe '{recipe.name}' says no degradations to train on",
                hint="Add rows to [training] degradations.",
            )
        mix(recipe.training.degradations, host)  # a codec of a plugin that is not there: told now
        self.recipe, self.host, self.settings, self.memory = recipe, host, settings, memory
        names = settings.stages or tuple(stage.name for stage in recipe.training.stages)
        self.plan = [_override(recipe.training.stage(name), settings) for name in names]
        for stage in self.plan:  # now, not after the hours of the stages before it
            find_stage(stage.name)
        self.lpips = Lpips("alex")  # of the judgements; the same holds
        torch.manual_seed(settings.seed)
        self.model = starting_model(recipe, host, settings.weights)
        for stage in self.plan:
            self._check(stage)
        self.model.to(memory_format=torch.channels_last)
        for part in (self.model.denoiser, self.model.decoder):
            if hasattr(part, "checkpointing"):
                part.checkpointing = settings.checkpointing
        settings.output.mkdir(parents=True, exist_ok=True)
        paths = find_pictures(settings.data)
        cache = PictureCache(settings.cache)
        pictures = [cache.scales(path) for path in paths]
        held = pictures[::HELD_OUT_EVERY]
        learned = [p for i, p in enumerate(pictures) if i % HELD_OUT_EVERY] or pictures
        self.pictures = learned
        self.held_out = HeldOut([scales[HALF][:] for scales in held], host)
        self.judgement: Judgement | None = None
        self.seconds = 0.0

    def _check(self, stage: Stage) -> None:
        """Refuse what could not be trained, before any stage runs."""
        if stage.crop % self.model.multiple:
            raise DataError(f"--crop must be a multiple of {self.model.multiple}, got {stage.crop}")
        if stage.batch % self.settings.accumulate:
            raise DataError(
                f"stage '{stage.name}' has {stage.batch} crops a step, which cannot be divided "
                f"into {self.settings.accumulate} equal parts",
                hint="Give a --batch that is a multiple of --accumulate.",
            )
        check = getattr(find_stage(stage.name), "check", None)
        if check is not None:
            check(self.model)

    @property
    def identity(self) -> dict[str, Any]:
        """What a run has in common with the one that it goes on from.

        Not the learning rate, the precision or the batch: a run that diverged, or ran out of
        memory, goes on with others.
        """
        recipe, weights = self.recipe, self.settings.weights
        model = repr((recipe.encoder, recipe.denoiser, recipe.parts, recipe.sampler))
        return {
            "stages": [stage.name for stage in self.plan],
            "seed": self.settings.seed,
            "weights": None if weights is None else str(weights.resolve()),
            "model": f"{recipe.name} {hashlib.sha256(model.encode()).hexdigest()[:8]}",
        }

    def run(self) -> Iterator[Progress]:
        """Train, stage by stage, yielding after each step; the result is in the output folder.

        Raises:
            CheckpointError: the state in the output folder is damaged, or another run's.
            DataError: the loss became infinite or NaN. DeviceError: a step needs too much memory.
            OutputError: there is no space for a state.
        """
        position = self._saved_position() if self.settings.resume else None
        if position is None:
            for name in ("state", "state.previous"):  # or a later run would go on from it
                shutil.rmtree(self.settings.output / name, ignore_errors=True)
        start_stage, start_step = position or (0, 0)
        for index, stage in enumerate(self.plan):
            if index < start_stage:
                continue
            resumed = index == start_stage and position is not None
            torch.manual_seed(self.settings.seed * 100 + index)  # of a critic's first weights
            run = StageRun(self, index)
            if resumed:
                run.load()
            first = start_step if resumed else 0
            for step, loss in run.steps_from(first):
                yield Progress(stage.name, step + 1, stage.steps, loss, self.judgement)

    def _saved_position(self) -> tuple[int, int] | None:
        state, previous = (self.settings.output / name for name in ("state", "state.previous"))
        if previous.is_dir() and not state.exists():
            os.replace(previous, state)  # killed between the two steps of an exchange
        path = state / "position.json"
        if not path.is_file():
            return None
        anew = "use --no-resume, or another output folder."
        try:
            saved = json.loads(path.read_text())
            position, self.seconds = (saved["stage"], saved["step"]), saved["seconds"]
        except (ValueError, KeyError) as error:
            raise CheckpointError(
                f"{path} is damaged: nothing can be resumed from it", hint=f"To begin anew {anew}"
            ) from error
        for name, value in self.identity.items():
            if saved.get(name) != value:
                raise CheckpointError(
                    f"{path.parent} belongs to a run with other {name}: {saved.get(name)}, and "
                    f"this one has {value}",
                    hint=f"Resume with what it had, {anew}",
                )
        return position


def _override(stage: Stage, settings: Settings) -> Stage:
    return replace(
        stage,
        steps=settings.steps or stage.steps,
        batch=settings.batch or stage.batch,
        crop=settings.crop or stage.crop,
    )
