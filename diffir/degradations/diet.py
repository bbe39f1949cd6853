"""What a model is trained on, from the words of a recipe to a mixture of degradations.

    { weight = 4.0, codec = "jpeg", quality = [5, 60], subsampling = "random" }
    { weight = 1.0, chain = "double-jpeg" }

The ends of `quality` come in either order; without it the codec's benchmark levels are drawn from.
`subsampling` may be left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffir.degradations.codec_degradation import Between, CodecDegradation
from diffir.degradations.mixture import Mixture
from diffir.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from diffir.contracts.interfaces import Degradation
    from diffir.host.manager import Host

CODEC_KEYS = {"weight", "codec"}
OPTIONAL_KEYS = {"quality", "subsampling"}
CHAIN_KEYS = {"weight", "chain"}


def mix(tables: Sequence[Mapping[str, Any]], host: Host) -> Mixture:
    """Build the mixture that a recipe's `training.degradations` describe.

    Raises:
        RecipeError: a table has other keys, or a quality that is not two whole numbers.
        ComponentError: a codec or a chain is unknown or cannot be loaded; no weight is above 0.
        CodecError: a quality lies off its codec's scale; chroma that it does not offer.
    """
    return Mixture([(_weight(table), _degradation(table, host)) for table in tables])


def _degradation(table: Mapping[str, Any], host: Host) -> Degradation:
    keys = set(table)
    if keys == CHAIN_KEYS:
        chain: Degradation = host.create("degradation", table["chain"])
        return chain
    if keys - OPTIONAL_KEYS != CODEC_KEYS:
        raise RecipeError(
            f"a training degradation has the keys {', '.join(sorted(keys)) or 'none'}",
            hint="It has weight and codec (and quality, and subsampling), or weight and chain.",
        )
    codec = host.codec(table["codec"])
    levels = _between(table["quality"]) if "quality" in table else codec.spec.levels
    return CodecDegradation(codec, levels, subsampling=table.get("subsampling"))


def _between(ends: Any) -> Between:
    if not isinstance(ends, list | tuple) or [type(end) for end in ends] != [int, int]:
        raise RecipeError(
            f"expected quality as two whole numbers, got {ends!r}",
            hint="Such as quality = [5, 60].",
        )
    return Between(min(ends), max(ends))


def _weight(table: Mapping[str, Any]) -> float:
    weight = table.get("weight")
    if not isinstance(weight, int | float):
        raise RecipeError(
            f"expected a number as the weight of a training degradation, got {weight!r}",
            hint="Such as weight = 1.0.",
        )
    return float(weight)
