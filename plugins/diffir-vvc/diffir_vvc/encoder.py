"""One intra frame through the ffmpeg with libvvenc that imageio-ffmpeg brings.

    Y'CbCr samples -> a file in a private folder -> ffmpeg -> a file beside it -> NAL units

PyAV brings a decoder for H.266, and no encoder. The program runs as `run_confined` says: no shell,
a time limit, a limit on what it writes; what it prints is kept for the error message.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]

from diffir.codecs.confined_process import Limits, run_confined
from diffir.codecs.nal_units import split_annex_b
from diffir.errors import CodecError
from diffir_vvc.vvc_headers import read_vvc

WHO = "codec 'vvc'"
PIXEL_FORMAT = "yuv420p10le"
"""The only one that libvvenc takes."""

PRESET = "medium"
# Given for the input: for the output, ffmpeg would convert the samples to what it then calls them.
COLORS = (
    *("-color_range", "tv", "-colorspace", "bt709"),
    *("-color_primaries", "bt709", "-color_trc", "bt709"),
)
INSTALL = "Install it with: pip install 'imageio-ffmpeg>=0.8.1'; unset IMAGEIO_FFMPEG_EXE."


@dataclass(frozen=True)
class Samples:
    """A frame in `PIXEL_FORMAT`, limited range: luma, then the two chroma planes."""

    data: bytes
    width: int
    height: int


def limits_for(samples: Samples) -> Limits:
    """A picture of 768x512 takes some 6 s of one core: fifty times that is a hang."""
    return Limits(seconds=60 + samples.width * samples.height / 1000, bytes=2**28)


def encode_units(
    samples: Samples, qp: int, *, program: str | None = None, limits: Limits | None = None
) -> list[bytes]:
    """Encode one frame.

    Args:
        samples: of even sides of 16 and more.
        qp: libvvenc's `qp`, 0 to 63.
        program: the ffmpeg to run; that of imageio-ffmpeg without it.
        limits: of time and bytes; by the size of the picture without them.

    Returns:
        The NAL units of the stream, parameter sets first.

    Raises:
        CodecError: there is no ffmpeg, or one without libvvenc; it hangs, fails, or writes
            something else than one picture of this size.
    """
    with tempfile.TemporaryDirectory(prefix="diffir-", ignore_cleanup_errors=True) as private:
        folder = Path(private)
        source, target = folder / "frame.yuv", folder / "frame.vvc"
        source.write_bytes(samples.data)
        command = _command(program or ffmpeg(), samples, qp, source, target)
        confines = limits or limits_for(samples)
        try:
            run_confined(
                command,
                folder,
                # The samples lie in the folder too, and are not what the program wrote.
                limits=Limits(confines.seconds, bytes=confines.bytes + len(samples.data)),
                who=WHO,
            )
        except CodecError as error:
            if "Unknown encoder" not in error.message:
                raise
            raise CodecError(
                f"{WHO} needs an ffmpeg with libvvenc, {command[0]} has none", hint=INSTALL
            ) from error
        written = target.read_bytes() if target.is_file() else b""
    units = split_annex_b(written)
    _check(units, samples, size=len(written))
    return units


def ffmpeg() -> str:
    """Path of the program.

    Raises:
        CodecError: imageio-ffmpeg has none for this machine.
    """
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise CodecError(f"{WHO} needs ffmpeg, which is not there: {error}", hint=INSTALL) from (
            error
        )


def _command(
    program: str, samples: Samples, qp: int, source: Path, target: Path
) -> tuple[str, ...]:
    return (
        *(program, "-nostdin", "-hide_banner", "-loglevel", "error", *COLORS),
        *("-f", "rawvideo", "-pixel_format", PIXEL_FORMAT),
        *("-video_size", f"{samples.width}x{samples.height}", "-i", str(source)),
        *("-frames:v", "1", "-c:v", "libvvenc", "-preset", PRESET, "-qp", str(qp)),
        # One thread, so that data-loader workers do not fight for cores; the bytes are the same.
        *("-threads", "1", "-f", "vvc", str(target)),
    )


def _check(units: list[bytes], samples: Samples, *, size: int) -> None:
    wanted = f"one picture of {samples.width}x{samples.height}"
    hint = "Try another ffmpeg: IMAGEIO_FFMPEG_EXE names the program."
    try:
        header = read_vvc(units)
    except CodecError as error:
        raise CodecError(
            f"{WHO}: the encoder should have written {wanted}, its {size} bytes are no VVC "
            f"stream: {error.message}",
            hint=hint,
        ) from error
    if (header.width, header.height, header.frames) != (samples.width, samples.height, 1):
        raise CodecError(
            f"{WHO}: the encoder should have written {wanted}, got {header.frames} of "
            f"{header.width}x{header.height}",
            hint=hint,
        )
