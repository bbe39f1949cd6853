"""The still-picture formats that Pillow decodes: told apart by content, opened, decoded, checked.

    JPEG  PNG  WebP  AVIF  JPEG 2000  TIFF  BMP  GIF

Pillow's classes are used one by one instead of `PIL.Image.open`: that tries some forty formats,
runs Ghostscript on one of them, and has its own size limit, a global one.
"""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from diffir.errors import PictureError, UnsupportedPictureError
from diffir.pictures import jp2_boxes
from diffir.pictures.limits import check_size
from diffir.pictures.metadata import metadata_of
from diffir.pictures.orientation import exif_orientation, turn_upright, upright_exif
from diffir.pictures.samples import samples_of
from diffir.pictures.sixteen_bits import decode_16bit
from diffir.pictures.still_checks import (
    bits_per_sample,
    check_canvas,
    check_depth,
    check_single,
    tiff_tag,
)

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from diffir.contracts.picture import AnyPixels, Metadata

_LOG = logging.getLogger("diffir")
TIFF_ORIENTATION = 274


class Still(NamedTuple):
    """Upright samples `(H,W,C)`, C from 1 to 4, the metadata beside them, and how they were stored.

    orientation: 1..8, as EXIF has it, of the samples in the file.
    """

    samples: AnyPixels
    metadata: Metadata
    orientation: int = 1


def still_format(data: bytes) -> str | None:
    """Which of the formats above the bytes begin as, by Pillow's name; None for any other."""
    for name, magic in (
        ("JPEG", b"\xff\xd8\xff"),
        ("PNG", b"\x89PNG\r\n\x1a\n"),
        ("GIF", b"GIF8"),
        ("TIFF", b"II*\0"),
        ("TIFF", b"MM\0*"),
        ("TIFF", b"II+\0"),
        ("JPEG2000", b"\0\0\0\x0cjP  \r\n\x87\n"),
        ("JPEG2000", b"\xff\x4f\xff\x51"),
        ("BMP", b"BM"),
    ):
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return "AVIF" if {b"avif", b"avis"} & file_brands(data) else None


def file_brands(data: bytes) -> set[bytes]:
    """The brands that an ISO base media file (MP4, HEIF, AVIF) declares; empty for others.

    Source: ISO/IEC 14496-12, section 4.3.
    """
    if data[4:8] != b"ftyp":
        return set()
    box = data[8 : min(int.from_bytes(data[:4], "big"), 4096)]
    return {box[at : at + 4] for at in range(0, len(box), 4) if at != 4}  # at 4: the version


def decode_still(data: bytes, still: str, *, name: str) -> Still:
    """Decode a file of the format that `still_format` named.

    Raises:
        UnsupportedPictureError: animated, of several pages, too large, or of samples not supported.
        PictureError: damaged or cut short.
    """
    try:
        check_canvas(data, name=name)
        with _opened(data, still) as image:
            check_size(*image.size, name=name)
            check_single(image, name=name)
            check_depth(image, data, name=name)
            return _decoded(image, data, name)
    except PictureError:
        raise
    except MemoryError as error:
        raise UnsupportedPictureError(
            f"{name} does not fit into this machine's memory",
            hint="Cut the picture into parts, or use a machine with more memory.",
        ) from error
    # Pillow's readers raise OSError, SyntaxError, ValueError, struct.error, EOFError and more on
    # damaged bytes, and DecompressionBombError (a plain Exception).
    except Exception as error:
        raise PictureError(
            f"{name} begins like {still}, but cannot be decoded: {error}",
            hint="The file is damaged or cut short: get it again from where it came.",
        ) from error


def _opened(data: bytes, still: str) -> ImageFile:
    from PIL import (
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        Jpeg2KImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    # JpegImageFile reads the first picture of a file of several (MPO): phones append a gain map.
    classes: dict[str, type[ImageFile]] = {
        "AVIF": AvifImagePlugin.AvifImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        "JPEG": JpegImagePlugin.JpegImageFile,
        "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
        "PNG": PngImagePlugin.PngImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
        "WEBP": WebPImagePlugin.WebPImageFile,
    }
    return classes[still](io.BytesIO(data))


def _decoded(image: ImageFile, data: bytes, name: str) -> Still:
    # Pillow turns TIFF upright itself while it loads, and forgets the tag.
    stored_orientation = tiff_tag(image, TIFF_ORIENTATION, 1)
    image.load()  # a strict check of the whole file, and metadata may stand behind the pixels
    metadata = metadata_of(image)
    if image.format == "JPEG2000":
        metadata = replace(jp2_boxes.metadata_in(data), dpi=metadata.dpi)
    orientation = exif_orientation(metadata.exif) if metadata.exif else 1
    samples: AnyPixels
    if image.format == "PNG" and bits_per_sample(image, data) == 16:
        samples = decode_16bit(data, "png", name=name)
    elif image.format == "TIFF" and bits_per_sample(image, data) == 16 and image.mode != "I;16":
        samples = decode_16bit(data, "tiff", name=name)[:, :, : len(image.getbands())]
        orientation = stored_orientation
    else:
        samples = samples_of(image, name=name)
    described = _described(metadata, image.mode, name)
    return Still(turn_upright(samples, orientation), described, orientation)


def _described(metadata: Metadata, mode: str, name: str) -> Metadata:
    """The metadata of upright pixels; a CMYK profile no longer describes what became RGB."""
    exif = upright_exif(metadata.exif) if metadata.exif else None
    if mode == "CMYK":
        _LOG.info("%s is CMYK: it becomes RGB, and its profile is left out", name)
        metadata = replace(metadata, icc=None)
    return replace(metadata, exif=exif)
