"""The packs that a model is given before it restores: those that are stored for it, or a named one.

Nobody who restores a picture asked for the packs that lie in a folder, so one that cannot serve is
left out with a warning; one that was asked for is an error.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from diffir.errors import DiffirError
from diffir.restore.pack_choice import PackChoice
from diffir.restore.pack_file import load_packs
from diffir.restore.pack_store import find_pack, stored_packs

if TYPE_CHECKING:
    from diffir.contracts.prompt_pack import PromptPack
    from diffir.host.manager import Host
    from diffir.restore.pack_store import StoredPack
    from diffir.restore.prompt_packs import PackFit

_LOG = logging.getLogger("diffir")


def packs_for(
    fit: PackFit, prompts: str, host: Host, *, base: str
) -> tuple[list[PromptPack], PromptPack | None]:
    """Packs that each serve the pictures of their codecs, and one that serves every picture.

    Args:
        fit: of the base model.
        prompts: "auto", "none", or a pack's name or file.
        host: knows the packs of plugins.
        base: name of the base's recipe.

    Raises:
        CheckpointError: the named pack is not there, or cannot be read.
        UnknownComponentError: no pack of that name.
    """
    if prompts == "none":
        return [], None
    if prompts != "auto":
        named = list(load_packs(find_pack(prompts, host)))
        # Of several, each serves its codecs: which one should serve the others?
        return (named, None) if len(named) > 1 else ([], named[0])
    packs = [pack for file in stored_packs(host) for pack in _serving(fit, file, base)]
    taken: dict[str, PromptPack] = {}  # an installed pack comes before a plugin's
    for pack in packs:
        for codec in pack.card.codecs:
            taken.setdefault(codec, pack)
    return [pack for pack in packs if pack in taken.values()], None


def _serving(fit: PackFit, file: StoredPack, base: str) -> list[PromptPack]:
    """What of a stored file serves this model; nothing of one that is broken."""
    if file.error is not None:
        _warn(file, file.error.message)
    elif any(card.base_hash == fit.digest for card in file.cards):
        try:
            packs = list(load_packs(file.path))
            for pack in packs:
                fit.check(pack)
            PackChoice(packs)
        except DiffirError as error:
            _warn(file, error.message)
        else:
            return packs
    elif any(card.base == base for card in file.cards):
        _warn(file, f"it was made for other weights of '{base}'")
    return []


def _warn(file: StoredPack, why: str) -> None:
    _LOG.warning(
        "the prompt pack '%s' (%s) is left out: %s; diffir prompts list tells of all packs",
        *(file.name, file.source, why),
    )
