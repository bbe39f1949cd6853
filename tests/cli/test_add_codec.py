"""Codecs are added as a user adds them, and their packages installed and tested."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffir.host.manager import build_host

SQUEEZE = Path(__file__).parents[2] / "examples" / "squeeze.py"
RUN = f"{shlex.quote(sys.executable)} {shlex.quote(str(SQUEEZE))}"
COMMANDS = (
    "--from-command",
    f"{RUN} encode {{input}} {{output}} {{quality}}",
    "--decode",
    f"{RUN} decode {{input}} {{output}}",
)
INSTALL = "-m pip install -q --no-build-isolation --no-deps --no-index --target"


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch):
    """An empty folder to work in, and an empty configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIFFIR_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("DIFFIR_PLUGINS_DIR", raising=False)
    return tmp_path


def install_and_test(package: Path, site: Path) -> str:
    """What pytest says in the package's folder, once it is installed without a network."""
    subprocess.run([sys.executable, *INSTALL.split(), site, package], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


class TestPackage:
    def test_a_skeleton_passes_its_own_tests(self, diffir, desk):
        outcome = diffir("add-codec", "my-codec")
        assert outcome.code == 0, outcome.err
        assert "| quality | bits per pixel | PSNR dB |" in outcome.out
        assert "pip install -e plugins/diffir-my-codec" in outcome.out
        package = desk / "plugins" / "diffir-my-codec"
        assert (package / "pictures" / "artefacts.png").is_file()
        assert "30 passed" in install_and_test(package, desk / "site")

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "way",
        [COMMANDS, ("--pillow", "GIF"), ("--pillow", "WEBP"), ("--pyav", "mpeg4")],
        ids=["command", "gif", "webp", "mpeg4"],
    )
    def test_every_way_passes_its_own_tests(self, diffir, desk, way):
        outcome = diffir("add-codec", "mine", *way, "-o", "here")
        assert outcome.code == 0, outcome.err
        install_and_test(desk / "here" / "diffir-mine", desk / "site")

    def test_untried(self, diffir, desk):
        words = ("--from-command", "no-such {input} {output} {quality}")
        words += ("--decode", "no-such {input} {output}")
        refused = diffir("add-codec", "mine", *words)
        assert refused.code == 1
        assert "needs the program 'no-such'" in refused.err
        assert not (desk / "plugins").exists()
        outcome = diffir("add-codec", "mine", *words, "--untried", "--levels", "5,9")
        assert outcome.code == 0, outcome.err
        assert "levels=(5, 9)" in (desk / "plugins/diffir-mine/diffir_mine/codec.py").read_text()

    def test_pictures_of_ones_own(self, diffir, desk, photos):
        outcome = diffir("add-codec", "mine", "--pillow", "GIF", "--pictures", photos)
        assert outcome.code == 0, outcome.err
        assert "Over 3 pictures: the mean" in (desk / "plugins/diffir-mine/README.md").read_text()


class TestRegister:
    def test_it_is_there_at_once(self, diffir, desk):
        outcome = diffir("add-codec", "my-codec", "--pillow", "GIF", "--register")
        assert outcome.code == 0, outcome.err
        assert (desk / "config" / "plugins" / "my_codec.py").is_file()
        assert "GIF, as Pillow writes it" in diffir("list", "codecs").out
        pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save("photo.png")
        assert diffir("degrade", "photo.png", "--task", "my-codec-8", "-o", "w.png").code == 0
        assert len(np.unique(np.asarray(Image.open("w.png")).reshape(-1, 3), axis=0)) <= 8

    def test_it_passes_the_check_that_is_named(self, diffir):
        outcome = diffir("add-codec", "webp2", "--pillow", "WEBP", "--register")
        assert "waived test_recognizes_no_other_bytes" in outcome.out
        assert "check it: diffir plugins check webp2" in outcome.out
        command = [sys.executable, "-m", "diffir", "plugins", "check", "webp2"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout

    @pytest.mark.slow  # the guide's test goes this way, too
    def test_programs(self, diffir):
        assert diffir("add-codec", "mine", *COMMANDS, "--register").code == 0
        codec = build_host().codec("mine")
        assert codec.recognizes(codec.encode(np.zeros((5, 6, 3), np.uint8), 10))

    def test_it_is_light(self, diffir, desk):
        assert diffir("add-codec", "mine", "--register").code == 0
        assert diffir("add-codec", "mine2", *COMMANDS, "--register", "--untried").code == 0
        program = "import sys; from diffir.host.manager import build_host; h = build_host();"
        program += "print([p.error for p in h.plugins], 'numpy' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout == "[None, None, None] False\n"


class TestRefusals:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--pillow", "GIF", "--pyav", "mpeg4"), "give one of --from-command, --pillow"),
            (("--decode", "x {input} {output}"), "--from-command and --decode belong together"),
            ((*COMMANDS, "--exchange", "bmp"), "expected png, ppm, y4m, got 'bmp'"),
            (("--levels", "1;2"), "expected numbers with commas between them, got '1;2'"),
        ],
    )
    def test_wrong_usage(self, diffir, words, message):
        outcome = diffir("add-codec", "mine", *words)
        assert outcome.code == 2
        assert message in outcome.err

    def test_a_name_that_is_taken(self, diffir):
        outcome = diffir("add-codec", "jpeg")
        assert outcome.code == 1
        assert "there is a codec 'jpeg' already, of plugin 'diffir'" in outcome.err
        assert "hint: Choose another name.\n" in outcome.err

    def test_a_name_that_can_be_had(self, diffir, desk):
        assert diffir("add-codec", "mine", "--register", "--untried").code == 0
        outcome = diffir("add-codec", "mine", "--register")
        assert f"remove that one: delete {desk / 'config' / 'plugins' / 'mine.py'}" in outcome.err

    def test_a_folder_that_is_there(self, diffir, desk):
        (desk / "plugins" / "diffir-mine").mkdir(parents=True)
        outcome = diffir("add-codec", "mine")
        assert outcome.code == 1
        assert "plugins/diffir-mine exists already" in outcome.err
        assert "trying" not in outcome.err  # before the work, not after it
