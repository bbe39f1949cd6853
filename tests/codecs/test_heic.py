"""HEIC files, built box by box around a picture of our own encoder."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from diffir.codecs.heic import is_heic, read_heic, turned
from diffir.codecs.hevc import Hevc
from diffir.codecs.hevc_headers import nal_type
from diffir.codecs.nal_units import split_annex_b
from diffir.errors import CodecError

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
PIXELS[8:, 12:] = (250, 30, 60)


def box(kind: str, payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind.encode()) + payload


def full(kind: str, payload: bytes, version: int = 0) -> bytes:
    return box(kind, bytes([version, 0, 0, 0]) + payload)


def record(sets: list[bytes]) -> bytes:
    """hvcC, with lengths of four bytes."""
    arrays = b"".join(
        bytes([nal_type(unit)]) + struct.pack(">HH", 1, len(unit)) + unit for unit in sets
    )
    return bytes([1]) + bytes(20) + bytes([3, len(sets)]) + arrays


def heic(stream: bytes, *, turns: bytes = b"", tiles: int = 1, kind: str = "hvc1") -> bytes:
    units = split_annex_b(stream)
    sets = [unit for unit in units if nal_type(unit) in (32, 33, 34)]
    coded = [unit for unit in units if unit not in sets]
    sample = b"".join(struct.pack(">I", len(unit)) + unit for unit in coded)
    grid = tiles > 1
    items = [(1, "grid" if grid else kind)] + [(2 + index, kind) for index in range(tiles * grid)]
    entries = [
        full("infe", struct.pack(">HH4s", number, 0, name.encode()) + b"\0", 2)
        for number, name in items
    ]
    properties = box("hvcC", record(sets)) + full("ispe", struct.pack(">II", 48, 32)) + turns
    count = 2 + (turns != b"") * (1 + turns.count(b"imir"))
    links = b"".join(
        struct.pack(">HB", number, count) + bytes(range(1, count + 1)) for number, _ in items
    )
    refs = struct.pack(">HH", 1, tiles) + b"".join(struct.pack(">H", n) for n, _ in items[1:])
    ftyp = box("ftyp", b"heic\0\0\0\0mif1heic")

    def whole(offset: int) -> bytes:
        places = b"".join(
            struct.pack(">HHHII", number, 0, 1, offset, len(sample)) for number, _ in items
        )
        meta = full("hdlr", bytes(4) + b"pict" + bytes(13)) + full("pitm", struct.pack(">H", 1))
        meta += full("iinf", struct.pack(">H", len(items)) + b"".join(entries))
        if grid:
            meta += full("iref", box("dimg", refs))
        meta += box(
            "iprp", box("ipco", properties) + full("ipma", struct.pack(">I", len(items)) + links)
        )
        meta += full("iloc", bytes([0x44, 0]) + struct.pack(">H", len(items)) + places)
        return ftyp + full("meta", meta) + box("mdat", sample)

    return whole(len(whole(0)) - len(sample))


def test_a_heic_picture_is_read():
    stream = Hevc().encode(PIXELS, 20)
    file = heic(stream)
    assert Hevc().recognizes(file)
    np.testing.assert_array_equal(Hevc().decode(file), Hevc().decode(stream))
    info = Hevc().read_info(file)
    assert (info.name, info.quantizer, info.details["tiles"]) == ("hevc", 17, 1)
    assert info.bits_per_pixel == 8 * len(file) / (48 * 32)


def test_a_heic_picture_is_turned_upright():
    stream = Hevc().encode(PIXELS, 20)
    plain = Hevc().decode(stream)
    left = Hevc().decode(heic(stream, turns=box("irot", b"\1")))
    np.testing.assert_array_equal(left, np.rot90(plain))
    both = Hevc().decode(heic(stream, turns=box("irot", b"\1") + box("imir", b"\1")))
    np.testing.assert_array_equal(both, np.rot90(plain)[::-1])
    np.testing.assert_array_equal(turned(plain, (("imir", 0),)), plain[:, ::-1])


def test_a_grid_of_tiles_is_named_with_a_way_out():
    file = heic(Hevc().encode(PIXELS, 20), tiles=6)
    assert Hevc().read_info(file).details["tiles"] == 6
    with pytest.raises(CodecError, match="this HEIC file has 6 tiles") as caught:
        Hevc().decode(file)
    assert "pillow-heif" in caught.value.hint


def test_another_codec_in_a_heif_file_is_refused():
    file = heic(Hevc().encode(PIXELS, 20), kind="av01")
    assert not is_heic(file)
    with pytest.raises(CodecError, match="HEVC picture was expected in the HEIF file, got 'av01'"):
        read_heic(file)


def test_a_truncated_file_is_refused():
    file = heic(Hevc().encode(PIXELS, 20))
    for length in (40, 200, len(file) - 5):
        with pytest.raises(CodecError):
            Hevc().decode(file[:length])
    assert is_heic(file[:40])
