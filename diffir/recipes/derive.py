"""A recipe with some options changed, as text: the text is what travels inside checkpoints."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from diffir.recipes.recipe import parse_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diffir.recipes.recipe import Recipe

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def derive(recipe: Recipe, name: str, changes: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """The recipe under another name, with `changes[table][key]` in place of its values.

    A table whose `use` changes loses the options of the component that stood there. Comments are
    lost.

    Raises:
        RecipeError: the changed recipe is not one.
    """
    tables = {**tomllib.loads(recipe.text), "name": name}
    for table, values in changes.items():
        kept = {} if "use" in values else tables.get(table, {})
        tables[table] = {**kept, **values}
    return parse_recipe(_written(tables), origin=f"recipe '{name}'")


def _written(tables: Mapping[str, Any]) -> str:
    """TOML with one line for each key of a table."""
    heads = [f"{_key(k)} = {_value(v)}" for k, v in tables.items() if not isinstance(v, dict)]
    parts = ["\n".join(heads)]
    for name, table in tables.items():
        if isinstance(table, dict):
            rows = [f"{_key(key)} = {_value(value)}" for key, value in table.items()]
            parts.append("\n".join([f"[{_key(name)}]", *rows]))
    return "\n\n".join(parts) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(words: str) -> str:
    """A basic string of TOML: one of JSON, where that lets through what TOML does not."""
    return json.dumps(words, ensure_ascii=False).replace("\x7f", "\\u007f")
