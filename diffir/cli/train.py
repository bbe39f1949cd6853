"""`diffir train`: weights for a recipe from a folder of clean pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffir.errors import DeviceError
from diffir.host.manager import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffir.train.loop import Progress


def train(
    ctx: typer.Context,
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a .toml file.")],
    data: Annotated[Path, typer.Option(help="A folder of clean pictures, searched recursively.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A folder for the run.")],
    stage: Annotated[
        list[str] | None, typer.Option(help="Run this stage alone. Repeatable, in order.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of each stage, in place of the recipe's.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Crops per step, in place of the recipe's.")
    ] = None,
    crop: Annotated[
        int | None,
        typer.Option(min=32, help="Side of a crop, a multiple of 32, in place of the recipe's."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    weights: Annotated[
        Path | None, typer.Option(help="Start from this .safetensors file of the same recipe.")
    ] = None,
    license: Annotated[str, typer.Option(help="Of the weights, for their card.")] = "unstated",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="no, bf16 or fp16.")] = "no",
    gradient_checkpointing: Annotated[
        bool, typer.Option(help="Less memory, more time: compute activations anew.")
    ] = False,
    accumulate: Annotated[
        int, typer.Option(min=1, help="Parts of a step's crops, one after the other: less memory.")
    ] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make pairs.")] = 1,
    resume: Annotated[
        bool, typer.Option(help="Go on from what is in the output folder, if anything.")
    ] = True,
    judge_every: Annotated[int, typer.Option(min=1, help="Steps between judgements.")] = 500,
) -> None:
    """Train a model.

    Pairs are made live by the recipe's degradations. The output folder gets model.safetensors,
    the state to resume from, and log.jsonl.
    """
    from diffir.recipes.recipe import load_recipe
    from diffir.restore.device import choose_device
    from diffir.train.loop import Settings, Trainer

    if device not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"--device must be auto, cpu or cuda, got '{device}'")
    choose_device(device)  # accelerate would train on the CPU where there is no CUDA
    if precision not in ("no", "bf16", "fp16"):
        raise DeviceError(f"--precision must be no, bf16 or fp16, got '{precision}'")
    host: Host = ctx.obj
    settings = Settings(
        data=data,
        output=output,
        stages=tuple(stage) if stage else None,
        steps=steps,
        batch=batch,
        crop=crop,
        seed=seed,
        weights=weights,
        license=license,
        workers=workers,
        cpu=device == "cpu",
        precision=precision,
        checkpointing=gradient_checkpointing,
        accumulate=accumulate,
        resume=resume,
        judge_every=judge_every,
    )
    trainer = Trainer(load_recipe(recipe, host), host, settings)
    trained = _show(trainer.run())
    told = str(trainer.judgement) if trained else "finished before; nothing was left"
    typer.echo(f"{output / 'model.safetensors'}: {told}")


def _show(run: Iterator[Progress]) -> bool:
    """A bar per stage, with loss and the latest judgement; whether there was a step to show."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.4f}  {task.fields[judgement]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, int] = {}
        for now in run:
            judgement = str(now.judgement or "")
            if now.stage not in tasks:
                tasks[now.stage] = bar.add_task(
                    now.stage, total=now.steps, loss=now.loss, judgement=judgement
                )
            bar.update(tasks[now.stage], completed=now.step, loss=now.loss, judgement=judgement)  # type: ignore[arg-type]
        return bool(tasks)
