"""Small movies and files, made with PyAV: what users hold, beside what our codecs write."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np

QUIET = {"libx265": {"x265-params": "log-level=none:pools=none:frame-threads=1"}}


def frames(count: int, width: int, height: int, pixel_format: str):
    for index in range(count):
        y, x = np.mgrid[:height, :width]
        pixels = np.stack([(x * 3 + 20 * index) % 256, (y * 5) % 256, (x + y) % 256], 2)
        frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), "rgb24")
        frame = frame.reformat(format=pixel_format, dst_color_range=1)
        frame.pts = index
        yield frame


def stream(encoder, *, count=1, size=(64, 48), pixel_format="yuv420p", **options) -> list[bytes]:
    """The packets of an elementary stream."""
    context = av.CodecContext.create(encoder, "w")
    context.width, context.height = size
    context.pix_fmt, context.time_base = pixel_format, Fraction(1, 25)
    context.framerate = Fraction(25)
    context.thread_count = 1
    context.options = {**QUIET.get(encoder, {}), **options}
    packets = [
        bytes(packet)
        for frame in (*frames(count, *size, pixel_format), None)
        for packet in context.encode(frame)
    ]
    assert packets
    return packets


def file(container: str, encoder: str, *, count=1, size=(64, 48), **options) -> bytes:
    """A whole file of a container format."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        track = output.add_stream(encoder, rate=25, options={**QUIET.get(encoder, {}), **options})
        track.width, track.height = size
        track.pix_fmt = "yuv420p"
        for frame in (*frames(count, *size, "yuv420p"), None):
            output.mux(track.encode(frame))
    return buffer.getvalue()
