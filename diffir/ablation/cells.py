"""The cells of an ablation: each variant, by its question's stages, once for each seed.

All cells take as many steps, with the same pairs, from weights that are equal wherever two variants
have the same parts: what is left between them is what was changed. Each cell's result is a file,
written whole or not at all, so that a run which was killed goes on with the next cell.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from diffir.ablation.questions import DEFAULT, Variant, questions
from diffir.ablation.witnesses import multiply_adds
from diffir.errors import DataError
from diffir.pictures.atomic_file import check_writable, write_atomically
from diffir.recipes.derive import derive
from diffir.restore.assemble import assemble
from diffir.restore.checkpoint import load_checkpoint, save_checkpoint
from diffir.restore.prompt_packs import model_hash
from diffir.train.clean_pictures import find_pictures
from diffir.train.loop import Settings, Trainer
from diffir.train.pair_memory import PairMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from diffir.ablation.questions import Question
    from diffir.ablation.witnesses import Figures, Witnesses
    from diffir.diffusion.model import RestorationModel
    from diffir.host.manager import Host
    from diffir.recipes.recipe import Recipe


@dataclass(frozen=True)
class Budget:
    """What each cell may spend: the same for all.

    stages: of every cell; None takes those of each question. steps: of each stage. batch: crops per
    step. crop: their side in pixels.
    """

    steps: int
    stages: tuple[str, ...] | None = None
    batch: int = 4
    crop: int = 64
    learning_rate: float = 1e-3
    precision: str = "bf16"


@dataclass(frozen=True)
class Plan:
    """An ablation.

    data: a folder of pictures to train on. output: a folder for results. weights: of the recipe, to
    start from where no variant of any question differs; None starts from fresh ones.
    """

    recipe: Recipe
    host: Host
    data: Path
    output: Path
    budget: Budget
    questions: tuple[Question, ...]
    seeds: tuple[int, ...]
    cpu: bool = False
    weights: Path | None = None

    def stages(self, question: Question) -> tuple[str, ...]:
        """By which stages the question's cells are trained."""
        return self.budget.stages or question.stages


@dataclass(frozen=True)
class Cell:
    """One training run."""

    variant: Variant
    stages: tuple[str, ...]
    seed: int

    @property
    def name(self) -> str:
        """Of its file: `n-3.compensator.seed-0`."""
        return f"{self.variant.name}.{'+'.join(self.stages)}.seed-{self.seed}"


@dataclass(frozen=True)
class CellResult:
    """What came of a cell. multiply_adds: per pixel. seconds: of training and judgement."""

    cell: str
    parameters: int
    multiply_adds: float
    seconds: float
    figures: Figures


def cells(plan: Plan) -> list[Cell]:
    """Seed by seed, so that a run that is stopped early has whole rows."""
    singles = {
        (variant.name, plan.stages(question)): variant
        for question in plan.questions
        for variant in question.variants
    }
    return [
        Cell(variant, stages, seed)
        for seed in plan.seeds
        for (_, stages), variant in singles.items()
    ]


def run(
    plan: Plan, witnesses: Witnesses, *, step: Callable[[], None] = lambda: None
) -> Iterator[tuple[Cell, CellResult]]:
    """Run every cell whose result is not there yet, yielding each as it is known.

    Args:
        plan: what to run.
        witnesses: judge each cell's model.
        step: called after each step of training.

    Raises:
        DataError: a result in the folder is of another budget, other pictures or other weights, or
            not readable.
        OutputError: nothing can be written into the folder.
    """
    memory, seed = PairMemory(), None
    check_writable(plan.output)
    plan.output.mkdir(parents=True, exist_ok=True)
    setup = {**_setup(plan), **witnesses.about}
    for cell in cells(plan):
        path = plan.output / "cells" / f"{cell.name}.json"
        if not path.exists():
            if cell.seed != seed:
                memory, seed = PairMemory(), cell.seed
            result = _train(plan, cell, witnesses, memory, step)
            text = json.dumps({"setup": setup, **asdict(result)}, indent=1) + "\n"
            write_atomically(path, text.encode(), overwrite=True)
        yield cell, _read(path, setup)


