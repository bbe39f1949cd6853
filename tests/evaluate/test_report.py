from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

import diffir
from diffir.evaluate.benchmark import Failure, Result, Row
from diffir.evaluate.contenders import AS_COMPRESSED, Version
from diffir.evaluate.protocol import NATIVE_RGB
from diffir.evaluate.report import to_json, to_markdown, versions

COMMAND = "diffir bench live1 --tasks jpeg-10"


@pytest.fixture
def result() -> Result:
    untouched = Row(
        "jpeg-10", AS_COMPRESSED, {"psnr": (25.0, 27.0), "dists": (0.4, 0.2)}, 0.3841, None
    )
    scores = {"psnr": (24.0, 26.0), "dists": (0.2, 0.1)}
    restored = Row("jpeg-10", Version("tiny", 1.0), scores, 0.3841, 1.234)
    return Result(NATIVE_RGB, 7, ("a.png", "b.png"), ("psnr", "dists"), (untouched, restored))


def test_markdown_is_one_block_per_task_with_the_best_in_bold(result: Result) -> None:
    lines = to_markdown(result, command=COMMAND).splitlines()
    assert lines[2:6] == [
        "| task | picture | PSNR dB ↑ | DISTS ↓ | bpp | s/picture |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| jpeg-10 | as compressed | **26.00** | 0.3000 | 0.384 |  |",
        "|  | tiny, fidelity 1 | 25.00 | **0.1500** |  | 1.23 |",
    ]


def test_differences_have_intervals(result: Result) -> None:
    lines = to_markdown(result, command=COMMAND).splitlines()
    assert "± half of their 95% interval (paired bootstrap" in lines[7]
    row = "| jpeg-10 | tiny, fidelity 1 − as compressed | -1.00 ± 0.00 | -0.1500 ± 0.0500 |"  # noqa: RUF001
    assert lines[11] == row
    (gap,) = json.loads(to_json(result, model="tiny", command=COMMAND))["differences"]
    assert gap["version"] == {"restorer": "tiny", "fidelity": 1.0}
    assert gap["minus"] == {"restorer": None, "fidelity": None}
    assert gap["intervals"]["psnr"] == {"mean": -1.0, "low": -1.0, "high": -1.0}


def test_a_difference_that_may_be_none_is_in_parentheses(result: Result) -> None:
    untouched, restored = result.rows
    unsure = replace(restored, scores={"psnr": (24.0, 29.0), "dists": (0.2, 0.1)})
    text = to_markdown(replace(result, rows=(untouched, unsure)), command=COMMAND)
    assert "(+0.50 ± 1.50)" in text


def test_markdown_says_how_the_figures_were_taken(result: Result) -> None:
    text = to_markdown(result, command=COMMAND)
    assert text.startswith("Protocol native-rgb: native size, no resize")
    assert "2 pictures, seed 7." in text
    assert f"`{COMMAND}`" in text
    assert f"diffir {diffir.__version__}" in text


def test_json_holds_everything(result: Result) -> None:
    content = json.loads(to_json(result, model="tiny", command=COMMAND))
    assert content["protocol"] == "native-rgb"
    assert (content["model"], content["command"], content["seed"]) == ("tiny", COMMAND, 7)
    assert content["versions"] == versions()
    assert content["pictures"] == ["a.png", "b.png"]
    assert content["rows"][1] == {
        "task": "jpeg-10",
        "restorer": "tiny",
        "fidelity": 1.0,
        "bits_per_pixel": 0.3841,
        "seconds": 1.234,
        "mean": {"psnr": 25.0, "dists": pytest.approx(0.15)},
        "per_picture": {"psnr": [24.0, 26.0], "dists": [0.2, 0.1]},
    }


def test_infinite_figures_are_null() -> None:
    perfect = Row("jpeg-100", AS_COMPRESSED, {"psnr": (math.inf,)}, None, None)
    result = Result(NATIVE_RGB, 0, ("a.png",), ("psnr",), (perfect,))
    assert json.loads(to_json(result, model="", command=""))["rows"][0]["mean"] == {"psnr": None}
    assert "| jpeg-100 | as compressed | inf |  |  |" in to_markdown(result, command="")


def test_who_failed_is_told(result: Result) -> None:
    failed = replace(result, failures=(Failure("fbcnn", "jpeg-10", "b.png", "too slow"),))
    assert "- fbcnn, jpeg-10, b.png: too slow" in to_markdown(failed, command="").splitlines()
    (told,) = json.loads(to_json(failed, model="", command=""))["failures"]
    assert told == {
        "restorer": "fbcnn",
        "task": "jpeg-10",
        "picture": "b.png",
        "message": "too slow",
        "hint": None,
    }


def test_a_failure_tells_where_what_and_what_to_do(result: Result) -> None:
    failure = Failure("odd|name", "jpeg-10", "b.png", "it said:\n\nno", "Try it by hand.")
    lines = to_markdown(replace(result, failures=(failure,)), command=COMMAND).splitlines()
    assert "- odd|name, jpeg-10, b.png: it said: no (Try it by hand.)" in lines


def test_a_name_does_not_end_a_cell(result: Result) -> None:
    odd = replace(result.rows[1], version=Version("odd|name"))
    changed = replace(result, rows=(result.rows[0], odd))
    assert "|  | odd\\|name | 25.00 |" in to_markdown(changed, command=COMMAND)
