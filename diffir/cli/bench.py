"""`diffir bench`: what a model makes of the benchmark's tasks on a folder of clean pictures."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffir.cli.inputs import expand, suffixes_of
from diffir.host.manager import Host

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffir.evaluate.sheet import Strip
    from diffir.evaluate.trials import Trial

NO_MODEL = "none"
MOST_STRIPS = 12
"""A sheet with more rows than that is not looked at."""


def bench(
    ctx: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(
            help="Clean pictures; or a standard set by name: LIVE1, Classic5, BSDS500, DIV2K, ICB, "
            "Kodak."
        ),
    ],
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="Such as jpeg-10, or 'method' for the 21 of MoE-DiffIR. Repeatable. All levels of "
            "all codecs without it."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help=f"A recipe's name or a weights file; '{NO_MODEL}' for no model.")
    ] = "moe-diffir-tiny",
    metrics: Annotated[
        str, typer.Option(help="Separated by commas.")
    ] = "psnr,ssim,lpips-alex,lpips-vgg,dists,psnr-b",
    fidelity: Annotated[
        list[float] | None,
        typer.Option(
            min=0, max=1, help="0 rich to 1 faithful. Repeatable. Without it the default, and 1."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take only so many pictures, the first ones.")
    ] = None,
    sets: Annotated[
        Path | None,
        typer.Option(help="Your folder of standard sets; without it $DIFFIR_DATA."),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="native-rgb, paper-256 or matlab-y-gray: see the page Benchmark.")
    ] = "native-rgb",
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="A folder for report.md, report.json and sheet.png."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not Markdown.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the levels and shifts drawn.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace old reports.")] = False,
) -> None:
    """Measure a model on clean pictures.

    Each is degraded by each task, restored, and compared with what it was. The unrestored picture
    is measured too. With --ablation, variants of the method are trained and compared instead; the
    options are then those of `diffir ablate`.
    """
    from diffir.degradations.tasks import select_tasks
    from diffir.evaluate.benchmark import run
    from diffir.evaluate.contenders import Dialed
    from diffir.evaluate.metrics import load_metrics
    from diffir.evaluate.protocol import find_protocol
    from diffir.evaluate.report import to_json, to_markdown
    from diffir.evaluate.trials import Plan
    from diffir.restore.device import choose_device
    from diffir.restore.estimates import DEFAULT_FIDELITY
    from diffir.restore.restorer import load

    host: Host = ctx.obj
    how = find_protocol(protocol)
    if out is not None:
        _check_free(out, overwrite=overwrite)
    pictures = _pictures(folder, sets, host)[:limit]
    contenders = []
    if model != NO_MODEL:
        restorer = load(model, device=device, host=host)
        contenders.append(Dialed(model, restorer, fidelity or (DEFAULT_FIDELITY, 1.0)))
    plan = Plan(pictures, select_tasks(host, task or ()), contenders, how, seed)
    measures = load_metrics(metrics.split(","), device=str(choose_device(device)), gray=how.gray)
    strips: list[Strip] = []
    watch = _collector(strips, first=plan.pictures[0])
    result = run(plan, measures, watch=watch, progress=sys.stderr.isatty())
    command = shlex.join(["diffir", *sys.argv[1:]])
    markdown = to_markdown(result, command=command)
    text = to_json(result, model=model, command=command)
    typer.echo(text if as_json else markdown, nl=False)
    if out is not None:
        _write(out, {"report.md": markdown, "report.json": text}, strips)
    if result.failures:
        raise typer.Exit(1)


def _pictures(folder: Path, sets: Path | None, host: Host) -> list[Path]:
    """The files of a folder, or of the standard set of that name where there is no such folder."""
    from diffir.evaluate.standard_sets import find_set, is_standard

    suffixes = suffixes_of(host)
    if folder.exists() or not is_standard(str(folder)):
        return [item.path for item in expand([str(folder)], suffixes=suffixes)]
    standard, place = find_set(str(folder), sets)
    pictures = [item.path for item in expand([str(place)], suffixes=suffixes)]
    doubts = standard.doubts(len(pictures))
    if doubts is not None:
        typer.echo(f"warning: {doubts} ({place})", err=True)
    return pictures


def _collector(strips: list[Strip], *, first: Path) -> Callable[[Trial], None]:
    from diffir.evaluate.sheet import trial_strip

    def watch(trial: Trial) -> None:
        if trial.path == first and len(strips) < MOST_STRIPS:
            strips.append(trial_strip(trial))

    return watch


def _check_free(out: Path, *, overwrite: bool) -> None:
    from diffir.pictures.atomic_file import check_free

    for name in ("report.md", "report.json", "sheet.png"):
        check_free(out / name, overwrite=overwrite)


def _write(out: Path, texts: dict[str, str], strips: list[Strip]) -> None:
    from io import BytesIO

    from diffir.evaluate.sheet import draw_sheet
    from diffir.pictures.atomic_file import write_atomically

    for name, text in texts.items():
        write_atomically(out / name, text.encode(), overwrite=True)
    sheet = BytesIO()
    draw_sheet(strips).save(sheet, "PNG")
    write_atomically(out / "sheet.png", sheet.getvalue(), overwrite=True)
