"""ICC profile, EXIF and XMP of a HEIF file: ISO/IEC 23008-12, annex A; 14496-12, 12.1.5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.contracts.picture import Metadata
from diffir.errors import CodecError

if TYPE_CHECKING:
    from diffir.codecs.heif_items import HeifItems

PROFILES = (b"prof", b"rICC")
XMP_STARTS = (b"<x:xmpmeta", b"<?xpacket")


def read_metadata(items: HeifItems) -> Metadata:
    """What belongs to the primary picture; of what is damaged, nothing."""
    return Metadata(
        icc=_profile(items), exif=_described(items, "Exif"), xmp=_described(items, "mime")
    )


def _profile(items: HeifItems) -> bytes | None:
    """The primary item's, or its first tile's."""
    for item in (items.primary, *items.tiles[:1]):
        for box in items.boxes_of(item):
            if box.kind == "colr" and box.payload[:4] in PROFILES:
                return box.payload[4:] or None
    return None


def _described(items: HeifItems, kind: str) -> bytes | None:
    """The bytes of the item of that kind that describes the primary one."""
    for reference, source, targets in items.references:
        if reference == "cdsc" and items.primary in targets and items.kinds.get(source) == kind:
            try:
                data = items.bytes_of(source)
            except CodecError:  # the picture is worth more than what is said of it
                continue
            if kind == "Exif":  # how far behind these four bytes the TIFF structure begins
                return data[4 + int.from_bytes(data[:4], "big") :] or None
            if data.startswith(XMP_STARTS):
                return data
    return None
