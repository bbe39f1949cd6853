"""Encodes TIFF: gray or RGB, 8 or 16 bits, with alpha, compressed without loss.

Pillow writes no 16-bit RGB, so the file is laid out here: one strip behind one directory, which
Pillow's own directory class packs.
Source: TIFF 6.0 (Adobe, 1992), sections 3, 4, 14 and 18.
"""

from __future__ import annotations

import io
import logging
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from diffir.errors import OutputError
from diffir.pictures.metadata import DESCRIPTIVE_TAGS, EXIF_DIRECTORIES, text_bytes

if TYPE_CHECKING:
    from diffir.contracts.picture import AnyPixels, Metadata

_LOG = logging.getLogger("diffir")
DEFLATE = 8
DIFFERENCES = 2
"""Predictor: each sample is stored as its difference from the one to its left."""
STRAIGHT_ALPHA = 2
XMP, ICC = 700, 34675


def encode_tiff(samples: AnyPixels, metadata: Metadata) -> bytes:
    """Encode `(H,W,C)` uint8 or uint16, C from 1 to 4, as a TIFF file of one page.

    Raises:
        OutputError: gray with alpha in 16 bits, which no reader here opens.
    """
    channels = samples.shape[2]
    if channels == 2 and samples.dtype == np.uint16:
        raise OutputError(
            "TIFF files of 16-bit gray with alpha are not read back by most programs",
            hint="Write a .png instead: it holds them.",
        )
    strip = zlib.compress(_differences(samples))
    directory = _layout(samples, len(strip))
    _add_metadata(directory, metadata)
    file = io.BytesIO()
    directory.save(file)
    file.write(strip)
    return file.getvalue()


def _differences(samples: AnyPixels) -> bytes:
    left = np.zeros_like(samples)
    left[:, 1:] = samples[:, :-1]
    differences = np.subtract(samples, left)  # wraps around, and back in the reader
    return differences.astype(samples.dtype.newbyteorder("<")).tobytes()


def _layout(samples: AnyPixels, strip_bytes: int) -> ImageFileDirectory_v2:
    height, width, channels = samples.shape
    directory = ImageFileDirectory_v2()
    directory[256], directory[257] = width, height
    directory[258] = (samples.dtype.itemsize * 8,) * channels
    directory[259] = DEFLATE
    directory[262] = 1 if channels < 3 else 2  # gray, black is zero; RGB
    directory[274] = 1  # upright, whatever the XMP says: Pillow would believe that
    directory[273] = 0  # the strip's offset: `save` adds the directory's own length
    directory[277] = channels
    directory[278] = height
    directory[279] = strip_bytes
    directory[284] = 1  # samples of a pixel side by side
    directory[317] = DIFFERENCES
    if channels in (2, 4):
        directory[338] = STRAIGHT_ALPHA
    return directory


def _add_metadata(directory: ImageFileDirectory_v2, metadata: Metadata) -> None:
    if metadata.exif is not None:
        _add_exif(directory, metadata.exif)
    if metadata.dpi is not None:
        directory[282], directory[283] = metadata.dpi
        directory[296] = 2  # dots per inch
    if metadata.xmp is not None:
        directory.tagtype[XMP] = TiffTags.BYTE
        directory[XMP] = metadata.xmp
    if metadata.icc is not None:
        directory.tagtype[ICC] = TiffTags.UNDEFINED
        directory[ICC] = metadata.icc


def _add_exif(directory: ImageFileDirectory_v2, data: bytes) -> None:
    exif = Image.Exif()
    try:
        exif.load(data)
        entries = {tag: text_bytes(exif[tag]) for tag in DESCRIPTIVE_TAGS if tag in exif}
        entries |= {tag: exif.get_ifd(tag) for tag in EXIF_DIRECTORIES if exif.get_ifd(tag)}
    except Exception as error:  # Pillow raises many kinds on EXIF that a camera got wrong
        _LOG.info("the EXIF data is damaged and is left out of the TIFF file: %s", error)
        return
    for tag, value in entries.items():
        directory[tag] = value
