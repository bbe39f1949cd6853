from __future__ import annotations

import io

import numpy as np
from PIL import Image

from diffir.codecs.jpeg import Jpeg
from diffir.codecs.webp import WebP
from diffir.scaffold.new_codec import Wishes, plan_codec
from diffir.scaffold.portrait import draw_portrait, made_pictures
from diffir.scaffold.trial import loaded
from diffir.scaffold.ways import from_pillow


def test_a_table_a_plot_and_a_sheet():
    portrait = draw_portrait(WebP(), made_pictures(), compared_with=Jpeg())
    assert portrait.table.startswith("| WebP quality | bits per pixel | PSNR dB |")
    assert len(portrait.table.splitlines()) == 2 + 6
    sizes = {name: Image.open(io.BytesIO(data)).size for name, data in portrait.files.items()}
    assert sizes["rate-distortion.png"] == (640, 400)
    assert sizes["artefacts.png"][0] > 4 * 256
    section = portrait.section(name="webp", about="three pictures")
    assert section.startswith("## What `webp` does to pictures\n\nOver three pictures: the mean")
    assert "(pictures/rate-distortion.png)" in section


def test_a_codec_without_loss_has_no_curve():
    flat = np.full((64, 64, 3), 128, np.uint8)
    with loaded(plan_codec("few", from_pillow("png")[1], Wishes())) as codec:
        portrait = draw_portrait(codec, [flat])
    assert "exact" in portrait.table
    assert list(portrait.files) == ["artefacts.png"]
    assert "rate-distortion" not in portrait.section(name="webp", about="one")


def test_the_pictures_are_always_the_same():
    first, second = made_pictures(), made_pictures()
    assert len(first) == 3
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
