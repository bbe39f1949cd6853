"""Where each fact of a CodecInfo came from."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from diffir.contracts.codec import CodecInfo, Source


def sourced(
    info: CodecInfo, *, estimates: Collection[str] = (), otherwise: Source = "bitstream"
) -> CodecInfo:
    """Fill `sources`: the fields named in `estimates` are estimates, all others as `otherwise`."""
    known = [
        field.name
        for field in fields(info)
        if field.name not in ("details", "sources") and getattr(info, field.name) is not None
    ]
    sources: dict[str, Source] = {
        name: "estimate" if name in estimates else otherwise for name in known
    }
    return replace(info, sources=sources)
