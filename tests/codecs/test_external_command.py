"""Programs as codecs: what a good one gives, and what each kind of bad one is told."""

from __future__ import annotations

import io
import os
import pickle
import shlex
import sys
import textwrap
import time

import numpy as np
import pytest
from PIL import Image

from diffir.codecs.confined_process import Limits
from diffir.codecs.external_command import ExternalCommandCodec
from diffir.contracts.codec import CodecSpec, QualityScale
from diffir.contracts.picture import Picture
from diffir.degradations.codec_degradation import CodecDegradation
from diffir.errors import CodecError

SPEC = CodecSpec("toy", (".toy",), QualityScale("bits", worst=1, best=8), (2, 4, 6), "CC0-1.0")
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 31, 3), np.uint8)
ENCODE = "{input} {output} {quality}"
DECODE = "{input} {output}"

# Keeps some bits of each sample. With -S, Python starts at once.
GOOD = """
import sys, zlib
if len(sys.argv) == 4:
    head, size, most, samples = open(sys.argv[1], "rb").read().split(b"\\n", 3)
    drop = 8 - int(sys.argv[3])
    kept = bytes(s >> drop << drop for s in samples)
    open(sys.argv[2], "wb").write(b"TOY" + size + b"\\n" + zlib.compress(kept))
else:
    size, data = open(sys.argv[1], "rb").read()[3:].split(b"\\n", 1)
    open(sys.argv[2], "wb").write(b"P6\\n" + size + b"\\n255\\n" + zlib.decompress(data))
"""


@pytest.fixture
def command(tmp_path):
    """The command line of a program: command("print(1)", "{input}")."""

    def write(program: str, places: str) -> str:
        path = tmp_path / f"program {len(list(tmp_path.iterdir()))}.py"  # the space is on purpose
        path.write_text(textwrap.dedent(program))
        return f"{shlex.quote(sys.executable)} -S {shlex.quote(str(path))} {places}"

    return write


@pytest.fixture
def build(command):
    """A codec of two programs, of the good one where none is given."""

    def codec(*, encode: str = GOOD, decode: str = GOOD, **options) -> ExternalCommandCodec:
        commands = {"encode": command(encode, ENCODE), "decode": command(decode, DECODE)}
        return ExternalCommandCodec(
            SPEC, **commands, **{"magic": (b"TOY",), "exchange": "ppm", **options}
        )

    return codec


class TestGoodProgram:
    def test_pixels_come_back(self, build):
        codec = build()
        data = codec.encode(PIXELS, 4.4)  # rounded to 4
        assert data.startswith(b"TOY31 20\n")
        assert np.array_equal(codec.decode(data), PIXELS >> 4 << 4)
        assert codec.recognizes(data)
        assert not codec.recognizes(b"other")

    def test_it_goes_through_pickle(self, build):
        codec = build()
        again = pickle.loads(pickle.dumps(codec))
        assert again.encode(PIXELS, 3) == codec.encode(PIXELS, 3)

    def test_info_says_what_is_known_and_no_more(self, build):
        codec = build()
        info = codec.read_info(codec.encode(PIXELS, 3))
        assert (info.name, info.quality, info.severity, info.bits_per_pixel) == ("toy",) + (
            None,
        ) * 3
        assert info.sources == {"name": "bitstream"}

    def test_a_degradation_knows_the_bits_per_pixel(self, build):
        codec = build()
        degraded = CodecDegradation(codec, [3]).degrade(Picture(PIXELS), np.random.default_rng(0))
        size = len(codec.encode(PIXELS, 3))
        assert degraded.codec.bits_per_pixel == 8 * size / (20 * 31)
        assert degraded.codec.sources["bits_per_pixel"] == "bitstream"

    def test_nothing_is_left_behind(self, build, tmp_path, monkeypatch):
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(temporary))
        codec = build()
        codec.decode(codec.encode(PIXELS, 3))
        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize("exchange", ["png", "ppm", "y4m"])
    def test_each_exchange_format(self, build, exchange):
        copy = "import shutil, sys; shutil.copy(*sys.argv[1:3])"
        codec = build(encode=copy, decode=copy, magic=(), exchange=exchange)
        flat = np.full((8, 12, 3), (200, 90, 60), np.uint8)
        decoded = codec.decode(codec.encode(flat, 8))
        assert np.abs(decoded.astype(int) - flat).max() <= (2 if exchange == "y4m" else 0)

    def test_bits_per_pixel_of_a_format_that_pillow_knows(self, build):
        copy = "import shutil, sys; shutil.copy(*sys.argv[1:3])"
        codec = build(encode=copy, decode=copy, magic=(b"\x89PNG",), exchange="png")
        data = codec.encode(PIXELS, 8)
        assert codec.read_info(data).bits_per_pixel == 8 * len(data) / (20 * 31)
        assert not build(magic=()).recognizes(data)

    def test_fractions(self, build):
        says = "import sys; open(sys.argv[2], 'w').write(sys.argv[3])"
        assert build(encode=says, magic=(), fractions=True).encode(PIXELS, 2.5) == b"2.5"
        assert build(encode=says, magic=()).encode(PIXELS, 3) == b"3"

    def test_no_shell_sees_the_command(self, tmp_path):
        words = f"{shlex.quote(sys.executable)} -S -c 'pass' {{input}} {{output}}"
        codec = ExternalCommandCodec(
            SPEC, encode=f"{words} {{quality}}; touch {tmp_path}/touched", decode=words
        )
        with pytest.raises(CodecError, match="wrote nothing"):
            codec.encode(PIXELS, 3)
        assert not (tmp_path / "touched").exists()


