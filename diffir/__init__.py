"""diffir restores badly compressed pictures, codec by codec.

    photo = diffir.read("photo.jpg")           # Picture; photo.codec.quality == 10
    restorer = diffir.load("moe-diffir-tiny")  # a recipe's name, or a .safetensors file
    diffir.write(restorer(photo), "photo.png")

Importing this package defines names and does nothing else: what they need is imported when they
are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffir.contracts.codec import CodecInfo
from diffir.contracts.picture import Metadata, Picture
from diffir.errors import DiffirError

if TYPE_CHECKING:
    from diffir.pictures.reading import read
    from diffir.pictures.writing import write
    from diffir.restore.restorer import Restorer, load

__version__ = "0.1.0"
__all__ = [
    "CodecInfo",
    "DiffirError",
    "Metadata",
    "Picture",
    "Restorer",
    "__version__",
    "load",
    "read",
    "write",
]

_LAZY = {
    "read": "diffir.pictures.reading",
    "write": "diffir.pictures.writing",
    "Restorer": "diffir.restore.restorer",
    "load": "diffir.restore.restorer",
}


def __getattr__(name: str) -> Any:
    """Import the heavy names on first use (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module 'diffir' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
