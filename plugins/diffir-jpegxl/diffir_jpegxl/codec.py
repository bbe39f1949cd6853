"""JPEG XL through pillow-jxl-plugin (libjxl)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pillow_jxl  # noqa: F401  registers the format "JXL" with Pillow

from diffir.codecs.provenance import sourced
from diffir.codecs.still_image import check_request, decode_pixels, encode_pixels
from diffir.contracts.codec import CodecInfo, CodecSpec, QualityScale
from diffir.errors import CodecError
from diffir_jpegxl.codestream import read_codestream
from diffir_jpegxl.container import begins_jpegxl, read_container
from diffir_jpegxl.distance import distance_of, quality_of

if TYPE_CHECKING:
    from diffir.contracts.codec import Pixels, Subsampling

# From 7, libjxl's default, it may put patches and dots before the quantizer, where no reader of
# headers gets to. What 7 gains on LIVE1 is less than 0.02 dB at the same rate.
EFFORT = 6
MAX_PIXELS = 2**28


class JpegXl:
    """JPEG XL, ISO/IEC 18181, as a bare codestream. Quality is cjxl's, 1..100.

    What is stored is no quality but the quantizer's global scale, which libjxl makes from a
    Butteraugli distance, and the distance from the quality: `read_info` goes back that way.
    """

    spec = CodecSpec(
        name="jpegxl",
        suffixes=(".jxl",),
        scale=QualityScale("quality", worst=1, best=100),
        # On LIVE1 25.6, 27.7 and 29.0 dB, near to JPEG at 10, 15 and 20. Below 20, libjxl halves
        # the picture before it codes it: 10 shows that kind of damage, 20 and 30 the other.
        levels=(10, 20, 30),
        license="BSD-3-Clause AND GPL-3.0-or-later",
        subsamplings=("4:4:4",),
    )

    def recognizes(self, data: bytes) -> bool:
        """Whether the bytes begin as a JPEG XL codestream or file does."""
        return begins_jpegxl(data)

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB.

        Raises:
            CodecError: quality outside the scale, or chroma other than 4:4:4.
        """
        check_request(self.spec, quality, subsampling=subsampling)
        return encode_pixels(pixels, "JXL", quality=quality, effort=EFFORT, num_threads=0)

    def decode(self, data: bytes) -> Pixels:
        """Decompress to `(H,W,3) uint8` RGB.

        Raises:
            CodecError: the bytes are damaged, cut short, not JPEG XL, or too large a picture.
        """
        if not begins_jpegxl(data):
            raise not_jpegxl(data)
        header = read_codestream(read_container(data).codestream)
        # Before libjxl asks for the memory: a damaged header may announce any size.
        if header.width * header.height > MAX_PIXELS:
            raise CodecError(
                f"at most {MAX_PIXELS} pixels are decoded, the header says "
                f"{header.width}x{header.height}",
                hint="The file is damaged, or its picture too large: cut it up first.",
            )
        return decode_pixels(data, "JXL")

    def read_info(self, data: bytes) -> CodecInfo:
        """Size, coding, and the quantizer where the headers lead to it; else it stays `None`.

        Raises:
            CodecError: the bytes are damaged, cut short, or not JPEG XL.
        """
        if not begins_jpegxl(data):
            raise not_jpegxl(data)
        container = read_container(data)
        header = read_codestream(container.codestream)
        details: dict[str, str | int | float | bool] = {}
        if header.coding is not None:
            details["coding"] = header.coding
        if container.holds_jpeg:
            details["jpeg_reconstruction"] = True
        quality = None
        if header.global_scale is not None and header.upsampling is not None:
            distance = distance_of(header.global_scale, upsampling=header.upsampling)
            details |= {"distance": round(distance, 2), "upsampling": header.upsampling}
            quality = quality_of(distance)
        return sourced(
            CodecInfo(
                name=self.spec.name,
                quality=quality,
                severity=None if quality is None else self.spec.scale.severity(quality),
                quantizer=header.global_scale,
                subsampling="4:4:4" if header.xyb else None,
                bits_per_pixel=8 * len(data) / (header.width * header.height),
                # XYB rounds. Without it a picture may be coded either way.
                lossless=False if header.xyb else None,
                details=details,
            ),
            estimates=("quality", "severity"),
        )


def not_jpegxl(data: bytes) -> CodecError:
    """What to raise for bytes of another format."""
    return CodecError(
        f"a JPEG XL codestream or file was expected, these bytes begin with {data[:4]!r}",
        hint="The file is damaged, cut short, or of another format.",
    )
