"""A recipe: which component stands in which seam, with its options, and how the model is trained.

Recipes are TOML. They are registered by name, read from a file, or found in the header of a weights
file. Parts get their options as plain keyword arguments and never see the recipe.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffir.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Collection

    from diffir.host.manager import Host

SEAMS = ("router", "conditioner", "decoder")
BACKBONE = "light"
"""What encoder and denoiser are where a recipe does not say it by `use`."""

_KEYS = ("name", "base", "base_sha256", "encoder", "denoiser", *SEAMS, "sampler", "training")
_TRAINING_KEYS = ("degradations", "synthetic", "clean", "untold", "stages")

SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True)
class Part:
    """A component's name and the options that it is created with."""

    use: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    steps: optimizer steps. learning_rate: its peak. batch: crops per step. crop: their side in
    pixels. Small and many is what a young model learns most from per second; the losses that look
    at texture need to see more of it at once. average: decay of the moving average of the weights,
    in [0,1): about 1 / (1 - average) steps are averaged, and the average is what is saved. scales:
    factors of the learning rate by part, "router" or "denoiser", where they are not 1. schedule:
    "cosine" warms up and goes down to 2 % of the peak, "constant" stays there from the first step.
    betas, weight_decay: of AdamW; without decay it is Adam.
    """

    name: str
    steps: int
    learning_rate: float
    batch: int = 8
    crop: int = 128
    average: float = 0.995
    scales: dict[str, float] = field(default_factory=dict)
    schedule: str = "cosine"
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        """Refuse what would train nothing, as the published configuration did."""
        rates = {"learning_rate": self.learning_rate, **self.scales}
        for name, rate in rates.items():
            if not rate > 0:
                raise ValueError(f"stage '{self.name}': {name} must be above 0, got {rate}")
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"stage '{self.name}': schedule must be one of {', '.join(SCHEDULES)}, got "
                f"'{self.schedule}'"
            )
        if not 0 <= self.average < 1:
            raise ValueError(f"stage '{self.name}': average must be in [0,1), got {self.average}")


@dataclass(frozen=True)
class Training:
    """What a model is trained on.

    degradations: tables with `weight` and either `codec` and `quality` (two ends) or `chain`.
    synthetic: share of rendered text and graphics. clean: share of pictures left undegraded.
    untold: share of those of which the model is not told how they were compressed.
    """

    degradations: tuple[dict[str, Any], ...] = ()
    synthetic: float = 0.0
    clean: float = 0.0
    untold: float = 0.4
    stages: tuple[Stage, ...] = ()

    def __post_init__(self) -> None:
        for name in ("synthetic", "clean", "untold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share in [0,1], got {getattr(self, name):g}")

    def stage(self, name: str) -> Stage:
        """The stage of that name.

        Raises:
            RecipeError: there is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        known = ", ".join(stage.name for stage in self.stages)
        raise RecipeError(f"the recipe has no stage '{name}'", hint=f"Its stages: {known}.")


@dataclass(frozen=True)
class Recipe:
    """A model, in words. `text` is the TOML it was parsed from; it travels inside checkpoints.

    parts: what stands in each of `SEAMS`. sampler: arguments of the sampler, empty for one step.
    base: the name of the prior that its weights are made from, where diffir brings none.
    base_sha256: checksums that the prior's files must have, by `part/file`; none need be given.
    """

    name: str
    text: str
    encoder: Part
    denoiser: Part
    parts: dict[str, Part]
    sampler: dict[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    base: str | None = None
    base_sha256: dict[str, str] = field(default_factory=dict)


def parse_recipe(text: str, *, origin: str) -> Recipe:
    """Parse TOML.

    Raises:
        RecipeError: not TOML, a table is missing, or a key is unknown or of the wrong type.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin} is not valid TOML: {error}") from error
    try:
        recipe = Recipe(
            name=table["name"],
            text=text,
            encoder=_part({"use": BACKBONE, **table["encoder"]}),
            denoiser=_part({"use": BACKBONE, **table["denoiser"]}),
            parts={seam: _part(table[seam]) for seam in SEAMS},
            sampler=dict(table.get("sampler", {})),
            training=_training(table.get("training", {})),
            base=table.get("base"),
            base_sha256=dict(table.get("base_sha256", {})),
        )
        _check_keys(table, _KEYS, origin)
        _check_keys(table.get("training", {}), _TRAINING_KEYS, f"[training] of {origin}")
        return recipe
    except KeyError as error:
        raise RecipeError(
            f"{origin} lacks {error}",
            hint="A recipe has name, [encoder], [denoiser], and [router], [conditioner] and "
            "[decoder] with a 'use' each.",
        ) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise RecipeError(f"{origin}: {error}") from error


def _check_keys(table: dict[str, Any], known: Collection[str], where: str) -> None:
    """Refuse what nobody would read; parts and stages check theirs."""
    odd = next((key for key in table.keys() - set(known)), None)
    if odd is not None:
        near = difflib.get_close_matches(odd, known, n=1)
        raise RecipeError(
            f"{where} has an unknown key '{odd}'",
            hint=f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}.",
        )


def _part(table: dict[str, Any]) -> Part:
    return Part(table["use"], {key: value for key, value in table.items() if key != "use"})


def _training(table: dict[str, Any]) -> Training:
    return Training(
        degradations=tuple(table.get("degradations", ())),
        synthetic=float(table.get("synthetic", Training.synthetic)),
        clean=float(table.get("clean", Training.clean)),
        untold=float(table.get("untold", Training.untold)),
        stages=tuple(Stage(**stage) for stage in table.get("stages", ())),
    )


def load_recipe(name_or_path: str, host: Host) -> Recipe:
    """A registered recipe by name, or a TOML file by path.

    Raises:
        RecipeError: the file cannot be read or is not a recipe.
        UnknownComponentError: no recipe of that name.
    """
    if name_or_path.endswith(".toml"):
        text = _text(Path(name_or_path), f"recipe {name_or_path}")
        return parse_recipe(text, origin=name_or_path)
    component = host.find("recipe", name_or_path)
    return parse_recipe(_text(component.find_file(), component), origin=f"recipe '{name_or_path}'")


def _text(path: Path, what: object) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the {what}: {error}") from error
