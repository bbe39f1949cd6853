"""`diffir ablate`, or `diffir bench --ablation`: what each part of the method is worth."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffir.cli.inputs import expand, suffixes_of
from diffir.errors import DeviceError
from diffir.host.manager import Host

if TYPE_CHECKING:
    from diffir.ablation.cells import Plan
    from diffir.ablation.witnesses import Witnesses


def ablate(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Clean pictures to judge by, such as LIVE1.")],
    train: Annotated[
        Path, typer.Option(help="A folder of clean pictures to train on; others than FOLDER.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="A folder for results and report.")],
    recipe: Annotated[
        str, typer.Option(help="A recipe's name, or a .toml file.")
    ] = "moe-diffir-tiny",
    only: Annotated[
        str | None,
        typer.Option(help="Questions, separated by commas: prompts, text, prior, N, K."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each stage, in every cell.")] = 1000,
    stage: Annotated[
        list[str] | None,
        typer.Option(
            help="Train every cell by this stage. Repeatable, in order. Else by question."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How often each cell runs.")] = 3,
    task: Annotated[
        list[str] | None,
        typer.Option(help="Judge by this task. Repeatable. Else by four of different codecs."),
    ] = None,
    metrics: Annotated[
        str, typer.Option(help="Beside PSNR, separated by commas.")
    ] = "lpips-alex,dists",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Judge by so many pictures, the first ones.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="A recipe's name or a weights file: start from these where no variant differs. "
            "Else from fresh ones."
        ),
    ] = None,
    learning_rate: Annotated[float, typer.Option(min=1e-6, max=1, help="Its peak.")] = 1e-3,
    batch: Annotated[int, typer.Option(min=1, help="Crops per step.")] = 4,
    crop: Annotated[int, typer.Option(min=32, help="Side of a crop, a multiple of 32.")] = 64,
    precision: Annotated[str, typer.Option(help="no, bf16 or fp16.")] = "bf16",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not Markdown.")] = False,
) -> None:
    """Train a recipe and variants of it alike, and compare them.

    Each variant changes one thing: the prompts, the visual-to-text adapter, the degradation prior,
    the number of prompts N, the K of them that take part. The output folder gets a file for each
    run, report.md, report.json and a plot for each question. The same command goes on where it was
    stopped.
    """
    from diffir.ablation.cells import Budget, Plan
    from diffir.ablation.questions import questions
    from diffir.ablation.report import Report
    from diffir.ablation.witnesses import TASKS, Witnesses
    from diffir.evaluate.metrics import load_metrics
    from diffir.recipes.recipe import load_recipe
    from diffir.restore.checkpoint import find_weights
    from diffir.restore.device import choose_device
    from diffir.train.clean_pictures import check_apart, find_pictures

    if precision not in ("no", "bf16", "fp16"):
        raise DeviceError(f"--precision must be no, bf16 or fp16, got '{precision}'")
    host: Host = ctx.obj
    chosen = choose_device(device)
    plan = Plan(
        recipe=(default := load_recipe(recipe, host)),
        host=host,
        data=train,
        output=out,
        budget=Budget(
            steps, tuple(stage) if stage else None, batch, crop, learning_rate, precision
        ),
        questions=questions(default, only.split(",") if only else ()),
        seeds=tuple(range(seeds)),
        cpu=chosen.type == "cpu",
        weights=find_weights(weights, host) if weights else None,
    )
    paths = [item.path for item in expand([str(folder)], suffixes=suffixes_of(host))][:limit]
    check_apart(paths, find_pictures(train))
    measures = load_metrics(["psnr", *filter(None, metrics.split(","))], device=str(chosen))
    witnesses = Witnesses(paths, task or TASKS, host, measures)
    results = _run(plan, witnesses)
    command = shlex.join(["diffir", *sys.argv[1:]])
    report = Report(plan, results, witnesses.unrestored(), command)
    report.write(out)
    typer.echo(report.json() if as_json else report.markdown(), nl=False)


def _run(plan: Plan, witnesses: Witnesses) -> dict[str, Any]:
    """Every cell's result by its name, with a bar on the standard error stream."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from diffir.ablation.cells import cells, run

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    todo, found = cells(plan), {}
    per_cell = [plan.budget.steps * len(cell.stages) for cell in todo]
    with Progress(*columns, console=Console(stderr=True)) as bar:
        row = bar.add_task(f"0 of {len(todo)} cells", total=sum(per_cell))
        for number, (cell, result) in enumerate(
            run(plan, witnesses, step=lambda: bar.advance(row)), start=1
        ):
            found[cell.name] = result
            told = f"{number} of {len(todo)} cells"
            bar.update(row, completed=sum(per_cell[:number]), description=told)
    return found
