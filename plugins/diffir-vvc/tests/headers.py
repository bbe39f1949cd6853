"""Writes H.266 headers field by field, to try settings that no encoder at hand has."""

from __future__ import annotations

from diffir.codecs.nal_units import escape, join_annex_b

SPS, PPS, PICTURE_HEADER, IDR, RANDOM_ACCESS = 15, 16, 19, 7, 9


def u(width: int, value: int = 0) -> str:
    return f"{value:0{width}b}" if width else ""


def ue(value: int = 0) -> str:
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def se(value: int) -> str:
    return ue(2 * value - 1 if value > 0 else -2 * value)


def unit(kind: int, *fields: str) -> bytes:
    bits = "".join(fields) + "1"
    bits += "0" * (-len(bits) % 8)
    payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return bytes([0, kind << 3 | 1]) + escape(payload)


def stream(*units: bytes) -> bytes:
    return join_annex_b(units)


PROFILE = (u(7, 1), u(1), u(8, 51), u(2), u(1), u(5), u(8))
"""profile_tier_level of one sub-layer, without constraints: 32 bits, so that it stays aligned."""

TREE = (ue(0), ue(0))
NO_LISTS = (u(1, 1), ue(0))


def plain_sps(
    *,
    size: tuple[int, int] = (64, 48),
    subpictures: str = "0",
    lists: tuple[str, ...] = NO_LISTS,
    lists_in_idr: int = 0,
    override: int = 0,
) -> bytes:
    """Every tool off, 4:2:0, 8 bits."""
    return unit(
        SPS,
        *(u(4), u(4), u(3), u(2, 1), u(2), u(1, 1)),
        *PROFILE,
        *(u(1), u(1), ue(size[0]), ue(size[1]), u(1), subpictures),
        *(ue(0), u(2), u(4), u(1), u(2), u(2)),  # bit depth to reserved bits
        *(ue(0), ue(0), ue(0)),  # picture buffer
        *(ue(0), u(1, override), *TREE, u(1), *TREE),
        *(u(1), u(1), u(1)),  # transform skip, selection, secondary
        *(u(1), u(1, 1), se(0), ue(0), ue(0), ue(0)),  # chroma QP
        *(u(1), u(1), u(1)),  # sao, alf, lmcs
        *(u(2), u(1), u(1, lists_in_idr), *lists),
        *(u(1), u(1), u(1), u(1), u(1), u(1), u(1), ue(0), u(1), u(1), u(2), u(1), ue(0)),
        *(u(3), u(1), u(2), u(1), u(1), u(1)),  # intra tools, palette, block copies, deblocking
        *(u(1), u(2), u(1)),  # scaling lists, quantization, boundaries
        *(u(1), u(1), u(1), u(1)),  # timing, fields, usability information, extension
    )


def plain_pps(*, one_tile: int = 1, size: tuple[int, int] = (64, 48)) -> bytes:
    return unit(
        PPS,
        *(u(6), u(4), u(1), ue(size[0]), ue(size[1]), u(1), u(1)),
        *(u(1), u(1, one_tile), u(1)),
        *(u(1), ue(0), ue(0), u(3), u(1), se(5), u(1), u(1), u(1)),
        *(u(1), u(1), u(1)),
    )


def picture_header(*, inter: int = 0) -> tuple[str, ...]:
    return (u(1, 1), u(1), u(1), u(1, inter), ue(0), u(4))


def plain_slice(delta: int, *, kind: int = IDR) -> bytes:
    return unit(kind, u(1, 1), *picture_header(), u(1), se(delta), u(16, 0xABCD))
