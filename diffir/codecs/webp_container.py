"""The RIFF chunks of a WebP file: where its first frame is, and what surrounds it. RFC 9649."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ANIMATION_FLAG = 0x02  # of VP8X, section 2.7.1.2
_FRAME_HEADER = 16  # bytes before the chunks inside ANMF, section 2.7.1.1


@dataclass(frozen=True)
class WebPContainer:
    """The first frame's bitstream and the file's extended facts.

    kind: "VP8" or "VP8L". width, height: of the canvas, None without the extended header: then the
    bitstream's own size counts. frames: 1 for a still picture. alpha: in a chunk of its own.
    """

    kind: str
    bitstream: bytes
    width: int | None
    height: int | None
    animated: bool
    frames: int
    alpha: bool


def read_webp(data: bytes) -> WebPContainer:
    """Find the first frame.

    Raises:
        CodecError: not a WebP file, damaged, or cut short.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise CodecError("not a WebP file: it does not begin with RIFF and WEBP")
    size = 8 + int.from_bytes(data[4:8], "little")
    if size > len(data):
        raise CodecError(f"the WebP file is cut short: {size} bytes announced, {len(data)} there")
    chunks = list(_chunks(data[12:size]))
    extended = next((payload for kind, payload in chunks if kind == "VP8X"), b"")
    if extended and len(extended) < 10:
        raise CodecError("the extended header of the WebP file is cut short")
    frames = [payload for kind, payload in chunks if kind == "ANMF"]
    still = list(_chunks(frames[0][_FRAME_HEADER:])) if frames else chunks
    bitstreams = [(kind, payload) for kind, payload in still if kind in ("VP8 ", "VP8L")]
    if not bitstreams:
        raise CodecError("the WebP file holds no VP8 or VP8L bitstream")
    kind, bitstream = bitstreams[0]
    return WebPContainer(
        kind=kind.strip(),
        bitstream=bitstream,
        width=1 + int.from_bytes(extended[4:7], "little") if extended else None,
        height=1 + int.from_bytes(extended[7:10], "little") if extended else None,
        animated=bool(frames) or bool(extended and extended[0] & _ANIMATION_FLAG),
        frames=max(1, len(frames)),
        alpha=any(kind == "ALPH" for kind, _ in still),
    )


def read_vp8l_size(bitstream: bytes) -> tuple[int, int]:
    """Width and height from a lossless bitstream's header, RFC 9649 section 3.4.

    Raises:
        CodecError: the signature is missing.
    """
    if len(bitstream) < 5 or bitstream[0] != 0x2F:
        raise CodecError("not a VP8L bitstream: its signature is missing")
    packed = int.from_bytes(bitstream[1:5], "little")
    return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)


def _chunks(data: bytes) -> Iterator[tuple[str, bytes]]:
    position = 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        payload = data[position + 8 : position + 8 + size]
        if len(payload) < size:
            raise CodecError("a chunk of the WebP file is cut short")
        yield data[position : position + 4].decode("latin-1"), payload
        position += 8 + size + size % 2
