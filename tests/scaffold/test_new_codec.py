from __future__ import annotations

import pytest

from diffir.contracts.codec import QualityScale
from diffir.errors import CodecError, ComponentError
from diffir.scaffold.new_codec import Wishes, plan_codec
from diffir.scaffold.ways import (
    default_levels,
    from_commands,
    from_pillow,
    from_pyav,
    literal,
    skeleton,
)

(SKELETON,) = skeleton()
COMMANDS = ("enc {input} {output} -q {quality}", "dec {input} {output}")


class TestPlan:
    def test_what_is_not_said_comes_from_the_way(self):
        planned = plan_codec("my-codec", SKELETON, Wishes())
        assert (planned.suffix, planned.levels) == (".mycodec", (10, 20, 30))
        assert (planned.module, planned.class_name) == ("diffir_my_codec", "MyCodec")

    def test_another_scale_has_other_levels(self):
        planned = plan_codec("mine", SKELETON, Wishes(worst=51, best=0))
        assert planned.levels == (46, 41, 36)
        assert plan_codec("mine", SKELETON, Wishes(worst=1, best=0)).levels == (0.9, 0.8, 0.7)

    def test_levels_are_sorted_heaviest_first(self):
        wishes = Wishes(suffix=".x", worst=51, best=0, levels=(20, 40, 30, 40))
        planned = plan_codec("mine", SKELETON, wishes)
        assert planned.levels == (40, 30, 20)
        assert planned.suffix == ".x"

    @pytest.mark.parametrize(
        ("name", "wishes", "message"),
        [
            ("My Codec", Wishes(), "'My Codec' cannot be a codec's name"),
            ("9", Wishes(), "'9' cannot be a codec's name"),
            ("mine", Wishes(suffix="x"), "'x' cannot be a suffix"),
            ("mine", Wishes(worst=5, best=5), "the worst and the best quality are both 5"),
            ("mine", Wishes(levels=(0, 50, 200)), "levels 0, 200 are not between 1 and 100"),
        ],
    )
    def test_wishes_that_cannot_be(self, name, wishes, message):
        with pytest.raises(ComponentError, match=message) as caught:
            plan_codec(name, SKELETON, wishes)
        assert caught.value.hint


class TestWays:
    def test_files_in_commands_are_made_absolute(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "my enc.py").touch()
        (way,) = from_commands("python3 'my enc.py' {input} {output} {quality}", COMMANDS[1])
        assert way.values["encode_literal"] == literal(
            f"python3 '{tmp_path}/my enc.py' {{input}} {{output}} {{quality}}"
        )
        assert way.programs == ("python3", "dec")
        assert way.summary == "The output of my enc.py and dec"

    @pytest.mark.parametrize(
        ("command", "message"), [("enc '{input}", "not a command line"), (" ", "an empty one")]
    )
    def test_commands_that_are_none(self, command, message):
        with pytest.raises(CodecError, match=message):
            from_commands(command, COMMANDS[1])

    def test_an_encoder_that_is_not_there(self):
        with pytest.raises(CodecError, match="has no encoder 'no-such'") as caught:
            from_pyav("no-such")
        assert "libx264" in caught.value.hint

    def test_default_levels_lie_near_the_worst_end(self):
        assert default_levels(QualityScale("QP", worst=63, best=0)) == (57, 50, 44)


class TestSource:
    @pytest.mark.parametrize("single_file", [False, True])
    @pytest.mark.parametrize(
        "way",
        [SKELETON, *from_commands(*COMMANDS), *from_pillow("gif"), *from_pyav("mpeg4")],
        ids=lambda way: f"{way.template} {way.scale.label}",
    )
    def test_every_template_is_python_without_gaps(self, way, single_file):
        planned = plan_codec("my-codec", way, Wishes())
        source = planned.source(single_file=single_file)
        compile(source, "codec.py", "exec")
        assert "$" not in source
        assert ("@hookimpl" in source) == single_file
        assert all(line == line.rstrip() and len(line) <= 100 for line in source.splitlines())

    def test_waivers_and_magic_are_written_as_literals(self):
        (way,) = from_commands(*COMMANDS)
        planned = plan_codec("mine", way, Wishes())
        reason = "it's " + "far too long to stand in one line of a program " * 3
        waivers = {"test_short": 'says "no"', "test_long": reason.strip()}
        source = type(planned)("mine", ".x", way, way.scale, (10,), b"\x00'\"Z", waivers).source()
        names: dict = {}
        exec(compile(source, "codec.py", "exec"), names)
        codec = names["Mine"]()
        assert codec.magic == (b"\x00'\"Z",)
        assert codec.expected_failures == waivers
        assert codec.spec.levels == (10,)
