"""AVC and HEVC as files hold them: parameter sets in a record, units after their lengths.

The records "avcC" and "hvcC" are those of ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.codecs.bit_reader import BitReader
from diffir.codecs.nal_units import split_annex_b, split_length_prefixed

if TYPE_CHECKING:
    from collections.abc import Iterable

# Where "hvcC" says how long its lengths are.
HVCC_PREFIX = 21


def avc_units(record: bytes, samples: Iterable[bytes]) -> list[bytes]:
    """The parameter sets of "avcC", then the units of the samples.

    Raises:
        CodecError: the record or a sample is cut short.
    """
    if _is_annex_b(record):
        return _from_streams(record, samples)
    reader = BitReader(record)
    reader.skip(32 + 6)  # version, profile, compatibility, level
    prefix = reader.bits(2) + 1
    reader.skip(3)
    sets = [_unit(reader) for _ in range(reader.bits(5))]
    sets += [_unit(reader) for _ in range(reader.bits(8))]
    return _joined(sets, samples, prefix)


def hevc_units(record: bytes, samples: Iterable[bytes]) -> list[bytes]:
    """The parameter sets of "hvcC", then the units of the samples.

    Raises:
        CodecError: the record or a sample is cut short.
    """
    if _is_annex_b(record):
        return _from_streams(record, samples)
    reader = BitReader(record)
    reader.skip(8 * HVCC_PREFIX + 6)
    prefix = reader.bits(2) + 1
    sets: list[bytes] = []
    for _ in range(reader.bits(8)):
        reader.skip(8)  # the type of the units in this array
        sets += [_unit(reader) for _ in range(reader.bits(16))]
    return _joined(sets, samples, prefix)


def _is_annex_b(record: bytes) -> bool:
    # Matroska files made by hand, and files without a record at all.
    return not record or record.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01"))


def _from_streams(record: bytes, samples: Iterable[bytes]) -> list[bytes]:
    return [unit for stream in (record, *samples) for unit in split_annex_b(stream)]


def _unit(reader: BitReader) -> bytes:
    length = reader.bits(16)
    return reader.bits(8 * length).to_bytes(length, "big")


def _joined(sets: list[bytes], samples: Iterable[bytes], prefix: int) -> list[bytes]:
    for sample in samples:
        sets += split_length_prefixed(sample, prefix=prefix)
    return [unit for unit in sets if unit]
