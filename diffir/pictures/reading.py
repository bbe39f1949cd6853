"""The one door in: a file, read once, becomes a `Picture`.

    path -> bytes -> which codec, and what it tells         CodecInfo
                  -> pixels, turned upright                 Pillow; what it cannot decode: the codec
                  -> ICC, EXIF, XMP, dpi, comment           Metadata
         pixels of a lossless file -> traces of a codec     CodecInfo

The content decides what a file is; its suffix is not looked at. Color values are not converted,
with one exception: CMYK becomes RGB, and its profile is left out. Stills of 8 bits that hold more
in the file (10-bit AVIF) come as 8 bits.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Metadata, Origin, Picture, ReadsFiles
from diffir.errors import CodecError, DiffirError, PictureError, UnsupportedPictureError
from diffir.pictures.limits import check_size
from diffir.pictures.orientation import upright_exif
from diffir.pictures.samples import picture_of
from diffir.pictures.still_files import Still, decode_still, file_brands, still_format

if TYPE_CHECKING:
    from diffir.contracts.codec import Codec
    from diffir.host.manager import Host

_LOG = logging.getLogger("diffir")
_MOVIE_STARTS = (b"\x1aE\xdf\xa3", b"FLV", b"\0\0\1\xba", b"OggS")
"""Matroska and WebM, Flash, MPEG program streams, Ogg."""


def read(path: str | Path, *, host: Host | None = None) -> Picture:
    """Read a picture file.

    Args:
        path: the file.
        host: whose codecs tell how the file was compressed; None takes the process's own.

    Returns:
        Pixels `(H,W,3)` uint8 or uint16, upright, in the file's own color space; alpha where the
        file has it; how it was compressed; its metadata.

    Raises:
        UnsupportedPictureError: animated, a movie, several pages, too large, or samples of a kind
            that diffir does not restore.
        PictureError: missing, not readable, empty, damaged, or no picture.
    """
    path = Path(path)
    return read_bytes(_file_bytes(path), name=str(path), host=host)


def read_bytes(data: bytes, *, name: str, host: Host | None = None) -> Picture:
    """Read the bytes of a picture file; as `read`.

    Args:
        data: the whole file.
        name: what to call it in messages.
        host: whose codecs tell how the bytes were compressed; None takes the process's own.

    Raises:
        UnsupportedPictureError: as `read`.
        PictureError: as `read`.
    """
    if not data:
        raise PictureError(
            f"{name} is empty (0 bytes)",
            hint="The download or copy failed: get the file again from where it came.",
        )
    host = host or _default_host()
    codec = host.recognize(data)
    still = still_format(data)
    if still is not None:
        decoded = decode_still(data, still, name=name)
    elif codec is not None:
        decoded = _decode_by(codec, data, name)
    else:
        raise _unknown(data, name, host)
    picture = picture_of(decoded.samples, codec=_info(codec, data), metadata=decoded.metadata)
    origin = None if codec is None else Origin(codec, data, decoded.orientation)
    return _with_traces(replace(picture, origin=origin), host)


def _default_host() -> Host:
    from diffir.host.manager import default_host

    return default_host()


def _file_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise PictureError(
                f"{path} is a folder, not a picture file", hint="Name a file inside it."
            )
        if path.exists() and not path.is_file():
            raise PictureError(
                f"{path} is not a regular file but a pipe, a socket or a device",
                hint="Save what it gives as a file first.",
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PictureError(
            f"{path} does not exist", hint="Check the spelling and the folder."
        ) from error
    except PermissionError as error:
        raise PictureError(
            f"{path} may not be read", hint="Ask its owner for permission, or copy it."
        ) from error
    except OSError as error:
        raise PictureError(
            f"{path} cannot be read: {error.strerror}", hint="Check the disk and the path."
        ) from error


def _info(codec: Codec | None, data: bytes) -> CodecInfo:
    if codec is None:
        return CodecInfo.unknown()
    try:
        return codec.read_info(data)
    except CodecError as error:
        # The pixels were decoded: a header that our reader does not follow is no reason to stop.
        _LOG.info("nothing is known of the compression: %s", error)
        return CodecInfo.unknown()
    except Exception as error:  # a plugin's mistake
        _LOG.warning("codec %s fails to read a header: %r", codec.spec.name, error)
        return CodecInfo.unknown()


def _with_traces(picture: Picture, host: Host) -> Picture:
    """A picture of a lossless file, with what its pixels show of a codec that it met before."""
    if (picture.codec.known and not picture.codec.lossless) or picture.pixels.dtype != np.uint8:
        return picture
    traces = host.find_traces(picture.pixels.astype(np.uint8, copy=False))
    return picture if traces is None else picture.with_pixels(picture.pixels, codec=traces)


def _decode_by(codec: Codec, data: bytes, name: str) -> Still:
    # Video decoders refuse pictures of more than about 268 megapixels by themselves.
    try:
        facts = codec.read_file(data) if isinstance(codec, ReadsFiles) else None
        if facts is not None:
            check_size(facts.width, facts.height, name=name)
        pixels = codec.decode(data)
    except CodecError as error:
        raise PictureError(
            f"{name} is {codec.spec.name}, but cannot be decoded: {error}",
            hint=error.hint or "The file is damaged or cut short: get it again.",
        ) from error
    except (DiffirError, MemoryError):
        raise
    except Exception as error:  # a plugin's mistake must not end a batch
        raise PictureError(
            f"{name} is {codec.spec.name}, whose codec breaks down: {error!r}",
            hint="The file may be damaged; tell the author of the codec.",
        ) from error
    check_size(pixels.shape[1], pixels.shape[0], name=name)
    metadata = facts.metadata if facts else Metadata()
    if metadata.exif:
        metadata = replace(metadata, exif=upright_exif(metadata.exif))
    return Still(pixels, metadata)


def _unknown(data: bytes, name: str, host: Host) -> PictureError:
    brands = file_brands(data)
    if brands & {b"heic", b"heix", b"mif1", b"heim", b"heis"}:
        return UnsupportedPictureError(
            f"{name} is a HEIC picture, which no installed codec reads",
            hint="Convert it to PNG or JPEG, or install a plugin that reads it.",
        )
    if brands or data.startswith(_MOVIE_STARTS) or data[8:12] == b"AVI ":
        return UnsupportedPictureError(
            f"{name} is a movie; diffir restores still pictures",
            hint="Save the frame you want as a PNG file.",
        )
    return PictureError(
        f"{name} is not a picture that diffir knows: it begins with {data[:8]!r}",
        hint="It reads JPEG, PNG, WebP, AVIF, JPEG 2000, TIFF, BMP and GIF files, and those of "
        f"its video codecs; `diffir doctor` tells which of them work here.{host.left_out()}",
    )
