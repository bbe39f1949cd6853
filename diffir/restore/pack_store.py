"""Which prompt packs there are: installed ones, and those that plugins bring.

~/.config/diffir/prompts/NAME.safetensors       in the folder of `diffir.host.user_folder`
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diffir.errors import CheckpointError, ComponentError, DiffirError, UnknownComponentError
from diffir.host.user_folder import config_folder
from diffir.pictures.atomic_file import write_atomically
from diffir.restore.pack_file import MAX_BYTES, load_packs, read_cards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffir.contracts.prompt_pack import PackCard
    from diffir.host.component import Component
    from diffir.host.manager import Host

INSTALLED = "installed"


@dataclass(frozen=True)
class StoredPack:
    """One file that is there. `source` is "installed" or the name of a plugin.

    cards: of its packs; none where the file cannot be read, and then `error` says why.
    """

    name: str
    path: Path
    source: str
    cards: tuple[PackCard, ...]
    error: DiffirError | None = None


def packs_folder() -> Path:
    """Where packs are installed; it may not exist."""
    return config_folder() / "prompts"


def stored_packs(host: Host) -> list[StoredPack]:
    """All packs, installed ones first, by name; a broken file is a row with its error."""
    found = []
    for component in host.components("prompt_pack"):
        found.append(_brought(component))
    return [*_installed(), *found]


def find_pack(name: str, host: Host) -> Path:
    """The file of a stored pack, or the file that `name` names.

    Raises:
        CheckpointError: there is no such file. UnknownComponentError: no pack of that name.
    """
    if name.endswith(".safetensors"):
        return Path(name)
    packs = stored_packs(host)
    for pack in packs:
        if pack.name == name:
            return pack.path
    known = ", ".join(pack.name for pack in packs) or "none"
    raise UnknownComponentError(
        f"there is no prompt pack '{name}'",
        hint=f"Known: {known}. Install one with: diffir prompts install FILE",
    )


def install_pack(path: Path, *, replace: bool = False) -> StoredPack:
    """Copy a file of packs into the user's folder, under the names on its cards.

    Raises:
        CheckpointError: not a pack; one of that name, or for one of the codecs and the base, is
            there. OutputError: it cannot be written.
    """
    cards = tuple(pack.card for pack in load_packs(path))  # whole: a damaged file is refused now
    name = "+".join(card.name for card in cards)
    target = packs_folder() / f"{name}.safetensors"
    obsolete = [
        there for there in _installed() if there.path == target or _overlap(there.cards, cards)
    ]
    for there in obsolete:
        codecs = {codec for card in there.cards for codec in card.codecs}
        lost = codecs - {codec for card in cards for codec in card.codecs}
        if not replace or lost:
            also = f", which serves {', '.join(sorted(lost))} too" if lost and replace else ""
            serving = ", ".join(sorted(codecs)) or "nothing that can be read"
            raise CheckpointError(
                f"a prompt pack for {serving} is installed: '{there.name}'{also}",
                hint=f"First: diffir prompts remove {there.name}"
                + ("" if lost else ", or use --replace"),
            )
    data = path.read_bytes()
    assert len(data) <= MAX_BYTES
    write_atomically(target, data, overwrite=True)
    for there in obsolete:
        if there.path != target:
            there.path.unlink()
    return StoredPack(name, target, INSTALLED, cards)


def remove_pack(name: str) -> Path:
    """Delete an installed pack, broken ones too; returns the path that is gone.

    Raises:
        UnknownComponentError: none of that name is installed.
    """
    path = packs_folder() / f"{name}.safetensors"
    if Path(name).name != name or not path.is_file():
        known = ", ".join(sorted(p.stem for p in packs_folder().glob("*.safetensors"))) or "none"
        raise UnknownComponentError(
            f"no prompt pack '{name}' is installed", hint=f"Installed: {known}."
        )
    path.unlink()
    return path


def _installed() -> list[StoredPack]:
    paths = sorted(packs_folder().glob("*.safetensors"))
    return [_look(path.stem, path, INSTALLED) for path in paths]


def _overlap(some: Sequence[PackCard], others: Sequence[PackCard]) -> bool:
    """Whether a codec over one base is served by both."""
    served = [
        {(card.base_hash, c) for card in cards for c in card.codecs} for cards in (some, others)
    ]
    return bool(served[0] & served[1])


def _brought(component: Component) -> StoredPack:
    try:
        return _look(component.name, component.find_file(), component.plugin)
    except ComponentError as error:  # a plugin's mistake must not stop every restoration
        return StoredPack(component.name, Path(component.target), component.plugin, (), error)


def _look(name: str, path: Path, source: str) -> StoredPack:
    try:
        return StoredPack(name, path, source, read_cards(path))
    except DiffirError as error:
        return StoredPack(name, path, source, (), error)
