"""H.265/HEVC as a still-image codec: one intra frame of x265, through PyAV; reads HEIC too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.codecs.heic import decode_heic, heic_facts, is_heic, read_heic
from diffir.codecs.hevc_headers import (
    SEI,
    SEQUENCE_SET,
    count_pictures,
    nal_type,
    read_hevc,
    slices,
)
from diffir.codecs.intra_frame import (
    bits_per_pixel,
    decode_intra,
    encode_intra,
    movie_error,
    padded,
)
from diffir.codecs.nal_records import hevc_units
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
from diffir.errors import CodecError

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels, Subsampling
    from diffir.contracts.picture import FileFacts

VIDEO_SET, ACCESS_UNIT_DELIMITER = 32, 35
# The second byte of a unit's header: base layer, lowest temporal layer.
BASE_LAYER = 1
# No chatter on stderr, no message with x265's settings (2 KB), no threads of its own.
X265_PARAMS = "log-level=none:info=0:pools=none:frame-threads=1"


class Hevc:
    """H.265 at a constant QP, written as an Annex B byte stream.

    `quality` is x265's `qp`. As x265 lowers the QP of intra frames by its `ipratio` of 1.4, the
    slice QP is 3 less, and never below 0. What `read_info` gives as quality and quantizer is the
    slice QP of the stream: 39 for qp 42. A message of 41 bytes tells the picture's size and how
    long its coding is, as FFmpeg's decoder does not notice a stream that is cut short. Reads also
    the single picture of an MP4, QuickTime or Matroska file, and HEIC, grids of tiles included.
    """

    spec = CodecSpec(
        name="hevc",
        suffixes=(".h265", ".265", ".hevc"),
        scale=QualityScale("QP", worst=51, best=0),
        levels=(47, 42, 37),
        license="GPL-2.0-or-later",
        also_reads=(".heic", ".heif"),
    )

    def recognizes(self, data: bytes) -> bool:
        """Whether this is an H.265 byte stream, HEIC, or a video file that holds H.265."""
        if not begins_annex_b(data):
            return is_heic(data) or holds(data, "hevc")
        units = split_annex_b(data[:4096])
        first = (VIDEO_SET, SEQUENCE_SET, ACCESS_UNIT_DELIMITER, SEI)
        return (
            bool(units)
            and nal_type(units[0]) in first
            and units[0][1:2] == bytes([BASE_LAYER])
            and any(nal_type(unit) == SEQUENCE_SET for unit in units)
        )

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB; `quality` is rounded to a whole qp."""
        chosen = check_request(self.spec, quality, subsampling=subsampling)
        # x265 wants at least one coding block of 16; the conformance window cuts to chroma samples.
        source = padded(pixels, multiple=2 if chosen == "4:2:0" else 1, least=16)
        options = {"qp": str(round(quality)), "x265-params": X265_PARAMS}
        stream = encode_intra(source, "libx265", options=options, subsampling=chosen)
        units = split_annex_b(stream)
        stamp = Stamp(pixels.shape[1], pixels.shape[0], coded_bytes=len(units[-1]))
        units.insert(-1, bytes([SEI << 1, BASE_LAYER]) + stamp_message(stamp))
        return join_annex_b(units)

    def decode(self, data: bytes) -> Pixels:
        """Decompress to `(H,W,3) uint8` RGB; a HEIC picture is turned upright."""
        if is_heic(data):
            return decode_heic(data, _pixels)
        return _pixels(_units(data))

    def read_file(self, data: bytes) -> FileFacts | None:
        """Size and metadata of a HEIC file; `None` of any other.

        Raises:
            CodecError: the file is damaged.
        """
        return heic_facts(data) if is_heic(data) else None

    def read_info(self, data: bytes) -> CodecInfo:
        """Slice QP, chroma format and profile, from the headers; of a grid's first tile.

        Bits per pixel are those of the whole file, or of all tiles of a grid.
        """
        image = read_heic(data) if is_heic(data) else None
        units = image.units if image else _units(data)
        header = read_hevc(units)
        size = (image and image.size) or _stamp(units) or header
        bits = image.tile_bits() if image else None
        if bits is None:
            bits = bits_per_pixel(data, size, frames=header.frames)
        info = CodecInfo(
            name="hevc",
            # More than 8 bits a sample extend the QP below 0.
            quality=max(0, header.slice_qp),
            severity=self.spec.scale.severity(header.slice_qp),
            quantizer=header.slice_qp,
            subsampling=CHROMA_FORMATS[header.chroma_format],
            bits_per_pixel=bits,
            # Where coding units may bypass the quantizer, the headers do not say which ones do.
            lossless=None if header.bypass else False,
            details={
                "profile": header.profile,
                "bit_depth": header.bit_depth,
                "frames": header.frames,
                **({"tiles": image.tiles} if image else {}),
            },
        )
        return sourced(info)


def _pixels(units: list[bytes]) -> Pixels:
    coded = slices(units)
    if count_pictures(coded) > 1:
        raise movie_error("H.265")
    stamp = _stamp(units)
    left = sum(map(len, coded))
    if stamp and stamp.coded_bytes and stamp.coded_bytes != left:
        raise CodecError(
            f"{stamp.coded_bytes} bytes of coded picture were written, {left} are left: cut short"
        )
    return cropped(decode_intra([join_annex_b(units)], "hevc"), stamp)


def _units(data: bytes) -> list[bytes]:
    if is_video_file(data):
        track = read_track(data, "hevc")
        return hevc_units(track.extradata, track.packets)
    if not begins_annex_b(data):
        raise not_annex_b("H.265")
    return split_annex_b(data)


def _stamp(units: list[bytes]) -> Stamp | None:
    messages = (unit[2:] for unit in units if nal_type(unit) == SEI)
    return next((stamp for message in messages if (stamp := read_stamp_message(message))), None)
