"""H.266/VVC as a still-image codec: one intra frame of libvvenc, decoded by PyAV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.codecs.intra_frame import (
    bits_per_pixel,
    decode_frame,
    movie_error,
    padded,
    to_rgb,
    to_yuv,
)
from diffir.codecs.nal_units import (
    CHROMA_FORMATS,
    begins_annex_b,
    join_annex_b,
    read_stamp_message,
    split_annex_b,
    stamp_message,
)
from diffir.codecs.picture_stamp import Stamp, cropped
from diffir.codecs.provenance import sourced
from diffir.codecs.still_image import check_request
from diffir.contracts.codec import CodecInfo, CodecSpec, QualityScale
from diffir.errors import CodecError
from diffir_vvc.encoder import PIXEL_FORMAT, Samples, encode_units
from diffir_vvc.vvc_headers import (
    DELIMITER,
    HEADER_BYTES,
    SEI,
    SEQUENCE_SET,
    VIDEO_SET,
    count_pictures,
    nal_type,
    read_vvc,
    slices,
)

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels, Subsampling

LOWEST_LAYER = 1
"""The last three bits of a unit's header: `nuh_temporal_id_plus1`."""

SHORTEST_UNIT = HEADER_BYTES + 1
LOSSLESS_QP = 4
"""Above it every coefficient is quantized."""


class Vvc:
    """H.266 at a constant QP, written as an Annex B byte stream of 10 bits a sample.

    `quality` is libvvenc's `qp`, which it lowers for intra frames, and for each picture by what the
    eye sees in it: at 42 the slices of LIVE1 have QP 32 to 39. What `read_info` gives as quality
    and quantizer is the slice QP of the stream. A message of 41 bytes tells the picture's size and
    how long its coding is, as in `diffir.codecs.hevc`. Other encoders' byte streams are read too.
    """

    spec = CodecSpec(
        name="vvc",
        suffixes=(".266", ".vvc", ".h266"),
        scale=QualityScale("QP", worst=63, best=0),
        levels=(47, 42, 37),
        license="BSD-3-Clause-Clear",
        subsamplings=("4:2:0",),
    )

    def recognizes(self, data: bytes) -> bool:
        """Whether this is an H.266 byte stream."""
        if not begins_annex_b(data):
            return False
        units = [unit for unit in split_annex_b(data[:4096]) if len(unit) >= SHORTEST_UNIT]
        first = (VIDEO_SET, SEQUENCE_SET, DELIMITER, SEI)
        return (
            bool(units)
            # Layer 0, lowest sub-layer; in HEVC and AVC the first byte holds the unit's type.
            and units[0][0] == 0
            and units[0][1] & 7 == LOWEST_LAYER
            and nal_type(units[0]) in first
            and any(nal_type(unit) == SEQUENCE_SET for unit in units)
        )

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB; `quality` is rounded to a whole qp.

        Raises:
            CodecError: quality off the scale, chroma other than 4:2:0, or the encoder is missing,
                hangs, fails, or writes something else than this picture.
        """
        check_request(self.spec, quality, subsampling=subsampling)
        # libvvenc wants 16 samples at least; the conformance window cuts to chroma samples.
        source = padded(pixels, multiple=2, least=16)
        frame = to_yuv(source, PIXEL_FORMAT).to_ndarray()
        samples = Samples(frame.tobytes(), width=source.shape[1], height=source.shape[0])
        units = encode_units(samples, round(quality))
        coded = slices(units)
        stamp = Stamp(pixels.shape[1], pixels.shape[0], coded_bytes=sum(map(len, coded)))
        message = bytes([0, SEI << 3 | LOWEST_LAYER]) + stamp_message(stamp)
        units.insert(units.index(coded[0]), message)
        return join_annex_b(units)

    def decode(self, data: bytes) -> Pixels:
        """Decompress to `(H,W,3) uint8` RGB.

        Raises:
            CodecError: the bytes are damaged, cut short, a movie, or not H.266.
        """
        units = _units(data)
        if count_pictures(units) > 1:
            raise movie_error("H.266")
        stamp = _stamp(units)
        left = sum(map(len, slices(units)))
        if stamp and stamp.coded_bytes and stamp.coded_bytes != left:
            raise CodecError(
                f"{stamp.coded_bytes} bytes of coded picture were written, {left} are left: "
                "cut short"
            )
        frame = decode_frame([join_annex_b(units)], "vvc")
        # As FFmpeg converts by default, and as the benchmark's rows were measured: 0.2 dB less
        # on LIVE1 than with a chroma value for every pixel.
        pixels = to_rgb(frame, paired_chroma=frame.format.name == PIXEL_FORMAT)
        return cropped(pixels, stamp)

    def read_info(self, data: bytes) -> CodecInfo:
        """Slice QP, chroma format and profile, from the headers.

        Raises:
            CodecError: the headers are damaged, cut short, or not H.266's.
        """
        units = _units(data)
        header = read_vvc(units)
        qp = header.slice_qp
        # More than 8 bits a sample extend the QP below 0.
        quality = None if qp is None else max(0, qp)
        info = CodecInfo(
            name=self.spec.name,
            quality=quality,
            severity=None if quality is None else self.spec.scale.severity(quality),
            quantizer=qp,
            subsampling=CHROMA_FORMATS[header.chroma_format],
            bits_per_pixel=bits_per_pixel(data, _stamp(units) or header, frames=header.frames),
            lossless=False if qp is not None and qp > LOSSLESS_QP else None,
            details={
                "profile": header.profile,
                "bit_depth": header.bit_depth,
                "frames": header.frames,
            },
        )
        return sourced(info)


def _units(data: bytes) -> list[bytes]:
    units = [unit for unit in split_annex_b(data) if len(unit) >= SHORTEST_UNIT]
    if not begins_annex_b(data) or not units:
        raise CodecError(
            f"an H.266 byte stream was expected, these bytes begin with {data[:4]!r}",
            hint="Files that hold one are not read: extract it with ffmpeg -i FILE -c copy one.266",
        )
    return units


def _stamp(units: list[bytes]) -> Stamp | None:
    messages = (unit[HEADER_BYTES:] for unit in units if nal_type(unit) == SEI)
    return next((stamp for message in messages if (stamp := read_stamp_message(message))), None)
