"""Video codecs as still-image codecs: one intra frame in, one frame out, in memory, through PyAV.

    RGB -> pad -> YUV (BT.709, limited range) -> encoder -> packet
    packets -> decoder -> one frame -> RGB -> the caller crops

One thread each way, so that equal pixels give equal bytes and data-loader workers do not fight for
cores. `BITEXACT | ACCURATE_RND` makes the conversion between RGB and YUV the same on every
processor; on the way back chroma is repeated, not interpolated, as FFmpeg does by default.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import numpy as np

from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from av import Packet, VideoCodecContext, VideoFrame
    from av.stream import Stream
    from av.video.plane import VideoPlane
    from numpy.typing import NDArray

    from diffir.contracts.codec import Pixels, Subsampling

BT709 = 1
LIMITED, FULL = 1, 2
# AVColorSpace -> swscale's matrix; a stream that names none is taken for BT.601, as FFmpeg does.
BT601 = 5
MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
# A damaged header may announce any size; FFmpeg refuses larger pictures before it asks for memory.
MAX_PIXELS = 2**28
PIXEL_FORMATS: dict[Subsampling, str] = {"4:2:0": "yuv420p", "4:4:4": "yuv444p"}


class Sized(Protocol):
    """Something with a width and a height in pixels."""

    @property
    def width(self) -> int:
        """Columns."""
        ...

    @property
    def height(self) -> int:
        """Rows."""
        ...


def padded(pixels: Pixels, *, multiple: int = 1, least: int = 1) -> Pixels:
    """Repeat the right and bottom edges until both sides are multiples, and at least `least`.

    Raises:
        CodecError: not `(H,W,3) uint8`, or empty.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape or pixels.dtype != np.uint8:
        raise CodecError(
            f"pixels must be (H,W,3) uint8 and not empty, got {pixels.shape} {pixels.dtype}",
            hint="Scale to 0..255 and convert to RGB first.",
        )
    height, width = pixels.shape[:2]
    rows, columns = (-(-max(side, least) // multiple) * multiple for side in (height, width))
    if (rows, columns) == (height, width):
        return np.ascontiguousarray(pixels)
    return np.pad(pixels, ((0, rows - height), (0, columns - width), (0, 0)), mode="edge")


def bits_per_pixel(data: bytes, header: Sized, *, frames: int) -> float | None:
    """Bits of the whole file over the pixels of its picture; `None` for a movie."""
    return 8 * len(data) / (header.width * header.height) if frames == 1 else None


def encode_intra(
    pixels: Pixels, encoder: str, *, options: Mapping[str, str], subsampling: Subsampling
) -> bytes:
    """Encode one picture as one intra frame.

    Args:
        pixels: what `padded` returned, of a size that the encoder accepts.
        encoder: FFmpeg's name, "libx264".
        options: the encoder's own options.
        subsampling: chroma format of the frame.

    Returns:
        The packet's bytes, parameter sets included.

    Raises:
        CodecError: FFmpeg lacks the encoder, or the encoder refused.
    """
    import av

    try:
        context = _encoder(pixels.shape, encoder, pixel_format=PIXEL_FORMATS[subsampling])
        context.options = dict(options)
        frame = to_yuv(pixels, PIXEL_FORMATS[subsampling])
        packets = [*context.encode(frame), *context.encode(None)]
    except (av.FFmpegError, ValueError) as error:
        raise CodecError(f"{encoder} refused {pixels.shape[1]}x{pixels.shape[0]}: {error}") from (
            error
        )
    return b"".join(bytes(packet) for packet in packets)


def _encoder(shape: Sequence[int], name: str, *, pixel_format: str) -> VideoCodecContext:
    import av

    context = av.CodecContext.create(name, "w")
    if not isinstance(context, av.VideoCodecContext):
        raise CodecError(f"{name} is not a video encoder")
    context.height, context.width = shape[:2]
    context.pix_fmt = pixel_format
    context.time_base = Fraction(1, 25)
    context.framerate = Fraction(25)
    context.thread_count = 1
    context.color_range = LIMITED
    context.colorspace = context.color_primaries = context.color_trc = BT709
    return context


def to_yuv(pixels: Pixels, pixel_format: str, *, matrix: int = BT709) -> VideoFrame:
    """`(H,W,3) uint8` RGB as a frame of FFmpeg's `pixel_format`, limited range.

    matrix: `BT709`, or `BT601` for streams that cannot name theirs.
    """
    import av
    from av.video.reformatter import Interpolation

    height, width = pixels.shape[:2]
    even = padded(pixels, multiple=2)
    frame = av.VideoFrame.from_ndarray(even, format="rgb24").reformat(
        format=pixel_format,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT,
        dst_colorspace=matrix,
        dst_color_range=LIMITED,
        threads=1,
    )
    frame = _framed(frame, width=width, height=height)
    frame.pts = 0
    return frame


def _framed(frame: VideoFrame, *, width: int, height: int) -> VideoFrame:
    """The same samples in a frame of another size, at most one row and column off.

    swscale stretches the chroma of odd sizes: 33 samples over 65 pixels instead of 66. So colors
    are converted at even sizes, which have the same chroma planes.
    """
    import av

    if (frame.width, frame.height) == (width, height):
        return frame
    framed = av.VideoFrame(width, height, frame.format.name)
    for source, target in zip(frame.planes, framed.planes, strict=True):
        rows, line = min(source.height, target.height), min(source.line_size, target.line_size)
        _rows(target)[:rows, :line] = _rows(source)[:rows, :line]
    framed.colorspace, framed.color_range = frame.colorspace, frame.color_range
    return framed


def _rows(plane: VideoPlane) -> NDArray[np.uint8]:
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)


def decode_intra(packets: Iterable[bytes], decoder: str, *, extradata: bytes = b"") -> Pixels:
    """Decode the only frame to `(H,W,3) uint8` RGB, of the size that the stream declares.

    Args and errors: as `decode_frame`.
    """
    return to_rgb(decode_frame(packets, decoder, extradata=extradata))


def decode_frame(packets: Iterable[bytes], decoder: str, *, extradata: bytes = b"") -> VideoFrame:
    """Decode the only frame; `to_rgb` converts it.

    Args:
        packets: the frame's access unit or units, parameter sets included, in decoding order.
        decoder: FFmpeg's name, "h264".
        extradata: headers that a container keeps apart from the packets.

    Raises:
        CodecError: the bytes are damaged, or hold no frame, or several.
    """
    import av

    frames: list[VideoFrame] = []
    context = _decoder(decoder)
    if extradata:
        context.extradata = extradata
    try:
        for packet in (*(av.Packet(data) for data in packets), None):
            frames += _frames(context, packet)
            if len(frames) > 1:
                raise movie_error(decoder)
    except (av.FFmpegError, ValueError) as error:
        raise CodecError(f"{decoder} could not decode the bytes: {reason(error)}") from error
    if not frames:
        raise CodecError(f"{decoder} found no complete picture in the bytes: damaged or truncated")
    return frames[0]


def movie_error(name: str) -> CodecError:
    """What to raise where a stream holds more than one picture."""
    return CodecError(
        f"one still picture was expected, this {name} stream is a movie of several frames",
        hint="Extract a frame first, for example: ffmpeg -i movie.mp4 -frames:v 1 -c copy one.mp4",
    )


def reason(error: Exception) -> str:
    """What FFmpeg says, without the name of its function and the number that go with it."""
    return str(getattr(error, "strerror", None) or error)


def _decoder(name: str) -> VideoCodecContext:
    import av

    context = av.CodecContext.create(name, "r")
    if not isinstance(context, av.VideoCodecContext):
        raise CodecError(f"{name} is not a video decoder")
    context.thread_count = 1
    # "explode" refuses damaged streams, where FFmpeg would rather conceal the loss.
    context.options = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS)}
    return context


