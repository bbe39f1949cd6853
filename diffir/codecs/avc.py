"""H.264/AVC as a still-image codec: one intra frame of x264, through PyAV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.codecs.avc_headers import SEI, SEQUENCE_SET, count_pictures, nal_type, read_avc, slices
from diffir.codecs.intra_frame import (
    bits_per_pixel,
    decode_intra,
    encode_intra,
    movie_error,
    padded,
)
from diffir.codecs.nal_records import avc_units
from diffir.codecs.nal_units import (
    CHROMA_FORMATS,
    begins_annex_b,
    join_annex_b,
    not_annex_b,
    read_stamp_message,
    split_annex_b,
    stamp_message,
)
from diffir.codecs.picture_stamp import Stamp, cropped
from diffir.codecs.provenance import sourced
from diffir.codecs.still_image import check_request
from diffir.codecs.video_track import holds, is_video_file, read_track
from diffir.contracts.codec import CodecInfo, CodecSpec, QualityScale

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels, Subsampling

ACCESS_UNIT_DELIMITER = 9


class Avc:
    """H.264 at a constant QP, written as an Annex B byte stream.

    `quality` is x264's `qp`. As x264 lowers the QP of intra frames by its `ipratio` of 1.4, the
    slice QP is 3 less, and never below 0; qp 0 is lossless but for the conversion from RGB. What
    `read_info` gives as quality and quantizer is the slice QP of the stream: 39 for qp 42. Reads
    also the single picture of an MP4, QuickTime or Matroska file.
    """

    spec = CodecSpec(
        name="avc",
        suffixes=(".h264", ".264", ".avc"),
        scale=QualityScale("QP", worst=51, best=0),
        levels=(47, 42, 37),
        license="GPL-2.0-or-later",
    )

    def recognizes(self, data: bytes) -> bool:
        """Whether this is an H.264 byte stream, or a video file that holds H.264."""
        if not begins_annex_b(data):
            return holds(data, "h264")
        units = split_annex_b(data[:4096])
        first = (SEI, SEQUENCE_SET, ACCESS_UNIT_DELIMITER)
        return (
            bool(units)
            and nal_type(units[0]) in first
            and not any(unit[0] & 0x80 for unit in units)
            and any(nal_type(unit) == SEQUENCE_SET for unit in units)
        )

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB; `quality` is rounded to a whole qp."""
        chosen = check_request(self.spec, quality, subsampling=subsampling)
        source = padded(pixels, multiple=2 if chosen == "4:2:0" else 1)
        options = {"qp": str(round(quality))}
        stream = encode_intra(source, "libx264", options=options, subsampling=chosen)
        # x264 writes its settings into an SEI message: 600 bytes that say nothing of the picture.
        units = [unit for unit in split_annex_b(stream) if nal_type(unit) != SEI]
        if source.shape != pixels.shape:
            height, width = pixels.shape[:2]
            units.insert(-1, bytes([SEI]) + stamp_message(Stamp(width, height)))
        return join_annex_b(units)

    def decode(self, data: bytes) -> Pixels:
        """Decompress to `(H,W,3) uint8` RGB."""
        units = _units(data)
        if count_pictures(slices(units)) > 1:
            raise movie_error("H.264")
        return cropped(decode_intra([join_annex_b(units)], "h264"), _stamp(units))

    def read_info(self, data: bytes) -> CodecInfo:
        """Slice QP, chroma format, profile and entropy coder, from the headers."""
        units = _units(data)
        header = read_avc(units)
        info = CodecInfo(
            name="avc",
            # More than 8 bits a sample extend the QP below 0.
            quality=max(0, header.slice_qp),
            severity=self.spec.scale.severity(header.slice_qp),
            quantizer=header.slice_qp,
            subsampling=CHROMA_FORMATS[header.chroma_format],
            bits_per_pixel=bits_per_pixel(data, _stamp(units) or header, frames=header.frames),
            lossless=header.lossless,
            details={
                "profile": header.profile,
                "bit_depth": header.bit_depth,
                "entropy_coding": "CABAC" if header.cabac else "CAVLC",
                "frames": header.frames,
            },
        )
        return sourced(info)


def _units(data: bytes) -> list[bytes]:
    if is_video_file(data):
        track = read_track(data, "h264")
        return avc_units(track.extradata, track.packets)
    if not begins_annex_b(data):
        raise not_annex_b("H.264")
    return split_annex_b(data)


def _stamp(units: list[bytes]) -> Stamp | None:
    messages = (unit[1:] for unit in units if nal_type(unit) == SEI)
    return next((stamp for message in messages if (stamp := read_stamp_message(message))), None)
