"""The coded pictures of an MP4, QuickTime, Matroska, WebM or NUT file, unpacked but not decoded.

PyAV finds the track; what it hands out are the packets as the codec's own format defines them: AVC
and HEVC units after their lengths, AV1 and VP9 and MPEG-2 as in a bare stream.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from diffir.errors import CodecError

if TYPE_CHECKING:
    from av import VideoCodecContext
    from av.container import InputContainer

MATROSKA_MAGIC = b"\x1a\x45\xdf\xa3"
NUT_MAGIC = b"nut/multimedia container\0"
# Brands of ISO files that are pictures, not movies: AVIF and HEIF have readers of their own.
PICTURE_BRANDS = frozenset({b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis"})


@dataclass(frozen=True)
class VideoTrack:
    """The first video track of a file.

    codec: FFmpeg's name, "h264". extradata: parameter sets as the container holds them ("avcC",
    "hvcC", "av1C"), or empty. packets: the first pictures, two at most: enough to tell a still
    picture from a movie.
    """

    codec: str
    extradata: bytes
    packets: tuple[bytes, ...]


def is_video_file(data: bytes) -> bool:
    """Whether the bytes begin as MP4, QuickTime, Matroska, WebM or NUT does."""
    if data.startswith((MATROSKA_MAGIC, NUT_MAGIC)):
        return True
    return data[4:8] == b"ftyp" and data[8:12] not in PICTURE_BRANDS


def read_track(data: bytes, codec: str) -> VideoTrack:
    """Unpack the first video track.

    Args:
        data: a whole file for which `is_video_file` holds.
        codec: FFmpeg's name of the codec that is wanted.

    Raises:
        CodecError: the file is damaged, has no video, or video of another codec.
    """
    import av

    try:
        with av.open(io.BytesIO(data), mode="r") as container:
            track = _first_track(container)
    except (av.FFmpegError, ValueError) as error:
        raise CodecError(f"the video file could not be read: {error}") from error
    if track is None or not track.packets:
        raise CodecError("the file holds no video: a still picture in a video track was expected")
    if track.codec != codec:
        raise CodecError(f"video of the codec {codec} was expected, the file holds {track.codec}")
    return track


def _first_track(container: InputContainer) -> VideoTrack | None:
    if not container.streams.video:
        return None
    stream = container.streams.video[0]
    # PyAV's stubs leave it out: a codec that nobody knows, damage in its name, has no context.
    context = cast("VideoCodecContext | None", stream.codec_context)
    if context is None:
        return None
    packets: list[bytes] = []
    for packet in container.demux(stream):
        if packet.size:
            packets.append(bytes(packet))
        if len(packets) == 2:
            break
    return VideoTrack(context.codec.canonical_name, bytes(context.extradata or b""), tuple(packets))


def holds(data: bytes, codec: str) -> bool:
    """Whether the bytes are a video file whose first video track is of this codec."""
    if not is_video_file(data):
        return False
    try:
        read_track(data, codec)
    except CodecError:
        return False
    return True
