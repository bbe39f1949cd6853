"""`diffir finetune-prompts`: a prompt pack for one more codec."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffir.cli.console import print_warning
from diffir.errors import DataError, OutputError
from diffir.host.manager import Host
from diffir.pictures.atomic_file import check_free, check_writable

if TYPE_CHECKING:
    from diffir.train.finetuning import FineTuning, Request
    from diffir.train.transfer import Progress
    from diffir.train.transfer_judge import Verdict


def finetune_prompts(
    ctx: typer.Context,
    codec: Annotated[str, typer.Option(help="The codec's registered name.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The pack, a .safetensors file.")],
    data: Annotated[
        Path | None, typer.Option(help="A folder of clean pictures, searched recursively.")
    ] = None,
    pairs: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="COMPRESSED CLEAN", help="Two folders of files of the same names."),
    ] = None,
    quality: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="FROM TO",
            help="Qualities to draw from; else those that the model was trained on, or, of a new "
            "codec, its levels.",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="A recipe's name, or a .safetensors file.")
    ] = "moe-diffir-tiny",
    name: Annotated[str | None, typer.Option(help="Of the pack; else the codec's.")] = None,
    license: Annotated[str, typer.Option(help="Of the pack, for its card.")] = "unstated",
    budget: Annotated[
        str | None,
        typer.Option(help="Time for training, such as 90s, 10m or 1h; preparing comes on top."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    crops: Annotated[int | None, typer.Option(min=8, help="Crops to learn from.")] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1, help="Crops per step; by default 2, and 8 with --full or a model that samples."
        ),
    ] = None,
    experts: Annotated[int, typer.Option(min=1, help="New experts in each place.")] = 1,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=0, help="Its peak; by default 0.001, and 0.0002 with --full."),
    ] = None,
    judge_every: Annotated[int, typer.Option(min=1, help="Steps between judgements.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    full: Annotated[
        bool, typer.Option(help="Train everything and write a whole model: the yardstick.")
    ] = False,
    critic: Annotated[
        bool, typer.Option(help="Let a patch discriminator have a say, too.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = (
        False
    ),
    sheet: Annotated[
        Path | None, typer.Option(help="A PNG for held-out crops before and after.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="A PNG for the course of held-out LPIPS and DISTS.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fine-tune expert prompts for one codec, most of all one that is new to the model.

    Only new experts and their gates train; everything else is frozen, and pictures of other codecs
    come out as before. The pack is small; install it with: diffir prompts install PACK
    """
    if output.suffix != ".safetensors":
        raise OutputError(
            f"{output} does not end in .safetensors", hint="Name it such as pack.safetensors."
        )
    free = overwrite or not output.exists()
    if not free and not _state_of(output).exists():
        raise _exists(output)
    check_writable(output.parent)
    for picture in (sheet, plot):
        if picture is not None:
            check_free(picture, overwrite=overwrite)  # before the work, not after it
    seconds = None if budget is None else parse_budget(budget)

    from diffir.train.finetuning import Request
    from diffir.train.transfer import Effort
    from diffir.train.transfer_state import load_state

    host: Host = ctx.obj
    effort = Effort(
        steps or 0,
        batch=batch,
        learning_rate=learning_rate,
        seconds=seconds,
        judge_every=judge_every,
        experts=experts,
        seed=seed,
        full=full,
        critic=critic,
    )
    request = Request(
        codec=codec,
        data=data,
        pairs=pairs,
        qualities=quality,
        model=model,
        name=name,
        license=license,
        crops=crops,
        device=device,
        effort=effort,
    )
    tuning = _prepared(request, host, shown=not as_json)
    if not free and load_state(_state_of(output), key=tuning.transfer.key) is None:
        raise _exists(output)  # by another run than the one that this would go on with
    last, told = _run(tuning, output, shown=not as_json)
    if told is None:
        raise DataError("training ended before its first judgement", hint="Give it more steps.")
    if sheet is not None:
        _draw(tuning, sheet, overwrite=overwrite)
    if plot is not None:
        _plot(tuning, plot, overwrite=overwrite)
    if as_json:
        typer.echo(json.dumps(_record(tuning, last, told, output)))
    else:
        _tell(told, output, full=full)


