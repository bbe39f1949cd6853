"""What rides along with the pixels: taken from an opened file, and fitted to what a format holds.

ICC profile and comment travel byte for byte. EXIF and XMP too, but for the orientation's value. In
TIFF the EXIF tags are the file's own directory: they are gathered into a structure of their own.
"""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from PIL import Image

from diffir.contracts.picture import Metadata
from diffir.pictures.orientation import upright_exif, upright_xmp

if TYPE_CHECKING:
    from collections.abc import Collection

_LOG = logging.getLogger("diffir")
EXIF_PREFIX = b"Exif\0\0"
EXIF_DIRECTORIES = (0x8769, 0x8825)
"""The tags that point to the EXIF and the GPS directories."""
DESCRIPTIVE_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
"""TIFF tags that describe the picture, not its storage: description, make, model, software, date,
artist, copyright."""


def metadata_of(image: Image.Image) -> Metadata:
    """The metadata of a loaded Pillow image; its EXIF as stored, orientation and all."""
    info = image.info
    exif = _gathered_exif(image) if image.format == "TIFF" else _raw(info.get("exif"))
    return Metadata(
        icc=_raw(info.get("icc_profile")),
        exif=exif.removeprefix(EXIF_PREFIX) or None if exif else None,
        xmp=_raw(info.get("xmp")),
        dpi=_dpi(info.get("dpi")),
        comment=_comment(image),
    )


def _raw(value: object) -> bytes | None:
    return value if isinstance(value, bytes) and value else None


def _dpi(value: object) -> tuple[float, float] | None:
    if not isinstance(value, tuple) or len(value) != 2:
        return None
    dpi = float(value[0]), float(value[1])
    return dpi if min(dpi) > 0 and max(dpi) < 1e6 else None


def _comment(image: Image.Image) -> bytes | None:
    if image.format == "JPEG2000":
        return None  # the encoder's name
    value = image.info.get("Comment") if image.format == "PNG" else image.info.get("comment")
    if isinstance(value, str):  # tEXt is Latin-1; iTXt may hold more
        value = value.encode("latin-1" if value.isascii() or _is_latin(value) else "utf-8")
    return _raw(value)


def _is_latin(text: str) -> bool:
    return max(map(ord, text), default=0) < 256


def _gathered_exif(image: Image.Image) -> bytes | None:
    stored, gathered = image.getexif(), Image.Exif()
    for tag in DESCRIPTIVE_TAGS:
        if tag in stored:
            gathered[tag] = text_bytes(stored[tag])
    for tag in EXIF_DIRECTORIES:
        if entries := stored.get_ifd(tag):
            gathered.get_ifd(tag).update(entries)
            gathered[tag] = gathered.get_ifd(tag)
    return gathered.tobytes() if len(gathered) else None


def text_bytes(value: Any) -> Any:
    """A text of Pillow's as the bytes that it was read from; it would write "?" for an accent."""
    return value.encode("latin-1", "replace") if isinstance(value, str) else value


def fitted(metadata: Metadata, holds: Collection[str], *, gray: bool, suffix: str) -> Metadata:
    """What a file of `suffix` can hold of the metadata, its orientation 1; logs the rest.

    Args:
        metadata: of the picture to be written.
        holds: names of the fields of `Metadata` that the format stores.
        gray: whether one channel is written; a gray ICC profile does not describe three.
        suffix: for the log.
    """
    lost = {
        entry.name
        for entry in fields(metadata)
        if entry.name not in holds and getattr(metadata, entry.name) is not None
    }
    if metadata.icc is not None and metadata.icc[16:20] == b"GRAY" and not gray:
        lost.add("icc")
    for name in sorted(lost):
        _LOG.info("%s files written here hold no such %s: it is left out", suffix, name)
    kept = replace(metadata, **dict.fromkeys(lost))
    return replace(
        kept,
        exif=upright_exif(kept.exif) if kept.exif else kept.exif,
        xmp=upright_xmp(kept.xmp) if kept.xmp else kept.xmp,
    )
