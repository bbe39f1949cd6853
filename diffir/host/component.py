"""A registered component: a name, an import string, and what it needs. Loading comes later."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from inspect import Parameter, Signature, isfunction, signature
from pathlib import Path
from typing import Any, Literal, get_args

from diffir.contracts.codec import Codec
from diffir.contracts.interfaces import Conditioner, Decoder, Degradation, PromptRouter
from diffir.errors import ComponentError, ContractError, MissingDependencyError

Kind = Literal["codec", "degradation", "router", "conditioner", "decoder", "recipe", "prompt_pack"]
KINDS: tuple[Kind, ...] = get_args(Kind)

CONTRACTS: dict[Kind, type] = {
    "codec": Codec,
    "degradation": Degradation,
    "router": PromptRouter,
    "conditioner": Conditioner,
    "decoder": Decoder,
}
"""The interface of each kind that has one; its methods are the kind's verbs."""


def _verbs(kind: Kind) -> tuple[str, ...]:
    contract = CONTRACTS.get(kind)
    members = vars(contract).items() if contract else ()
    return tuple(
        name for name, member in members if isfunction(member) and not name.startswith("_")
    )


VERBS: dict[Kind, tuple[str, ...]] = {kind: _verbs(kind) for kind in KINDS}
"""The methods that a class of each kind must have; recipes and packs are files."""


@dataclass(frozen=True)
class Component:
    """One row of the plugin table.

    target: `"package.module:Object"`, imported by `load` and not before.
    plugin: the name of the plugin that registered it. needs: a requirement to `pip install`
    when the import fails, such as `"pillow-heif>=0.20"`.
    """

    kind: Kind
    name: str
    target: str
    summary: str
    plugin: str
    needs: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}' of plugin '{self.plugin}'"

    def load(self) -> Any:
        """Import the object that `target` names and check that it has the verbs of its kind.

        Raises:
            MissingDependencyError: a package that it needs is not installed.
            ComponentError: the module or the object does not exist, or its import fails.
            ContractError: a verb is missing.
        """
        module_name, _, attribute = self.target.partition(":")
        if not attribute:
            raise ComponentError(
                f"{self}: target '{self.target}' is not of the form 'package.module:Object'"
            )
        try:
            loaded = getattr(import_module(module_name), attribute)
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"{self} cannot be imported: {error}", hint=self.install_hint()
            ) from error
        except AttributeError as error:
            raise ComponentError(f"{self}: module '{module_name}' has no '{attribute}'") from error
        except Exception as error:  # whatever a plugin raises must not end the program
            raise ComponentError(f"{self} fails on import: {error!r}") from error
        self._check_verbs(loaded)
        return loaded

    def find_file(self) -> Path:
        """The file that `target` names, of a recipe or of a prompt pack: it may not exist.

        It lies beside the module, which may be a package, a module of one, or a single file; or in
        a folder beside it.

        Raises:
            ComponentError: the module cannot be imported, or the target is not of that form.
        """
        module_name, _, file = self.target.partition(":")
        if not file:
            raise ComponentError(
                f"{self}: target '{self.target}' is not of the form 'package.module:file'"
            )
        try:
            module = import_module(module_name)
        except Exception as error:  # as above
            raise ComponentError(
                f"{self} fails on import: {error!r}", hint=self.install_hint()
            ) from error
        if module.__file__ is not None:
            return Path(module.__file__).parent / file
        return Path(next(iter(module.__path__))) / file  # a folder without __init__.py

    def install_hint(self) -> str:
        """What to do where something that it needs is not there."""
        if self.needs:
            return f"Install it with: pip install '{self.needs}'"
        return f"Reinstall the plugin '{self.plugin}' with its dependencies."

    def check_created(self, created: object) -> None:
        """Check what a class or a factory made: the verbs, and that a codec tells its true name.

        Raises:
            ContractError: a verb is missing, or the codec calls itself otherwise.
        """
        if self.kind in CONTRACTS:
            self._check_class(type(created))
        if self.kind != "codec":
            return
        own = getattr(getattr(created, "spec", None), "name", None)
        if own != self.name:
            raise ContractError(
                f"{self} calls itself {own!r}: its spec.name must be the registered name",
                hint=f"Register it as {own!r}, or write spec.name = {self.name!r}.",
            )

    def _check_verbs(self, loaded: object) -> None:
        if isinstance(loaded, type):  # what a factory function returns is seen when it is called
            self._check_class(loaded)

    def _check_class(self, loaded: type) -> None:
        wanted = VERBS[self.kind]
        missing = [verb for verb in wanted if not callable(getattr(loaded, verb, None))]
        if missing:
            raise ContractError(
                f"{self}: {loaded.__qualname__} lacks {', '.join(missing)}",
                hint=f"A {self.kind} has the methods {', '.join(wanted)}: see diffir.contracts.",
            )
        for verb in wanted:
            ours = signature(getattr(CONTRACTS[self.kind], verb))
            theirs = signature(getattr(loaded, verb))
            if not _accepts(theirs, ours):
                raise ContractError(
                    f"{self}: {loaded.__qualname__}.{verb} is {_plain(theirs)}",
                    hint=f"The contract is {verb}{_plain(ours)}.",
                )


def _accepts(theirs: Signature, ours: Signature) -> bool:
    """Whether a call that the contract allows is one that the method takes."""
    positional = [p.name for p in ours.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    named = {p.name: None for p in ours.parameters.values() if p.kind is p.KEYWORD_ONLY}
    try:
        bound = theirs.bind(*positional, **named)
    except TypeError:
        return False
    # By name, too: callers may pass any of them by keyword.
    return all(
        name in theirs.parameters or _takes_any(theirs) for name in (*positional[1:], *named)
    ) and bool(bound.arguments)


def _takes_any(theirs: Signature) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in theirs.parameters.values())


def _plain(shown: Signature) -> str:
    """A signature without annotations, which are long and not what is compared."""
    bare = [p.replace(annotation=Parameter.empty) for p in shown.parameters.values()]
    return str(shown.replace(parameters=bare, return_annotation=Signature.empty))
