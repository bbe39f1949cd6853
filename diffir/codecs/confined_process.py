"""Runs somebody else's program on files: no shell, no way to hang, no way to fill the disk.

What it may do to this machine is bounded by time and by bytes; it and all that it started are
killed together. It is not a sandbox: a program that one does not trust should not be run at all.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LOG = ".said"
"""The file in the private folder that takes what the program prints."""

_LAST_LINES = 5
_MOST_SHOWN = 1000
_PAUSES = (0.001, 0.05)
"""Seconds between two looks at the program: the first, and the longest."""


@dataclass(frozen=True)
class Limits:
    """What a program may take.

    seconds: until it is killed. pixels: of the largest picture that it is given. bytes: of the
    largest file that it is given, and of all that it writes.
    """

    seconds: float = 120.0
    pixels: int = 2**26
    bytes: int = 2**28


def run_confined(command: Sequence[str], folder: Path, *, limits: Limits, who: str) -> None:
    """Run a program in a folder and wait for its end.

    Args:
        command: program and arguments; a program without a folder in its name is looked for on
            the PATH.
        folder: private to this call: working directory, and where temporary files go.
        limits: of seconds, and of bytes in the folder.
        who: begins the error messages, such as "codec 'toy'".

    Raises:
        CodecError: the program is not there, cannot be started, takes too long, writes too much, or
            ends with another exit status than 0.
    """
    shown = shlex.join(command)
    argv = [_found(command[0], who=who), *command[1:]]
    with open(folder / LOG, "wb") as log:
        try:
            process = subprocess.Popen(
                argv,
                cwd=folder,
                env={**os.environ, "TMPDIR": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, to be killed as a whole
            )
        except OSError as error:
            raise CodecError(
                f"{who}: {argv[0]} cannot be started: {error.strerror}",
                hint="It must be a program for this machine that you may execute.",
            ) from error
        try:
            _watch(process, folder, limits, f"{who}: `{shown}`")
        finally:
            _end(process)
    if process.returncode:
        raise CodecError(
            f"{who}: `{shown}` ended with exit status {process.returncode}: "
            f"{_last_words(folder / LOG)}",
            hint="Try the same command by hand, on a PNG file of your own.",
        )


def _found(program: str, *, who: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise CodecError(
            f"{who} needs the program '{program}', which is not on the PATH",
            hint="Install it, or write its full path into the command.",
        )
    return os.path.abspath(path)


def _watch(process: subprocess.Popen[bytes], folder: Path, limits: Limits, what: str) -> None:
    deadline = time.monotonic() + limits.seconds
    pause, longest = _PAUSES
    while True:
        ended = _has_ended(process)
        written = _bytes_in(folder)
        if written > limits.bytes:
            raise CodecError(
                f"{what} wrote {written} bytes or more, the limit is {limits.bytes}",
                hint="Raise limits.bytes of the codec if files may be as large as that.",
            )
        if ended:
            return
        if time.monotonic() > deadline:
            raise CodecError(
                f"{what} did not end within {limits.seconds:g} s, and was killed",
                hint="Try a smaller picture, or raise limits.seconds of the codec.",
            )
        time.sleep(pause)
        pause = min(2 * pause, longest)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    if os.name == "nt":
        return process.poll() is not None
    # Not reaped yet, so that its number still names its group when that is killed.
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, flags) is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    if os.name == "nt":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # removed while we look
            total += path.lstat().st_size if not path.is_dir() else 0
    return total


def _last_words(log: Path) -> str:
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - _MOST_SHOWN))
        lines = file.read().decode(errors="replace").split("\n")
    return "\n".join([line for line in lines if line.strip()][-_LAST_LINES:]) or "it said nothing"
