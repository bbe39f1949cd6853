"""What a call must not do to the process: print, or draw from the global random generators."""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from diffir.testing.suite import require

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = 120
"""Characters of unwanted output that a message quotes."""


@contextlib.contextmanager
def silence_required(what: str) -> Iterator[None]:
    """Fail if the block writes to stdout or stderr, from Python or from a native library."""
    text = io.StringIO()
    with tempfile.TemporaryFile() as file:
        with (
            _file_descriptors_to(file.fileno()),
            contextlib.redirect_stdout(text),
            contextlib.redirect_stderr(text),
        ):
            yield
        file.seek(0)
        printed = text.getvalue() + file.read().decode(errors="replace")
    require(
        not printed,
        expected=f"{what} to print nothing",
        got=repr(printed[:SHOWN]),
        fix="Remove the print, or switch off the log of the native library.",
    )


@contextlib.contextmanager
def _file_descriptors_to(target: int) -> Iterator[None]:
    # Native libraries write to descriptors 1 and 2 past sys.stdout and sys.stderr.
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    try:
        for number in kept:
            os.dup2(target, number)
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)


@contextlib.contextmanager
def random_state_required(what: str, *, fix: str) -> Iterator[None]:
    """Fail if the block draws from, or seeds, a global generator of random, numpy or torch."""
    before = _random_states()
    yield
    touched = [name for name, state in _random_states().items() if state != before.get(name, state)]
    require(
        not touched,
        expected=f"{what} to leave the global random state alone",
        got=f"another state of {' and '.join(touched)}",
        fix=fix,
    )


def _random_states() -> dict[str, Any]:
    states: dict[str, Any] = {"random": random.getstate()}
    # Only what is imported already: looking must not import torch.
    if "numpy" in sys.modules:
        kind, keys, *rest = sys.modules["numpy"].random.get_state()
        states["numpy.random"] = (kind, keys.tobytes(), *rest)
    if "torch" in sys.modules:
        states["torch"] = sys.modules["torch"].get_rng_state().numpy().tobytes()
    return states
