"""What holds for every `CodecInfo`: it is one, its numbers are in range, its facts have sources."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

from diffir.contracts.codec import CodecInfo, Source
from diffir.testing.suite import require

SOURCES = get_args(Source)


def require_facts(info: CodecInfo, *, of: str) -> None:
    """Fail unless `severity` is in [0,1] and each known fact, and no other, names its source."""
    require(
        isinstance(info, CodecInfo),
        expected=f"{of} to be a CodecInfo",
        got=type(info).__name__,
        fix="Return diffir.contracts.codec.CodecInfo.",
    )
    require(
        info.severity is None or 0 <= info.severity <= 1,
        expected=f"the severity of {of} in [0,1]",
        got=info.severity,
        fix="Take it from spec.scale.severity(quality): 1 is the heaviest compression.",
    )
    known = {
        field.name
        for field in fields(info)
        if field.name not in ("details", "sources") and getattr(info, field.name) is not None
    }
    require(
        set(info.sources) == known and set(info.sources.values()) <= set(SOURCES),
        expected=f"sources of {of} for {sorted(known)}, each one of {', '.join(SOURCES)}",
        got=dict(info.sources),
        fix="Name a source for every fact that is not None, and for no other.",
    )
