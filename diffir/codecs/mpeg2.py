"""MPEG-2 video as a still-image codec: one intra picture of FFmpeg's encoder, through PyAV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.codecs.intra_frame import (
    bits_per_pixel,
    decode_intra,
    encode_intra,
    movie_error,
    padded,
)
from diffir.codecs.mpeg2_headers import count_pictures, is_mpeg2, read_mpeg2
from diffir.codecs.provenance import sourced
from diffir.codecs.still_image import check_request
from diffir.codecs.video_track import holds, is_video_file, read_track
from diffir.contracts.codec import CodecInfo, CodecSpec, QualityScale

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels, Subsampling

# `chroma_format`, table 6-5; 0 is reserved.
CHROMA_FORMATS = {1: "4:2:0", 2: "4:2:2", 3: "4:4:4"}


class Mpeg2:
    """MPEG-2 at a constant quantizer scale, written as an elementary stream.

    `quality` is FFmpeg's `qscale`, which is `quantiser_scale_code` of every slice, and what
    `read_info` finds again. FFmpeg writes no 4:4:4. Reads also the single picture of an MP4,
    QuickTime or Matroska file.
    """

    spec = CodecSpec(
        name="mpeg2",
        suffixes=(".m2v",),
        scale=QualityScale("quantizer scale", worst=31, best=1),
        levels=(31, 20, 12),
        license="LGPL-2.1-or-later",
        subsamplings=("4:2:0",),
    )

    def recognizes(self, data: bytes) -> bool:
        """Whether this is an MPEG-2 elementary stream, or a video file that holds MPEG-2."""
        return is_mpeg2(data) or holds(data, "mpeg2video")

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB; `quality` is rounded to a whole scale code."""
        chosen = check_request(self.spec, quality, subsampling=subsampling)
        options = dict.fromkeys(("qmin", "qmax"), str(round(quality)))
        return encode_intra(padded(pixels), "mpeg2video", options=options, subsampling=chosen)

    def decode(self, data: bytes) -> Pixels:
        """Decompress to `(H,W,3) uint8` RGB."""
        stream = _stream(data)
        if count_pictures(stream) > 1:
            raise movie_error("MPEG-2")
        read_mpeg2(stream)  # refuses what is no intra picture, with the reason
        return decode_intra([stream], "mpeg2video")

    def read_info(self, data: bytes) -> CodecInfo:
        """Quantizer scale, chroma format and profile, from the headers."""
        header = read_mpeg2(_stream(data))
        info = CodecInfo(
            name="mpeg2",
            quality=header.scale_code,
            severity=self.spec.scale.severity(header.scale_code),
            quantizer=header.scale_code,
            subsampling=CHROMA_FORMATS.get(header.chroma_format),
            bits_per_pixel=bits_per_pixel(data, header, frames=header.frames),
            lossless=False,
            details={
                "profile_level": header.profile_level,
                "bit_depth": 8,
                "dc_bits": header.dc_bits,
                "nonlinear_scale": header.nonlinear,
                "frames": header.frames,
            },
        )
        return sourced(info)


def _stream(data: bytes) -> bytes:
    if is_video_file(data):
        return b"".join(read_track(data, "mpeg2video").packets)
    return data
