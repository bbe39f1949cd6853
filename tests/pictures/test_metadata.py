"""What rides along: byte for byte through every format that holds it."""

from __future__ import annotations

import io
import logging
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from diffir.contracts.picture import Metadata, Picture
from diffir.pictures.jp2_boxes import boxes
from diffir.pictures.orientation import exif_orientation, upright_exif, without_orientation
from diffir.pictures.reading import read, read_bytes
from diffir.pictures.writing import write

if TYPE_CHECKING:
    from pathlib import Path

PIXELS = np.full((16, 16, 3), 100, np.uint8)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<?xpacket begin="\xef\xbb\xbf"?><x:xmpmeta xmlns:x="adobe:ns:meta/"/><?xpacket end="w"?>'


def camera_exif(orientation: int = 6, order: str = "<") -> bytes:
    """EXIF with a maker's note that stands between the directories, as cameras write it."""
    note = b"NOTE" + bytes(range(60))
    first = struct.pack(order + "H", 3)
    first += struct.pack(order + "HHLL", 0x010F, 2, 7, 150)  # make
    first += struct.pack(order + "HHLHH", 0x0112, 3, 1, orientation, 0)
    first += struct.pack(order + "HHLL", 0x8769, 4, 1, 60)
    first += struct.pack(order + "L", 0)
    second = struct.pack(order + "H", 1)
    second += struct.pack(order + "HHLL", 0x927C, 7, len(note), 84)
    second += struct.pack(order + "L", 0)
    header = struct.pack(order + "2sHL", b"II" if order == "<" else b"MM", 42, 8)
    body = (header + first).ljust(60, b"\0") + second
    return (body.ljust(84, b"\0") + note).ljust(150, b"\0") + b"Camera\0\0"


FULL = Metadata(icc=ICC, exif=camera_exif(), xmp=XMP, dpi=(300.0, 150.0), comment=b"a note")


class TestRoundTrip:
    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif", ".jp2"])
    def test_icc_and_xmp_are_byte_identical(self, tmp_path: Path, suffix: str) -> None:
        again = read(write(Picture(PIXELS, metadata=FULL), tmp_path / f"a{suffix}"))
        assert again.metadata.icc == ICC
        assert again.metadata.xmp == XMP

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".jp2"])
    def test_exif_is_identical_but_for_the_orientation(self, tmp_path: Path, suffix: str) -> None:
        again = read(write(Picture(PIXELS, metadata=FULL), tmp_path / f"a{suffix}"))
        assert again.metadata.exif == camera_exif(orientation=1)
        assert again.pixels.shape == (16, 16, 3)

    def test_avif_leaves_the_orientation_out(self, tmp_path: Path) -> None:
        again = read(write(Picture(PIXELS, metadata=FULL), tmp_path / "a.avif"))
        assert again.metadata.exif == without_orientation(camera_exif())

    def test_tiff_keeps_the_descriptive_tags(self, tmp_path: Path) -> None:
        again = read(write(Picture(PIXELS, metadata=FULL), tmp_path / "a.tif"))
        exif = Image.Exif()
        assert again.metadata.exif is not None
        exif.load(again.metadata.exif)
        assert exif[0x010F] == "Camera"
        assert exif.get_ifd(0x8769)[0x927C] == b"NOTE" + bytes(range(60))

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif", ".jp2"])
    @pytest.mark.parametrize(
        "said", [b'tiff:Orientation="6"', b"<tiff:Orientation>6</tiff:Orientation>"]
    )
    def test_the_orientation_in_xmp(self, tmp_path: Path, suffix: str, said: bytes) -> None:
        """What is written is upright: a program that believes XMP must not turn it again."""
        xmp = XMP.replace(b"/>", b" " + said + b"/>")
        upright = Picture(np.full((16, 32, 3), 100, np.uint8), metadata=Metadata(xmp=xmp))
        path = write(upright, tmp_path / f"a{suffix}")
        assert read(path).pixels.shape == (16, 32, 3)
        assert read(path).metadata.xmp == xmp.replace(b"6", b"1")
        with Image.open(path) as image:
            assert ImageOps.exif_transpose(image).size == (32, 16)

    @pytest.mark.parametrize("text", ["© José", "© José".encode()])
    def test_accents_through_tiff(self, tmp_path: Path, text: str | bytes) -> None:
        stored = text if isinstance(text, bytes) else text.encode("latin-1")
        exif = Image.Exif()
        exif[0x8298] = stored
        picture = Picture(PIXELS, metadata=Metadata(exif=exif.tobytes().removeprefix(b"Exif\0\0")))
        there = read(write(picture, tmp_path / "a.tif"))
        back = read(write(there, tmp_path / "a.jpg"))
        assert back.metadata.exif is not None
        assert stored + b"\0" in back.metadata.exif

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
    def test_dots_per_inch(self, tmp_path: Path, suffix: str) -> None:
        again = read(write(Picture(PIXELS, metadata=FULL), tmp_path / f"a{suffix}"))
        assert again.metadata.dpi == pytest.approx((300, 150), abs=0.02)

    @pytest.mark.parametrize("suffix", [".png", ".jpg"])
    @pytest.mark.parametrize("comment", [b"a note", b"\xe9t\xe9", "été €".encode()])
    def test_comment(self, tmp_path: Path, suffix: str, comment: bytes) -> None:
        picture = Picture(PIXELS, metadata=Metadata(comment=comment))
        assert read(write(picture, tmp_path / f"a{suffix}")).metadata.comment == comment

    def test_16_bit_png(self, tmp_path: Path) -> None:
        picture = Picture(PIXELS.astype(np.uint16), metadata=FULL)
        metadata = read(write(picture, tmp_path / "a.png")).metadata
        assert (metadata.icc, metadata.xmp) == (ICC, XMP)
        assert metadata.exif == camera_exif(orientation=1)

    def test_bare_codestream_of_jpeg2000(self) -> None:
        buffer = io.BytesIO()
        Image.fromarray(PIXELS).save(buffer, "JPEG2000", no_jp2=True)
        picture = read_bytes(buffer.getvalue(), name="x")
        np.testing.assert_array_equal(picture.pixels, PIXELS)
        assert picture.metadata == Metadata()

    def test_from_jpeg_to_png(self, tmp_path: Path) -> None:
        pixels = np.zeros((16, 32, 3), np.uint8)
        buffer = io.BytesIO()
        exif = b"Exif\0\0" + camera_exif(orientation=6)
        Image.fromarray(pixels).save(buffer, "JPEG", exif=exif, icc_profile=ICC, xmp=XMP)
        photo = read_bytes(buffer.getvalue(), name="photo")
        assert photo.pixels.shape == (32, 16, 3)
        again = read(write(photo, tmp_path / "a.png"))
        assert again.pixels.shape == (32, 16, 3)
        assert again.metadata.exif == camera_exif(orientation=1)

    def test_unicode_comment_of_png(self) -> None:
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("Comment", "10 €")
        buffer = io.BytesIO()
        Image.fromarray(PIXELS).save(buffer, "PNG", pnginfo=info)
        assert read_bytes(buffer.getvalue(), name="x").metadata.comment == "10 €".encode()

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif", ".jp2", ".bmp"])
    def test_nothing_comes_of_nothing(self, tmp_path: Path, suffix: str) -> None:
        metadata = read(write(Picture(PIXELS), tmp_path / f"a{suffix}")).metadata
        assert (metadata.icc, metadata.exif, metadata.xmp, metadata.comment) == (None,) * 4


