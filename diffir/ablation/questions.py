"""The questions of the method's ablations, and the variants of a recipe that answer them.

A variant changes one thing. Which stage answers: `compensator` trains encoder, decoder and router,
and so the gates and the decoder's expert prompts, at less than half of the price of a step end to
end. It knows no U-Net; what the U-Net alone reads, the context, is a question for `faithful`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diffir.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from diffir.recipes.recipe import Recipe

WEIGHTED_VECTORS = 21
"""Vectors of the method's "multiple prompts": one for each of its tasks."""

EXPERTS = (1, 3, 5, 7, 11)
TOP_K = (1, 2, 3, 5, 7)
KERNELS = (0, 3, 7)


@dataclass(frozen=True)
class Variant:
    """A recipe with one thing changed: `changes[table][key]` is the new value; none is the default.

    name: of files. label: in tables and plots.
    """

    name: str
    label: str
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


DEFAULT = "default"


@dataclass(frozen=True)
class Question:
    """What is asked, the stages that answer it, and its variants in the order of the plot.

    One of the variants is called "default".
    """

    name: str
    asks: str
    stages: tuple[str, ...]
    variants: tuple[Variant, ...]


def questions(recipe: Recipe, only: Sequence[str] = ()) -> tuple[Question, ...]:
    """Those of these names, in order; all without any.

    Raises:
        DataError: there is none of such a name, or the recipe lacks what one varies.
    """
    for name in only:
        if name not in _KNOWN:
            raise DataError(
                f"there is no ablation called '{name}'", hint=f"Known: {', '.join(_KNOWN)}."
            )
    return tuple(ask(recipe) for name, ask in _KNOWN.items() if not only or name in only)


def _prompts(_recipe: Recipe) -> Question:
    labels = {"none": "no prompt", "single": "single", "multiple": "multiple"}
    variants = [Variant(f"prompts-{m}", label, _mixture(m)) for m, label in labels.items()]
    return Question(
        "prompts",
        "Is a mixture of experts better than simpler prompts, or none?",
        ("compensator",),
        (*variants, Variant(DEFAULT, "mixture of experts")),
    )


def _text(recipe: Recipe) -> Question:
    width = _option(recipe, "conditioner", "width")
    return Question(
        "text",
        "Is the visual-to-text adapter better than tokens that do not see the picture, or none?",
        ("faithful",),
        (
            Variant(
                "text-none", "no tokens", {"conditioner": {"use": "no-context", "width": width}}
            ),
            Variant(
                "text-learned",
                "learned tokens",
                {"conditioner": {"use": "learned-tokens", "width": width}},
            ),
            Variant(DEFAULT, "visual to text"),
        ),
    )


def _prior(_recipe: Recipe) -> Question:
    return Question(
        "prior",
        "Is it worth telling the gates codec and severity?",
        ("compensator",),
        (
            Variant("prior-none", "gates see the picture alone", {"router": {"prior": False}}),
            Variant(DEFAULT, "gates are told"),
        ),
    )


def _experts(recipe: Recipe) -> Question:
    default, top_k = _gate(recipe)
    counts = sorted({*EXPERTS, default})
    variants = (
        Variant(DEFAULT, f"N = {n}")
        if n == default
        else Variant(f"n-{n}", f"N = {n}", _both({"experts": n, "top_k": min(top_k, n)}))
        for n in counts
    )
    return Question("N", "How many prompts?", ("compensator",), tuple(variants))


def _top_k(recipe: Recipe) -> Question:
    experts, default = _gate(recipe)
    counts = sorted(k for k in {*TOP_K, default} if k <= experts)
    variants = (
        Variant(DEFAULT, f"K = {k}")
        if k == default
        else Variant(f"k-{k}", f"K = {k}", _both({"top_k": k}))
        for k in counts
    )
    return Question("K", "How many of them at once?", ("compensator",), tuple(variants))


def _kernels(recipe: Recipe) -> Question:
    default = int(_option(recipe, "decoder", "kernel_experts"))
    variants = (
        Variant(DEFAULT, f"{n} kernels more")
        if n == default
        else Variant(f"kernels-{n}", f"{n} kernels more", {"decoder": {"kernel_experts": n}})
        for n in sorted({*KERNELS, default})
    )
    return Question(
        "kernels", "Are kernels for each codec worth it?", ("compensator",), tuple(variants)
    )


def _mixture(name: str) -> dict[str, dict[str, Any]]:
    if name == "multiple":
        return _both({"mixture": name, "experts": WEIGHTED_VECTORS})
    return _both({"mixture": name})


def _both(options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """In both places where prompts act: the U-Net's pyramid, and the decoder's maps."""
    return {"router": options, "decoder": options}


def _gate(recipe: Recipe) -> tuple[int, int]:
    return int(_option(recipe, "router", "experts")), int(_option(recipe, "router", "top_k"))


def _option(recipe: Recipe, part: str, name: str) -> Any:
    options = recipe.parts[part].options
    if name not in options:
        raise DataError(
            f"'{recipe.name}' does not say the {name} of its {part}, of which variants are made",
            hint=f"Write it into the recipe's table [{part}], or ask other questions: --only.",
        )
    return options[name]


_KNOWN: Mapping[str, Callable[[Recipe], Question]] = {
    "prompts": _prompts,
    "text": _text,
    "prior": _prior,
    "N": _experts,
    "K": _top_k,
    "kernels": _kernels,
}
