"""Pixels to bytes and back through Pillow, with our errors: what the still-image codecs share."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from diffir.errors import CodecError

if TYPE_CHECKING:
    from diffir.contracts.codec import CodecSpec, Pixels, Subsampling

_DAMAGED = "The file is damaged, cut short, or of another format."


def check_request(
    spec: CodecSpec, quality: float, *, subsampling: Subsampling | None
) -> Subsampling:
    """The chroma format to encode with; `None` takes the spec's first.

    Raises:
        CodecError: quality outside the scale, or a chroma format that the codec does not encode.
    """
    scale = spec.scale
    if not scale.contains(quality):
        low, high = sorted((scale.worst, scale.best))
        raise CodecError(
            f"{spec.name} {scale.label} must be between {low:g} and {high:g}, got {quality:g}",
            hint=f"{scale.worst:g} compresses hardest, {scale.best:g} least.",
        )
    chosen = subsampling or spec.subsamplings[0]
    if chosen not in spec.subsamplings:
        known = ", ".join(spec.subsamplings)
        raise CodecError(
            f"{spec.name} encodes chroma as {known}, got {chosen!r}",
            hint="Leave the chroma format out to take the codec's default.",
        )
    return chosen


def encode_pixels(pixels: Pixels, image_format: str, **options: Any) -> bytes:
    """Compress `(H,W,3) uint8` RGB with Pillow's `image_format` and its `save` options.

    Raises:
        CodecError: pixels of another shape or type, or Pillow refused them.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape or pixels.dtype != np.uint8:
        raise CodecError(
            f"pixels must be (H,W,3) uint8 and not empty, got {pixels.shape} {pixels.dtype}",
            hint="Scale to 0..255 and convert to RGB first.",
        )
    buffer = io.BytesIO()
    try:
        Image.fromarray(pixels).save(buffer, format=image_format, **options)
    except Exception as error:  # Pillow's writers raise OSError, ValueError, RuntimeError, ...
        height, width = pixels.shape[:2]
        raise CodecError(
            f"the {image_format} encoder refused {width}x{height} pixels: {error}",
            hint="Most encoders have a largest width and height: try a smaller picture.",
        ) from error
    return buffer.getvalue()


def decode_pixels(data: bytes, image_format: str) -> Pixels:
    """Decompress bytes of Pillow's `image_format` to `(H,W,3) uint8` RGB, of the first frame.

    Gray is repeated, alpha is dropped, 16-bit samples are scaled to 8. Orientation is not applied.

    Raises:
        CodecError: the bytes are damaged, truncated, of another format, or too large a picture.
    """
    try:
        with Image.open(io.BytesIO(data), formats=[image_format]) as image:
            image.load()
            return _rgb(image)
    except UnidentifiedImageError as error:  # its message would show an object's address
        raise CodecError(f"these bytes are no {image_format} picture", hint=_DAMAGED) from error
    # Pillow's readers raise OSError, SyntaxError, ValueError, struct.error, EOFError and more on
    # damaged bytes, and DecompressionBombError (a plain Exception) on huge ones.
    except Exception as error:
        raise CodecError(
            f"these bytes cannot be decoded as {image_format}: {error}", hint=_DAMAGED
        ) from error


def told_size(data: bytes, image_format: str | None = None) -> tuple[int, int] | None:
    """Rows and columns that a file's header tells; `None` where Pillow does not know the format.

    Args:
        data: the whole file.
        image_format: Pillow's name of the only format that counts; any without it.
    """
    formats = None if image_format is None else [image_format]
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            return image.height, image.width
    except Exception:  # as in `decode_pixels`
        return None


def _rgb(image: Image.Image) -> Pixels:
    if not image.mode.startswith("I"):
        return np.array(image.convert("RGB"))
    # 16-bit gray; Pillow's own conversion to 8 bits clips instead of scaling.
    gray = np.asarray(image).astype(np.float64) * (255 / 65535)
    return np.repeat(np.rint(gray).astype(np.uint8)[:, :, None], 3, axis=2)
