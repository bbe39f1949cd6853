"""The errors that diffir raises on purpose, as one tree.

    DiffirError
    +-- PictureError            a file that cannot be read as one still picture
    |   +-- UnsupportedPictureError   readable, but not a thing we restore (animated, too large)
    +-- OutputError             a result that cannot be written (exists, full disk, no permission)
    +-- CodecError              an encoder or decoder refused its input
    +-- ComponentError          something that a plugin registers
    |   +-- UnknownComponentError     no component of that kind and name
    |   +-- DuplicateComponentError   two plugins claim one name
    |   +-- MissingDependencyError    the component needs a package that is not installed
    |   +-- ContractError             the component lacks a verb of its interface
    +-- RecipeError             a recipe that is not valid
    +-- CheckpointError         a weights file that is not ours, damaged, or for another model
    +-- DataError               a training or evaluation folder that does not serve
    +-- DeviceError             a device or a dtype that this machine does not have

Each says what was expected and what came; `hint` says what to do next. The command line prints
them as `error:` and `hint:`, without a traceback.
"""

from __future__ import annotations


class DiffirError(Exception):
    """Root of the tree. `hint` is one sentence that says what to do next."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Data-loader workers send exceptions through pickle, which drops keyword arguments.
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[DiffirError], message: str, hint: str | None) -> DiffirError:
    return kind(message, hint=hint)


class PictureError(DiffirError):
    """A file cannot be read as one still picture."""


class UnsupportedPictureError(PictureError):
    """A file is readable, but it is not a thing we restore: animated, a movie, too large."""


class OutputError(DiffirError):
    """A result cannot be written: it exists, the disk is full, permission is missing."""


class CodecError(DiffirError):
    """An encoder or a decoder refused its input."""


class ComponentError(DiffirError):
    """Something that a plugin registers does not work."""


class UnknownComponentError(ComponentError):
    """No component of that kind has that name."""


class DuplicateComponentError(ComponentError):
    """Two plugins claim the same kind and name."""


class MissingDependencyError(ComponentError):
    """A component needs a package that is not installed."""


class ContractError(ComponentError):
    """A component lacks a verb of its interface, or its signature differs."""


class RecipeError(DiffirError):
    """A recipe is not valid."""


class CheckpointError(DiffirError):
    """A weights file is not ours, is damaged, or belongs to another model."""


class DataError(DiffirError):
    """A training or evaluation folder does not serve its purpose."""


class DeviceError(DiffirError):
    """A device or a dtype was asked for that this machine does not have."""
