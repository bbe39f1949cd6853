"""What restorers made, kept in a folder: to look at, and for a run that was stopped to go on from.

    restored/jpeg-10/moe-diffir-tiny, fidelity 1/bikes.png

Each file says in itself of what, and by whom, it was made, and in how many seconds.
"""

from __future__ import annotations

import hashlib
import re
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

import diffir
from diffir.errors import DataError
from diffir.evaluate.contenders import Version
from diffir.evaluate.protocol_pixels import as_8bit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from diffir.contracts.picture import Picture
    from diffir.evaluate.contenders import Contender

MADE_BY = "diffir:made-by"
SECONDS = "diffir:seconds"
COMPRESSION = 1
"""Of zlib's nine levels: a third of the time of level 6, and files a tenth larger, measured."""

FORBIDDEN = re.compile(r'[\x00-\x1f%/\\:*?"<>|]|^\.+$|[. ]$')
LONGEST_NAME = 200

Made = tuple["Picture", float]
"""A restored picture of 8 bits, and the seconds of the run that it came of."""


class KeptPictures:
    """Restored pictures in a folder.

    Args:
        folder: made where it is not there.
        overwrite: whether what is there of something else may be replaced.
    """

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        self._folder = folder
        self._overwrite = overwrite

    def find(
        self, task: str, name: str, degraded: Picture, contender: Contender
    ) -> Mapping[Version, Made] | None:
        """What a contender made of a picture before, where all of it is there.

        Raises:
            DataError: a file there is of something else, and may not be replaced.
        """
        found = {
            version: self._read(
                self._path(task, name, version), _made_by(contender, version, degraded), degraded
            )
            for version in _versions(contender)
        }
        made = {version: one for version, one in found.items() if one is not None}
        return made if len(made) == len(found) else None

    def keep(
        self,
        task: str,
        name: str,
        degraded: Picture,
        contender: Contender,
        made: Mapping[Version, Made],
    ) -> None:
        """Write what a contender made of a picture.

        Raises:
            OutputError: it cannot be written.
        """
        from diffir.pictures.atomic_file import write_atomically

        for version, (picture, seconds) in made.items():
            told = PngInfo()
            told.add_text(MADE_BY, _made_by(contender, version, degraded))
            told.add_text(SECONDS, repr(seconds))
            file = BytesIO()
            image = Image.fromarray(as_8bit(picture.pixels))
            image.save(file, "PNG", pnginfo=told, compress_level=COMPRESSION)
            write_atomically(self._path(task, name, version), file.getvalue(), overwrite=True)

    def _path(self, task: str, name: str, version: Version) -> Path:
        folder, _, file = name.rpartition("/")
        # A second ending, unless there is ".png" alone: beside a.webp there may be a.webp.png.
        if not (file.lower().endswith(".png") and file.count(".") == 1):
            file += ".png"
        return self._folder / _as_name(task) / _as_name(version.label) / folder / file

    def _read(self, path: Path, made_by: str, degraded: Picture) -> Made | None:
        try:
            with PngImageFile(path) as image:  # `Image.open` refuses large ones
                if image.info.get(MADE_BY) == made_by:
                    return degraded.with_pixels(np.array(image)), float(image.info[SECONDS])
            reason = "made of another picture, by other weights, options, device or version"
        except FileNotFoundError:
            return None
        # Pillow's readers raise OSError, SyntaxError, ValueError, struct.error and more.
        except Exception as error:
            reason = f"not a picture that was kept: {error}"
        if self._overwrite:
            return None
        raise DataError(
            f"{path} is {reason}",
            hint="Use another folder for -o, or let it be replaced: --overwrite.",
        )


def _versions(contender: Contender) -> list[Version]:
    return [Version(contender.name, fidelity) for fidelity in contender.fidelities]


def _made_by(contender: Contender, version: Version, degraded: Picture) -> str:
    """Equal where the same would be made again."""
    facts = (
        diffir.__version__,
        contender.about,
        version.fidelity,
        degraded.pixels.shape,
        degraded.gray,
        degraded.codec,
    )
    digest = hashlib.sha256(repr(facts).encode(errors="surrogateescape"))
    digest.update(degraded.pixels.tobytes())
    return digest.hexdigest()


def _as_name(text: str) -> str:
    """A text as one part of a path: what some system forbids in it stands as %3A.

    Of a long one the beginning, and a digest: names end at 255 bytes.
    """
    name = FORBIDDEN.sub(lambda found: quote(found[0], safe="").replace(".", "%2E"), text)
    data = name.encode(errors="surrogateescape")
    if len(data) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME // 8]}-{hashlib.sha256(data).hexdigest()[:16]}"
