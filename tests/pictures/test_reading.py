from __future__ import annotations

import io
import os
import stat
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diffir.contracts.codec import CodecInfo
from diffir.errors import PictureError, UnsupportedPictureError
from diffir.host.manager import Host
from diffir.pictures.reading import read, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

PHOTO = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
SMOOTH = np.stack(np.meshgrid(np.arange(32) * 7, np.arange(24) * 9), axis=-1).astype(np.uint8)
SMOOTH = np.concatenate([SMOOTH, SMOOTH[:, :, :1]], axis=2)


def saved(image: Image.Image | np.ndarray, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(buffer, form, **options)
    return buffer.getvalue()


class TestModes:
    @pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF", "JPEG2000", "PNG", "TIFF", "BMP"])
    def test_every_format(self, form: str) -> None:
        picture = read_bytes(saved(SMOOTH, form), name="x")
        assert picture.pixels.shape == (24, 32, 3)
        assert picture.pixels.dtype == np.uint8
        assert np.abs(picture.pixels.astype(int) - SMOOTH).mean() < 12
        assert picture.alpha is None
        assert not picture.gray

    def test_a_file_that_no_codec_made_has_no_codec(self) -> None:
        assert read_bytes(saved(PHOTO, "PNG"), name="x").codec == CodecInfo.unknown()

    def test_cmyk_becomes_rgb_and_loses_its_profile(self, caplog: pytest.LogCaptureFixture) -> None:
        cmyk = Image.fromarray(SMOOTH).convert("CMYK")
        data = saved(cmyk, "JPEG", quality=100, icc_profile=b"a profile of inks" * 10)
        with caplog.at_level("INFO", logger="diffir"):
            picture = read_bytes(data, name="x")
        assert "x is CMYK: it becomes RGB" in caplog.text
        assert np.abs(picture.pixels.astype(int) - SMOOTH).mean() < 2
        assert picture.metadata.icc is None

    def test_palette_with_transparency(self) -> None:
        image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
        image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
        picture = read_bytes(saved(image, "PNG", transparency=1), name="x")
        np.testing.assert_array_equal(picture.alpha, [[255, 0, 255]])
        np.testing.assert_array_equal(picture.pixels[0], [[255, 0, 0], [0, 255, 0], [0, 0, 255]])

    def test_palette_without_transparency_has_no_alpha(self) -> None:
        data = saved(Image.fromarray(PHOTO).quantize(16), "GIF")
        picture = read_bytes(data, name="x")
        assert picture.alpha is None

    def test_transparent_color_of_gray_png(self) -> None:
        data = saved(np.array([[5, 6]], np.uint8), "PNG", transparency=5)
        picture = read_bytes(data, name="x")
        assert picture.gray
        np.testing.assert_array_equal(picture.alpha, [[0, 255]])

    def test_one_bit_becomes_gray(self) -> None:
        image = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
        for form in ("PNG", "TIFF"):
            picture = read_bytes(saved(image, form), name="x")
            assert picture.gray
            assert picture.pixels[0, :, 0].tolist() == [0, 255]

    @pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG2000"])
    def test_16_bit_gray(self, form: str) -> None:
        samples = np.array([[0, 1, 256, 65535]] * 4, np.uint16)
        picture = read_bytes(saved(samples, form), name="x")
        assert picture.gray
        np.testing.assert_array_equal(picture.pixels[:, :, 1], samples)

    def test_the_first_picture_of_a_phone_jpeg(self) -> None:
        main, gain_map = Image.fromarray(SMOOTH), Image.fromarray(SMOOTH[:8, :8])
        data = saved(main, "MPO", save_all=True, append_images=[gain_map])
        assert read_bytes(data, name="x").pixels.shape == (24, 32, 3)

    def test_floats_are_refused(self) -> None:
        data = saved(PHOTO[:, :, 0].astype(np.float32), "TIFF")
        with pytest.raises(UnsupportedPictureError, match="32 bits a sample in a layout"):
            read_bytes(data, name="x")

    def test_color_spaces_are_refused(self) -> None:
        data = saved(Image.new("LAB", (4, 4)), "TIFF")
        with pytest.raises(UnsupportedPictureError, match="Pillow's mode 'LAB'") as caught:
            read_bytes(data, name="x")
        assert "PNG" in str(caught.value.hint)


class TestOrientation:
    # Where Pillow's own transposition takes the stored pixels.
    @pytest.mark.parametrize("value", range(1, 9))
    @pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
    def test_pixels_are_turned_upright(self, value: int, form: str) -> None:
        from PIL import ImageOps

        exif = Image.Exif()
        exif[0x0112] = value
        image = Image.fromarray(PHOTO)
        options: dict[str, object] = {"lossless": True} if form == "WEBP" else {}
        data = saved(image, form, exif=exif, **options)
        image.getexif()[0x0112] = value
        upright = np.array(ImageOps.exif_transpose(image))
        picture = read_bytes(data, name="x")
        np.testing.assert_array_equal(picture.pixels, upright)
        if picture.metadata.exif:
            again = Image.Exif()
            again.load(picture.metadata.exif)
            assert again.get(0x0112, 1) == 1

    @pytest.mark.parametrize("form", ["JPEG", "AVIF"])
    def test_in_lossy_files(self, form: str) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        data = saved(SMOOTH, form, exif=exif, quality=95)
        picture = read_bytes(data, name="x")
        assert picture.pixels.shape == (32, 24, 3)
        assert np.abs(picture.pixels.astype(int) - np.rot90(SMOOTH, -1)).mean() < 4

    @pytest.mark.parametrize("value", range(1, 9))
    def test_16_bit_tiff(self, tmp_path: Path, value: int) -> None:
        from diffir.contracts.picture import Picture
        from diffir.pictures.writing import write

        deep = PHOTO.astype(np.uint16) * 257
        data = bytearray(write(Picture(deep), tmp_path / "a.tif").read_bytes())
        # The directory's orientation is 1.
        start, count = 10, data[8]
        entries = [bytes(data[at : at + 12]) for at in range(start, start + 12 * count, 12)]
        entries = [e for e in entries if int.from_bytes(e[:2], "little") != 274]
        entries.append(struct.pack("<HHLHH", 274, 3, 1, value, 0))
        entries.sort(key=lambda entry: int.from_bytes(entry[:2], "little"))
        data[start : start + 12 * count] = b"".join(entries)
        image = Image.fromarray(PHOTO)
        image.getexif()[0x0112] = value
        from PIL import ImageOps

        upright = np.array(ImageOps.exif_transpose(image)).astype(np.uint16) * 257
        np.testing.assert_array_equal(read_bytes(bytes(data), name="x").pixels, upright)


class TestRefusals:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(PictureError, match=r"none\.png does not exist") as caught:
            read(tmp_path / "none.png")
        assert caught.value.hint

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(PictureError, match="is a folder"):
            read(tmp_path)

    def test_no_permission(self, tmp_path: Path) -> None:
        path = tmp_path / "secret.png"
        path.write_bytes(saved(PHOTO, "PNG"))
        path.chmod(0)
        user = os.geteuid()
        try:
            if user == 0:  # who may read everything
                os.seteuid(65534)
            with pytest.raises(PictureError, match="may not be read"):
                read(path)
        finally:
            os.seteuid(user)

    def test_no_regular_file(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe.png"
        os.mkfifo(path)
        assert stat.S_ISFIFO(path.stat().st_mode)
        with pytest.raises(PictureError, match="is not a regular file"):
            read(path)

    def test_a_path_that_the_system_refuses(self) -> None:
        with pytest.raises(PictureError, match="cannot be read: File name too long"):
            read("a" * 5000 + ".png")

    def test_empty(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.jpg"
        path.touch()
        with pytest.raises(PictureError, match=r"empty\.jpg is empty"):
            read(path)

    def test_text(self, tmp_path: Path) -> None:
        path = tmp_path / "note.jpg"
        path.write_text("Dear reader,")
        with pytest.raises(PictureError, match="not a picture that diffir knows") as caught:
            read(path)
        assert "JPEG, PNG" in str(caught.value.hint)

    def test_the_suffix_does_not_matter(self, tmp_path: Path) -> None:
        path = tmp_path / "photo.jpg"
        path.write_bytes(saved(PHOTO, "PNG"))
        np.testing.assert_array_equal(read(path).pixels, PHOTO)

    @pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF", "JPEG2000", "PNG", "TIFF", "BMP"])
    @pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
    def test_truncated(self, form: str, share: float) -> None:
        data = saved(PHOTO, form)
        cut = max(24, int(len(data) * share))
        with pytest.raises(PictureError, match=r"cannot be decoded|claims a size"):
            read_bytes(data[:cut], name=f"cut {form}")

    def test_truncated_16_bit_png(self) -> None:
        data = saved(PHOTO[:, :, 0].astype(np.uint16) * 257, "PNG")
        with pytest.raises(PictureError, match="cannot be decoded"):
            read_bytes(data[: len(data) // 2], name="x")

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(["JPEG", "PNG", "TIFF", "GIF"]), st.data())
    def test_damage_gives_a_picture_or_our_error(self, form: str, data: st.DataObject) -> None:
        damaged = bytearray(saved(SMOOTH, form))
        for _ in range(4):
            at = data.draw(st.integers(0, len(damaged) - 1))
            damaged[at] = data.draw(st.integers(0, 255))
        try:
            read_bytes(bytes(damaged), name="damaged")
        except PictureError as error:
            assert error.hint  # noqa: PT017

    @pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "AVIF"])
    def test_animated(self, form: str) -> None:
        frames = [Image.new("RGB", (8, 8), color) for color in ("red", "green", "blue")]
        data = saved(frames[0], form, save_all=True, append_images=frames[1:])
        with pytest.raises(UnsupportedPictureError, match="x is animated: 3 frames") as caught:
            read_bytes(data, name="x")
        assert "frame" in str(caught.value.hint)

    def test_pages(self) -> None:
        page = Image.new("L", (8, 8))
        data = saved(page, "TIFF", save_all=True, append_images=[page])
        with pytest.raises(UnsupportedPictureError, match="holds 2 pages"):
            read_bytes(data, name="x")

    @pytest.mark.parametrize(
        "start", [b"\0\0\0\x18ftypisom\0\0\2\0isommp41", b"\x1aE\xdf\xa3", b"RIFF\1\0\0\0AVI LIST"]
    )
    def test_movies(self, start: bytes) -> None:
        with pytest.raises(UnsupportedPictureError, match="x is a movie"):
            read_bytes(start + bytes(32), name="x")

    def test_heic_without_a_codec_for_it(self) -> None:
        data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(16)
        with pytest.raises(UnsupportedPictureError, match="is a HEIC picture"):
            read_bytes(data, name="x", host=Host([]))

    def test_16_bit_color_jpeg2000(self) -> None:
        data = bytearray(saved(PHOTO, "JPEG2000"))
        at = data.index(b"\xff\x4f\xff\x51")
        data[at + 42] = 15  # 16 bits
        with pytest.raises(UnsupportedPictureError, match="16 bits a sample in a layout"):
            read_bytes(bytes(data), name="x")


class TestSize:
    @staticmethod
    def png_claiming(width: int, height: int) -> bytes:
        def chunk(kind: bytes, content: bytes) -> bytes:
            check = struct.pack(">L", zlib.crc32(kind + content))
            return struct.pack(">L", len(content)) + kind + content + check

        header = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(bytes(100)))
            + chunk(b"IEND", b"")
        )

    def test_a_picture_that_claims_too_much(self) -> None:
        with pytest.raises(
            UnsupportedPictureError, match=r"60000x60000 pixels \(3,600 mega.*limit is 512 mega"
        ) as caught:
            read_bytes(self.png_claiming(60000, 60000), name="x")
        assert "DIFFIR_MAX_MEGAPIXELS=3600" in str(caught.value.hint)

    def test_webp_is_judged_before_it_is_opened(self) -> None:
        size = (59999).to_bytes(3, "little") * 2
        data = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + size
        with pytest.raises(UnsupportedPictureError, match="60000x60000"):
            read_bytes(data, name="x")

    @pytest.mark.parametrize("form", ["JPEG", "BMP", "GIF", "TIFF", "JPEG2000"])
    def test_every_header_is_judged(self, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DIFFIR_MAX_MEGAPIXELS", "0.0005")
        with pytest.raises(UnsupportedPictureError, match="claims 32x24 pixels"):
            read_bytes(saved(PHOTO, form), name="x")

    def test_a_large_picture_is_no_bomb(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # Pillow warns beyond its limit, which is an error in these tests, and raises beyond twice.
        data = saved(PHOTO, "PNG")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        assert read_bytes(data, name="x").width == 32
        assert Image.MAX_IMAGE_PIXELS == 100

    def test_the_limit_must_be_a_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for wrong in ("many", "-1", "nan"):
            monkeypatch.setenv("DIFFIR_MAX_MEGAPIXELS", wrong)
            with pytest.raises(UnsupportedPictureError, match="must be a positive number"):
                read_bytes(saved(PHOTO, "PNG"), name="x")

    def test_no_pixels(self) -> None:
        data = b"BM" + struct.pack("<LLLLllHHLLLLLL", 58, 0, 54, 40, 0, 0, 1, 24, 0, 4, 0, 0, 0, 0)
        with pytest.raises(PictureError, match=r"claims a size of 0x0|cannot be decoded"):
            read_bytes(data + bytes(4), name="x")


def test_a_picture_is_shown_in_one_line() -> None:
    told = read_bytes(saved(PHOTO[..., 0], "JPEG", quality=10), name="a.jpg")
    assert repr(told) == "Picture(32x24 uint8, gray, jpeg 10)"
    clear = read_bytes(saved(np.dstack([PHOTO, PHOTO[..., :1]]), "PNG"), name="a.png")
    assert repr(clear) == "Picture(32x24 uint8, alpha)"
