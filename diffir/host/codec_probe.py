"""Tries whether a codec works here, in a process of its own: a crash or a hang stays there.

python -m diffir.host.codec_probe NAME
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass

from diffir.errors import CodecError, DiffirError, MissingDependencyError
from diffir.host.manager import build_host

SIDE = 64
"""Pixels each way: enough for encoders that refuse tiny pictures, and work all the same."""
SECONDS = 60.0
SHOWN = 300
"""Characters of a process's last words that are quoted."""


@dataclass(frozen=True)
class Probe:
    """What came of it. error, hint: `None` where it works. missing: it only has to be installed."""

    error: str | None = None
    hint: str | None = None
    missing: bool = False


def probe_codec(name: str, *, seconds: float = SECONDS) -> Probe:
    """Encode and decode a small picture with the codec of that name, in a new process.

    Plugins are those of the environment, as for every process that diffir starts.
    """
    command = [sys.executable, "-m", "diffir.host.codec_probe", name]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return Probe(
            f"codec '{name}' did not encode {SIDE}x{SIDE} pixels within {seconds:g} s",
            "It hangs: upgrade what it is made with, or disable its plugin.",
        )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return Probe(
            f"codec '{name}' ended its process with exit status {done.returncode}: "
            f"{done.stderr.strip()[-SHOWN:] or 'it said nothing'}",
            "A native library crashed: reinstall what the codec is made with.",
        )
    return Probe(**json.loads(lines[-1]))


def try_codec(name: str) -> Probe:
    """Encode and decode a small picture in this process."""
    try:
        _round_trip(name)
    except DiffirError as error:
        return Probe(error.message, error.hint, isinstance(error, MissingDependencyError))
    except Exception as error:  # whatever a plugin raises
        return Probe(f"codec '{name}' raised {error!r}", "Upgrade its plugin, or tell its author.")
    return Probe()


def _round_trip(name: str) -> None:
    import numpy as np

    codec = build_host(tolerant=True).codec(name)
    ramp = np.linspace(0, 255, SIDE * SIDE * 3).astype(np.uint8)
    pixels = ramp.reshape(SIDE, SIDE, 3)
    data = codec.encode(pixels, codec.spec.levels[0])
    codec.read_info(data)
    shape = codec.decode(data).shape
    if shape != pixels.shape:
        raise CodecError(
            f"codec '{name}' decoded {SIDE}x{SIDE} pixels to an array of shape {shape}",
            hint=f"See: diffir plugins check, and the contract of decode: ({SIDE},{SIDE},3).",
        )


if __name__ == "__main__":
    print(json.dumps(asdict(try_codec(sys.argv[1]))))  # noqa: T201
