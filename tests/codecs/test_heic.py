"""HEIC files in one piece: read, turned, refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from heic_files import File, Item, box, picture, single

from diffir.codecs.heic import is_heic, read_heic
from diffir.codecs.heif_items import HeifItems
from diffir.codecs.heif_turns import turned
from diffir.codecs.hevc import Hevc
from diffir.errors import CodecError

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
PIXELS[8:, 12:] = (250, 30, 60)


@pytest.fixture(scope="module")
def stream() -> bytes:
    return Hevc().encode(PIXELS, 20)


def aperture(*numbers: int) -> bytes:
    return struct.pack(">IIIIiIiI", *numbers)


def test_a_heic_picture_is_read(stream):
    file = single(stream).data()
    assert Hevc().recognizes(file)
    np.testing.assert_array_equal(Hevc().decode(file), Hevc().decode(stream))
    info = Hevc().read_info(file)
    assert (info.name, info.quantizer, info.details["tiles"]) == ("hevc", 17, 1)
    assert info.bits_per_pixel == 8 * len(file) / (48 * 32)


def test_a_heic_picture_is_turned_upright(stream):
    plain = Hevc().decode(stream)
    left = Hevc().decode(single(stream, box("irot", b"\1")).data())
    np.testing.assert_array_equal(left, np.rot90(plain))
    both = Hevc().decode(single(stream, box("irot", b"\1"), box("imir", b"\0")).data())
    np.testing.assert_array_equal(both, np.rot90(plain)[::-1])


def test_mirrors_by_the_standard():
    np.testing.assert_array_equal(turned(PIXELS, {"imir": b"\0"}), PIXELS[::-1])
    np.testing.assert_array_equal(turned(PIXELS, {"imir": b"\1"}), PIXELS[:, ::-1])


class TestCleanAperture:
    def test_is_cut_out_of_the_middle(self):
        cut = turned(PIXELS, {"clap": aperture(20, 1, 10, 1, 0, 1, 0, 1)})
        np.testing.assert_array_equal(cut, PIXELS[11:21, 14:34])

    def test_off_the_middle_then_turned(self):
        properties = {"clap": aperture(47, 1, 31, 1, -1, 2, 1, 2), "irot": b"\1"}
        np.testing.assert_array_equal(turned(PIXELS, properties), np.rot90(PIXELS[1:, :47]))

    @pytest.mark.parametrize(
        "numbers",
        [(49, 1, 32, 1, 0, 1, 0, 1), (20, 1, 10, 1, -15, 1, 0, 1), (0, 1, 10, 1, 0, 1, 0, 1)],
    )
    def test_outside_of_the_picture(self, numbers):
        with pytest.raises(CodecError, match=r"wants \d+x\d+ pixels at .* of a picture of 48x32"):
            turned(PIXELS, {"clap": aperture(*numbers)})

    def test_damaged(self):
        with pytest.raises(CodecError, match="'clap' box divides by zero"):
            turned(PIXELS, {"clap": aperture(20, 0, 10, 1, 0, 1, 0, 1)})
        with pytest.raises(CodecError, match="meta data is cut short"):
            turned(PIXELS, {"clap": bytes(3)})
        with pytest.raises(CodecError, match="the 'irot' box is cut short"):
            turned(PIXELS, {"irot": b""})


def test_another_codec_in_a_heif_file_is_refused(stream):
    file = single(stream, kind="av01").data()
    assert not is_heic(file)
    with pytest.raises(CodecError, match=r"HEVC picture was expected in the HEIF file, .*'av01'"):
        read_heic(file)


def test_a_picture_without_parameter_sets_is_refused(stream):
    bare = Item("hvc1", picture(stream).data)
    with pytest.raises(CodecError, match="'hvc1' without its parameter sets"):
        Hevc().decode(File((bare,)).data())


def test_a_truncated_file_is_refused(stream):
    file = single(stream).data()
    for length in (40, 200, len(file) - 5):
        with pytest.raises(CodecError):
            Hevc().decode(file[:length])
    assert is_heic(file[:40])


def test_places_of_no_bytes_are_refused(stream):
    file = single(stream).data()
    # Sizes of 0 bytes; one item, in the file, of two places.
    at = file.index(b"iloc") + 8
    table = b"\0\0" + struct.pack(">HHHHH", 1, 1, 0, 0, 2)
    with pytest.raises(CodecError, match="item 1 is said to lie in 2 places of 0 bytes"):
        HeifItems(file[:at] + table + file[at + len(table) :]).bytes_of(1)
