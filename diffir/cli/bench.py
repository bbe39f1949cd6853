"""`diffir bench`: what a model makes of the benchmark's tasks on a folder of clean pictures."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffir.cli.bench_folder import RESTORED, BenchFolder, Texts, is_ours
from diffir.cli.inputs import Item, expand, suffixes_of
from diffir.host.manager import Host

if TYPE_CHECKING:
    from diffir.evaluate.contenders import Dialed
    from diffir.evaluate.kept_pictures import KeptPictures

NO_MODEL = "none"


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
    curve: Annotated[
        list[str] | None,
        typer.Option(
            help="A codec, such as jpeg, or with qualities, jpeg:10,20,40,80: its rate-distortion "
            "curve, alone and restored. Repeatable."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help=f"A recipe's name or a weights file; '{NO_MODEL}' for no model.")
    ] = "moe-diffir-tiny",
    prompts: Annotated[
        list[str] | None,
        typer.Option(
            help="As of `diffir restore`: auto, none, or a pack. Repeatable: the model with each. "
            "Without it auto."
        ),
    ] = None,
    restorer: Annotated[
        list[str] | None,
        typer.Option(
            help="Another one, as further rows: NAME=FILE with weights that spandrel knows, or "
            'NAME="PROGRAM {input} {output}". Repeatable.'
        ),
    ] = None,
    time_limit: Annotated[
        float, typer.Option(min=1, help="Seconds that such a program may take for one picture.")
    ] = 600,
    metrics: Annotated[
        str, typer.Option(help="Separated by commas; 'fid', too, of 1,000 pictures or more.")
    ] = "psnr,ssim,lpips-alex,lpips-vgg,dists,psnr-b",
    fidelity: Annotated[
        list[float] | None,
        typer.Option(
            min=0, max=1, help="0 rich to 1 faithful. Repeatable. Without it the default, and 1."
        ),
    ] = None,
    consistent: Annotated[
        bool, typer.Option("--consistent/--no-consistent", help="As of `diffir restore`.")
    ] = True,
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
        typer.Option("-o", "--out", help="A folder for reports, a sheet and plots."),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Keep restored pictures in --out, as PNG. A run that was stopped goes on from "
            "them.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not Markdown.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the levels and shifts drawn.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace old results.")] = False,
) -> None:
    """Measure a model on clean pictures.

    Each is degraded by each task, restored, and compared with what it was. The unrestored picture
    is measured too. With --ablation, variants of the method are trained and compared instead, with
    --transfer prompt packs for other codecs; the options are then those of `diffir ablate` and
    `diffir bench-transfer`.
    """
    from diffir.degradations.tasks import select_tasks
    from diffir.evaluate.benchmark import run
    from diffir.evaluate.contenders import Contender
    from diffir.evaluate.curves import curves_of, parse_sweeps
    from diffir.evaluate.fid import ENOUGH, FidScores, check_count
    from diffir.evaluate.metrics import load_metrics, split_metrics
    from diffir.evaluate.other_restorers import parse_restorer
    from diffir.evaluate.protocol import find_protocol
    from diffir.evaluate.report import FID_DOUBT, left_out, to_json, to_markdown
    from diffir.evaluate.trials import Plan
    from diffir.restore.device import choose_device

    host: Host = ctx.obj
    how = find_protocol(protocol)
    sweeps = parse_sweeps(curve or (), host)
    wanted, wants_fid = split_metrics(metrics.split(","))
    kept = _kept(out, overwrite=overwrite) if keep else None
    place = out and BenchFolder(out, plots=wanted if sweeps else (), overwrite=overwrite)
    pictures = _pictures(folder, sets, out, host)[:limit]
    used = str(choose_device(device))
    contenders: list[Contender] = []
    if model != NO_MODEL:
        how_to_load = {"device": device, "consistent": consistent, "host": host}
        for packs in prompts or ("auto",):
            contenders.append(_dialed(model, packs, fidelity, **how_to_load))
    for text in restorer or ():
        contenders.append(parse_restorer(text, device=used, seconds=time_limit))
    names = [*(task or ()), *(name for sweep in sweeps for name in sweep.tasks)]
    plan = Plan(pictures, select_tasks(host, names), contenders, how, seed, kept)
    measures = load_metrics(wanted, device=used, gray=how.gray) if wanted else {}
    fid = FidScores(device=used) if wants_fid else None
    if fid and len(pictures) < ENOUGH:
        check_count(len(pictures))
        typer.echo(f"warning: {FID_DOUBT}", err=True)
    if place:
        count = len(plan.pictures) * len(plan.tasks)
        place.expect(count, lpips="lpips-alex" in measures, device=used)
    watch = place.watch if place else None
    result = run(plan, measures, fid=fid, watch=watch, progress=sys.stderr.isatty())
    curves = curves_of(result, sweeps)
    command = shlex.join(["diffir", *sys.argv[1:]])
    markdown = to_markdown(result, command=command, curves=curves)
    text = to_json(result, model=model, command=command, curves=curves)
    if place:
        title = f"{folder.name}: {model}"
        place.write(result, Texts(markdown, text, title, command), curves)
    typer.echo(text if as_json else markdown, nl=False)
    for line in left_out(result):
        typer.echo(f"error: {line}", err=True)
    if result.failures:
        raise typer.Exit(1)


def _kept(out: Path | None, *, overwrite: bool) -> KeptPictures:
    """Where restored pictures are kept."""
    from diffir.evaluate.kept_pictures import KeptPictures

    if out is None:
        raise typer.BadParameter("--keep needs a folder to keep pictures in: -o FOLDER")
    return KeptPictures(out / RESTORED, overwrite=overwrite)


def _dialed(model: str, packs: str, fidelities: Sequence[float] | None, **how: Any) -> Dialed:
    """The model with such prompts; `how` to load it as `diffir.load` has it."""
    from diffir.evaluate.contenders import Dialed
    from diffir.restore.checkpoint import find_weights
    from diffir.restore.estimates import DEFAULT_FIDELITY
    from diffir.restore.restorer import load

    restorer = load(model, prompts=packs, **how)
    with find_weights(model, how["host"]).open("rb") as file:  # its recipe is in it
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    name = model if packs == "auto" else f"{model}, prompts {packs}"
    cards = sorted(map(repr, restorer.packs))
    about = (weights, restorer.consistent, restorer.device, restorer.dtype, *cards)
    return Dialed(name, restorer, fidelities or (DEFAULT_FIDELITY, 1.0), "\n".join(map(str, about)))


def _pictures(folder: Path, sets: Path | None, out: Path | None, host: Host) -> list[Path]:
    """The files of a folder, or of the standard set of that name where there is no such folder.

    What an earlier run has left in `out` is no clean picture, wherever that lies.
    """
    from diffir.evaluate.standard_sets import find_set, is_standard

    suffixes = suffixes_of(host)
    if folder.exists() or not is_standard(str(folder)):
        return _paths(expand([str(folder)], suffixes=suffixes), out)
    standard, place = find_set(str(folder), sets)
    pictures = _paths(expand([str(place)], suffixes=suffixes), out)
    doubts = standard.doubts(len(pictures))
    if doubts is not None:
        typer.echo(f"warning: {doubts} ({place})", err=True)
    return pictures


def _paths(items: Sequence[Item], out: Path | None) -> list[Path]:
    return [item.path for item in items if out is None or not is_ours(item, out)]