class TestBadProgram:
    def test_one_that_is_missing(self):
        codec = ExternalCommandCodec(
            SPEC, encode="no-such-program {input} {output} {quality}", decode="x {input} {output}"
        )
        with pytest.raises(
            CodecError, match="codec 'toy' needs the program 'no-such-program', which is not on"
        ) as caught:
            codec.encode(PIXELS, 3)
        assert "Install it" in caught.value.hint

    def test_one_that_is_none(self, tmp_path):
        path = tmp_path / "program"
        path.write_bytes(b"\x7fELF, or not")
        path.chmod(0o755)
        codec = ExternalCommandCodec(SPEC, encode=f"{path} {ENCODE}", decode=f"{path} {DECODE}")
        with pytest.raises(CodecError, match="cannot be started"):
            codec.encode(PIXELS, 3)

    def test_one_that_hangs_is_killed_with_its_children(self, build, tmp_path):
        program = f"""
            import os, subprocess, sys, time
            child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
            open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
            time.sleep(600)
        """
        with pytest.raises(CodecError, match=r"did not end within 2 s, and was killed") as caught:
            build(encode=program, limits=Limits(seconds=2)).encode(PIXELS, 3)
        assert "limits.seconds" in caught.value.hint
        assert is_gone(int((tmp_path / "child").read_text()))

    def test_what_outlives_a_program_is_killed(self, build, tmp_path):
        program = f"""
            import subprocess, sys
            child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
            open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
            open(sys.argv[2], "wb").write(b"TOY")
        """
        assert build(encode=program).encode(PIXELS, 3) == b"TOY"
        assert is_gone(int((tmp_path / "child").read_text()))

    def test_one_that_fails_is_quoted(self, build):
        program = """
            import sys
            print(*range(50), sep="\\n")
            sys.exit("cannot open: no such color")
        """
        with pytest.raises(CodecError, match=r"ended with exit status 1: (?s:.)*no such color"):
            build(encode=program).encode(PIXELS, 3)

    def test_one_that_fails_in_silence(self, build):
        with pytest.raises(CodecError, match="exit status 3: it said nothing"):
            build(encode="raise SystemExit(3)").encode(PIXELS, 3)

    def test_one_that_writes_nothing(self, build):
        with pytest.raises(CodecError, match="ended well, but wrote nothing") as caught:
            build(encode="pass").encode(PIXELS, 3)
        assert "{output}" in caught.value.hint

    def test_one_whose_output_points_elsewhere(self, build):
        program = "import os, sys; os.symlink('/etc/hostname', sys.argv[2])"
        with pytest.raises(CodecError, match="wrote nothing"):
            build(encode=program, magic=()).encode(PIXELS, 3)

    def test_an_encoder_that_writes_something_else(self, build):
        program = "import sys; open(sys.argv[2], 'wb').write(b'BMP?')"
        with pytest.raises(CodecError, match=r"begin with b'BMP\?', expected b'TOY'"):
            build(encode=program).encode(PIXELS, 3)

    def test_a_decoder_that_writes_garbage(self, build):
        program = "import sys; open(sys.argv[2], 'wb').write(b'garbage')"
        with pytest.raises(CodecError, match="the decoder wrote no PPM picture") as caught:
            build(decode=program).decode(b"TOY")
        assert "must be a PPM file" in caught.value.hint

    def test_a_decoder_that_writes_another_size_than_the_file_tells(self, build):
        png = io.BytesIO()
        Image.fromarray(PIXELS).save(png, "PNG")
        program = "import sys; open(sys.argv[2], 'wb').write(b'P6 1 1 255\\n123')"
        with pytest.raises(CodecError, match="a picture of 1x1, the file says 31x20"):
            build(decode=program, magic=()).decode(png.getvalue())

    def test_a_decoder_that_writes_another_size_than_went_in(self, build):
        program = "import sys; open(sys.argv[2], 'wb').write(b'P6 1 1 255\\n123')"
        degradation = CodecDegradation(build(decode=program), [3])
        with pytest.raises(CodecError, match="'toy' made 1x1 pixels of a picture of 31x20"):
            degradation.degrade(Picture(PIXELS), np.random.default_rng(0))

    @pytest.mark.parametrize("where", ["sys.argv[2]", "'more'"])
    def test_one_that_fills_the_disk(self, build, where):
        program = f"""
            import sys
            with open({where}, "wb", 0) as file:
                while True:
                    file.write(bytes(100_000))
        """
        with pytest.raises(CodecError, match="bytes or more, the limit is") as caught:
            build(encode=program, limits=Limits(seconds=60, bytes=10**6)).encode(PIXELS, 3)
        assert "limits.bytes" in caught.value.hint


