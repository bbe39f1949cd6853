"""What all suites are made of: checks, waivers, and a way to run them without pytest."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CHECK = "test_"


class Suite:
    """A class of checks. Every method `test_<what>` takes one argument, the subject.

    expected_failures: name of a check to the reason why the subject fails it. Such a check passes
    while it fails, and fails once it passes, so that a waiver does not outlive its reason.

    Raises:
        ValueError: at class creation, a waiver that names no check or gives no reason.
    """

    expected_failures: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        checks = check_names(cls)
        for name, reason in cls.expected_failures.items():
            if name not in checks:
                raise ValueError(
                    f"{cls.__name__}.expected_failures names '{name}', which is no check of it; "
                    f"its checks: {', '.join(checks)}"
                )
            if not reason.strip():
                raise ValueError(
                    f"{cls.__name__}.expected_failures['{name}'] must say why the check fails, "
                    "got an empty reason"
                )
        for name in checks:
            current = getattr(cls, name)
            # A subclass may waive anew, or take back, what its parent waived.
            check = inspect.unwrap(current)
            reason = cls.expected_failures.get(name, "")
            wanted = _waived(check, reason) if reason else check
            if wanted is not current:
                setattr(cls, name, wanted)


def _waived(check: Callable[..., None], reason: str) -> Callable[..., None]:
    @functools.wraps(check)  # pytest finds the name of the fixture through `__wrapped__`
    def waived(self: object, *subject: object, **by_name: object) -> None:
        try:
            check(self, *subject, **by_name)  # pytest gives the fixture by its name
        except Exception:  # a check may fail in any way
            return
        raise AssertionError(
            f"expected {check.__name__} to fail because: {reason}. It passes now: remove the "
            "waiver from expected_failures."
        )

    return waived


def check_names(suite: type[Suite]) -> tuple[str, ...]:
    """The names of a suite's checks, in the order in which they are written, inherited first."""
    found = dict.fromkeys(
        name
        for parent in reversed(suite.__mro__)
        for name in vars(parent)
        if name.startswith(CHECK) and callable(getattr(suite, name))
    )
    return tuple(found)


@dataclass(frozen=True)
class CheckResult:
    """What came of one check.

    name: of the check. message: what to fix, where it failed; the reason, where it was waived and
    failed as expected; else empty. waived: whether `expected_failures` names it.
    """

    name: str
    passed: bool
    message: str
    waived: bool


def run_suite(suite_class: type[Suite], subject: object) -> list[CheckResult]:
    """Run every check of a suite on one subject.

    Args:
        suite_class: one of `diffir.testing`, or a subclass with waivers.
        subject: what the suite's fixture would return: a codec, a module, a plugin's name.
    """
    suite = suite_class()
    return [_run(suite, name, subject) for name in check_names(suite_class)]


def _run(suite: Suite, name: str, subject: object) -> CheckResult:
    reason = suite.expected_failures.get(name, "")
    try:
        getattr(suite, name)(subject)
    except AssertionError as error:
        return CheckResult(name, passed=False, message=str(error), waived=bool(reason))
    except Exception as error:  # whatever the subject raises is its failure, not ours
        said = f"expected no exception, got {type(error).__name__}: {error}"
        return CheckResult(name, passed=False, message=said, waived=bool(reason))
    return CheckResult(name, passed=True, message=reason, waived=bool(reason))


def require(holds: object, *, expected: str, got: object, fix: str) -> None:
    """Fail a check with its three sentences unless `holds`.

    Raises:
        AssertionError: it does not hold.
    """
    if not holds:
        raise AssertionError(f"expected {expected}, got {got}. {fix}")
