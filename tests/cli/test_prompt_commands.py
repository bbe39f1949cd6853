from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from diffir.cli.finetune_prompts import parse_budget
from diffir.cli.main import build_app
from diffir.contracts.picture import Picture
from diffir.errors import DiffirError
from diffir.host.manager import default_host
from diffir.pictures.reading import read
from diffir.pictures.writing import write
from diffir.restore.pack_file import read_cards, save_packs
from diffir.train import holding_out
from diffir.train.finetuning import FineTuning, Request
from diffir.train.synthetic import synthetic_picture
from diffir.train.transfer import Effort


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("DIFFIR_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(holding_out, "JUDGED_CROPS", 3)  # of 192x192 each, by two networks

    def invoke(*words):
        app = build_app(default_host())
        result = CliRunner().invoke(app, [str(word) for word in words])
        if isinstance(result.exception, DiffirError):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    for seed in range(4):
        pixels = synthetic_picture(128, np.random.default_rng(seed))
        write(Picture(pixels), folder / f"{seed}.png")
    return folder


@pytest.mark.usefixtures("lpips")
def test_an_afternoon_with_a_new_codec(run, data, tiny_weights, tmp_path):
    """Fine-tune, look, install, restore, compare, share, remove."""
    pack, other = tmp_path / "pack.safetensors", tmp_path / "other.safetensors"
    short = ("--steps", 4, "--judge-every", 2, "--crops", 8, "--model", tiny_weights)
    common = ("finetune-prompts", "--codec", "jpeg2000", "--data", data, *short)
    sheet, plot = tmp_path / "sheet.png", tmp_path / "plot.png"
    done = run(
        *common, "-o", pack, "--json", "--license", "CC0-1.0", "--sheet", sheet, "--plot", plot
    )
    assert read(plot).width == 640
    assert read(sheet).width > 4 * 100  # four panels side by side
    record = json.loads(done.stdout)
    assert record["pictures"] == 4
    assert record["bytes"] == pack.stat().st_size
    assert record["parameters"] > 0
    assert read_cards(pack)[0].license == "CC0-1.0"

    with pytest.raises(DiffirError, match="exists already"):
        run(*common, "-o", pack)
    told = run(*common, "-o", other, "--name", "second", "--seed", 1).stdout
    assert "LPIPS" in told
    assert f"install it: diffir prompts install {other}" in told

    assert "jpeg2000" in run("prompts", "show", pack).stdout
    assert "installed for jpeg2000" in run("prompts", "install", pack).stdout
    with pytest.raises(DiffirError, match="a prompt pack for jpeg2000 is installed"):
        run("prompts", "install", other)
    [row] = json.loads(run("prompts", "list", "--json").stdout)
    assert row["cards"][0]["codecs"] == ["jpeg2000"]
    assert "installed" in run("prompts", "list").stdout

    source, target = tmp_path / "in.jp2", tmp_path / "out.png"
    clean = synthetic_picture(96, np.random.default_rng(9))
    codec = default_host().codec("jpeg2000")
    source.write_bytes(codec.encode(clean, codec.spec.levels[0]))
    restore = ("restore", source, "-o", target, "--model", tiny_weights, "--overwrite", "--json")
    assert json.loads(run(*restore).stdout)["prompts"] == "jpeg2000"
    assert json.loads(run(*restore, "--prompts", "none").stdout)["prompts"] is None
    assert json.loads(run(*restore, "--prompts", other).stdout)["prompts"] == "second"
    assert ", prompts jpeg2000" in run(*restore[:-1]).stdout

    apart = run("prompts", "diff", "jpeg2000", other, "--json")
    assert apart.exit_code == 1
    assert json.loads(apart.stdout)["card"]["name"] == ["jpeg2000", "second"]
    assert run("prompts", "diff", pack, pack).exit_code == 0

    run("prompts", "export", "jpeg2000", "-o", tmp_path / "shared.safetensors")
    assert (tmp_path / "shared.safetensors").read_bytes() == pack.read_bytes()
    with pytest.raises(DiffirError, match=r"does not end in .safetensors"):
        run("prompts", "export", "jpeg2000", "-o", tmp_path / "shared.zip")
    both = tmp_path / "both.safetensors"
    with pytest.raises(DiffirError, match="'jpeg2000' and 'second' both serve jpeg2000"):
        run("prompts", "merge", pack, other, "-o", both)
    mpeg2 = tmp_path / "mpeg2.safetensors"
    run("finetune-prompts", "--codec", "mpeg2", "--data", data, *short, "-o", mpeg2)
    assert "jpeg2000, mpeg2" in run("prompts", "merge", "jpeg2000", mpeg2, "-o", both).stdout
    assert len(json.loads(run("prompts", "show", both, "--json").stdout)["cards"]) == 2
    assert run("prompts", "merge", pack, "-o", both).exit_code == 2
    with pytest.raises(DiffirError, match="holds 2 packs; two single ones can be compared"):
        run("prompts", "diff", both, pack)

    assert "removed" in run("prompts", "remove", "jpeg2000").stdout
    assert json.loads(run("prompts", "list", "--json").stdout) == []


@pytest.mark.usefixtures("lpips")
def test_the_same_command_goes_on_after_a_kill(run, data, tiny_weights, tmp_path):
    pack = tmp_path / "pack.safetensors"
    effort = Effort(4, judge_every=2)
    request = Request("mpeg2", data=data, model=str(tiny_weights), crops=8, effort=effort)
    tuning = FineTuning(request, default_host())
    for now in tuning.transfer.run(pack.with_suffix(".state")):
        if now.step == 3:  # killed after the first judgement, when a first pack was written
            save_packs([tuning.pack(now.best)], pack)
            break
    words = ("finetune-prompts", "--codec", "mpeg2", "--data", data, "--steps", 4, "--crops", 8)
    words += ("--judge-every", 2, "--model", tiny_weights, "-o", pack, "--json")
    before = pack.read_bytes()
    with pytest.raises(DiffirError, match="exists already"):
        run(*words, "--seed", 1)  # another run may not replace it
    assert pack.read_bytes() == before
    assert json.loads(run(*words).stdout)["steps"] == 4
    assert not pack.with_suffix(".state").exists()
    with pytest.raises(DiffirError, match="exists already"):
        run(*words)


def test_a_name_that_is_no_name(run, data, tiny_weights, tmp_path):
    with pytest.raises(DiffirError, match=r"a pack cannot be called '\.\./x'"):
        run(
            *("finetune-prompts", "--codec", "mpeg2", "--data", data, "--name", "../x"),
            *("-o", tmp_path / "pack.safetensors", "--model", tiny_weights),
        )


@pytest.mark.usefixtures("lpips")
def test_the_yardstick_is_a_whole_model(run, data, tiny_weights, tmp_path):
    target = tmp_path / "full.safetensors"
    run(
        *("finetune-prompts", "--codec", "mpeg2", "--data", data, "-o", target, "--full"),
        *("--steps", 2, "--judge-every", 1, "--crops", 8, "--model", tiny_weights),
    )
    write(Picture(synthetic_picture(64, np.random.default_rng(1))), tmp_path / "a.png")
    done = run("restore", tmp_path / "a.png", "-o", tmp_path / "b.png", "--model", target)
    assert done.exit_code == 0


def test_an_output_of_another_kind(run, data, tmp_path):
    with pytest.raises(DiffirError, match=r"pack.zip does not end in .safetensors"):
        run("finetune-prompts", "--codec", "mpeg2", "--data", data, "-o", tmp_path / "pack.zip")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400)])
def test_a_budget(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "0s", "ten minutes", "infh"])
def test_a_budget_that_is_none(text):
    with pytest.raises(typer.BadParameter, match="expected a time such as 90s, 10m or 1h"):
        parse_budget(text)


@pytest.mark.usefixtures("lpips")
def test_pictures_without_color_are_told(run, data, tiny_weights, tmp_path):
    gray = np.repeat(read(data / "0.png").pixels[..., :1], 3, axis=2)
    write(Picture(gray), data / "0.png", overwrite=True)
    words = ("--data", data, "--model", tiny_weights, "--steps", 1, "--crops", 8)
    done = run("finetune-prompts", "--codec", "mpeg2", *words, "-o", tmp_path / "p.safetensors")
    assert "warning: 1 of 4 pictures have no color: the prompts learn nothing of" in done.stderr
