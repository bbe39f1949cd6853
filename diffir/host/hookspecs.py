"""The hooks that a plugin may implement. Each gets `register` and calls it once per component.

    register(name, "package.module:Object", summary="...", needs="package>=1.0")

`name` is what users type; the object is imported when it is first used.
"""

from __future__ import annotations

from typing import Any, Protocol

import pluggy

hookspec = pluggy.HookspecMarker("diffir")
hookimpl = pluggy.HookimplMarker("diffir")


class Register(Protocol):
    """Adds one component to the table."""

    def __call__(self, name: str, target: str, *, summary: str, needs: str | None = None) -> None:
        """Register `target` ("package.module:Object") under `name`."""


@hookspec
def register_codecs(register: Register) -> None:
    """Register codecs: classes with the methods of `diffir.contracts.codec.Codec`."""


@hookspec
def register_degradations(register: Register) -> None:
    """Register degradations: factories of objects with a `degrade` method."""


@hookspec
def register_routers(register: Register) -> None:
    """Register prompt routers: `torch.nn.Module` classes with a `route` method."""


@hookspec
def register_conditioners(register: Register) -> None:
    """Register conditioners: `torch.nn.Module` classes with a `condition` method."""


@hookspec
def register_decoders(register: Register) -> None:
    """Register decoders: `torch.nn.Module` classes with a `decode` method."""


@hookspec
def register_recipes(register: Register) -> None:
    """Register recipes: `"package.module:file.toml"`, a TOML file beside that module."""


@hookspec
def register_prompt_packs(register: Register) -> None:
    """Register prompt packs: `"package.module:file.safetensors"`, a file beside that module."""


@hookspec
def register_commands(app: Any) -> None:
    """Add commands to the command line; `app` is the `typer.Typer` of `diffir`."""