def _train(
    plan: Plan,
    cell: Cell,
    witnesses: Witnesses,
    memory: PairMemory,
    step: Callable[[], None],
) -> CellResult:
    started = time.monotonic()
    recipe = _recipe(plan, cell)
    model = _starting_model(plan, recipe, cell.seed)
    adds = multiply_adds(model)
    with tempfile.TemporaryDirectory(prefix=".cell-", dir=plan.output) as folder:
        place = Path(folder)
        start = place / "start.safetensors"
        save_checkpoint(model, start, recipe=recipe, dtype=torch.float32)
        settings = Settings(
            data=plan.data,
            output=place,
            seed=cell.seed,
            weights=start,
            workers=0,
            cpu=plan.cpu,
            precision=plan.budget.precision,
            judge_every=None,
        )
        trainer = Trainer(recipe, plan.host, settings, memory=memory)
        for _ in trainer.run():
            step()
    # As it ended, not its average, which still remembers the first of so few steps.
    figures = witnesses.judge(trainer.model, cell.stages)
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    return CellResult(cell.name, parameters, adds, time.monotonic() - started, figures)


def _recipe(plan: Plan, cell: Cell) -> Recipe:
    budget = plan.budget
    stages = [
        {
            "name": name,
            "steps": budget.steps,
            "learning_rate": budget.learning_rate,
            "batch": budget.batch,
            "crop": budget.crop,
        }
        for name in cell.stages
    ]
    name = plan.recipe.name if cell.variant.name == DEFAULT else cell.variant.name
    return derive(plan.recipe, name, {**cell.variant.changes, "training": {"stages": stages}})


def _starting_model(plan: Plan, recipe: Recipe, seed: int) -> RestorationModel:
    """Fresh weights; the default's own wherever the variant has a weight of that name and shape."""
    torch.manual_seed(seed)
    default = assemble(plan.recipe, plan.host).state_dict()
    if plan.weights is not None:
        trained = load_checkpoint(plan.weights, plan.host)[0].state_dict()
        default.update({name: trained[name] for name in _never_changed(plan) & trained.keys()})
    torch.manual_seed(seed)
    model = assemble(recipe, plan.host)
    own = model.state_dict()
    shared = {n: t for n, t in default.items() if n in own and own[n].shape == t.shape}
    model.load_state_dict({**own, **shared})
    return model


def _never_changed(plan: Plan) -> set[str]:
    """Names of the weights that every variant of every question has, in one shape.

    What some variant lacks starts fresh in all of them: trained experts would win against new ones.
    """
    shapes = []
    with torch.random.fork_rng(devices=[]):
        for question in questions(plan.recipe):
            for variant in question.variants:
                model = assemble(derive(plan.recipe, variant.name, variant.changes), plan.host)
                shapes.append({(n, tuple(t.shape)) for n, t in model.state_dict().items()})
    return {name for name, _ in set.intersection(*shapes)}


def _setup(plan: Plan) -> dict[str, Any]:
    """What must be equal for two results to be compared."""
    weights = None
    if plan.weights is not None:
        weights = model_hash(load_checkpoint(plan.weights, plan.host)[0])[:12]
    pictures = find_pictures(plan.data)
    listed = "".join(f"{p.relative_to(plan.data)} {p.stat().st_size}\n" for p in pictures)
    setup = {
        "recipe": plan.recipe.name,
        "words": _digest(plan.recipe.text.encode()),
        "data": _digest(listed.encode(errors="surrogateescape")),
        "weights": weights,
    }
    budget = asdict(plan.budget)
    del budget["stages"]  # they stand in the name of the cell
    return {**setup, **budget}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _read(path: Path, setup: dict[str, Any]) -> CellResult:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        made_with = found.pop("setup")
        result = CellResult(**found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not the result of a cell: {error}", hint="Delete it to run the cell again."
        ) from error
    if made_with != setup:
        odd = [key for key, value in setup.items() if made_with.get(key) != value]
        raise DataError(
            f"{path} was made with another {', '.join(odd)}",
            hint="Use another folder for -o, or the options of that run.",
        )
    return result
