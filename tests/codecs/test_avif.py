from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from diffir.codecs.av1_headers import read_av1
from diffir.codecs.avif import Avif
from diffir.codecs.heif_items import read_heif_image
from diffir.codecs.iso_boxes import boxes, read_brands
from diffir.errors import CodecError

SOFT = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize(
    (72, 64)
)


def written(image=SOFT, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "AVIF", **options)
    return buffer.getvalue()


AVIF = written(quality=20)
OBUS = read_heif_image(AVIF).bitstream


def box(kind: str, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return (8 + len(body)).to_bytes(4, "big") + kind.encode() + body


def heif(*, kind: bytes = b"av01", brand: bytes = b"mif1", idat: bool = False) -> bytes:
    """Item 1 is a grid of items 2 and 3, tiles of `kind`; numbers are 32 bits wide."""

    def number(value: int, size: int = 4) -> bytes:
        return value.to_bytes(size, "big")

    def entry(item: int, of_kind: bytes) -> bytes:
        return box("infe", b"\x03\0\0\0", number(item), number(0, 2), of_kind, b"\0")

    def meta(start: int) -> bytes:
        spans = [(1, 0, 0), (2, start, len(OBUS)), (3, start, len(OBUS))]
        locations = b"".join(
            number(item)
            + number(int(idat), 2)
            + number(0, 2)
            + number(1, 2)
            + number(a)
            + number(n)
            for item, a, n in spans
        )
        size = box("ispe", bytes(4), number(144), number(64))
        tile_size = box("ispe", bytes(4), number(72), number(64))
        return box(
            "meta",
            bytes(4),
            box("pitm", b"\x01\0\0\0", number(1)),
            box(
                "iinf", b"\x01\0\0\0", number(3), entry(1, b"grid"), entry(2, kind), entry(3, kind)
            ),
            box("iref", b"\x01\0\0\0", box("dimg", number(1), number(2, 2), number(2), number(3))),
            box(
                "iprp",
                box("ipco", size, tile_size, box("irot", b"\x01")),
                box(
                    "ipma",
                    b"\x01\0\0\x01",
                    number(2),
                    number(1) + b"\x02" + number(0x8001, 2) + number(3, 2),
                    number(2) + b"\x01" + number(2, 2),
                ),
            ),
            box("iloc", b"\x02\0\0\0", b"\x44\0", number(3), locations),
            box("idat", OBUS) if idat else b"",
        )

    file_type = box("ftyp", brand, bytes(4), b"miaf")
    start = 0 if idat else len(file_type) + len(meta(0)) + 8
    return file_type + meta(start) + box("mdat", OBUS)


class TestReadInfo:
    @pytest.mark.parametrize("quality", [0, 10, 20, 30, 50, 63, 75, 88, 100])
    def test_quality_follows_from_the_quantizer(self, quality):
        info = Avif().read_info(written(quality=quality))
        assert info.quality == pytest.approx(quality, abs=2)
        assert info.sources["quality"] == "estimate"
        assert info.severity == info.quantizer / 255

    @pytest.mark.parametrize("chroma", ["4:2:0", "4:2:2", "4:4:4", "4:0:0"])
    def test_chroma_format(self, chroma):
        assert Avif().read_info(written(subsampling=chroma)).subsampling == chroma

    def test_exact_samples_of_rounded_colors_are_not_lossless(self):
        info = Avif().read_info(written(quality=100))
        assert info.details["exact_samples"] is True
        assert info.lossless is False

    def test_exact_gray_is_lossless(self):
        info = Avif().read_info(written(quality=100, subsampling="4:0:0"))
        assert info.lossless is True

    def test_alpha_and_animation(self):
        clear = SOFT.convert("RGBA")
        clear.putalpha(100)
        assert Avif().read_info(written(clear)).details["auxiliary"] is True
        moving = written(save_all=True, append_images=[SOFT.rotate(90, expand=False)])
        assert Avif().read_info(moving).details["animated"] is True

    def test_orientation_is_named(self):
        exif = Image.Exif()
        exif[0x0112] = 6
        assert Avif().read_info(written(exif=exif)).details["irot"] is True
        assert Avif().read_info(AVIF).details["irot"] is False

    def test_older_encoders_divide_the_scale_evenly(self):
        # Frames of a sequence are still coded without quantizer matrices.
        moving = written(quality=50, save_all=True, append_images=[SOFT.rotate(90)])
        info = Avif().read_info(moving)
        assert info.details["quantizer_matrices"] is False
        assert info.quality == pytest.approx(50, abs=3)

    def test_another_codec_in_the_same_container(self):
        with pytest.raises(CodecError, match="picture of the file is 'hvc1', expected 'av01'"):
            Avif().read_info(heif(kind=b"hvc1"))


class TestRecognizes:
    def test_by_brand(self):
        assert Avif().recognizes(AVIF)
        assert read_brands(AVIF)[0] == "avif"

    def test_general_brand_by_item(self):
        assert Avif().recognizes(heif())
        assert not Avif().recognizes(heif(kind=b"hvc1"))

    @pytest.mark.parametrize("brand", [b"heic", b"heix", b"mp42"])
    def test_other_brands(self, brand):
        assert not Avif().recognizes(heif(kind=b"hvc1", brand=brand))

    def test_general_brand_of_a_damaged_file(self):
        assert not Avif().recognizes(heif()[:60])

    def test_no_brands(self):
        assert read_brands(b"\0\0\0\x08free") == ()


class TestBoxes:
    @pytest.mark.parametrize("idat", [False, True])
    def test_grid_gives_its_first_tile(self, idat):
        image = read_heif_image(heif(idat=idat))
        assert (image.kind, image.tiles, image.bitstream) == ("av01", 2, OBUS)
        assert (image.width, image.height) == (144, 64)
        assert image.properties["irot"] == b"\x01"

    def test_wide_and_open_ended_sizes(self):
        wide = b"\0\0\0\x01free" + (17).to_bytes(8, "big") + b"x"
        tail = b"\0\0\0\0mdatabc"
        assert [(part.kind, part.payload) for part in boxes(wide + tail)] == [
            ("free", b"x"),
            ("mdat", b"abc"),
        ]

    def test_box_past_the_end(self):
        with pytest.raises(CodecError, match="'free' box of 9 bytes does not fit"):
            list(boxes(b"\0\0\0\x09free"))

    def test_no_meta(self):
        with pytest.raises(CodecError, match="no meta box: it holds no still picture"):
            read_heif_image(box("ftyp", b"avif", bytes(4)))

    def test_meta_cut_short(self):
        with pytest.raises(CodecError, match="'meta' box is cut short"):
            read_heif_image(box("meta", b"\0"))

    def test_meta_without_its_tables(self):
        with pytest.raises(CodecError, match="meta box holds no 'iinf' box"):
            read_heif_image(box("meta", bytes(4)))

    def test_table_cut_short(self):
        with pytest.raises(CodecError, match="box of the file's meta data is cut short"):
            read_heif_image(box("meta", bytes(4), box("iinf", bytes(5))))

    def test_item_without_a_place(self):
        meta = box(
            "meta",
            bytes(4),
            box("iinf", bytes(6)),
            box("pitm", bytes(4), b"\0\x07"),
            box("iloc", bytes(4), b"\0\0", b"\0\0"),
        )
        with pytest.raises(CodecError, match="says not where item 7 lies"):
            read_heif_image(meta)

    def test_item_built_from_others(self):
        data = heif(idat=True).replace(b"idat", b"skip")
        with pytest.raises(CodecError, match="built from other items"):
            read_heif_image(data)

    def test_item_past_the_end(self):
        with pytest.raises(CodecError, match="lie past the end of the file"):
            read_heif_image(AVIF[:-1])


class TestAv1Headers:
    def test_facts(self):
        header = read_av1(OBUS)
        assert (header.width, header.height, header.bit_depth) == (72, 64, 8)
        assert (header.still_picture, header.full_range, header.lossless) == (True, True, False)
        assert header.base_q_idx == 216

    @pytest.mark.parametrize(
        "options",
        [
            {"tile_rows": 2, "tile_cols": 1, "autotiling": False},
            {"advanced": {"enable-qm": "0", "tune": "ssim"}},
            {"range": "limited", "subsampling": "4:4:4"},
        ],
    )
    def test_other_syntax_branches(self, options):
        image = SOFT.resize((400, 300))
        header = read_av1(read_heif_image(written(image, quality=40, **options)).bitstream)
        assert (header.width, header.height) == (400, 300)
        assert 140 <= header.base_q_idx <= 180

    def test_no_frame(self):
        with pytest.raises(CodecError, match="AV1 stream has no frame"):
            read_av1(b"\x12\0")

    def test_frame_before_the_sequence_header(self):
        with pytest.raises(CodecError, match="frame before its sequence header"):
            read_av1(b"\x32\x01\0")

    def test_forbidden_bit(self):
        with pytest.raises(CodecError, match="forbidden bit"):
            read_av1(b"\x80")

    def test_unit_cut_short(self):
        with pytest.raises(CodecError, match="unit of the AV1 stream is cut short"):
            read_av1(OBUS[:20])

    def test_frames_that_depend_on_others(self):
        sequence = read_heif_image(written(save_all=True, append_images=[SOFT.rotate(90)]))
        stream = sequence.bitstream
        header_end = stream.index(b"\x32", 3)  # the frame's unit: type 6 with a size
        length = 1
        while stream[header_end + length] & 0x80:
            length += 1
        first = header_end + length + 1
        shown_inter = stream[:first] + b"\x30" + stream[first + 1 :]
        with pytest.raises(CodecError, match="depends on others"):
            read_av1(shown_inter)
        with pytest.raises(CodecError, match="begins by showing an earlier frame"):
            read_av1(stream[:first] + b"\x80" + stream[first + 1 :])
