"""Prompt packs on disk: one safetensors file with one pack or several, their cards in its header.

    header   format, cards
    tensors  0/prompts/NAME, 0/recognizer/NAME, 1/prompts/NAME ...

Packs of one file stay what they were: merging changes nothing about how a picture is restored.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

from diffir.contracts.prompt_pack import PackCard, PromptPack
from diffir.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

FORMAT = "diffir-prompts-2"
MAX_BYTES = 2 * 1024 * 1024
HEADER_LIMIT = 1024 * 1024


def save_packs(packs: Sequence[PromptPack], path: Path, *, overwrite: bool = True) -> None:
    """Write packs as half precision, atomically.

    Raises:
        CheckpointError: the file would be larger than `MAX_BYTES`.
        OutputError: it cannot be written.
    """
    import torch
    from safetensors.torch import save

    from diffir.pictures.atomic_file import write_atomically

    tensors = {
        f"{index}/{part}/{name}": tensor.detach().to("cpu", torch.float16).contiguous()
        for index, pack in enumerate(packs)
        for part, named in (("prompts", pack.tensors), ("recognizer", pack.recognizer))
        for name, tensor in named.items()
    }
    cards = json.dumps([pack.card.to_dict() for pack in packs])
    data = save(tensors, metadata={"format": FORMAT, "cards": cards})
    if len(data) > MAX_BYTES:
        raise CheckpointError(
            f"a prompt pack of {len(data)} bytes is larger than {MAX_BYTES}",
            hint="Use fewer --experts, or merge fewer packs.",
        )
    write_atomically(path, data, overwrite=overwrite)


def read_cards(path: Path) -> tuple[PackCard, ...]:
    """The cards of a file, from its header alone: no tensor is read, torch not imported.

    Raises:
        CheckpointError: no such file, or not a prompt pack.
    """
    try:
        metadata = json.loads(_read_start(path))["__metadata__"]
        if metadata["format"] != FORMAT:
            raise ValueError(f"its format is '{metadata['format']}', expected '{FORMAT}'")
        return tuple(PackCard.from_dict(card) for card in json.loads(metadata["cards"]))
    except (ValueError, KeyError, TypeError) as error:
        unread = isinstance(error, json.JSONDecodeError)  # its words are about JSON
        raise CheckpointError(
            f"{path} is not a prompt pack: {'its header cannot be read' if unread else error}",
            hint="Prompt packs are made by diffir finetune-prompts.",
        ) from error


def load_packs(path: Path) -> tuple[PromptPack, ...]:
    """Read the packs of a file.

    Raises:
        CheckpointError: no such file, too large, damaged, or not a prompt pack.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    cards = read_cards(path)
    if path.stat().st_size > MAX_BYTES:
        raise CheckpointError(
            f"{path} has {path.stat().st_size} bytes; a prompt pack has at most {MAX_BYTES}",
            hint="Is it a whole model? Give that to --model.",
        )
    try:
        tensors = load(_bytes(path))
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is damaged: {error}", hint="Get the file again, or make it anew."
        ) from error
    return tuple(
        PromptPack(card, _part(tensors, f"{i}/prompts/"), _part(tensors, f"{i}/recognizer/"))
        for i, card in enumerate(cards)
    )


def check_mergeable(packs: Sequence[PromptPack]) -> None:
    """Whether packs can live in one file.

    Raises:
        CheckpointError: they were made for several base models, or two serve one codec.
    """
    first = packs[0].card
    served: dict[str, str] = {}
    for card in (pack.card for pack in packs):
        if card.base_hash != first.base_hash:
            raise CheckpointError(
                f"'{first.name}' and '{card.name}' were made for different base models",
                hint="Merge packs of one base: diffir prompts show tells its hash.",
            )
        for codec in card.codecs:
            if codec in served:
                raise CheckpointError(
                    f"'{served[codec]}' and '{card.name}' both serve {codec}",
                    hint="Merge the better one: diffir prompts show tells their gains.",
                )
            served[codec] = card.name


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _read_start(path: Path) -> bytes:
    """The JSON header of a safetensors file."""
    start = _bytes(path, 8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else HEADER_LIMIT + 1
    return _bytes(path, 8 + length)[8:] if length <= HEADER_LIMIT else b""


def _bytes(path: Path, most: int = -1) -> bytes:
    if not path.is_file():
        raise CheckpointError(f"there is no prompt pack {path}", hint="Check the path.")
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}", hint="Check its permissions and the disk."
        ) from error