class TestRequests:
    def test_too_large_a_picture(self, build):
        with pytest.raises(CodecError, match="31x20 is larger than the limit of 100 pixels"):
            build(limits=Limits(pixels=100)).encode(PIXELS, 3)

    def test_too_large_a_file(self, build):
        with pytest.raises(CodecError, match="a file of 11 bytes is larger than the limit of 10"):
            build(limits=Limits(bytes=10)).decode(b"TOY" + bytes(8))

    def test_quality_off_the_scale(self, build):
        with pytest.raises(CodecError, match="toy bits must be between 1 and 8, got 9"):
            build().encode(PIXELS, 9)

    @pytest.mark.parametrize("data", [b"", b"other"])
    def test_bytes_of_another_codec(self, build, data):
        with pytest.raises(CodecError, match="these bytes are not its own"):
            build().decode(data)
        with pytest.raises(CodecError, match="these bytes are not its own"):
            build().read_info(data)

    @pytest.mark.parametrize(
        ("encode", "message"),
        [
            ("x {input} {output}", r"must have the placeholders \{input\} \{output\} \{quality\}"),
            ("x {input} {output} {quality} {threads}", r"it has .*\{threads\}"),
            ("", "it has none"),
            ("x '{input} {output} {quality}", "is not a command line: No closing quotation"),
        ],
    )
    def test_a_command_that_is_none(self, encode, message):
        with pytest.raises(CodecError, match=message):
            ExternalCommandCodec(SPEC, encode=encode, decode="x {input} {output}")


def is_gone(pid: int) -> bool:
    """Whether the process ends soon: a killed one may still wait to be reaped by init."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as file:
                if ") Z " in file.read():
                    return True
        except OSError:
            return True
        time.sleep(0.02)
    return False
