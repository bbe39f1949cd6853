"""Sixteen bits a sample, through PyAV: Pillow has no such mode but for gray.

FFmpeg's PNG and TIFF coders keep every bit, both ways, in memory.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np

from diffir.errors import UnsupportedPictureError

if TYPE_CHECKING:
    from av import VideoFrame
    from numpy.typing import NDArray

_CHANNELS = {"gray16": 1, "ya16": 2, "rgb48": 3, "rgba64": 4}
"""FFmpeg's packed pixel formats of 16 bits, without their byte order."""


def decode_16bit(data: bytes, coder: Literal["png", "tiff"], *, name: str) -> NDArray[np.uint16]:
    """Decode a PNG or TIFF file of 16 bits a sample to `(H,W,C) uint16`, C from 1 to 4.

    FFmpeg fills what damaged bytes leave open: the file must have been checked before.

    Raises:
        UnsupportedPictureError: a layout that FFmpeg does not decode to gray or RGB of 16 bits.
    """
    import av

    context = av.VideoCodecContext.create(coder, "r")
    try:
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except av.FFmpegError as error:
        raise _unsupported(name, str(error)) from error
    if len(frames) != 1 or frames[0].format.name[:-2] not in _CHANNELS:
        raise _unsupported(name, ", ".join(frame.format.name for frame in frames))
    return _samples(frames[0])


def encode_16bit_png(samples: NDArray[np.uint16]) -> bytes:
    """Encode `(H,W,C) uint16`, C from 1 to 4, as PNG."""
    import av

    height, width, channels = samples.shape
    pixel_format = next(name for name, count in _CHANNELS.items() if count == channels) + "be"
    frame = av.VideoFrame(width, height, pixel_format)
    plane = frame.planes[0]
    rows = np.zeros((height, plane.line_size), np.uint8)  # FFmpeg pads each row
    rows[:, : width * channels * 2] = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    plane.update(rows.tobytes())
    context = av.VideoCodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = width, height, pixel_format
    context.time_base = Fraction(1, 1)
    context.options = {"pred": "mixed"}  # the best filter for each row
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def _samples(frame: VideoFrame) -> NDArray[np.uint16]:
    pixel_format = frame.format.name
    channels, order = _CHANNELS[pixel_format[:-2]], ">" if pixel_format.endswith("be") else "<"
    plane = frame.planes[0]
    rows = np.frombuffer(bytes(plane), dtype=f"{order}u2").reshape(-1, plane.line_size // 2)
    samples: NDArray[np.uint16] = rows[: frame.height, : frame.width * channels].astype(np.uint16)
    return samples.reshape(frame.height, frame.width, channels)


def _unsupported(name: str, reason: str) -> UnsupportedPictureError:
    return UnsupportedPictureError(
        f"{name} holds 16 bits a sample in a layout that cannot be read: {reason}",
        hint="Save it as a 16-bit PNG, gray or RGB, with the program that made it.",
    )
