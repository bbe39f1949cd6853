"""The formats that pictures are written in: what each holds, and how its bytes are made.

Every encoder takes samples `(H,W,C)`, metadata that the format holds, and a quality on the format's
own scale; without one it takes the best that makes sense for a restored picture.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from diffir.contracts.codec import QualityScale
from diffir.contracts.picture import Metadata
from diffir.pictures import jp2_boxes, png_chunks
from diffir.pictures.metadata import EXIF_PREFIX
from diffir.pictures.orientation import without_orientation
from diffir.pictures.samples import image_of
from diffir.pictures.sixteen_bits import encode_16bit_png
from diffir.pictures.tiff_files import encode_tiff

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from diffir.contracts.picture import AnyPixels

_LOG = logging.getLogger("diffir")
Encoder = Callable[["AnyPixels", Metadata, float | None], bytes]
JPEG_SEGMENT = 65533
"""Bytes that one segment of a JPEG file holds."""


@dataclass(frozen=True)
class Format:
    """A format of files to write.

    holds: the fields of `Metadata` that it stores. alpha, deep, gray: whether it stores alpha,
    16 bits a sample, one channel. scale: the axis of `quality`; None where nothing is lost.
    """

    name: str
    suffixes: tuple[str, ...]
    encode: Encoder
    holds: tuple[str, ...]
    alpha: bool = True
    deep: bool = False
    gray: bool = True
    scale: QualityScale | None = None


def _png(samples: AnyPixels, metadata: Metadata, _: float | None) -> bytes:
    if samples.dtype.itemsize == 2:
        plain = encode_16bit_png(cast("NDArray[np.uint16]", samples))
    else:
        plain = _saved(samples, "PNG")
    return png_chunks.with_metadata(plain, metadata)


def _jpeg(samples: AnyPixels, metadata: Metadata, quality: float | None) -> bytes:
    fitting = _within_segments(metadata)
    level = 95 if quality is None else round(quality)
    options: dict[str, Any] = {"quality": level, "subsampling": "4:4:4", "optimize": True}
    if fitting.dpi is not None:
        options["dpi"] = tuple(round(dots) for dots in fitting.dpi)
    if fitting.exif is not None:
        options["exif"] = EXIF_PREFIX + fitting.exif
    return _saved(samples, "JPEG", fitting, **options)


def _within_segments(metadata: Metadata) -> Metadata:
    """Leave out what is longer than a segment, its label of at most 29 bytes included."""
    room = JPEG_SEGMENT - 29
    long = [n for n in ("exif", "xmp", "comment") if len(getattr(metadata, n) or b"") > room]
    for name in long:
        _LOG.info("JPEG files hold no %s of more than %d bytes: it is left out", name, room)
    return replace(metadata, **dict.fromkeys(long))


def _webp(samples: AnyPixels, metadata: Metadata, quality: float | None) -> bytes:
    # "exact" keeps the colors of fully transparent pixels.
    chosen: dict[str, Any] = {"lossless": True} if quality is None else {"quality": quality}
    if metadata.exif is not None:
        chosen["exif"] = metadata.exif
    return _saved(samples, "WEBP", metadata, exact=True, **chosen)


def _avif(samples: AnyPixels, metadata: Metadata, quality: float | None) -> bytes:
    options: dict[str, Any] = {"quality": 90 if quality is None else round(quality)}
    if samples.shape[2] >= 3:
        options["subsampling"] = "4:4:4"
    if metadata.exif is not None:
        # AVIF keeps the orientation beside the EXIF data, and Pillow would write that anew.
        options["exif"] = without_orientation(metadata.exif)
    # The bytes differ between one thread and several: a fixed number gives the same everywhere.
    return _saved(samples, "AVIF", metadata, max_threads=2, **options)


def _jpeg2000(samples: AnyPixels, metadata: Metadata, quality: float | None) -> bytes:
    options: dict[str, Any] = {}
    if quality is not None:
        options = {"quality_mode": "rates", "quality_layers": [quality]}
    return jp2_boxes.with_metadata(_saved(samples, "JPEG2000", **options), metadata)


def _tiff(samples: AnyPixels, metadata: Metadata, _: float | None) -> bytes:
    return encode_tiff(samples, metadata)


def _bmp(samples: AnyPixels, metadata: Metadata, _: float | None) -> bytes:
    options: dict[str, Any] = {} if metadata.dpi is None else {"dpi": metadata.dpi}
    return _saved(samples, "BMP", **options)


def _saved(
    samples: AnyPixels, pillow_format: str, metadata: Metadata | None = None, **options: Any
) -> bytes:
    """Pillow's bytes, with the ICC profile, XMP and comment of `metadata`."""
    for option, value in (
        ("icc_profile", metadata and metadata.icc),
        ("xmp", metadata and metadata.xmp),
        ("comment", metadata and metadata.comment),
    ):
        if value:
            options[option] = value
    file = io.BytesIO()
    image_of(cast("NDArray[np.uint8]", samples)).save(file, format=pillow_format, **options)
    return file.getvalue()


_ALL = ("icc", "exif", "xmp", "dpi", "comment")
FORMATS = (
    Format("PNG", (".png",), _png, _ALL, deep=True),
    Format(
        "JPEG",
        (".jpg", ".jpeg"),
        _jpeg,
        _ALL,
        alpha=False,
        scale=QualityScale("IJG quality", worst=1, best=100),
    ),
    Format(
        "WebP",
        (".webp",),
        _webp,
        ("icc", "exif", "xmp"),
        gray=False,
        scale=QualityScale("WebP quality", worst=0, best=100),
    ),
    Format(
        "AVIF",
        (".avif",),
        _avif,
        ("icc", "exif", "xmp"),
        scale=QualityScale("AVIF quality", worst=0, best=100),
    ),
    Format("TIFF", (".tif", ".tiff"), _tiff, ("icc", "exif", "xmp", "dpi"), deep=True),
    Format(
        "JPEG 2000",
        (".jp2",),
        _jpeg2000,
        ("icc", "exif", "xmp"),
        scale=QualityScale("compression ratio 1:N", worst=200, best=1),
    ),
    Format("BMP", (".bmp",), _bmp, ("dpi",), alpha=False),
)
"""In the order in which messages list them."""


def format_of(suffix: str) -> Format | None:
    """The format of a file suffix such as ".png", in any case; None for an unknown one."""
    wanted = suffix.lower()
    return next((entry for entry in FORMATS if wanted in entry.suffixes), None)
