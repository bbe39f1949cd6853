"""VP9 as a still-image codec: one key frame of libvpx, through PyAV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.codecs.intra_frame import (
    bits_per_pixel,
    decode_intra,
    encode_intra,
    movie_error,
    padded,
)
from diffir.codecs.ivf import is_ivf, read_ivf, write_ivf
from diffir.codecs.provenance import sourced
from diffir.codecs.quantizer_index import MAX_INDEX, nearest_quantizer
from diffir.codecs.still_image import check_request
from diffir.codecs.video_track import holds, is_video_file, read_track
from diffir.codecs.vp9_headers import is_vp9_key_frame, read_vp9
from diffir.contracts.codec import CodecInfo, CodecSpec, QualityScale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.contracts.codec import Pixels, Subsampling

FOURCC = b"VP90"


class Vp9:
    """VP9 at a constant quantizer, written as an IVF file of one frame.

    `quality` is libvpx's quantizer, held fixed (`min-q` = `max-q`), so that `base_q_idx` is its
    entry in libvpx's table and `read_info` finds it again. Reads also the single picture of a WebM,
    Matroska or MP4 file, and a bare frame.
    """

    spec = CodecSpec(
        name="vp9",
        suffixes=(".ivf", ".vp9"),
        scale=QualityScale("VP9 quantizer", worst=63, best=0),
        levels=(55, 48, 40),
        license="BSD-3-Clause",
    )

    def recognizes(self, data: bytes) -> bool:
        """Whether this is VP9 in IVF, a video file that holds VP9, or a bare key frame."""
        return is_ivf(data, FOURCC) or is_vp9_key_frame(data) or holds(data, "vp9")

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB; `quality` is rounded to a whole quantizer."""
        chosen = check_request(self.spec, quality, subsampling=subsampling)
        quantizer = str(round(quality))
        options = {
            **dict.fromkeys(("crf", "qmin", "qmax"), quantizer),
            "b": "0",
            "lag-in-frames": "0",
            "auto-alt-ref": "0",
        }
        frame = encode_intra(padded(pixels), "libvpx-vp9", options=options, subsampling=chosen)
        return write_ivf(FOURCC, (pixels.shape[1], pixels.shape[0]), [frame])

    def decode(self, data: bytes) -> Pixels:
        """Decompress to `(H,W,3) uint8` RGB."""
        frames = _frames(data)
        if len(frames) > 1:
            raise movie_error("VP9")
        read_vp9(frames[0])  # refuses what is no key frame, with the reason
        return decode_intra(frames, "vp9")

    def read_info(self, data: bytes) -> CodecInfo:
        """`base_q_idx`, chroma format, profile, from the frame's header."""
        frames = _frames(data)
        header = read_vp9(frames[0])
        info = CodecInfo(
            name="vp9",
            quality=nearest_quantizer(header.base_q_idx),
            severity=header.base_q_idx / MAX_INDEX,
            quantizer=header.base_q_idx,
            subsampling=header.subsampling,
            bits_per_pixel=bits_per_pixel(data, header, frames=len(frames)),
            lossless=header.lossless,
            details={
                "profile": header.profile,
                "bit_depth": header.bit_depth,
                "frames": len(frames),
            },
        )
        return sourced(info, estimates=("quality",))


def _frames(data: bytes) -> Sequence[bytes]:
    if is_ivf(data, FOURCC):
        return read_ivf(data)
    if is_video_file(data):
        return read_track(data, "vp9").packets
    return [data]
