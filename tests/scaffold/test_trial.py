from __future__ import annotations

import shlex
import sys

import pytest

from diffir.errors import CodecError
from diffir.scaffold.new_codec import Wishes, plan_codec
from diffir.scaffold.trial import loaded, settle, with_waivers
from diffir.scaffold.ways import from_commands, from_pillow, from_pyav, skeleton

TOY = """
import sys, zlib
source, target, *quality = sys.argv[1:]
if quality:
    head, size, most, samples = open(source, "rb").read().split(b"\\n", 3)
    drop = 7 - int(quality[0]) // 15
    kept = bytes(sample >> drop << drop for sample in samples)
    open(target, "wb").write(b"TOY!" + bytes(4) + size + b"\\n" + zlib.compress(kept))
else:
    size, data = open(source, "rb").read()[8:].split(b"\\n", 1)
    open(target, "wb").write(b"P6\\n" + size + b"\\n255\\n" + zlib.decompress(data))
"""


@pytest.fixture
def toy(tmp_path):
    path = tmp_path / "toy.py"
    path.write_text(TOY)
    run = f"{shlex.quote(sys.executable)} -S {shlex.quote(str(path))} {{input}} {{output}}"
    return from_commands(f"{run} {{quality}}", run, exchange="ppm")


class TestSettle:
    def test_the_beginning_of_a_programs_files_is_found_out(self, toy):
        planned = settle("toy", toy, Wishes(levels=(20, 40, 80)))
        assert planned.magic == b"TOY!"  # not the zeros, in which a size may lie

    def test_files_as_any_program_writes_them_are_not_claimed(self, tmp_path):
        path = tmp_path / "colors.py"
        path.write_text(
            "import sys\nfrom PIL import Image\nsource, target, *quality = sys.argv[1:]\n"
            "image = Image.open(source).convert('RGB')\n"
            "few = image.quantize(int(quality[0])) if quality else image\n"
            "few.save(target, 'PNG')\n"
        )
        run = f"{shlex.quote(sys.executable)} {shlex.quote(str(path))} {{input}} {{output}}"
        planned = settle("few", from_commands(f"{run} {{quality}}", run), Wishes(levels=(8, 64)))
        assert planned.magic == b""

    def test_the_first_way_that_obeys_is_taken(self):
        assert settle("webp2", from_pillow("webp"), Wishes()).scale.label == "quality"
        assert settle("gif", from_pillow("gif"), Wishes()).scale.label == "colors"
        assert settle("part2", from_pyav("mpeg4"), Wishes()).scale.label == "quantizer scale"
        assert settle("x264", from_pyav("libx264"), Wishes()).scale.label == "QP"

    def test_a_scale_the_wrong_way_round(self):
        with pytest.raises(CodecError, match="fewer bytes at quality 90 than at 70") as caught:
            settle("webp2", from_pillow("webp")[:1], Wishes(worst=100, best=0))
        assert "--worst 51 --best 0" in caught.value.hint

    @pytest.mark.parametrize("name", ["psd", "PDF", "nope"])  # read only, written only, neither
    def test_a_format_that_pillow_does_not_write_and_read(self, name):
        with pytest.raises(CodecError, match=f"does not write and read the format '{name}'") as e:
            from_pillow(name)
        assert "GIF" in e.value.hint

    def test_an_encoder_whose_stream_is_of_another_name(self):
        assert settle("part1", from_pyav("h263p"), Wishes()).scale.label == "quantizer scale"

    def test_a_suffix_names_the_format(self):
        assert from_pillow("jpg")[0].values["format_literal"] == '"JPEG"'

    def test_a_format_that_loses_nothing(self):
        with pytest.raises(CodecError, match="fewer bytes at quality 8 than at 64") as caught:
            settle("bmp2", from_pillow("bmp"), Wishes())
        assert "the format loses nothing" in caught.value.hint

    def test_a_program_that_changes_the_size(self, tmp_path):
        path = tmp_path / "shrink.py"
        path.write_text(TOY.replace('+ size + b"\\n255', '+ b"4 4" + b"\\n255'))
        run = f"{shlex.quote(sys.executable)} -S {shlex.quote(str(path))} {{input}} {{output}}"
        ways = from_commands(f"{run} {{quality}}", run, exchange="ppm")
        with pytest.raises(CodecError, match="made 4x4 pixels of a picture of 128x96"):
            settle("toy", ways, Wishes())


def test_what_is_loaded_is_gone_afterwards():
    path, modules = list(sys.path), set(sys.modules)
    planned = plan_codec("mine", skeleton()[0], Wishes())
    with loaded(planned) as codec:
        assert codec.spec.name == "mine"
    assert sys.path == path
    assert not {name for name in set(sys.modules) - modules if name.startswith("diffir_mine")}


class TestWaivers:
    def test_a_skeleton_needs_none(self):
        assert with_waivers(settle("mine", skeleton(), Wishes())).waivers == {}

    def test_what_fails_is_waived_with_its_reason(self):
        waivers = with_waivers(settle("webp2", from_pillow("webp"), Wishes())).waivers
        assert list(waivers) == ["test_recognizes_no_other_bytes"]
        assert "True for webp" in waivers["test_recognizes_no_other_bytes"]

    @pytest.mark.slow
    def test_of_a_program(self, toy):
        waivers = with_waivers(settle("toy", toy, Wishes(levels=(20, 40, 80)))).waivers
        assert waivers == {
            "test_bits_per_pixel_are_right": "The files do not tell the size of their picture, "
            "unless they are decoded."
        }
