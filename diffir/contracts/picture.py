"""A picture as files know it: pixels, what rides along with them, how they were compressed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from diffir.contracts.codec import CodecInfo
from diffir.errors import CodecError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from diffir.contracts.codec import Codec
    from diffir.contracts.coefficients import Coefficients

    AnyPixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Metadata:
    r"""What a file carries beside its pixels, as raw bytes: carried, never interpreted on the way.

    exif: the TIFF structure, without the `Exif\\0\\0` prefix; its orientation is already applied
    to the pixels and set to 1. dpi: horizontal and vertical dots per inch.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None


@dataclass(frozen=True)
class FileFacts:
    """What a file tells beside the coded picture, read without decoding.

    width, height: in pixels, before the picture is turned. metadata: EXIF as stored.
    """

    width: int
    height: int
    metadata: Metadata = field(default_factory=Metadata)


@runtime_checkable
class ReadsFiles(Protocol):
    """What a codec may offer besides: the size, checked before it decodes, and metadata."""

    def read_file(self, data: bytes) -> FileFacts | None:
        """Read what the file tells; `None` where the bytes are a bare stream.

        Raises:
            CodecError: the bytes are damaged or not this codec's.
        """
        ...


@dataclass(frozen=True, eq=False)
class Origin:
    """The bytes that a picture was decoded from: nothing is read from them until it is asked for.

    codec: what recognized them. orientation: 1..8, as EXIF has it, of the pixels as stored.
    """

    codec: Codec
    data: bytes
    orientation: int = 1

    def coefficients(self) -> Coefficients:
        """What the codec stored, before any turn upright.

        Raises:
            CodecError: the codec does not give it, or not of bytes of this kind.
        """
        read = getattr(self.codec, "coefficients", None)
        if read is None:
            raise CodecError(f"codec '{self.codec.spec.name}' does not give coefficients")
        coefficients: Coefficients = read(self.data)
        return coefficients


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels `(H,W,3)`, uint8 or uint16, upright, in the file's own color space.

    alpha: `(H,W)` of the same dtype, straight (not premultiplied), or None.
    gray: the file had one channel; the three channels of `pixels` are equal, and `write` saves one.
    codec: how the file was compressed. metadata: ICC, EXIF, XMP, dpi, comment. origin: the file's
    bytes, where a codec recognized them.
    """

    pixels: AnyPixels
    alpha: AnyPixels | None = None
    gray: bool = False
    codec: CodecInfo = field(default_factory=CodecInfo.unknown)
    metadata: Metadata = field(default_factory=Metadata)
    origin: Origin | None = None

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, str(self.pixels.dtype)
        if len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise ValueError(f"pixels must be (H,W,3) and not empty, got {shape}")
        if dtype not in ("uint8", "uint16"):
            raise ValueError(f"pixels must be uint8 or uint16, got {dtype}")
        if self.alpha is not None and (
            self.alpha.shape != shape[:2] or self.alpha.dtype != self.pixels.dtype
        ):
            raise ValueError(
                f"alpha must be {shape[:2]} {dtype}, got {self.alpha.shape} {self.alpha.dtype}"
            )

    def __repr__(self) -> str:
        """In one line: size, dtype, what it has, and what compressed it."""
        size = f"{self.width}x{self.height} {self.pixels.dtype}"
        gray = ", gray" if self.gray else ""
        alpha = "" if self.alpha is None else ", alpha"
        quality = "" if self.codec.quality is None else f" {self.codec.quality:g}"
        codec = f", {self.codec.name}{quality}" if self.codec.name else ""
        return f"Picture({size}{gray}{alpha}{codec})"

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    def with_pixels(self, pixels: AnyPixels, *, codec: CodecInfo | None = None) -> Picture:
        """The same picture with other pixels, and with `codec` where given.

        Pixels of another compression have another origin, or none that is known.
        """
        origin = self.origin if codec is None else None
        return replace(self, pixels=pixels, codec=codec or self.codec, origin=origin)
