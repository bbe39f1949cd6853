from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from diffir.contracts.picture import Picture
from diffir.errors import OutputError
from diffir.pictures.reading import read
from diffir.pictures.writing import write

if TYPE_CHECKING:
    from pathlib import Path

NOISE = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
PICTURE = Picture(NOISE)
DEEP = Picture(NOISE.astype(np.uint16))
CLEAR = Picture(NOISE, alpha=NOISE[:, :, 0])


class TestFormats:
    @pytest.mark.parametrize(
        ("suffix", "form"),
        [
            (".png", "PNG"),
            (".PNG", "PNG"),
            (".jpg", "JPEG"),
            (".jpeg", "JPEG"),
            (".webp", "WEBP"),
            (".avif", "AVIF"),
            (".tif", "TIFF"),
            (".tiff", "TIFF"),
            (".jp2", "JPEG2000"),
            (".bmp", "BMP"),
        ],
    )
    def test_the_suffix_decides(self, tmp_path: Path, suffix: str, form: str) -> None:
        path = write(PICTURE, tmp_path / f"a{suffix}")
        with Image.open(path) as image:
            assert image.format == form

    @pytest.mark.parametrize(
        ("suffix", "low", "high"),
        [(".jpg", 5, 90), (".webp", 5, 90), (".avif", 5, 90), (".jp2", 100, 5)],
    )
    def test_quality(self, tmp_path: Path, suffix: str, low: float, high: float) -> None:
        small = write(PICTURE, tmp_path / f"small{suffix}", quality=low)
        large = write(PICTURE, tmp_path / f"large{suffix}", quality=high)
        assert small.stat().st_size < large.stat().st_size

    def test_jpeg_has_full_chroma(self, tmp_path: Path) -> None:
        with Image.open(write(PICTURE, tmp_path / "a.jpg")) as image:
            assert {(part[1], part[2]) for part in image.layer} == {(1, 1)}  # type: ignore[attr-defined]

    def test_quality_out_of_the_scale(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="IJG quality must be between 1 and 100, got 101"):
            write(PICTURE, tmp_path / "a.jpg", quality=101)

    def test_quality_without_a_scale(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="PNG files are written without loss"):
            write(PICTURE, tmp_path / "a.png", quality=90)

    @pytest.mark.parametrize("name", ["a.xyz", "a", "a.gif"])
    def test_unknown_suffix(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(OutputError, match="which diffir does not write") as caught:
            write(PICTURE, tmp_path / name)
        assert ".png, .jpg, .jpeg, .webp, .avif, .tif" in str(caught.value.hint)

    @pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif", ".jp2", ".bmp"])
    def test_16_bits_are_not_cut(self, tmp_path: Path, suffix: str) -> None:
        with pytest.raises(OutputError, match="16 bits a sample, and diffir writes") as caught:
            write(DEEP, tmp_path / f"a{suffix}")
        assert ".png" in str(caught.value.hint)

    @pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
    def test_alpha_is_not_dropped(self, tmp_path: Path, suffix: str) -> None:
        with pytest.raises(OutputError, match="the picture has alpha") as caught:
            write(CLEAR, tmp_path / f"a{suffix}")
        assert ".png" in str(caught.value.hint)

    def test_16_bit_gray_with_alpha_in_tiff(self, tmp_path: Path) -> None:
        gray = np.full((4, 4, 3), 7, np.uint16)
        picture = Picture(gray, alpha=gray[:, :, 0], gray=True)
        with pytest.raises(OutputError, match="16-bit gray with alpha"):
            write(picture, tmp_path / "a.tif")

    def test_too_long_for_the_encoder(self, tmp_path: Path) -> None:
        wide = Picture(np.zeros((1, 70000, 3), np.uint8))
        for suffix in (".jpg", ".webp"):
            with pytest.raises(OutputError, match="encoder refused the picture of 70000x1"):
                write(wide, tmp_path / f"a{suffix}")
        assert not list(tmp_path.iterdir())


class TestFiles:
    def test_folders_are_made(self, tmp_path: Path) -> None:
        path = write(PICTURE, tmp_path / "new" / "deep" / "a.png")
        assert [entry.name for entry in path.parent.iterdir()] == ["a.png"]

    def test_an_existing_file_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(b"mine")
        with pytest.raises(OutputError, match="exists already") as caught:
            write(PICTURE, path)
        assert "--overwrite, or overwrite=True" in str(caught.value.hint)
        assert path.read_bytes() == b"mine"
        write(PICTURE, path, overwrite=True)
        np.testing.assert_array_equal(read(path).pixels, NOISE)

    def test_a_folder_is_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").mkdir()
        with pytest.raises(OutputError, match="is a folder"):
            write(PICTURE, tmp_path / "a.png", overwrite=True)

    def test_a_file_where_a_folder_should_be(self, tmp_path: Path) -> None:
        (tmp_path / "taken").touch()
        with pytest.raises(OutputError, match=r"cannot be written: .*taken is not a folder"):
            write(PICTURE, tmp_path / "taken" / "a.png")

    def test_no_permission(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o555)
        user = os.geteuid()
        try:
            if user == 0:  # who may write everywhere
                tmp_path.parent.chmod(0o755)
                tmp_path.parent.parent.chmod(0o755)
                os.seteuid(65534)
            with pytest.raises(OutputError, match="Permission denied") as caught:
                write(PICTURE, tmp_path / "a.png")
        finally:
            os.seteuid(user)
        assert "folder that you may write in" in str(caught.value.hint)

    def test_permissions_follow_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            path = write(PICTURE, tmp_path / "a.png")
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == 0o640

    @pytest.mark.parametrize("existing", [False, True])
    def test_a_full_disk(self, tmp_path: Path, existing: bool) -> None:
        path = tmp_path / "a.png"
        if existing:
            path.write_bytes(b"mine")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            with pytest.raises(OutputError, match=r"a\.png cannot be written") as caught:
                write(PICTURE, path, overwrite=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == errno.EFBIG
        assert "Free some space" in str(caught.value.hint)
        assert [entry.name for entry in tmp_path.iterdir()] == (["a.png"] if existing else [])
        assert not existing or path.read_bytes() == b"mine"

    @pytest.mark.parametrize("name", ["a" * 251, "\u304a" * 83, "\U0001f5bc" * 62])
    def test_names_as_long_as_names_can_be(self, tmp_path: Path, name: str) -> None:
        path = write(PICTURE, tmp_path / f"{name}.png")
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]

    def test_a_killed_process_leaves_no_half_file(self, tmp_path: Path) -> None:
        program = (
            "import sys; from pathlib import Path\n"
            "from diffir.pictures.atomic_file import write_atomically\n"
            "data, path = bytes(range(256)) * 20000, Path(sys.argv[1])\n"
            "print('ready', flush=True)\n"
            "while True: write_atomically(path, data, overwrite=True)\n"
        )
        path = tmp_path / "a.png"
        for delay in (0.05, 0.1, 0.15):
            with subprocess.Popen(
                [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE
            ) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(delay)
                process.send_signal(signal.SIGKILL)
            assert not path.exists() or path.read_bytes() == bytes(range(256)) * 20000
            others = [entry.name for entry in tmp_path.iterdir() if entry != path]
            assert all(name.startswith(".a.png.") for name in others)
