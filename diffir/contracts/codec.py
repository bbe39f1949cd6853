"""The contract of a compression format.

A codec turns pixels into bytes and back, in memory, and reads from the bytes how they were made.

An implementation must
    encode any `(H,W,3) uint8` array, H and W from 1 up (pad inside, crop when decoding);
    return from `decode` exactly the size that went in;
    be deterministic: equal pixels and quality give equal bytes;
    read facts in `read_info` from the bytes alone, and leave `None` what they do not say.
It may have `coefficients(data)`, which gives what the bytes store of the picture as
`diffir.contracts.coefficients.Coefficients`, or raises `CodecError`; restored pictures are then
kept consistent with their file where the user asks for it.
It may assume that pixels are C-contiguous. It must never write files, start processes, print, or
keep state between calls: data-loader workers share one codec through pickle. A codec that finds its
own traces in decoded pixels may have `find_traces` (`TraceFinder`). An encoder that is a
program is run by `diffir.codecs.external_command.ExternalCommandCodec`, which bounds what it does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

Source = Literal["bitstream", "estimate", "user", "pixels", "recipe"]
Subsampling = Literal["4:2:0", "4:4:4"]


@dataclass(frozen=True)
class QualityScale:
    """A codec's own quality axis: `worst` and `best` are its ends, in either direction.

    >>> QualityScale("IJG quality", worst=1, best=100).severity(1)
    1.0
    >>> QualityScale("QP", worst=51, best=0).severity(0)
    0.0
    """

    label: str
    worst: float
    best: float

    def severity(self, value: float) -> float:
        """Map a value of this axis to [0,1]: 0 is the lightest compression, 1 the heaviest."""
        share = (self.best - value) / (self.best - self.worst)
        return float(min(1.0, max(0.0, share)))

    def contains(self, value: float) -> bool:
        """Whether the value lies between the two ends, ends included."""
        return min(self.worst, self.best) <= value <= max(self.worst, self.best)


@dataclass(frozen=True)
class CodecSpec:
    """What is known of a codec without running it.

    suffixes: file suffixes with their dot, lower case, the usual one first.
    scale: the axis of `quality` in `encode`.
    levels: the qualities of the benchmark tasks, heaviest compression first.
    license: SPDX name of the encoder's license, shown to users.
    subsamplings: chroma formats that `encode` accepts, the default first.
    also_reads: suffixes of files that `decode` reads and `encode` does not write.
    """

    name: str
    suffixes: tuple[str, ...]
    scale: QualityScale
    levels: tuple[float, ...]
    license: str
    subsamplings: tuple[Subsampling, ...] = ("4:2:0", "4:4:4")
    also_reads: tuple[str, ...] = ()

    @property
    def read_suffixes(self) -> tuple[str, ...]:
        """Suffixes of all files that `decode` reads."""
        return (*self.suffixes, *self.also_reads)


@dataclass(frozen=True)
class CodecInfo:
    """How a picture was compressed. Every fact that is not known is `None`.

    name: the codec's registered name, "jpeg"; `None` where nothing is known.
    quality: on the encoder's own scale (`CodecSpec.scale`), estimated where the format does not
        store it.
    severity: in [0,1], 0 the lightest and 1 the heaviest compression of this codec; comparable
        between pictures of one codec only.
    quantizer: the base quantizer as stored: HEVC and AVC slice QP, AV1 and VP9 `base_q_idx`, VP8
        `y_ac_qi`, MPEG-2 `quantiser_scale_code`.
    tables: quantization tables in natural (row) order, luma first; JPEG has up to four of 64.
    subsampling: "4:2:0", "4:2:2", "4:4:4" or "4:0:0".
    bits_per_pixel: compressed bits over pixels.
    lossless, progressive: as the words say.
    generation: how often the picture was compressed, where it can be told.
    grid: row and column, in pixels, of the first corner of a block, where that is not (0, 0): the
        picture was cropped after it was compressed.
    details: further facts of the format, by name, printable.
    sources: for each field above that is not `None`, where it came from.
    """

    name: str | None = None
    quality: float | None = None
    severity: float | None = None
    quantizer: float | None = None
    tables: tuple[tuple[int, ...], ...] | None = None
    subsampling: str | None = None
    bits_per_pixel: float | None = None
    lossless: bool | None = None
    progressive: bool | None = None
    generation: int | None = None
    grid: tuple[int, int] | None = None
    details: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)

    @classmethod
    def unknown(cls) -> CodecInfo:
        """Nothing is known: a router must look at the pixels."""
        return cls()

    @property
    def known(self) -> bool:
        """Whether the codec's name is known."""
        return self.name is not None

    def with_user_facts(
        self, *, name: str | None, quality: float | None, scale: QualityScale | None
    ) -> CodecInfo:
        """Replace name and quality by what the user says; `scale` is the named codec's axis."""
        changed = self
        if name is not None and name != self.name:
            changed = CodecInfo(
                name=name,
                bits_per_pixel=self.bits_per_pixel,
                sources={**_only(self.sources, "bits_per_pixel"), "name": "user"},
            )
        if quality is not None:
            severity = scale.severity(quality) if scale else None
            sources: dict[str, Source] = {**changed.sources, "quality": "user"}
            if severity is not None:
                sources["severity"] = "user"
            changed = replace(changed, quality=quality, severity=severity, sources=sources)
        return changed


def _only(sources: Mapping[str, Source], *names: str) -> dict[str, Source]:
    return {name: sources[name] for name in names if name in sources}


class Codec(Protocol):
    """One compression format. See the head of this module for what it must and must not do."""

    @property
    def spec(self) -> CodecSpec:
        """What is known without running the codec."""
        ...

    def recognizes(self, data: bytes) -> bool:
        """Whether the bytes are this codec's, judged by magic numbers or stream syntax alone."""
        ...

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB. `None` takes the spec's first chroma format.

        Raises:
            CodecError: the encoder refused; quality outside the scale; unknown chroma format.
        """
        ...

    def decode(self, data: bytes) -> Pixels:
        """Decompress to `(H,W,3) uint8` RGB, of the size that was encoded.

        Raises:
            CodecError: the bytes are damaged, truncated or not this codec's.
        """
        ...

    def read_info(self, data: bytes) -> CodecInfo:
        """Read how the bytes were compressed, from the bitstream, decoding no pixels.

        Raises:
            CodecError: the bytes are not this codec's.
        """
        ...


class TraceFinder(Protocol):
    """What a codec may have beside the verbs of `Codec`."""

    def find_traces(self, pixels: Pixels) -> CodecInfo | None:
        """What this codec did to pixels that come from a file which does not tell.

        It is asked of every picture in a lossless file, so it takes a fraction of a second whatever
        the size, and answers only where it is sure: what it says counts like what a file says.

        Args:
            pixels: `(H,W,3) uint8` RGB, H and W from 1 up, not to be changed.

        Returns:
            The facts, with "pixels" for their source; None where there is no trace.
        """
        ...
