"""Files that Pillow does not decode: a codec of the host does; and the deepest refusals."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from diffir.codecs.jpeg import Jpeg
from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Metadata, Picture
from diffir.errors import CodecError, PictureError, UnsupportedPictureError
from diffir.host.manager import Host, default_host
from diffir.pictures.reading import _decode_by, read, read_bytes
from diffir.pictures.sixteen_bits import decode_16bit
from diffir.pictures.writing import write

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from diffir.host.hookspecs import Register

SMOOTH = np.full((32, 48, 3), 128, np.uint8)


class WithoutFacts(Jpeg):
    """A codec that decodes, but whose header reader gives up."""

    def read_info(self, data: bytes) -> CodecInfo:
        raise CodecError(f"no facts in {len(data)} bytes")


class WithBrokenHeader(Jpeg):
    """One whose author forgot a short file."""

    def read_info(self, data: bytes) -> CodecInfo:
        raise IndexError(len(data))


class BreakingDown(Jpeg):
    """One whose decoder breaks down."""

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        raise ZeroDivisionError(len(data))


def host_of(codec: type) -> Host:
    def register_codecs(register: Register) -> None:
        register("jpeg", f"{__name__}:{codec.__name__}", summary="for a test")

    return Host([("test", "tests", SimpleNamespace(register_codecs=register_codecs))])


@pytest.mark.parametrize("name", ["avc", "hevc", "av1", "vp9", "mpeg2"])
def test_stills_of_video_codecs(tmp_path: Path, name: str) -> None:
    codec = default_host().codec(name)
    path = tmp_path / "still.bin"
    path.write_bytes(codec.encode(SMOOTH, codec.spec.levels[-1]))
    picture = read(path)
    assert picture.codec.name == name
    assert picture.metadata == Metadata()
    assert np.abs(picture.pixels.astype(int) - 128).max() <= 4


def test_the_codec_of_a_jpeg(tmp_path: Path) -> None:
    path = write(Picture(SMOOTH), tmp_path / "a.jpg", quality=10)
    assert (read(path).codec.name, read(path).codec.quality) == ("jpeg", 10)


def test_a_codec_that_cannot_read_the_facts(tmp_path: Path) -> None:
    data = write(Picture(SMOOTH), tmp_path / "a.jpg").read_bytes()
    assert read_bytes(data, name="x", host=host_of(WithoutFacts)).codec == CodecInfo.unknown()


def test_a_codec_that_breaks_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write(Picture(SMOOTH), tmp_path / "a.jpg").read_bytes()
    with caplog.at_level("WARNING", logger="diffir"):
        picture = read_bytes(data, name="x", host=host_of(WithBrokenHeader))
    assert picture.codec == CodecInfo.unknown()
    assert "codec jpeg fails to read a header: IndexError" in caplog.text


def test_a_decoder_that_breaks_down() -> None:
    codec = BreakingDown()
    with pytest.raises(PictureError, match="x is jpeg, whose codec breaks down: ZeroDivision"):
        _decode_by(codec, b"\xff\xd8", "x")


def test_a_damaged_still_of_a_codec() -> None:
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(16)
    with pytest.raises(PictureError, match="x is hevc, but cannot be decoded") as caught:
        read_bytes(data, name="x")
    assert caught.value.hint


def test_16_bit_layouts_that_ffmpeg_gives_otherwise(tmp_path: Path) -> None:
    eight_bits = write(Picture(SMOOTH), tmp_path / "a.png").read_bytes()
    with pytest.raises(UnsupportedPictureError, match="cannot be read: rgb24"):
        decode_16bit(eight_bits, "png", name="x")
    with pytest.raises(UnsupportedPictureError, match=r"cannot be read: .*Invalid data"):
        decode_16bit(b"no PNG at all", "png", name="x")


def test_a_picture_beyond_the_memory() -> None:
    program = (
        "import io, resource\n"
        "from PIL import Image\n"
        "from diffir.errors import UnsupportedPictureError\n"
        "from diffir.pictures.still_files import decode_still\n"
        "buffer = io.BytesIO()\n"
        "Image.new('1', (8000, 8000)).save(buffer, 'PNG')\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 20_000_000, -1))\n"
        "try:\n"
        "    decode_still(buffer.getvalue(), 'PNG', name='x')\n"
        "except UnsupportedPictureError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "x does not fit into this machine's memory" in done.stdout, done.stderr
