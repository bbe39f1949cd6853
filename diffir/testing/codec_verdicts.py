"""How the suite of codecs judges: pictures, refusals, and what bytes of strangers lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from diffir.contracts.codec import CodecInfo
from diffir.errors import CodecError, DiffirError
from diffir.host.manager import default_host
from diffir.testing.sample_pictures import scene
from diffir.testing.suite import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from diffir.contracts.codec import Codec, CodecSpec


def require_pixels(decoded: object, size: tuple[int, int], *, fix: str) -> None:
    """Fail unless `decoded` is `(H,W,3) uint8`, C-contiguous, of that height and width."""
    got = (
        f"{decoded.shape} {decoded.dtype}, "
        f"{'' if decoded.flags.c_contiguous else 'not '}C-contiguous"
        if isinstance(decoded, np.ndarray)
        else type(decoded).__name__
    )
    require(
        got == f"{(*size, 3)} uint8, C-contiguous",
        expected=f"decode to return {(*size, 3)} uint8, C-contiguous",
        got=got,
        fix=f"{fix} np.ascontiguousarray(pixels, dtype=np.uint8) settles dtype and order.",
    )


def foreign_bytes(own: CodecSpec) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of what a codec must not recognize.

    Left out are the codec itself, and those of its file suffixes: they write the same format.
    """
    yield "no bytes", b""
    yield "zeros", bytes(100)
    yield "noise", np.random.default_rng(0).bytes(500)
    yield "PNG", b"\x89PNG\r\n\x1a\n" + bytes(40)
    host = default_host()
    for component in host.components("codec"):
        if component.name == own.name:
            continue
        try:
            other = host.codec(component.name)
            if not set(own.read_suffixes).isdisjoint(other.spec.read_suffixes):
                continue
            data = other.encode(scene(17, 16), other.spec.levels[0])
        except DiffirError:  # not usable here, which is its own suite's business
            continue
        yield component.name, data


def survives(call: Callable[[], object]) -> object:
    """What the call returns, or the CodecError that it raises."""
    try:
        return call()
    except CodecError as error:
        return error


def require_codec_error(call: Callable[[], object], what: str) -> None:
    """Fail unless the call raises CodecError, with a message."""
    got: object = None
    try:
        got = survives(call)
    except Exception as error:  # the wrong kind is what is looked for
        got = error
    name = type(got).__name__
    require(
        isinstance(got, CodecError),
        expected=f"{what} to raise CodecError",
        got=f"{name}: {got}" if isinstance(got, Exception) else f"a result of type {name}",
        fix="Raise diffir.errors.CodecError, saying what was expected and what came.",
    )
    require(
        str(got).strip(),
        expected=f"{what} to say what is wrong",
        got="a CodecError without a message",
        fix="Say what was expected and what came.",
    )


def require_survival(codec: Codec, data: bytes, what: str) -> None:
    """Fail if the bytes lead to anything but a result or a CodecError."""
    fix = "Catch what the library raises and raise diffir.errors.CodecError from it."
    try:
        decoded = survives(lambda: codec.decode(data))
        info = survives(lambda: codec.read_info(data))
        known = codec.recognizes(data)
    except Exception as error:  # the wrong kind is what is looked for
        raise AssertionError(
            f"expected {what} to raise CodecError or to be read, got {type(error).__name__}: "
            f"{error}. {fix}"
        ) from error
    picture = isinstance(decoded, np.ndarray) and decoded.ndim == 3 and decoded.dtype == np.uint8
    require(
        picture or isinstance(decoded, CodecError),
        expected=f"decode of {what} to raise CodecError or return a picture",
        got=f"a result of type {type(decoded).__name__}",
        fix=fix,
    )
    require(
        isinstance(info, CodecInfo | CodecError) and isinstance(known, bool),
        expected=f"read_info of {what} to return a CodecInfo, recognizes a bool",
        got=f"{type(info).__name__} and {type(known).__name__}",
        fix=fix,
    )
