"""Two command lines as a codec: one that encodes a file, one that decodes it again.

    pixels -> input.png -> ENCODE {input} {output} {quality} -> output.xyz -> bytes
    bytes -> input.xyz -> DECODE {input} {output} -> output.png -> pixels

Commands are split into words once and run without a shell, in a private folder that is gone
afterwards. This is the one codec that may start processes: a plugin names it, nothing in diffir
does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffir.codecs.confined_process import Limits
from diffir.codecs.file_command import run_on_bytes, split_command
from diffir.contracts.codec import CodecInfo
from diffir.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.codecs.exchange_files import Exchange
    from diffir.contracts.codec import CodecSpec, Pixels, Subsampling

_NOT_RECOGNIZED = "The file is damaged, cut short, or of another format."


class ExternalCommandCodec:
    """A codec whose work is done by programs.

    Args:
        spec: name, suffixes, scale, levels; the first suffix names the compressed files.
        encode: a command line with `{input}`, `{output}` and `{quality}`.
        decode: a command line with `{input}` and `{output}`.
        magic: how compressed files may begin; without it no file is recognized as this codec's.
        exchange: the format in which pictures go in and out: "png", "ppm" or "y4m".
        fractions: whether `{quality}` may be 7.5; otherwise it is rounded to whole numbers.
        limits: time, and sizes of pictures and files.

    Raises:
        CodecError: a command line lacks a placeholder, has an unknown one, or is not one.
    """

    def __init__(
        self,
        spec: CodecSpec,
        *,
        encode: str,
        decode: str,
        magic: Sequence[bytes] = (),
        exchange: Exchange = "png",
        fractions: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.spec = spec
        self.magic = tuple(magic)
        self.exchange = exchange
        self.fractions = fractions
        self.limits = limits or Limits()
        self._encode = split_command(encode, places=("input", "output", "quality"))
        self._decode = split_command(decode, places=("input", "output"))

    def recognizes(self, data: bytes) -> bool:
        """Whether the bytes begin with one of the magic numbers."""
        return data.startswith(self.magic) if self.magic else False

    def encode(
        self, pixels: Pixels, quality: float, *, subsampling: Subsampling | None = None
    ) -> bytes:
        """Compress `(H,W,3) uint8` RGB with the first command.

        Raises:
            CodecError: quality off the scale; another chroma format than the spec's; too large a
                picture; the program is missing, hangs, fails, writes nothing or something else.
        """
        from diffir.codecs.exchange_files import write_exchange
        from diffir.codecs.still_image import check_request

        check_request(self.spec, quality, subsampling=subsampling)
        height, width = pixels.shape[:2]
        if height * width > self.limits.pixels:
            raise CodecError(
                f"{self._who}: a picture of {width}x{height} is larger than the limit of "
                f"{self.limits.pixels} pixels",
                hint="Give smaller pictures, or raise limits.pixels of the codec.",
            )
        data = self._run(
            self._encode,
            write_exchange(pixels, self.exchange),
            suffixes=(f".{self.exchange}", self.spec.suffixes[0]),
            quality=f"{quality if self.fractions else round(quality):g}",
        )
        if self.magic and not self.recognizes(data):
            raise CodecError(
                f"{self._who}: the encoder wrote bytes that begin with {data[:12]!r}, expected "
                f"{' or '.join(map(repr, self.magic))}",
                hint="Try the command by hand, or correct the codec's magic numbers.",
            )
        return data

    def decode(self, data: bytes) -> Pixels:
        """Decompress to `(H,W,3) uint8` RGB with the second command.

        Raises:
            CodecError: not this codec's bytes; too large a file; the program is missing, hangs,
                fails, or writes nothing, garbage, or a picture of another size than the file says.
        """
        from diffir.codecs.exchange_files import read_exchange
        from diffir.codecs.still_image import told_size

        self._check_ours(data)
        suffixes = (self.spec.suffixes[0], f".{self.exchange}")
        written = self._run(self._decode, data, suffixes=suffixes)
        try:
            pixels = read_exchange(written, self.exchange)
        except CodecError as error:
            raise CodecError(
                f"{self._who}: the decoder wrote no {self.exchange.upper()} picture: "
                f"{error.message}",
                hint=f"Try the command by hand: its output must be a {self.exchange.upper()} file.",
            ) from error
        size = told_size(data)
        if size is not None and pixels.shape[:2] != size:
            raise CodecError(
                f"{self._who}: the decoder wrote a picture of {pixels.shape[1]}x{pixels.shape[0]}, "
                f"the file says {size[1]}x{size[0]}",
                hint="Its command line must not scale, crop or pad.",
            )
        return pixels

    def read_info(self, data: bytes) -> CodecInfo:
        """The name; bits per pixel too, where Pillow knows the format and so the size.

        What the quality was, nobody here can read from the bytes: it is left `None`, and a router
        then judges by the pixels.

        Raises:
            CodecError: not this codec's bytes.
        """
        from diffir.codecs.provenance import sourced
        from diffir.codecs.still_image import told_size

        self._check_ours(data)
        size = told_size(data)
        bits = None if size is None else 8 * len(data) / (size[0] * size[1])
        return sourced(CodecInfo(self.spec.name, bits_per_pixel=bits))

    @property
    def _who(self) -> str:
        return f"codec '{self.spec.name}'"

    def _check_ours(self, data: bytes) -> None:
        if not data or (self.magic and not self.recognizes(data)):
            raise CodecError(
                f"{self._who}: these bytes are not its own: they begin with {data[:12]!r}",
                hint=_NOT_RECOGNIZED,
            )
        if len(data) > self.limits.bytes:
            raise CodecError(
                f"{self._who}: a file of {len(data)} bytes is larger than the limit of "
                f"{self.limits.bytes}",
                hint="Raise limits.bytes of the codec if files may be as large as that.",
            )

    def _run(
        self, command: Sequence[str], data: bytes, *, suffixes: tuple[str, str], **places: str
    ) -> bytes:
        return run_on_bytes(
            command, data, suffixes=suffixes, limits=self.limits, who=self._who, places=places
        )
