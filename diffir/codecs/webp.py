"""WebP through Pillow (libwebp): lossy VP8 when encoding, any WebP when reading."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from diffir.codecs.provenance import sourced
from diffir.codecs.still_image import check_request, decode_pixels, encode_pixels
from diffir.codecs.vp8_header import Vp8Header, read_vp8
from diffir.codecs.webp_container import read_vp8l_size, read_webp
from diffir.contracts.codec import CodecInfo, CodecSpec, QualityScale

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels, Subsampling

_COARSEST_EXPONENT = 1 + 0.9 * 0.5 * 127 / 128
"""libwebp's quantizer exponent of a segment at the bound: 0.9 of a noise shaping of 50 %."""


class WebP:
    """WebP. Quality is libwebp's 0..100, fractions included; chroma is always 4:2:0."""

    spec = CodecSpec(
        name="webp",
        suffixes=(".webp",),
        scale=QualityScale("WebP quality", worst=0, best=100),
        levels=(1, 5, 10),
        license="BSD-3-Clause",
        subsamplings=("4:2:0",),
    )

    def recognizes(self, data: bytes) -> bool:
        """Whether the bytes begin as a RIFF file of type WEBP."""
        return data[:4] == b"RIFF" and data[8:12] == b"WEBP"

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB, up to 16383 pixels a side."""
        check_request(self.spec, quality, subsampling=subsampling)
        return encode_pixels(pixels, "WEBP", quality=quality)

    def decode(self, data: bytes) -> Pixels:
        """Decompress the first frame to `(H,W,3) uint8` RGB; alpha is dropped."""
        return decode_pixels(data, "WEBP")

    def read_info(self, data: bytes) -> CodecInfo:
        """Read the base quantizer of a lossy file; quality is estimated from it.

        Severity is the quantizer's share of 127; a lossless file has 0. Of an animation the first
        frame is read, bits per pixel are those of the whole file over all frames.
        """
        container = read_webp(data)
        lossy = read_vp8(container.bitstream) if container.kind == "VP8" else None
        size = (lossy.width, lossy.height) if lossy else read_vp8l_size(container.bitstream)
        width, height = container.width or size[0], container.height or size[1]
        details: dict[str, str | int | float | bool] = {
            "bitstream": container.kind,
            "animated": container.animated,
            "alpha": container.alpha,
        }
        if container.animated:
            details["frames"] = container.frames
        if lossy:
            details |= _lossy_details(lossy)
        return sourced(
            CodecInfo(
                name="webp",
                quality=libwebp_quality(lossy) if lossy else None,
                severity=lossy.y_ac_qi / 127 if lossy else 0.0,
                quantizer=lossy.y_ac_qi if lossy else None,
                subsampling="4:2:0" if lossy else "4:4:4",
                bits_per_pixel=len(data) * 8 / (width * height * container.frames),
                lossless=lossy is None,
                progressive=False,
                details=details,
            ),
            estimates=("quality",),
        )


def libwebp_quality(header: Vp8Header) -> float:
    """The quality at which libwebp, with its default settings, chooses the header's quantizers.

    libwebp turns quality into a share of compression, `c = l ** (1/3)` with l linear in quality,
    and gives a segment the index `127 * (1 - c ** e)`. A picture of one segment has e = 1; of
    several, the first, whose index is the base, is the coarsest: its e is at or near the bound
    that the default spatial noise shaping of 50 allows.
    """
    exponent = _COARSEST_EXPONENT if header.segment_quantizers else 1.0
    share = max(0.0, 1 - (header.y_ac_qi + 0.5) / 127)
    linear = math.pow(share, 3 / exponent)
    return round(100 * (linear * 1.5 if linear < 0.5 else (linear + 1) / 2), 1)


def _lossy_details(header: Vp8Header) -> dict[str, str | int | float | bool]:
    details: dict[str, str | int | float | bool] = {
        "filter": "simple" if header.simple_filter else "normal",
        "filter_level": header.filter_level,
        "filter_sharpness": header.filter_sharpness,
        "partitions": header.partitions,
    }
    if header.segment_quantizers:
        details["segment_quantizers"] = ",".join(map(str, header.segment_quantizers))
    if any(header.quantizer_deltas):
        details["quantizer_deltas"] = ",".join(map(str, header.quantizer_deltas))
    return details
