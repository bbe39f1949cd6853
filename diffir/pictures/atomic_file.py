"""Writes a file whole or not at all.

The bytes go to a hidden file in the same folder, `.NAME.XXXXXXXX.part`, down to the disk, and get
their name in one step. A process that is killed leaves at most that hidden file.
"""

from __future__ import annotations

import errno
import os
import secrets
from typing import TYPE_CHECKING

from diffir.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse a path that is no file's, or that of a file which may not be replaced.

    Raises:
        OutputError: it is.
    """
    try:
        is_folder, is_there = path.is_dir(), os.path.lexists(path)
    except OSError as error:  # such as a name too long, or a folder that may not be entered
        raise OutputError(
            f"{path} cannot be written: {error.strerror}", hint=_advice(error)
        ) from error
    if is_folder:
        raise OutputError(f"{path} is a folder", hint="Name a file inside it.")
    if not overwrite and is_there:
        raise OutputError(
            f"{path} exists already",
            hint="Choose another name, or let it be replaced: --overwrite, or overwrite=True.",
        )


def check_writable(folder: Path) -> None:
    """See that a folder can be written into, or made: before work, not after it.

    Raises:
        OutputError: it, or the nearest folder above it that is there, cannot.
    """
    try:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    except OSError as error:
        raise OutputError(
            f"nothing can be written into {folder}: {error.strerror}", hint=_advice(error)
        ) from error
    if not writable:
        reason = "may not be written" if there.is_dir() else "is a file"
        raise OutputError(
            f"nothing can be written into {folder}: {there} {reason}",
            hint="Write to a folder that you may write in.",
        )


def write_atomically(path: Path, data: bytes, *, overwrite: bool) -> None:
    """Write `data` to `path`; missing folders are made.

    Raises:
        OutputError: the disk is full, permission is missing, or the path is taken.
    """
    # Of a long name the beginning: names end at 255 bytes, and a character takes up to four.
    part = path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}.part")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise OutputError(
                f"{path} cannot be written: {path.parent} is not a folder",
                hint="Check the path, or write elsewhere.",
            ) from error
        try:
            with open(part, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            check_free(path, overwrite=overwrite)  # encoding took time
            os.replace(part, path)
        finally:  # after KeyboardInterrupt as well; once renamed there is nothing to remove
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}", hint=_advice(error)
        ) from error


def _advice(error: OSError) -> str:
    if error.errno in _FULL:
        return "Free some space on the disk, or write elsewhere."
    if error.errno in _FORBIDDEN:
        return "Write to a folder that you may write in."
    return "Check the path, or write elsewhere."
