"""The public surface is a list. A change here is a change for users: it needs a changelog line."""

from __future__ import annotations

import pytest

import diffir

PUBLIC = [
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


def test_the_list():
    assert sorted(diffir.__all__) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_there(name):
    assert getattr(diffir, name) is not None


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="no attribute 'restroe'"):
        diffir.restroe  # noqa: B018