def _frames(context: VideoCodecContext, packet: Packet[Stream] | None) -> list[VideoFrame]:
    import av

    try:
        return context.decode(packet)
    except av.EOFError:
        return []


def to_rgb(frame: VideoFrame, *, paired_chroma: bool = False) -> Pixels:
    """A frame of any format as `(H,W,3) uint8` RGB, by the matrix and range that it names.

    paired_chroma: two neighbors in a row get one chroma value, as FFmpeg does by default where
    samples have more than 8 bits.
    """
    from av.video.reformatter import Interpolation

    # FFmpeg's "yuvj" formats and the stream's own flag say full range; all else is limited.
    full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
    even = _framed(frame, width=-(-frame.width // 2) * 2, height=-(-frame.height // 2) * 2)
    converted = even.reformat(
        format="rgb24",
        interpolation=Interpolation.POINT
        | (0 if paired_chroma else Interpolation.FULL_CHR_H_INT)
        | Interpolation.ACCURATE_RND
        | Interpolation.BITEXACT,
        src_colorspace=MATRICES.get(frame.colorspace, BT601),
        src_color_range=FULL if full else LIMITED,
        dst_color_range=FULL,
        threads=1,
    )
    pixels = converted.to_ndarray()[: frame.height, : frame.width]
    return np.ascontiguousarray(pixels, dtype=np.uint8)
