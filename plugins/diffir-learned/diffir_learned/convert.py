"""Converts CompressAI's published weights: `python -m diffir_learned.convert FILE -o FOLDER`.

Published files are called `cheng2020_attn-mse-1-465f2b64.pth.tar` or `cheng2020-anchor-1-...`; the
name says architecture, metric and quality. They are pickles, and are read by an unpickler that
makes tensors only. Their networks are under CompressAI's license.
"""

from __future__ import annotations

import re
from pathlib import Path  # noqa: TC003 (typer reads it)
from typing import Annotated

import torch
import typer
from torch import Tensor

from diffir.cli.console import for_each
from diffir.errors import CodecError
from diffir_learned.families import BEST_LEVEL
from diffir_learned.networks import network_from, published_names
from diffir_learned.weights import save_weights

NAME = re.compile(
    r"cheng2020[-_](?P<kind>attn|anchor)-(?:(?P<metric>mse|ms-ssim)-)?(?P<level>\d)[-.]"
)


def what_is(name: str) -> tuple[str, str, int]:
    """Family, architecture and level of a published file, by its name.

    Raises:
        CodecError: not such a name, or a quality that was not published.
    """
    match = NAME.match(name)
    if match is None:
        raise CodecError(
            f"'{name}' does not say what it holds",
            hint="Give CompressAI's file under its own name: cheng2020_attn-mse-1-465f2b64.pth.tar",
        )
    level = int(match["level"])
    if not 1 <= level <= BEST_LEVEL:
        raise CodecError(f"'{name}' is of quality {level}; there are 1 to {BEST_LEVEL}")
    family = "cheng2020-ssim" if match["metric"] == "ms-ssim" else "cheng2020-psnr"
    return family, f"cheng2020-{match['kind']}", level


def convert(source: Path, folder: Path) -> Path:
    """Write the safetensors file of a published one; returns its path.

    Raises:
        CodecError: not one of the published files, or it holds more than tensors.
    """
    family, architecture, level = what_is(source.name)
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # on bytes that are no pickle the unpickler may fail in any way
        raise CodecError(
            f"{source} could not be read as tensors alone: {type(error).__name__}",
            hint="Get the file again, from CompressAI.",
        ) from error
    tensors = content.get("state_dict", content) if isinstance(content, dict) else {}
    tensors = {key: value for key, value in tensors.items() if isinstance(value, Tensor)}
    network = network_from(published_names(tensors), architecture, str(source))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{family}-{level}.safetensors"
    card = {"source": source.name, "license": "BSD-3-Clause-Clear"}
    save_weights(network, path, architecture, card, dtype=torch.float32)
    return path


def main(
    source: Annotated[list[Path], typer.Argument(help="CompressAI's files.")],
    output: Annotated[Path, typer.Option("-o", help="Folder of the converted weights.")],
) -> None:
    """Convert published weights for DIFFIR_LEARNED_WEIGHTS."""
    for_each(source, lambda path: typer.echo(convert(path, output)))


if __name__ == "__main__":
    typer.run(main)
