"""`diffir degrade`: compress pictures as badly as a benchmark task does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffir.cli.console import for_each
from diffir.cli.inputs import expand_each, suffixes_of
from diffir.cli.outputs import Job, plan
from diffir.errors import OutputError
from diffir.host.manager import Host

if TYPE_CHECKING:
    import numpy as np

    from diffir.contracts.picture import Picture
    from diffir.degradations.tasks import Task

LOSSLESS = (".png", ".tif", ".tiff", ".bmp")
"""Formats that keep decoded pixels as they are."""


def degrade(
    ctx: typer.Context,
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files, folders or patterns.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="A file or a folder. With the codec's own suffix it gets the compressed bytes, "
            "with .png the decoded pixels.",
        ),
    ],
    task: Annotated[
        str | None, typer.Option(help="A codec and a level, or a chain: jpeg-10, double-jpeg.")
    ] = None,
    codec: Annotated[str | None, typer.Option(help="In place of --task, with --quality.")] = None,
    quality: Annotated[float | None, typer.Option(help="On the codec's own scale.")] = None,
    suffix: Annotated[
        str, typer.Option(help="For an output folder: .png, or the codec's own, such as .jpg.")
    ] = ".png",
    seed: Annotated[int, typer.Option(min=0, help="Of the levels and shifts drawn.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
) -> None:
    """Compress pictures as a task does.

    Writes the compressed bytes, or the pixels that are left of the picture.
    """
    import numpy as np

    from diffir.degradations.tasks import find_task
    from diffir.pictures.reading import read

    host: Host = ctx.obj
    chosen = find_task(host, _task_name(task, codec, quality))
    items, missing = expand_each(inputs, suffixes=suffixes_of(host))
    jobs = plan(items, output, suffix=suffix)
    generators = dict(zip(jobs, np.random.default_rng(seed).spawn(len(jobs)), strict=True))

    def work(job: Job) -> None:
        _check_suffix(job.target, chosen)
        picture = read(job.item.path, host=host)
        _write(picture, job.target, task=chosen, rng=generators[job], overwrite=overwrite)

    for_each(jobs, work, missing=missing.values())


def _task_name(task: str | None, codec: str | None, quality: float | None) -> str:
    if task is not None and codec is None and quality is None:
        return task
    if task is None and codec is not None and quality is not None:
        return f"{codec}-{quality:g}"
    raise typer.BadParameter("give either --task, or --codec and --quality")


def _own_suffixes(task: Task) -> tuple[str, ...]:
    degradation = task.codec_degradation
    return degradation.codec.spec.suffixes if degradation else ()


def _check_suffix(target: Path, task: Task) -> None:
    own = _own_suffixes(task)
    if target.suffix.lower() not in (*own, *LOSSLESS):
        bytes_go = f"{', '.join(own)} for the compressed bytes, or " if own else ""
        raise OutputError(
            f"{target} ends in '{target.suffix}', which holds neither the bytes of {task.name} "
            "nor, without loss, the pixels that are left",
            hint=f"Choose {bytes_go}{', '.join(LOSSLESS)} for the pixels.",
        )


def _write(
    picture: Picture, target: Path, *, task: Task, rng: np.random.Generator, overwrite: bool
) -> None:
    from diffir.pictures.atomic_file import check_free, write_atomically
    from diffir.pictures.writing import write

    degradation = task.codec_degradation
    if degradation is None or target.suffix.lower() not in _own_suffixes(task):
        write(task.degrade(picture, rng), target, overwrite=overwrite)
        return
    if picture.alpha is not None:
        raise OutputError(
            f"{target} would lose the transparency of the picture", hint="Write a .png file."
        )
    check_free(target, overwrite=overwrite)
    write_atomically(target, degradation.compress(picture, rng), overwrite=overwrite)
