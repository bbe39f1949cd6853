"""Learned still-image codecs, with bytes that an entropy coder really wrote.

Bytes are read back where they were written: the probabilities that the decoder needs come from
floating-point networks, and another processor or another release of torch may round them otherwise.
That suits what diffir needs learned codecs for, degrading pictures; it is no format to keep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from diffir.codecs.intra_frame import padded
from diffir.codecs.provenance import sourced
from diffir.codecs.still_image import check_request
from diffir.contracts.codec import CodecInfo, CodecSpec, QualityScale
from diffir.errors import CodecError
from diffir_learned.families import BEST_LEVEL, FAMILIES, LEVELS
from diffir_learned.stream import HEAD, MAGIC, MOST_SIDE, STRIDE, Stream, unpack
from diffir_learned.weights import load_network, weights_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diffir.contracts.codec import Pixels, Subsampling


class LearnedCodec:
    """One family; `quality` is rounded to a level. This package has weights of 1, 2 and 3."""

    expected_failures: ClassVar[Mapping[str, str]] = {
        "test_gray_stays_gray": "small networks code RGB: a gray picture gets a faint cast"
    }

    def __init__(self, name: str, suffix: str) -> None:
        self.family = FAMILIES[name]
        self.spec = CodecSpec(
            name=name,
            suffixes=(suffix,),
            scale=QualityScale("level", worst=LEVELS[0], best=BEST_LEVEL),
            levels=LEVELS,
            license="BSD-3-Clause-Clear",
            subsamplings=("4:4:4",),
        )

    def recognizes(self, data: bytes) -> bool:
        """Whether this is a stream of this family."""
        return len(data) >= HEAD.size and data[:4] == MAGIC and data[5] == self.family.number

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB.

        Raises:
            CodecError: no such level, subsampled chroma, a side above 65535, no weights.
        """
        from diffir_learned.networks import compress

        check_request(self.spec, quality, subsampling=subsampling)
        height, width = pixels.shape[:2]
        if max(height, width) > MOST_SIDE:
            raise CodecError(
                f"{self.spec.name} takes sides of at most {MOST_SIDE} pixels, got {width}x{height}",
                hint="Cut the picture into parts.",
            )
        level = round(quality)
        network, weights = load_network(weights_file(self.family.name, level))
        latent, hyper_latent = compress(network, padded(pixels, multiple=STRIDE))
        stream = Stream(self.family.number, level, weights, width, height, latent, hyper_latent)
        return stream.pack()

    def decode(self, data: bytes) -> Pixels:
        """Decompress to `(H,W,3) uint8` RGB.

        Raises:
            CodecError: damaged, cut short, of another codec or of other weights.
        """
        from diffir_learned.networks import decompress

        stream = self._stream(data)
        path = weights_file(self.family.name, stream.level)
        network, weights = load_network(path)
        if weights != stream.weights:
            raise CodecError(
                f"the stream was written with weights {stream.weights.hex()}, {path} holds "
                f"{weights.hex()}",
                hint="Set DIFFIR_LEARNED_WEIGHTS to the folder of the weights that wrote it.",
            )
        height, width = (side + -side % STRIDE for side in (stream.height, stream.width))
        pixels = decompress(network, (stream.latent, stream.hyper_latent), height, width)
        return pixels[: stream.height, : stream.width].copy()

    def read_info(self, data: bytes) -> CodecInfo:
        """Family, level and size, from the head; no network is loaded.

        Raises:
            CodecError: damaged, cut short, or of another codec.
        """
        stream = self._stream(data)
        return sourced(
            CodecInfo(
                name=self.spec.name,
                quality=stream.level,
                severity=self.spec.scale.severity(stream.level),
                subsampling="4:4:4",
                bits_per_pixel=8 * len(data) / (stream.width * stream.height),
                lossless=False,
                details={"metric": self.family.metric, "weights": stream.weights.hex()},
            )
        )

    def _stream(self, data: bytes) -> Stream:
        stream = unpack(data)
        if stream.family != self.family.number or not self.spec.scale.contains(stream.level):
            raise CodecError(
                f"a stream of {self.spec.name} was expected, got family {stream.family}, "
                f"level {stream.level}"
            )
        return stream


class ChengPsnr(LearnedCodec):
    """Cheng et al. (CVPR 2020), trained for PSNR."""

    def __init__(self) -> None:
        super().__init__("cheng2020-psnr", ".c20p")


class ChengSsim(LearnedCodec):
    """Cheng et al. (CVPR 2020), trained for MS-SSIM."""

    def __init__(self) -> None:
        super().__init__("cheng2020-ssim", ".c20s")


class Generative(LearnedCodec):
    """In the manner of HiFiC (Mentzer et al., NeurIPS 2020).

    A hyper-prior; its decoder was trained with LPIPS and a critic, encoder and entropy model fixed.
    """

    def __init__(self) -> None:
        super().__init__("generative", ".gnr")
