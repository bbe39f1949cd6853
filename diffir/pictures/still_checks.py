"""Checks of an opened still picture, before its pixels are decoded.

What Pillow would open but give wrongly or in part is refused here: the second frame, the lower
eight bits, the canvas that fills the memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffir.errors import UnsupportedPictureError
from diffir.pictures.limits import check_size

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

BITS, PHOTOMETRIC, EXTRA_SAMPLES = 258, 262, 338
"""TIFF tags."""
BLACK_IS_ZERO, RGB = 1, 2
PREMULTIPLIED = 1


def check_canvas(data: bytes, *, name: str) -> None:
    """Check the size in an extended WebP header: libwebp takes its memory while it opens.

    Source: RFC 9649, section 2.7.

    Raises:
        UnsupportedPictureError: the claimed size is beyond the limit.
    """
    if data[8:16] == b"WEBPVP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        check_size(width, height, name=name)


def check_single(image: ImageFile, *, name: str) -> None:
    """Refuse a file of several frames or pages.

    Raises:
        UnsupportedPictureError: it is one.
    """
    count = getattr(image, "n_frames", 1)
    if count == 1:
        return
    if image.format == "TIFF":
        raise UnsupportedPictureError(
            f"{name} holds {count} pages; diffir reads files of one picture",
            hint="Save the page you want as a file of its own.",
        )
    raise UnsupportedPictureError(
        f"{name} is animated: {count} frames; diffir restores still pictures",
        hint="Save the frame you want as a PNG file.",
    )


def check_depth(image: ImageFile, data: bytes, *, name: str) -> None:
    """Refuse samples that would silently be cut to 8 bits, or be read wrongly.

    Raises:
        UnsupportedPictureError: more than 8 bits, in a layout that neither Pillow nor FFmpeg gives
            back whole.
    """
    bits = bits_per_sample(image, data)
    if bits <= 8 or image.format == "PNG":
        return
    if image.format == "JPEG2000":
        whole = image.mode == "I;16"
    else:
        whole = (
            bits == 16
            and tiff_tag(image, PHOTOMETRIC, None) in (BLACK_IS_ZERO, RGB)
            and PREMULTIPLIED not in tiff_tag(image, EXTRA_SAMPLES, ())
        )
    if not whole:
        raise UnsupportedPictureError(
            f"{name} holds {bits} bits a sample in a layout that diffir does not read",
            hint="Save it as a 16-bit PNG, gray or RGB, with the program that made it.",
        )


def bits_per_sample(image: ImageFile, data: bytes) -> int:
    """Bits of the widest sample as stored; 8 for formats that Pillow decodes to 8 bits anyway."""
    if image.format == "PNG":
        return data[24]  # IHDR comes first: PNG specification, section 11.2.1
    if image.format == "TIFF":
        return int(max(tiff_tag(image, BITS, (1,))))
    if image.format == "JPEG2000":
        codestream = data.index(b"\xff\x4f\xff\x51")
        return (data[codestream + 42] & 0x7F) + 1  # Ssiz of component 0: ISO 15444-1, A.5.1
    return 8


def tiff_tag(image: ImageFile, tag: int, default: Any) -> Any:
    """A tag of an opened TIFF file, or `default`."""
    return getattr(image, "tag_v2", {}).get(tag, default)
