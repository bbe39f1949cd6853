"""Other restorers as rows of a benchmark, from what a command line says of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from diffir.errors import DataError
from diffir.evaluate.command_restorer import SECONDS, CommandRestorer
from diffir.evaluate.contenders import Undialed


def parse_restorer(text: str, *, device: str = "cpu", seconds: float = SECONDS) -> Undialed:
    """`NAME=FILE` with weights, or `NAME=PROGRAM {input} {output}`.

    Args:
        text: what follows `--restorer`.
        device: where networks run, as torch names it.
        seconds: that a program may take for one picture.

    Raises:
        DataError: it is neither.
        CodecError: the command line has other placeholders.
        CheckpointError: weights that cannot be loaded.
        MissingDependencyError: the package that loads them is not installed.
    """
    name, _, spec = (part.strip() for part in text.partition("="))
    if not name or not spec:
        raise DataError(
            f"expected NAME=FILE or NAME=COMMAND for a restorer, got '{text}'",
            hint='Such as fbcnn=fbcnn_color.pth, or mine="python mine.py {input} {output}".',
        )
    if "{" in spec:
        return Undialed(name, CommandRestorer(name, spec, seconds), spec)
    from diffir.evaluate.spandrel_restorer import SpandrelRestorer

    path = Path(spec).expanduser()
    network = SpandrelRestorer(name, path, device=device)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Undialed(name, network, f"{digest} {device}")
