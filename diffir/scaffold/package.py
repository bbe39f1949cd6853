"""Writes plugins to disk: a package of its own, or one file in the user's plugin folder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from diffir.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diffir.scaffold.new_codec import NewCodec

NOT_MEASURED = """Not measured yet: `diffir add-codec` was told not to run it, or could not.
"""


def package_folder(codec: NewCodec, parent: Path) -> Path:
    """Where the package goes.

    Raises:
        OutputError: something is there already.
    """
    return _free(parent / f"diffir-{codec.name}")


def plugin_file(codec: NewCodec, folder: Path) -> Path:
    """Where the single file goes.

    Raises:
        OutputError: something is there already.
    """
    return _free(folder / f"{codec.module.removeprefix('diffir_')}.py")


def write_package(
    codec: NewCodec, folder: Path, *, portrait: str = NOT_MEASURED, pictures: Mapping[str, bytes]
) -> tuple[Path, ...]:
    """Write the whole package, or nothing.

    Args:
        codec: what to make.
        folder: from `package_folder`.
        portrait: the part of the README that tells what the codec does to pictures, in Markdown.
        pictures: files that the portrait shows, by their names in the folder `pictures`.

    Returns:
        The files, inside `folder`.

    Raises:
        OutputError: the folder cannot be written.
    """
    texts = _texts(codec, portrait)
    contents = {path: text.encode() for path, text in texts.items()}
    contents |= {f"pictures/{name}": data for name, data in pictures.items()}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".diffir-") as part:
            whole = Path(part, "package")
            for path, data in contents.items():
                target = whole / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            whole.rename(_free(folder))
    except OSError as error:
        raise _unwritable(folder, error) from error
    return tuple(folder / path for path in contents)


def write_plugin_file(codec: NewCodec, path: Path) -> None:
    """Write the codec and its hook as one file.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(codec.source(single_file=True), encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error


def _texts(codec: NewCodec, portrait: str) -> dict[str, str]:
    module = codec.module
    steps = _next_steps(codec)
    return {
        "pyproject.toml": codec.fill("pyproject.toml"),
        "README.md": codec.fill("README.md", portrait=portrait, next_steps=steps),
        "LICENSE": codec.fill("LICENSE"),
        ".gitignore": codec.fill("gitignore"),
        ".github/workflows/tests.yml": codec.fill("workflow.yml"),
        f"{module}/__init__.py": f'"""{codec.way.summary}, as a codec of diffir."""\n',
        f"{module}/plugin.py": codec.fill("plugin.py"),
        f"{module}/codec.py": codec.source(),
        f"tests/test_{module.removeprefix('diffir_')}.py": _test(codec),
    }


def _test(codec: NewCodec) -> str:
    programs = codec.way.programs
    imports, marks = "import pytest\n", ""
    if programs:
        imports = "import shutil\n\nimport pytest\n"
        missing = f"[p for p in {programs!r} if shutil.which(p) is None]".replace("'", '"')
        marks = (
            f"MISSING = {missing}\n\n\n"
            '@pytest.mark.skipif(bool(MISSING), reason=f"not on the PATH: {MISSING}")'
        )
    return codec.fill("test_codec.py", test_imports=imports, test_marks=marks)


def _next_steps(codec: NewCodec) -> str:
    where = f"`{codec.module}/codec.py`"
    steps = []
    if codec.way.template == "codec_skeleton.py":
        steps.append(f"Replace what is marked YOURS in {where} by your encoder and decoder.")
    steps.append(f"Name the encoder's license in {where}: users are shown it.")
    if codec.way.template != "codec_skeleton.py":
        steps.append(
            "Read from the bytes what they tell of the quality, in `read_info`: a router that "
            "knows it restores better than one that must look."
        )
    if codec.waivers:
        steps.append("Look at the waivers in `expected_failures`: what is fixed there is gained.")
    steps.append(
        f'Take the codec into a recipe\'s `degradations`, and train: `codec = "{codec.name}"`.'
    )
    return "\n".join(f"- {step}" for step in steps)


def _free(path: Path) -> Path:
    if path.exists():
        raise OutputError(
            f"{path} exists already", hint="Remove it, choose another name, or another folder (-o)."
        )
    return path


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be written: {error.strerror}", hint="Choose another folder (-o)."
    )
