"""Each error of the tree is raised by some test, has a message, and survives pickle."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from diffir import errors

TESTS = Path(__file__).parents[1]


def all_errors() -> list[type[errors.DiffirError]]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return [kind for kind in kinds if issubclass(kind, errors.DiffirError)]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
class TestError:
    def test_is_in_the_picture_of_the_tree(self, kind):
        assert re.search(rf"\b{kind.__name__}\b", errors.__doc__)

    def test_survives_the_way_from_a_worker(self, kind):
        error = pickle.loads(pickle.dumps(kind("what came", hint="what to do")))
        assert type(error) is kind
        assert (error.message, error.hint, str(error)) == ("what came", "what to do", "what came")


# The root is not raised, its branches are.
@pytest.mark.parametrize(
    "kind",
    [kind for kind in all_errors() if kind is not errors.DiffirError],
    ids=lambda k: k.__name__,
)
def test_some_test_sees_it_raised(kind):
    raised = re.compile(rf"pytest\.raises\(\s*(\w+\.)*{kind.__name__}\b[^)]*match=")
    assert any(raised.search(p.read_text(encoding="utf-8")) for p in TESTS.rglob("test_*.py"))
