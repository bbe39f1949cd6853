"""The page is parsed, as a browser would: what it holds, and that it asks for nothing else."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from diffir.contracts.picture import Picture
from diffir.evaluate.benchmark import Failure, Result, Row
from diffir.evaluate.contenders import AS_COMPRESSED, Version
from diffir.evaluate.curves import Sweep, curves_of, draw_metric
from diffir.evaluate.gallery import Gallery
from diffir.evaluate.html_report import Plot, to_html
from diffir.evaluate.protocol import NATIVE_RGB
from diffir.evaluate.trials import Trial
from diffir.evaluate.worst_tiles import WorstTiles, squared_error, tiles_of

if TYPE_CHECKING:
    from pathlib import Path

TINY = Version("tiny", 1.0)
VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """Tags with their attributes, text, and whether all that opens is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def _trial(name: str = "a.png", *, side: int = 128, harmed: tuple[int, int] = (64, 0)) -> Trial:
    """Restored wholly but for a tile, where noise is added."""
    rng = np.random.default_rng(0)
    original = rng.integers(60, 190, (side, side, 3), np.uint8)
    degraded, restored = original + np.uint8(5), original.copy()
    restored[harmed[0] : harmed[0] + 64, harmed[1] : harmed[1] + 64] += np.uint8(40)
    pictures = (Picture(pixels) for pixels in (original, degraded))
    return Trial("jpeg-10", name, *pictures, {TINY: Picture(restored)})


def _page(*trials: Trial, names: tuple[str, ...] = ("a.png",), total: int | None = None) -> Page:
    gallery = Gallery(total or len(trials), WorstTiles({"squared error": squared_error}))
    for trial in trials:
        gallery.add(trial)
    return Page(to_html(_result(names), gallery, title="live1: <tiny>", command="diffir bench &"))


def _result(names: tuple[str, ...]) -> Result:
    scores = {"psnr": tuple(30.0 + n for n in range(len(names)))}
    rows = tuple(Row("jpeg-10", version, scores, 0.4, 1.0) for version in (AS_COMPRESSED, TINY))
    failures = (Failure("fbcnn", "jpeg-10", "a.png", "too <slow>"),)
    return Result(NATIVE_RGB, 0, names, ("psnr",), rows, failures)


def _embedded(uri: str | None) -> Image.Image:
    head, data = str(uri).split(",")
    assert head in ("data:image/webp;base64", "data:image/png;base64")
    return Image.open(io.BytesIO(base64.b64decode(data)))


class TestPage:
    def test_is_whole_and_asks_for_nothing(self) -> None:
        page = _page(_trial())
        assert page.open == []
        for _, attributes in page.tags:
            for name in ("src", "href", "srcset", "action", "data"):
                assert str(attributes.get(name, "data:")).startswith("data:")
        assert "url(" not in page.words
        assert "@import" not in page.words
        policy = next(meta for meta in page.all("meta") if "http-equiv" in meta)
        assert str(policy["content"]).startswith("default-src 'none'; img-src data:;")

    def test_serves_phones_and_both_colors(self) -> None:
        page = _page(_trial())
        assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all(
            "meta"
        )
        assert "prefers-color-scheme: dark" in page.words
        assert page.all("html") == [{"lang": "en"}]

    def test_text_is_escaped(self) -> None:
        page = _page(_trial("<b>&.png"), names=("<b>&.png",))
        assert page.all("b") == []
        assert "<b>&.png, jpeg-10" in page.words
        assert "live1: <tiny>" in page.words
        assert "fbcnn, jpeg-10, a.png: too <slow>" in page.words

    def test_tables(self) -> None:
        page = _page(_trial(), names=("a.png", "b.png"))
        assert "Protocol native-rgb: native size" in page.words
        assert "tiny, fidelity 1 − as compressed" in page.words  # noqa: RUF001
        assert page.words.count("b.png") == 1  # in the table of each picture
        assert len(page.all("details")) == 1

    def test_sections_without_content_are_not_there(self) -> None:
        page = _page(total=1)
        assert "Before and after" not in page.words
        assert "Worst tiles" not in page.words
        assert "Rate and distortion" not in page.words

    def test_plots(self) -> None:
        result = _result(("a.png",))
        curves = curves_of(result, [Sweep("jpeg", (10,))])
        plot = Plot(draw_metric(curves, "psnr"), "PSNR over bits")
        gallery = Gallery(1, WorstTiles({}))
        html = to_html(result, gallery, title="", command="", curves=curves, plots=[plot])
        (image,) = Page(html).all("img")
        assert (image["alt"], image["width"]) == ("PSNR over bits", "640")
        assert _embedded(image["src"]).size == (640, 400)


