from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Picture
from diffir.errors import DataError
from diffir.evaluate.contenders import Version
from diffir.evaluate.sheet import Strip, draw_sheet, trial_strip
from diffir.evaluate.trials import Trial


def _noise(height: int, width: int, seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    return Picture(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    zoom=st.integers(1, 3),
    panels=st.integers(1, 3),
)
def test_size_follows_from_crop_zoom_and_panels(
    height: int, width: int, zoom: int, panels: int
) -> None:
    strip = Strip({f"picture {n}": _noise(height, width, n) for n in range(panels)})
    sheet = draw_sheet([strip, strip], crop=16, zoom=zoom)
    rows, columns = min(16, height) * zoom, min(16, width) * zoom
    assert sheet.size == (8 + (columns + 8) * panels, 2 * (rows + 20 + 8))


def test_pixels_are_repeated_and_never_mixed() -> None:
    picture = _noise(30, 30)
    sheet = np.asarray(draw_sheet([Strip({"one": picture}, center=(10, 12))], crop=8, zoom=2))
    shown = sheet[20 : 20 + 16, 8 : 8 + 16]
    np.testing.assert_array_equal(shown[::2, ::2], picture.pixels[6:14, 8:16])
    np.testing.assert_array_equal(shown[1::2, 1::2], shown[::2, ::2])


@pytest.mark.parametrize("center", [(0, 0), (29, 29), (-5, 99)])
def test_a_window_at_the_edge_stays_inside(center: tuple[int, int]) -> None:
    sheet = draw_sheet([Strip({"one": _noise(30, 30)}, center=center)], crop=8, zoom=1)
    assert sheet.size == (8 + 8 + 8, 8 + 20 + 8)


def test_the_window_is_where_first_and_last_differ_most() -> None:
    clean = _noise(40, 50)
    worse = clean.pixels.copy()
    worse[25:29, 33:37] ^= 128
    sheet = np.asarray(draw_sheet([Strip({"a": Picture(worse), "b": clean})], crop=4, zoom=1))
    np.testing.assert_array_equal(sheet[20:24, 8:12], worse[25:29, 33:37])


def test_a_long_label_is_cut_to_its_panel() -> None:
    pictures = {"a label that is much longer than its picture": _noise(20, 40), "b": _noise(20, 40)}
    sheet = np.asarray(draw_sheet([Strip(pictures)], crop=40, zoom=1))
    assert (sheet[:20, 48:56] == 255).all()  # the gap between the two labels
    assert (sheet[:20, 8:48] < 255).any()


def test_sixteen_bits_are_shown_in_eight() -> None:
    deep = Picture(np.full((9, 9, 3), 257 * 40, np.uint16))
    sheet = np.asarray(draw_sheet([Strip({"deep": deep})], crop=9, zoom=1))
    assert (sheet[20:29, 8:17] == 40).all()


def test_strip_of_a_trial_is_degraded_restored_original() -> None:
    clean = _noise(9, 9)
    degraded = clean.with_pixels(clean.pixels, codec=CodecInfo("jpeg", bits_per_pixel=0.384))
    trial = Trial("jpeg-10", "a.png", clean, degraded, {Version("tiny", 0.5): clean})
    strip = trial_strip(trial)
    assert list(strip.panels) == ["jpeg-10, 0.38 bpp", "tiny, fidelity 0.5", "original"]


class TestRefusals:
    def test_two_sizes_in_a_strip(self) -> None:
        with pytest.raises(DataError, match="pictures of one size, got"):
            draw_sheet([Strip({"a": _noise(4, 4), "b": _noise(4, 5)})])

    def test_a_strip_without_pictures(self) -> None:
        with pytest.raises(DataError, match="pictures of one size, got no pictures"):
            draw_sheet([Strip({})])

    @pytest.mark.parametrize(("strips", "crop", "zoom"), [(0, 8, 1), (1, 0, 1), (1, 8, 0)])
    def test_nothing_to_draw(self, strips: int, crop: int, zoom: int) -> None:
        with pytest.raises(DataError, match="one strip or more, crop and zoom of 1 or more"):
            draw_sheet([Strip({"a": _noise(4, 4)})] * strips, crop=crop, zoom=zoom)
