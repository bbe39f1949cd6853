"""`diffir restore`: bad pictures in, better ones out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from diffir.cli.console import FAILED, print_error, tracing
from diffir.cli.inputs import expand_each, suffixes_of
from diffir.cli.outputs import Job, plan
from diffir.cli.restore_job import job_record, plan_job, run_job, say
from diffir.errors import DiffirError, PictureError
from diffir.host.manager import Host
from diffir.pictures.atomic_file import check_writable

if TYPE_CHECKING:
    from diffir.contracts.picture import Picture


def restore(
    ctx: typer.Context,
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files, folders or patterns.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="A file for one input, a folder for more; the tree is mirrored."
        ),
    ],
    model: Annotated[
        str, typer.Option(help="A recipe's name, or a .safetensors file.")
    ] = "moe-diffir-tiny",
    fidelity: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="0 looks best, 1 is least wrong; 0.05 by default."),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=8,
            help="Runs, of the picture turned and mirrored, whose mean is the faithful estimate; "
            "by default 8 at fidelity 1 in one step, else 1.",
        ),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of the changes to apply; by default by how hard the compression was.",
        ),
    ] = None,
    consistent: Annotated[
        bool | None,
        typer.Option(
            "--consistent/--no-consistent",
            help="Compressed again, the result gives the coefficients of the file. On for JPEG.",
        ),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(help="What compressed the inputs, all of them, whatever the files say."),
    ] = None,
    quality: Annotated[
        float | None,
        typer.Option(help="How hard it did, on its own scale: of the inputs, not of the output."),
    ] = None,
    suffix: Annotated[str, typer.Option(help="Format of the files in an output folder.")] = ".png",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="auto (float32), float32, bfloat16 or float16.")
    ] = "auto",
    tile: Annotated[
        int | None,
        typer.Option(
            help="Side of a tile, a multiple of 64 from 128 on; by default by free memory."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="1: from the degraded latent. More: from noise. By default the recipe's.",
        ),
    ] = None,
    sampler: Annotated[
        Literal["ddpm", "ddim", "dpm-solver++"] | None,
        typer.Option(help="Of more than one step. By default the recipe's."),
    ] = None,
    blend: Annotated[
        Literal["pixels", "latents"],
        typer.Option(help="What of tiles is blended: restored pixels, or latents at every step."),
    ] = "pixels",
    compiled: Annotated[
        Literal["off", "kernels", "graphs"],
        typer.Option("--compile", help="Compile the denoiser first: minutes, for many steps."),
    ] = "off",
    seed: Annotated[int, typer.Option(help="Of the noise of more than one step.")] = 0,
    prompts: Annotated[
        str,
        typer.Option(
            help="auto: the stored pack of each picture's codec. none. Or a pack's name or file."
        ),
    ] = "auto",
    dry: Annotated[
        bool, typer.Option("--plan", help="Say what would be done and why, and do nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one record per file, one line each.")
    ] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out inputs whose output is there.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
) -> None:
    """Restore compressed pictures.

    The codec and its quality are read from the file; the size is never changed; profiles, EXIF,
    transparency and 16 bits are kept. A file that fails is reported and the rest goes on; the exit
    code is then 1.
    """
    host: Host = ctx.obj
    _check_facts(host, codec, quality)
    _check_tile(tile)
    items, missing = expand_each(inputs, suffixes=suffixes_of(host))
    _tell_missing(missing, as_json=as_json)
    jobs = plan(items, output, suffix=suffix)
    todo = _without_existing(jobs, as_json=as_json) if skip_existing else jobs
    if not todo:
        raise typer.Exit(FAILED if missing else 0)

    for folder in {job.target.parent for job in todo if not dry}:
        check_writable(folder)

    from diffir.restore.estimates import DEFAULT_FIDELITY
    from diffir.restore.restorer import load

    restorer = load(
        model,
        device=device,
        dtype=dtype,
        tile=tile,
        steps=steps,
        seed=seed,
        fidelity=DEFAULT_FIDELITY if fidelity is None else fidelity,
        strength=strength,
        views=views,
        consistent=consistent is not False,
        prompts=prompts,
        sampler=sampler,
        blend=blend,
        compiled=compiled,
        host=host,
    )

    def work(job: Job) -> dict[str, Any]:
        picture = _read(job, host, codec=codec, quality=quality)
        done = plan_job if dry else run_job
        return done(job, picture, restorer, overwrite=overwrite)

    failed = bool(missing)
    with _progress(len(todo), shown=not as_json and not dry) as advance:
        for job in todo:
            try:
                record = work(job)
            except Exception as error:  # of whatever kind: the other files must still come
                if tracing():
                    raise
                failed = True
                _tell_failed(job, error, as_json=as_json)
            else:
                say(record, as_json=as_json, asked=bool(consistent))
            advance()
    if failed:
        raise typer.Exit(FAILED)


def _tell_failed(job: Job, error: Exception, *, as_json: bool) -> None:
    print_error(error, about=job)
    if as_json:
        say(job_record(job, status="failed", **_told(error)), as_json=True)


def _tell_missing(missing: Mapping[str, PictureError], *, as_json: bool) -> None:
    for name, error in missing.items():
        print_error(error)
        if as_json:
            record = {"input": name, "output": None, "status": "failed", **_told(error)}
            say(record, as_json=True)


def _told(error: Exception) -> dict[str, str | None]:
    if isinstance(error, DiffirError):
        return {"error": error.message, "hint": error.hint}
    return {"error": f"{type(error).__name__}: {error}", "hint": None}


def _without_existing(jobs: Sequence[Job], *, as_json: bool) -> Sequence[Job]:
    """The jobs whose target is not there yet; the others are told."""
    skipped = [job for job in jobs if job.target.exists()]
    for job in skipped:
        say(job_record(job, status="skipped"), as_json=as_json)
    return [job for job in jobs if job not in skipped]


def _check_facts(host: Host, codec: str | None, quality: float | None) -> None:
    """Refuse what the user says of the codec before any work begins."""
    if codec is None:
        return
    scale = host.codec(codec).spec.scale
    if quality is not None and not scale.contains(quality):
        low, high = sorted((scale.worst, scale.best))
        raise typer.BadParameter(
            f"{codec} has {scale.label} from {low:g} to {high:g}, got {quality:g}",
            param_hint="--quality",
        )


def _check_tile(tile: int | None) -> None:
    if tile is None:
        return
    from diffir.restore.tiling import GRID, SMALLEST_TILE

    if tile < SMALLEST_TILE or tile % GRID:
        raise typer.BadParameter(
            f"expected a multiple of {GRID} from {SMALLEST_TILE} up, got {tile}",
            param_hint="--tile",
        )


def _read(job: Job, host: Host, *, codec: str | None, quality: float | None) -> Picture:
    from diffir.pictures.reading import read

    picture = read(job.item.path, host=host)
    if codec is None and quality is None:
        return picture
    name = codec or picture.codec.name
    if name is None:
        raise PictureError(
            f"{job.item.path}: --quality means nothing without a codec",
            hint="This file does not say what compressed it: give --codec as well.",
        )
    scale = host.codec(name).spec.scale
    if quality is not None and not scale.contains(quality):
        low, high = sorted((scale.worst, scale.best))
        raise PictureError(
            f"{job.item.path} is {name}, which has {scale.label} from {low:g} to {high:g}, "
            f"got {quality:g}",
            hint="Give a --quality on that scale.",
        )
    facts = picture.codec.with_user_facts(name=codec, quality=quality, scale=scale)
    return replace(picture, codec=facts)


@contextmanager
def _progress(total: int, *, shown: bool) -> Iterator[Any]:
    """A bar on stderr for more than one file, where somebody looks."""
    if not shown or total < 2:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("restore", total=total)
        yield lambda: bar.advance(task)
