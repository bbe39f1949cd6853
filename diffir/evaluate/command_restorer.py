"""A restorer that is a program: a PNG file in, a PNG file out, confined as codecs' programs are."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from diffir.codecs.confined_process import Limits
from diffir.codecs.file_command import run_on_bytes, split_command, with_absolute_files
from diffir.errors import CodecError, PictureError
from diffir.evaluate.protocol_pixels import as_8bit

if TYPE_CHECKING:
    from diffir.contracts.picture import Picture

SECONDS = 600.0
"""For one picture, until it is killed, if nothing else is asked for."""


@dataclass(frozen=True)
class CommandRestorer:
    """Restores a picture by a command line with `{input}` and `{output}`; no shell sees it.

    seconds: that it may take for one picture.

    Raises:
        CodecError: it is not a command line, or its placeholders are not these two.
    """

    name: str
    command: str
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        split_command(self.command, places=("input", "output"))

    def __call__(self, picture: Picture) -> Picture:
        """Give the program a PNG file, gray where the picture is, and read the one it writes.

        Raises:
            CodecError: the program is missing, hangs, fails, or writes nothing.
            PictureError: what it wrote is no picture.
        """
        from diffir.pictures.reading import read_bytes

        words = with_absolute_files(split_command(self.command, places=("input", "output")))
        who = f"restorer '{self.name}'"
        limits = Limits(self.seconds)
        try:
            data = run_on_bytes(
                words, _png(picture), suffixes=(".png", ".png"), limits=limits, who=who
            )
        except CodecError as error:  # its hint speaks of codecs
            raise CodecError(
                error.message, hint="Try the command by hand on a PNG file; see also --time-limit."
            ) from error
        try:
            made = read_bytes(data, name="its output")
        except PictureError as error:
            raise PictureError(
                f"{who} wrote no picture: {error.message}",
                hint="Its output must be a PNG file, whatever the suffix it would rather write.",
            ) from error
        return picture.with_pixels(as_8bit(made.pixels))


def _png(picture: Picture) -> bytes:
    pixels = as_8bit(picture.pixels)
    file = BytesIO()
    Image.fromarray(pixels[:, :, 0] if picture.gray else pixels).save(file, "PNG")
    return file.getvalue()
