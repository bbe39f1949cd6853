"""The main header of a JPEG 2000 codestream. ITU-T T.800, annexes A and I (the JP2 file)."""

from __future__ import annotations

from dataclasses import dataclass

from diffir.codecs.iso_boxes import boxes
from diffir.errors import CodecError

JP2_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM_START = b"\xff\x4f\xff\x51"  # SOC, SIZ
_SIZ, _COD, _QCD, _SOT, _EOC = 0xFF51, 0xFF52, 0xFF5C, 0xFF90, 0xFFD9
_PROGRESSIONS = ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")


@dataclass(frozen=True)
class Component:
    """Bits a sample, and how many reference grid points a sample spans across and down."""

    depth: int
    across: int
    down: int


@dataclass(frozen=True)
class Jpeg2000Header:
    """What SIZ, COD and QCD say.

    levels: of wavelet decomposition. reversible: the 5-3 integer wavelet, else the 9-7 one.
    steps: of the subbands, LL first, relative to the samples' full range: 2^-exponent times
    1 + mantissa / 2048; of the first alone where the others derive from it; empty without
    quantization. tiles: how many the picture is cut into.
    """

    width: int
    height: int
    components: tuple[Component, ...]
    tiles: int
    progression: str
    layers: int
    levels: int
    multiple_component_transform: bool
    reversible: bool
    guard_bits: int
    steps: tuple[float, ...]

    @property
    def raw_bits(self) -> int:
        """Bits of the uncompressed samples."""
        return sum(
            -(-self.width // part.across) * -(-self.height // part.down) * part.depth
            for part in self.components
        )

    @property
    def subsampling(self) -> str | None:
        """The chroma format, None for one without a common name."""
        if len(self.components) < 3:
            return "4:0:0"
        luma, *chroma = self.components[:3]
        ratios = {(part.across / luma.across, part.down / luma.down) for part in chroma}
        names = {(2.0, 2.0): "4:2:0", (2.0, 1.0): "4:2:2", (1.0, 1.0): "4:4:4"}
        return names.get(ratios.pop()) if len(ratios) == 1 else None


def read_jpeg2000(data: bytes) -> Jpeg2000Header:
    """Read the main header of a JP2 file or of a raw codestream.

    Raises:
        CodecError: not JPEG 2000, damaged, or cut short.
    """
    stream = _codestream(data)
    segments: dict[int, bytes] = {}
    position = 2
    while (marker := int.from_bytes(stream[position : position + 2], "big")) != _SOT:
        size = int.from_bytes(stream[position + 2 : position + 4], "big")
        if marker < 0xFF00 or size < 2 or position + 2 + size > len(stream):
            raise CodecError("the main header of the JPEG 2000 stream is damaged or cut short")
        segments.setdefault(marker, stream[position + 4 : position + 2 + size])
        position += 2 + size
    _check_tile_parts(stream, position)
    missing = [name for name, code in (("COD", _COD), ("QCD", _QCD)) if code not in segments]
    if missing:
        raise CodecError(f"the JPEG 2000 stream has no {' and no '.join(missing)} segment")
    try:
        return _header(segments[_SIZ], segments[_COD], segments[_QCD])
    except IndexError as error:
        raise CodecError("a segment of the JPEG 2000 stream is cut short") from error


def _codestream(data: bytes) -> bytes:
    if data.startswith(CODESTREAM_START):
        return data
    if not data.startswith(JP2_SIGNATURE):
        raise CodecError("not JPEG 2000: neither a JP2 file nor a codestream")
    for box in boxes(data):
        if box.kind == "jp2c":
            if not box.payload.startswith(CODESTREAM_START):
                raise CodecError("the JP2 file's codestream does not begin as JPEG 2000 does")
            return box.payload
    raise CodecError("the JP2 file holds no codestream: it is cut short")


def _check_tile_parts(stream: bytes, position: int) -> None:
    """Walk from tile-part to tile-part by their lengths; only the last may leave its out."""
    while int.from_bytes(stream[position : position + 2], "big") == _SOT:
        size = int.from_bytes(stream[position + 6 : position + 10], "big")
        position = position + size if size else len(stream) - 2
        if position + 2 > len(stream) or 0 < size < 14:
            break
    if int.from_bytes(stream[position : position + 2], "big") != _EOC:
        raise CodecError("the JPEG 2000 stream is cut short: its tiles do not end where they say")


def _header(siz: bytes, cod: bytes, qcd: bytes) -> Jpeg2000Header:
    right, bottom, left, top, *tile = (
        int.from_bytes(siz[2 + 4 * i : 6 + 4 * i], "big") for i in range(8)
    )
    count = siz[34] << 8 | siz[35]
    components = tuple(
        Component((siz[36 + 3 * i] & 0x7F) + 1, siz[37 + 3 * i], siz[38 + 3 * i])
        for i in range(count)
    )
    if right <= left or bottom <= top or not components or 0 in tile[:2]:
        raise CodecError(f"the JPEG 2000 stream says it is {right - left}x{bottom - top} pixels")
    if any(not part.across or not part.down for part in components):
        raise CodecError("the JPEG 2000 stream has a component of no samples")
    columns, rows = -(-(right - tile[2]) // tile[0]), -(-(bottom - tile[3]) // tile[1])
    return Jpeg2000Header(
        width=right - left,
        height=bottom - top,
        components=components,
        tiles=columns * rows,
        progression=_PROGRESSIONS[cod[1]] if cod[1] < len(_PROGRESSIONS) else str(cod[1]),
        layers=cod[2] << 8 | cod[3],
        levels=cod[5],
        multiple_component_transform=bool(cod[4]),
        reversible=cod[9] == 1,
        guard_bits=qcd[0] >> 5,
        steps=_steps(qcd),
    )


def _steps(qcd: bytes) -> tuple[float, ...]:
    """Equation E-3, without the subband's nominal range; none for style 0, no quantization."""
    if qcd[0] & 0x1F == 0:
        return ()
    words = [int.from_bytes(qcd[i : i + 2], "big") for i in range(1, len(qcd) - 1, 2)]
    return tuple(2.0 ** -(word >> 11) * (1 + (word & 0x7FF) / 2048) for word in words)
