"""Fetches one file of a model hub's repository; the only place that reaches for the network.

`huggingface_hub` does the work: an unfinished download goes on where it stopped, a finished one
lies in the cache that it shares with other programs (`HF_HOME`), and `HF_ENDPOINT` names another
host. No token is sent: the mirrors are public, and nothing of the user's goes to them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from diffir.errors import CheckpointError
from diffir.weights.tensor_file import sha256_of

OFFLINE = "DIFFIR_OFFLINE"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class UnreachableError(CheckpointError):
    """The hub does not answer, so that asking it for another file is of no use."""


def is_offline(asked: bool = False) -> bool:
    """Whether nothing may be fetched: asked for, or `DIFFIR_OFFLINE=1`."""
    return asked or os.environ.get(OFFLINE, "0") not in ("", "0")


def fetch_file(
    repository: str,
    file: str,
    *,
    offline: bool = False,
    cache: Path | None = None,
    endpoint: str | None = None,
) -> Path:
    """The local copy of one file of `owner/name`, fetched unless it is there.

    Large files are named in the cache by the sha256 that the hub tells for them; it is checked.

    Args:
        repository: `owner/name` on the hub.
        file: its path in there.
        offline: take what the cache holds, and nothing else.
        cache: in place of the hub library's own.
        endpoint: in place of its host.

    Raises:
        UnreachableError: no network, and the file is not in the cache.
        CheckpointError: no such file or repository, or damaged on the way.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    offline = is_offline(offline)
    try:
        path = Path(
            hf_hub_download(
                repository,
                file,
                cache_dir=cache,
                endpoint=endpoint,
                token=False,
                local_files_only=offline,
            )
        )
    # The library raises a dozen kinds, of its own and of its transport; each means: not from here.
    except Exception as error:
        if isinstance(error, LocalEntryNotFoundError) and not offline:
            raise UnreachableError(f"the hub cannot be reached for {repository}") from error
        raise CheckpointError(f"{repository} has no {file} for us: {_reason(error)}") from error
    told = path.resolve().name
    if _SHA256.fullmatch(told) and sha256_of(path) != told:
        raise CheckpointError(
            f"{path} is damaged: its sha256 is not the one that the hub tells ({told})",
            hint=f"Delete {path.resolve()} and run this again.",
        )
    return path


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