def parse_budget(text: str) -> float:
    """Seconds of "90s", "10m" or "1h"."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    try:
        seconds = float(text[:-1]) * units[text[-1:]]
    except (ValueError, KeyError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise typer.BadParameter(
            f"expected a time such as 90s, 10m or 1h, got {text!r}", param_hint="--budget"
        )
    return seconds


def _prepared(request: Request, host: Host, *, shown: bool) -> FineTuning:
    from diffir.train.finetuning import FineTuning

    with _waiting("drawing crops and computing their features", shown=shown):
        tuning = FineTuning(request, host)
    if tuning.colorless:
        print_warning(
            f"{tuning.colorless} of {tuning.pictures} pictures have no color: the prompts learn "
            "nothing of color from them"
        )
    return tuning


def _run(tuning: FineTuning, output: Path, *, shown: bool) -> tuple[Progress, Verdict | None]:
    """Train with a bar; each better pack is written at once, so that a kill loses little.

    Returns where the run ended, and what the witness says of the best.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from diffir.restore.pack_file import save_packs

    if not tuning.effort.full:
        with _waiting("learning to recognize the codec", shown=shown):
            tuning.prepare_recognizer()  # before the training, for an encoder may fail
    with _waiting("judging the base model", shown=shown):
        witness = tuning.witness
    tuning.release_pictures()
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
    )
    with Bar(*columns, console=Console(stderr=True), disable=not shown) as bar:
        row = bar.add_task("", total=tuning.effort.steps, loss=0.0)
        judged = written = told = None
        for now in tuning.transfer.run(_state_of(output)):
            if now.best is not None and now.best is not written:
                written = now.best
                told = tuning.transfer.judge_best(witness)
                if tuning.effort.full:
                    _write_whole(tuning, output)
                else:
                    save_packs([tuning.pack(told)], output)
            if now.verdict is not None and now.verdict is not judged:
                judged = now.verdict
                bar.console.print(f"step {now.step}: {judged.short}", highlight=False)
            bar.update(row, completed=now.step, loss=now.loss)
    return now, told


def _waiting(what: str, *, shown: bool) -> AbstractContextManager[object]:
    """Says what is being done where nobody can tell how long it takes."""
    from rich.console import Console

    return Console(stderr=True).status(what) if shown else nullcontext()


def _state_of(output: Path) -> Path:
    return output.with_suffix(".state")


def _exists(output: Path) -> OutputError:
    return OutputError(f"{output} exists already", hint="Choose another name, or --overwrite.")


def _draw(tuning: FineTuning, sheet: Path, *, overwrite: bool) -> None:
    import numpy as np

    from diffir.contracts.picture import Picture
    from diffir.evaluate.sheet import Strip, draw_sheet
    from diffir.pictures.writing import write

    drawn = draw_sheet([Strip(panels) for panels in tuning.comparisons()])
    write(Picture(np.asarray(drawn)), sheet, overwrite=overwrite)


def _plot(tuning: FineTuning, plot: Path, *, overwrite: bool) -> None:
    from io import BytesIO

    from diffir.evaluate.line_plot import draw_lines
    from diffir.pictures.atomic_file import write_atomically

    curve = tuning.transfer.curve
    curves = {
        "LPIPS": [(step, seen.mean.lpips / seen.base.lpips) for step, seen in curve],
        "DISTS": [(step, seen.mean.dists / seen.base.dists) for step, seen in curve],
    }
    for points in curves.values():
        points.insert(0, (0, 1.0))
    image = BytesIO()
    draw_lines(curves, across="steps", up="held-out crops, base model = 1").save(image, "PNG")
    write_atomically(plot, image.getvalue(), overwrite=overwrite)


def _tell(best: Verdict, output: Path, *, full: bool) -> None:
    typer.echo(f"{output}: {best}")
    for metric, gain in (("LPIPS", best.lpips), ("DISTS", best.dists)):
        if not gain.high < 0:
            typer.echo(
                f"The change of {metric} is not a gain beyond chance: look at --sheet, or give it "
                "more time and pictures.",
                err=True,
            )
    if not full:
        typer.echo(f"install it: diffir prompts install {output}")


def _write_whole(tuning: FineTuning, output: Path) -> None:
    import torch

    from diffir.restore.checkpoint import save_tensors

    tensors = {**tuning.transfer.model.state_dict(), **tuning.transfer.best}
    save_tensors(tensors, output, recipe=tuning.recipe, dtype=torch.float16)


def _record(tuning: FineTuning, last: Progress, told: Verdict, output: Path) -> dict[str, object]:
    from dataclasses import asdict

    whole = sum(parameter.numel() for parameter in tuning.base.parameters())
    return {
        "pack": str(output),
        "codec": tuning.request.codec,
        "pictures": tuning.pictures,
        "steps": last.step,
        "seconds": round(last.seconds, 1),
        "parameters": tuning.transfer.parameters,
        "share_of_model": tuning.transfer.parameters / whole,
        "bytes": output.stat().st_size,
        "verdict": asdict(told),
    }
