"""AV1 as a still-image codec: one key frame of SVT-AV1, through PyAV."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from diffir.codecs.av1_headers import read_av1
from diffir.codecs.av1_sequence import units
from diffir.codecs.intra_frame import (
    bits_per_pixel,
    decode_intra,
    encode_intra,
    movie_error,
    padded,
)
from diffir.codecs.ivf import is_ivf, read_ivf
from diffir.codecs.picture_stamp import Stamp, cropped, read_stamp_payload, stamp_payload
from diffir.codecs.provenance import sourced
from diffir.codecs.quantizer_index import MAX_INDEX, nearest_quantizer
from diffir.codecs.still_image import check_request
from diffir.codecs.video_track import holds, is_video_file, read_track
from diffir.contracts.codec import CodecInfo, CodecSpec, QualityScale

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels, Subsampling

FOURCC = b"AV01"
DELIMITER, METADATA = 2, 5  # obu_type, 6.2.2
DELIMITER_UNIT = b"\x12\x00"
METADATA_HEADER, STOP_BIT = 0x2A, 0x80
# A metadata_type among those that are free for private use, 6.7.1.
PRIVATE_TYPE = 31
SMALLEST_SIDE = 4


class Av1:
    """AV1 at a constant rate factor, written as a stream of open bitstream units (OBU).

    `quality` is SVT-AV1's `crf` at preset 6. SVT-AV1 gives key frames a finer quantizer than the
    one that stands for `crf`, by the picture's content; so the quality that `read_info` estimates
    from `base_q_idx` is lower than what was asked. Reads also the single picture of an IVF, MP4,
    Matroska or WebM file.
    """

    spec = CodecSpec(
        name="av1",
        suffixes=(".obu",),
        scale=QualityScale("AV1 CRF", worst=63, best=0),
        levels=(60, 50, 40),
        license="BSD-3-Clause-Clear",
        subsamplings=("4:2:0",),
    )

    def recognizes(self, data: bytes) -> bool:
        """Whether this is an AV1 stream of OBUs, AV1 in IVF, or a video file that holds AV1."""
        if data.startswith(DELIMITER_UNIT):
            return True
        return is_ivf(data, FOURCC) or holds(data, "av1")

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB; `quality` is rounded to a whole CRF."""
        chosen = check_request(self.spec, quality, subsampling=subsampling)
        # SVT-AV1 prints what it does to stderr; only its own environment variable stops it.
        os.environ.setdefault("SVT_LOG", "-1")
        source = padded(pixels, least=SMALLEST_SIDE)
        # FFmpeg's own option takes crf 0 for "not given".
        options = {"preset": "6", "svtav1-params": f"lp=1:crf={round(quality)}"}
        stream = encode_intra(source, "libsvtav1", options=options, subsampling=chosen)
        if not stream.startswith(DELIMITER_UNIT):
            stream = DELIMITER_UNIT + stream
        if source.shape == pixels.shape:
            return stream
        return _stamped(stream, Stamp(pixels.shape[1], pixels.shape[0]))

    def decode(self, data: bytes) -> Pixels:
        """Decompress to `(H,W,3) uint8` RGB."""
        stream, frames = _stream(data)
        if frames > 1:
            raise movie_error("AV1")
        read_av1(stream)  # refuses what is no key frame, with the reason
        return cropped(decode_intra([stream], "libdav1d"), _stamp(stream))

    def read_info(self, data: bytes) -> CodecInfo:
        """`base_q_idx`, chroma format, profile, from the headers."""
        stream, frames = _stream(data)
        header = read_av1(stream)
        info = CodecInfo(
            name="av1",
            quality=nearest_quantizer(header.base_q_idx),
            severity=header.base_q_idx / MAX_INDEX,
            quantizer=header.base_q_idx,
            subsampling=header.subsampling,
            bits_per_pixel=bits_per_pixel(data, _stamp(stream) or header, frames=frames),
            lossless=header.lossless,
            details={
                "profile": header.profile,
                "bit_depth": header.bit_depth,
                "frames": frames,
            },
        )
        return sourced(info, estimates=("quality",))


def _stream(data: bytes) -> tuple[bytes, int]:
    """The first temporal unit, or a bare stream as it is, and how many there are."""
    if is_video_file(data):
        track = read_track(data, "av1")
        # "av1C" is four bytes, then units: the sequence header may stand there alone.
        return track.extradata[4:] + track.packets[0], len(track.packets)
    if is_ivf(data, FOURCC):
        packets = read_ivf(data)
        return packets[0], len(packets)
    return data, max(1, sum(kind == DELIMITER for kind, _ in units(data)))


def _stamped(stream: bytes, stamp: Stamp) -> bytes:
    """Put a metadata unit with the stamp after the sequence header, 5.8 and 7.5."""
    after = len(DELIMITER_UNIT) + 2 + stream[len(DELIMITER_UNIT) + 1]
    payload = bytes([PRIVATE_TYPE]) + stamp_payload(stamp) + bytes([STOP_BIT])
    unit = bytes([METADATA_HEADER, len(payload)]) + payload
    return stream[:after] + unit + stream[after:]


def _stamp(stream: bytes) -> Stamp | None:
    for kind, payload in units(stream):
        if kind == METADATA and payload[:1] == bytes([PRIVATE_TYPE]):
            return read_stamp_payload(payload[1:])
    return None