class TestWhatIsLeftOut:
    def test_is_logged(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, logger="diffir"):
            write(Picture(PIXELS, metadata=FULL), tmp_path / "a.webp")
        assert ".webp files written here hold no such comment" in caplog.text
        assert "hold no such dpi" in caplog.text
        assert "hold no such icc" not in caplog.text

    def test_a_gray_profile_does_not_describe_three_channels(self, tmp_path: Path) -> None:
        gray_icc = ICC[:16] + b"GRAY" + ICC[20:]
        picture = Picture(PIXELS, gray=True, metadata=Metadata(icc=gray_icc))
        assert read(write(picture, tmp_path / "a.png")).metadata.icc == gray_icc
        assert read(write(picture, tmp_path / "a.webp")).metadata.icc is None

    def test_what_is_longer_than_a_segment(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        picture = Picture(PIXELS, metadata=Metadata(xmp=bytes(70000), icc=ICC))
        with caplog.at_level(logging.INFO, logger="diffir"):
            metadata = read(write(picture, tmp_path / "a.jpg")).metadata
        assert metadata == Metadata(icc=ICC)
        assert "no xmp of more than 65504 bytes" in caplog.text

    def test_damaged_exif_in_tiff(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        picture = Picture(PIXELS, metadata=Metadata(exif=b"no EXIF at all"))
        with caplog.at_level(logging.INFO, logger="diffir"):
            read(write(picture, tmp_path / "a.tif"))
        assert "EXIF data is damaged" in caplog.text


class TestOrientationBytes:
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("value", range(1, 9))
    def test_is_read_and_set(self, order: str, value: int) -> None:
        exif = camera_exif(value, order)
        assert exif_orientation(exif) == value
        assert upright_exif(exif) == camera_exif(1, order)

    def test_is_taken_out_and_the_rest_stays(self) -> None:
        exif = Image.Exif()
        exif.load(without_orientation(camera_exif(6)))
        assert 0x0112 not in exif
        assert exif[0x010F] == "Camera"
        assert exif.get_ifd(0x8769)[0x927C] == b"NOTE" + bytes(range(60))

    def test_a_value_out_of_range_counts_as_upright(self) -> None:
        assert exif_orientation(camera_exif(9)) == 1

    @pytest.mark.parametrize("exif", [b"", b"II*\0", b"II*\0\x08\0\0\0\xff\xff", b"nonsense"])
    def test_damaged_bytes_are_left_alone(self, exif: bytes) -> None:
        assert exif_orientation(exif) == 1
        assert upright_exif(exif) == exif
        assert without_orientation(exif) == exif

    @settings(max_examples=100, deadline=None)
    @given(st.integers(0, 157), st.integers(0, 255), st.integers(0, 157))
    def test_any_damage_is_survived(self, at: int, value: int, end: int) -> None:
        exif = bytearray(camera_exif())
        exif[at] = value
        damaged = bytes(exif[:end])
        assert 1 <= exif_orientation(damaged) <= 8
        assert len(upright_exif(damaged)) == len(without_orientation(damaged)) == len(damaged)


class TestJp2Boxes:
    def test_lengths_of_every_kind(self) -> None:
        data = b"\0\0\0\x0aaaaaxx" + b"\0\0\0\1bbbb" + (18).to_bytes(8, "big") + b"yy"
        data += b"\0\0\0\0cccczzz"
        assert list(boxes(data)) == [(b"aaaa", b"xx"), (b"bbbb", b"yy"), (b"cccc", b"zzz")]

    def test_a_damaged_box_ends_the_list(self) -> None:
        assert list(boxes(b"\0\0\0\5aaaaxxxx")) == []
