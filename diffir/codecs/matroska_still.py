"""One frame of any video encoder in a Matroska or NUT file, in memory, through PyAV.

The codecs that diffir brings write their own bare formats. This is for encoders of which nothing is
known but FFmpeg's name: the container keeps their headers, and tells the picture's true size where
the encoder wants other sides. NUT takes what Matroska has no name for, such as H.263.

Colors are BT.601's: most of these formats cannot name a matrix, and are read as BT.601 then.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from diffir.codecs.hevc import X265_PARAMS
from diffir.codecs.intra_frame import BT601, LIMITED, decode_intra, padded, reason, to_yuv
from diffir.codecs.video_track import is_video_file, read_track
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from av.container import InputContainer

    from diffir.contracts.codec import Pixels

PIXEL_FORMAT = "yuv420p"
SIZE_TAG = "DIFFIR_SIZE"
"""The tag of the file that tells the true size, as "65x33"; players pass over it."""

ALWAYS = {
    "libx265": {"x265-params": X265_PARAMS},
    "mjpeg": {"strict": "unofficial"},  # it means limited range, which the stream then tells
}
"""Options without which an encoder chatters, or refuses."""


def encode_matroska(pixels: Pixels, encoder: str, *, options: Mapping[str, str]) -> bytes:
    """Encode `(H,W,3) uint8` RGB as one intra frame in 4:2:0.

    Args:
        pixels: of any size; both sides are padded to multiples of 4, as H.263 wants it, and to 16
            at least.
        encoder: FFmpeg's name, "mpeg4".
        options: the encoder's own.

    Raises:
        CodecError: FFmpeg lacks the encoder, or it refused.
    """
    import av
    from av.codec.context import Flags

    height, width = pixels.shape[:2]
    whole = padded(pixels, multiple=4, least=16)
    file = io.BytesIO()
    os.environ.setdefault("SVT_LOG", "-1")  # SVT-AV1 chatters, and has no option against it
    try:
        kind = "matroska" if _matroska_takes(encoder) else "nut"
        # "bitexact" leaves out dates, versions and random identifiers.
        with av.open(file, "w", format=kind, options={"fflags": "+bitexact"}) as container:
            container.metadata[SIZE_TAG] = f"{width}x{height}"
            wanted = {**ALWAYS.get(encoder, {}), **options}
            stream = container.add_stream(encoder, rate=25, options=wanted)
            if not isinstance(stream, av.VideoStream):
                raise CodecError(f"{encoder} is not a video encoder", hint="See: ffmpeg -encoders")
            stream.height, stream.width = whole.shape[:2]
            stream.pix_fmt = PIXEL_FORMAT
            stream.thread_count = 1
            stream.codec_context.flags |= Flags.bitexact
            stream.codec_context.colorspace, stream.codec_context.color_range = BT601, LIMITED
            frame = to_yuv(whole, PIXEL_FORMAT, matrix=BT601)
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
    except (av.FFmpegError, ValueError) as error:
        raise CodecError(
            f"{encoder} refused {width}x{height} pixels: {reason(error)}",
            hint="It must be an encoder of FFmpeg that takes yuv420p at any size, and whose video "
            "Matroska or NUT can hold.",
        ) from error
    return file.getvalue()


def _matroska_takes(encoder: str) -> bool:
    import av

    with av.open(io.BytesIO(), "w", format="matroska") as container:
        return av.Codec(encoder, "w").canonical_name in container.supported_codecs


def decode_matroska(data: bytes, codec: str, *, decoder: str | None = None) -> Pixels:
    """Decode the only frame to `(H,W,3) uint8` RGB, of the size that went in.

    Args:
        data: what `encode_matroska` wrote, or another video file of one frame.
        codec: FFmpeg's name of what the file holds, "av1".
        decoder: FFmpeg's name of the decoder, where it is another: "libdav1d".

    Raises:
        CodecError: damaged, cut short, a movie, or of another codec.
    """
    width, height = read_size(data, codec)
    track = read_track(data, codec)
    pixels = decode_intra(track.packets, decoder or codec, extradata=track.extradata)
    if width > pixels.shape[1] or height > pixels.shape[0]:
        raise CodecError(
            f"the file says that its picture is {width}x{height}, "
            f"but decodes to {pixels.shape[1]}x{pixels.shape[0]}"
        )
    return pixels[:height, :width].copy()


def read_size(data: bytes, codec: str) -> tuple[int, int]:
    """Width and height of the picture, from the headers.

    Raises:
        CodecError: not a video file, or not of this codec.
    """
    import av

    if not is_video_file(data):
        raise CodecError(f"a video file was expected, these bytes begin with {data[:8]!r}")
    try:
        with av.open(io.BytesIO(data), mode="r") as container:
            return _size(container, codec)
    except (av.FFmpegError, ValueError) as error:
        raise CodecError(f"the video file could not be read: {error}") from error


def _size(container: InputContainer, codec: str) -> tuple[int, int]:
    stream = next(iter(container.streams.video), None)
    context = stream.codec_context if stream is not None else None
    if context is None or context.codec.canonical_name != codec:
        raise CodecError(f"video of the codec {codec} was expected")
    told = container.metadata.get(SIZE_TAG, f"{context.width}x{context.height}")
    width, _, height = told.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise CodecError(f"the video file says that its picture is {told}")
    return int(width), int(height)
