"""Which prompt packs there are: installed ones, and those that plugins bring.

~/.config/diffir/prompts/NAME.safetensors       in the folder of `diffir.host.user_folder`
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from diffir.errors import CheckpointError, DiffirError, UnknownComponentError
from diffir.host.user_folder import config_folder
from diffir.pictures.atomic_file import write_atomically
from diffir.restore.prompt_packs import MAX_BYTES, load_pack, read_card

if TYPE_CHECKING:
    from diffir.contracts.prompt_pack import PackCard
    from diffir.host.manager import Host

INSTALLED = "installed"


@dataclass(frozen=True)
class StoredPack:
    """One pack that is there. `source` is "installed" or the name of a plugin.

    card: `None` where the file cannot be read; then `error` says why.
    """

    name: str
    path: Path
    source: str
    card: PackCard | None
    error: DiffirError | None = None


def packs_folder() -> Path:
    """Where packs are installed; it may not exist."""
    return config_folder() / "prompts"


def stored_packs(host: Host) -> list[StoredPack]:
    """All packs, installed ones first, by name; a broken file is a row with its error."""
    found = [(path.stem, path, INSTALLED) for path in sorted(packs_folder().glob("*.safetensors"))]
    for component in host.components("prompt_pack"):
        package, _, file = component.target.partition(":")
        found.append((component.name, Path(str(files(package).joinpath(file))), component.plugin))
    return [_look(*place) for place in found]


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


def install_pack(path: Path, *, replace: bool = False) -> PackCard:
    """Copy a pack into the user's folder, under the name on its card.

    Raises:
        CheckpointError: not a pack; one of that name, or one for the same codec and base, is there.
        OutputError: it cannot be written.
    """
    card = load_pack(path).card  # whole: a damaged file is refused now
    for other in packs_folder().glob("*.safetensors"):
        try:
            there = read_card(other)
        except CheckpointError:
            continue
        same_codec = set(there.codecs) & set(card.codecs) and there.base_hash == card.base_hash
        if not replace and (there.name == card.name or same_codec):
            raise CheckpointError(
                f"a prompt pack for {', '.join(there.codecs)} is installed: '{there.name}'",
                hint=f"Use --replace, or first: diffir prompts remove {there.name}",
            )
        if same_codec and there.name != card.name:
            other.unlink()
    data = path.read_bytes()
    assert len(data) <= MAX_BYTES
    write_atomically(packs_folder() / f"{card.name}.safetensors", data, overwrite=True)
    return card


def remove_pack(name: str) -> Path:
    """Delete an installed pack, broken ones too; returns the path that is gone.

    Raises:
        UnknownComponentError: none of that name is installed.
    """
    path = packs_folder() / f"{name}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in packs_folder().glob("*.safetensors"))) or "none"
        raise UnknownComponentError(
            f"no prompt pack '{name}' is installed", hint=f"Installed: {known}."
        )
    path.unlink()
    return path


def _look(name: str, path: Path, source: str) -> StoredPack:
    try:
        return StoredPack(name, path, source, read_card(path))
    except DiffirError as error:
        return StoredPack(name, path, source, None, error)
