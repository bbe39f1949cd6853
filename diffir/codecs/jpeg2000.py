"""JPEG 2000 through Pillow (OpenJPEG): the 5-3 wavelet, cut at a given rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.codecs.jpeg2000_headers import (
    CODESTREAM_START,
    JP2_SIGNATURE,
    Jpeg2000Header,
    read_jpeg2000,
)
from diffir.codecs.provenance import sourced
from diffir.codecs.still_image import check_request, decode_pixels, encode_pixels
from diffir.contracts.codec import CodecInfo, CodecSpec, QualityScale

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels, Subsampling


class Jpeg2000:
    """JPEG 2000 in a JP2 file. Quality is the compression ratio N of 1:N; chroma is 4:4:4."""

    spec = CodecSpec(
        name="jpeg2000",
        suffixes=(".jp2", ".jpf", ".jpx"),
        scale=QualityScale("compression ratio 1:N", worst=200, best=1),
        levels=(100, 80, 50),
        license="BSD-2-Clause",
        subsamplings=("4:4:4",),
        also_reads=(".j2k", ".j2c", ".jpc"),
    )

    def recognizes(self, data: bytes) -> bool:
        """Whether the bytes begin as a JP2 file or as a raw codestream."""
        return data.startswith((JP2_SIGNATURE, CODESTREAM_START))

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB to about `24 / quality` bits per pixel.

        Small pictures come out larger than that: the headers alone take some 200 bytes.
        """
        check_request(self.spec, quality, subsampling=subsampling)
        # Pillow's defaults else: the reversible 5-3 wavelet cut at the rate, no color transform.
        # They are what most Python programs write, and what the published rows are measured with.
        return encode_pixels(pixels, "JPEG2000", quality_mode="rates", quality_layers=[quality])

    def decode(self, data: bytes) -> Pixels:
        """Decompress to `(H,W,3) uint8` RGB; alpha is dropped."""
        read_jpeg2000(data)  # OpenJPEG takes a stream that is cut short for a blurred picture
        return decode_pixels(data, "JPEG2000")

    def read_info(self, data: bytes) -> CodecInfo:
        """Read the wavelet, layers and steps; quality, the ratio 1:N, is estimated from the size.

        `lossless` is false with the 9-7 wavelet and unknown with the reversible 5-3 one, whose
        stream may have been cut at any rate without a trace in its header.
        """
        header = read_jpeg2000(data)
        scale = self.spec.scale
        # Headers outweigh the pixels of very small pictures: the ratio falls below the best, 1.
        ratio = min(scale.worst, max(scale.best, header.raw_bits / (len(data) * 8)))
        return sourced(
            CodecInfo(
                name="jpeg2000",
                quality=round(ratio, 2),
                severity=scale.severity(ratio),
                subsampling=header.subsampling,
                bits_per_pixel=len(data) * 8 / (header.width * header.height),
                lossless=None if header.reversible else False,
                progressive=header.layers > 1,
                details=_details(header),
            ),
            estimates=("quality", "severity"),
        )


def _details(header: Jpeg2000Header) -> dict[str, str | int | float | bool]:
    details: dict[str, str | int | float | bool] = {
        "wavelet": "5-3" if header.reversible else "9-7",
        "levels": header.levels,
        "layers": header.layers,
        "progression": header.progression,
        "multiple_component_transform": header.multiple_component_transform,
        "tiles": header.tiles,
        "bit_depth": header.components[0].depth,
        "guard_bits": header.guard_bits,
    }
    if header.steps:
        details["steps"] = ",".join(f"{step:.4g}" for step in header.steps)
    return details
