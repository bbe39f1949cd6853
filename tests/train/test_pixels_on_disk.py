from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

from diffir.errors import OutputError
from diffir.train.pixels_on_disk import forget, on_disk


def resident(*kinds: str) -> int:
    """Memory of this process, in kB, of kinds such as "RssAnon"."""
    with open("/proc/self/status") as status:
        return sum(int(line.split()[1]) for line in status if line.startswith(kinds))


MAPPED = ("RssFile", "RssShmem")
"""A file in a folder that is memory itself counts as the second."""


def test_the_same_pixels_read_only(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    given = [pixels[:, ::2], pixels[:7]]
    kept, other = on_disk(given, tmp_path / "made")
    np.testing.assert_array_equal(kept, given[0])
    np.testing.assert_array_equal(other, given[1])
    with pytest.raises(ValueError, match="read-only"):
        kept[0, 0] = 1


@pytest.mark.skipif(sys.platform == "win32", reason="the file has a name there until it is closed")
def test_nothing_is_left_by_name_however_the_process_ends(tmp_path):
    [kept] = on_disk([np.ones((8, 8, 3), np.uint8)], tmp_path)
    assert not list(tmp_path.iterdir())
    part = kept[:4]
    del kept
    gc.collect()
    assert part.all()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_it_is_not_held_in_memory(tmp_path):
    before = resident("RssAnon")
    kept = on_disk((np.full((1000, 1000, 3), 7, np.uint8) for _ in range(30)), tmp_path)
    assert all(pixels[::100, ::100].all() for pixels in kept)
    assert resident("RssAnon") - before < 45_000  # kB, of 90,000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_what_was_looked_at_can_be_forgotten_and_looked_at_again(tmp_path):
    [kept] = on_disk([np.full((4000, 4000, 3), 7, np.uint8)], tmp_path)
    before = resident(*MAPPED)
    assert kept.sum() == 7 * kept.size
    assert resident(*MAPPED) - before > 40_000  # kB, of 48,000
    forget(kept[8:, 8:])
    assert resident(*MAPPED) - before < 1000
    assert kept.sum() == 7 * kept.size


def test_of_other_arrays_nothing_is_forgotten():
    pixels = np.ones((8, 8, 3), np.uint8)
    forget(pixels[2:])
    forget(np.frombuffer(b"abc", np.uint8))
    assert pixels.all()


@pytest.mark.skipif(sys.platform == "win32", reason="needs the module resource")
def test_many_pictures_take_one_handle(tmp_path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        kept = on_disk((np.full((8, 8, 3), n % 256, np.uint8) for n in range(300)), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [int(pixels[0, 0, 0]) for pixels in kept] == [n % 256 for n in range(300)]


def test_no_space(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"cannot keep decoded pictures in .*file") as caught:
        on_disk([np.ones((8, 8, 3), np.uint8)], tmp_path / "file")
    assert "DIFFIR_CACHE" in caught.value.hint
