"""The files in which pictures are handed to other programs and taken back: PNG, PPM, Y4M.

Y4M is what video encoders read: one frame, 4:2:0, BT.709, limited range. Frames of 4:2:2 and 4:4:4,
gray ones and those of 10 bits are read as well.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from diffir.codecs.intra_frame import BT709, LIMITED, MAX_PIXELS, padded, to_rgb, to_yuv
from diffir.codecs.still_image import decode_pixels, encode_pixels
from diffir.errors import CodecError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.plane import VideoPlane

    from diffir.contracts.codec import Pixels

Exchange = Literal["png", "ppm", "y4m"]
EXCHANGES: tuple[Exchange, ...] = get_args(Exchange)

_Y4M_FORMATS = {
    "": "yuv420p",
    "420": "yuv420p",
    "422": "yuv422p",
    "444": "yuv444p",
    "mono": "gray",
    "420p10": "yuv420p10le",
    "422p10": "yuv422p10le",
    "444p10": "yuv444p10le",
}
_SITING = re.compile(r"(?<=420)(jpeg|mpeg2|paldv)$")


def write_exchange(pixels: Pixels, exchange: Exchange) -> bytes:
    """`(H,W,3) uint8` RGB as a file of that format; PNG and PPM are exact.

    Raises:
        CodecError: pixels of another shape or type.
    """
    if exchange == "png":
        return encode_pixels(pixels, "PNG", compress_level=1)
    if exchange == "ppm":
        return encode_pixels(pixels, "PPM")
    frame = to_yuv(padded(pixels), "yuv420p")
    head = f"YUV4MPEG2 W{frame.width} H{frame.height} F25:1 Ip A1:1 C420mpeg2\nFRAME\n"
    planes = (_rows(plane)[:, : plane.width].tobytes() for plane in frame.planes)
    return head.encode() + b"".join(planes)


def read_exchange(data: bytes, exchange: Exchange) -> Pixels:
    """The picture of a file of that format, `(H,W,3) uint8` RGB.

    Raises:
        CodecError: it is damaged, cut short or of another format, or holds more than one frame.
    """
    if exchange != "y4m":
        return decode_pixels(data, exchange.upper())
    return to_rgb(_read_y4m(data))


def _read_y4m(data: bytes) -> VideoFrame:
    import av

    head, _, rest = data.partition(b"\n")
    mark, _, samples = rest.partition(b"\n")
    words = head.decode("latin-1").split(" ")
    tags = {word[:1]: word[1:] for word in words[1:]}
    name = _Y4M_FORMATS.get(_SITING.sub("", tags.get("C", "")))
    sides = [tags.get(side, "") for side in "WH"]
    if words[0] != "YUV4MPEG2" or not mark.startswith(b"FRAME") or not name:
        raise CodecError(
            f"a Y4M file of one frame was expected, got {data[:40]!r}",
            hint=f"Its color space must be one of C{', C'.join(list(_Y4M_FORMATS)[1:])}.",
        )
    width, height = (int(side) if side.isdecimal() else 0 for side in sides)
    if not 0 < width * height <= MAX_PIXELS:
        raise CodecError(f"the Y4M file says that its picture is {sides[0]}x{sides[1]}")
    frame = av.VideoFrame(width, height, name)
    frame.colorspace, frame.color_range = BT709, LIMITED
    depth = 2 if name.endswith("10le") else 1
    for plane in frame.planes:
        size = plane.width * depth * plane.height
        if len(samples) < size:
            raise CodecError(f"the Y4M file is cut short: {len(samples)} of {size} bytes are left")
        rows = np.frombuffer(samples[:size], np.uint8).reshape(plane.height, -1)
        _rows(plane)[:, : rows.shape[1]] = rows
        samples = samples[size:]
    if samples:
        raise CodecError(
            f"the Y4M file holds {len(samples)} bytes after its first frame",
            hint="One picture was expected: make the program write one frame.",
        )
    return frame


def _rows(plane: VideoPlane) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """The plane's memory, `(height, line size) uint8`."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height]