class TestSliders:
    def test_each_version_is_a_panel_with_a_name(self) -> None:
        page = _page(_trial(harmed=(128, 0)))
        assert [image["alt"] for image in page.all("img")] == [
            "a.png, jpeg-10: as compressed",
            "a.png, jpeg-10: tiny, fidelity 1",
            "a.png, jpeg-10: original",
        ]
        assert len(page.all("select")) == 2
        assert [one["value"] for one in page.all("option") if "selected" in one] == ["0", "1"]
        assert len(page.all("label")) == 4  # left, right, size, border

    def test_panels_are_the_pictures(self) -> None:
        smooth = np.repeat(np.arange(128, dtype=np.uint8)[:, None, None], 128, 1).repeat(3, 2)
        trial = _trial()
        flat = Trial("t", trial.name, Picture(smooth), Picture(smooth // 16 * 16))
        shown = [
            np.asarray(_embedded(image["src"]).convert("RGB")) for image in _page(flat).all("img")
        ]
        assert np.abs(shown[0].astype(int) - smooth // 16 * 16).mean() < 2
        assert np.abs(shown[1].astype(int) - smooth).mean() < 2

    def test_large_pictures_are_cropped_not_resized(self) -> None:
        page = _page(_trial(side=900, harmed=(900, 0)))
        assert _embedded(page.all("img")[0]["src"]).size == (768, 768)
        assert "a.png, jpeg-10, the middle" in page.words

    def test_shown_trials_are_spread_evenly(self) -> None:
        gallery = Gallery(111, WorstTiles({}))
        for number in range(111):
            gallery.add(_trial(f"{number}.png", side=16))
        titles = [figure.title.split(".")[0] for figure in gallery.figures]
        assert titles == [str(number) for number in range(0, 111, 10)]
        assert gallery.left_out == 99

    def test_size_is_bounded(self) -> None:
        gallery = Gallery(3, WorstTiles({}), most_bytes=1000)
        for _ in range(3):
            gallery.add(_trial())
        assert len(gallery.figures) == 1
        html = to_html(_result(("a.png",)), gallery, title="", command="")
        assert "Left out: 2 other trials." in html


class TestWorstTiles:
    @pytest.mark.parametrize("place", [(0, 0), (64, 0), (0, 64), (64, 64)])
    def test_the_place_of_the_harm(self, place: tuple[int, int]) -> None:
        worst = WorstTiles({"squared error": squared_error})
        trial = _trial(harmed=place)
        worst.add(trial)
        (tile,) = worst.found()["squared error"]
        assert (tile.top, tile.left) == place
        assert tile.harm == pytest.approx(40**2 - 5**2)
        top, left = place
        window = (slice(top, top + 64), slice(left, left + 64))
        np.testing.assert_array_equal(tile.restored, trial.restored[TINY].pixels[window])
        np.testing.assert_array_equal(tile.degraded, trial.degraded.pixels[window])
        np.testing.assert_array_equal(tile.original, trial.reference.pixels[window])

    def test_none_where_nothing_became_worse(self) -> None:
        worst = WorstTiles({"squared error": squared_error})
        worst.add(_trial(harmed=(128, 0)))
        assert worst.found() == {}

    def test_the_worst_are_kept_in_order(self) -> None:
        worst = WorstTiles({"squared error": squared_error}, most=2)
        for harm in (3, 9, 1, 7):
            flat = np.full((64, 64, 3), 100, np.uint8)
            restored = {TINY: Picture(flat + np.uint8(harm))}
            worst.add(Trial("t", f"{harm}.png", Picture(flat), Picture(flat), restored))
        assert [tile.picture for tile in worst.found()["squared error"]] == ["9.png", "7.png"]

    def test_tiles(self) -> None:
        pixels = np.arange(130 * 200 * 3, dtype=np.uint32).reshape(130, 200, 3).astype(np.uint8)
        tiles = tiles_of(pixels)
        assert tiles.shape == (6, 64, 64, 3)
        np.testing.assert_array_equal(tiles[4], pixels[64:128, 64:128])
        assert tiles_of(pixels[:20, :30]).shape == (1, 20, 30, 3)

    def test_on_the_page(self) -> None:
        page = _page(_trial())
        assert "By squared error" in page.words
        assert "a.png, jpeg-10, tiny, fidelity 1, at 0, 64: squared error +1575" in page.words
        tiles = [_embedded(image["src"]) for image in page.all("img")[3:]]
        assert [tile.size for tile in tiles] == [(64, 64)] * 3


def test_lpips_of_tiles_is_lpips_of_each(lpips: Path, scene) -> None:
    import torch

    from diffir.evaluate.worst_tiles import lpips_of_tiles
    from diffir.perceptual.lpips import Lpips

    original, other = tiles_of(scene), tiles_of(scene // 32 * 32)
    found = lpips_of_tiles("cpu")(original, other)
    pair = (torch.from_numpy(t[1:]).permute(0, 3, 1, 2).float() / 255 for t in (original, other))
    assert found[1:] == pytest.approx(Lpips("alex")(*pair).numpy(), rel=1e-4)
