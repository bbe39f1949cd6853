"""Runs the public suites on what a plugin brings, and says what to fix.

A component may declare its own waivers in an attribute `expected_failures`, check to reason, as a
suite does: what a foreign encoder cannot do is then told once, in the class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from diffir.errors import DiffirError
from diffir.host.component import Component
from diffir.host.manager import Host
from diffir.host.plugin import Plugin

if TYPE_CHECKING:
    from diffir.testing import CheckResult, Suite

NEEDS_OPTIONS = ("router", "conditioner", "decoder")
"""Kinds that are created with a recipe's options."""


@dataclass(frozen=True)
class Checked:
    """What the suite found in one component, or in the plugin as a whole.

    results: of the checks; empty where none ran. error, hint: why none ran, and that is a failure.
    skipped: why none ran, and that is none.
    """

    what: str
    results: tuple[CheckResult, ...] = ()
    error: str | None = None
    hint: str | None = None
    skipped: str | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing is to be fixed."""
        return self.error is None and all(result.passed for result in self.results)


@dataclass(frozen=True)
class Report:
    """One plugin's."""

    plugin: str
    checked: tuple[Checked, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is to be fixed."""
        return all(checked.passed for checked in self.checked)

    def lines(self) -> Iterator[str]:
        """For readers: a line per component, and below it what failed or was waived."""
        yield f"{self.plugin}: {'passed' if self.passed else 'FAILED'}"
        for checked in self.checked:
            done = sum(result.passed for result in checked.results)
            told = checked.error or checked.skipped or f"{done} of {len(checked.results)} checks"
            yield f"  {checked.what}: {told}"
            if checked.hint:
                yield f"    {checked.hint}"
            for result in checked.results:
                if not result.passed:
                    yield f"    {result.name} FAILED: {result.message}"
                elif result.waived:
                    yield f"    {result.name} waived: {result.message}"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        checked = [{**asdict(one), "passed": one.passed} for one in self.checked]
        return {"plugin": self.plugin, "passed": self.passed, "checked": checked}


def check_plugin(host: Host, plugin: Plugin) -> Report:
    """Run every suite that fits; a component that cannot be created is a failure, not a crash."""
    if plugin.error is not None:
        return Report(plugin.name, (Checked("plugin", error=plugin.error, hint=plugin.hint),))

    from diffir.testing import PluginSuite, run_suite

    whole = Checked("plugin as a whole", tuple(run_suite(PluginSuite, plugin.name)))
    parts = [_check_component(host, component) for component in host.components_of(plugin.name)]
    return Report(plugin.name, (whole, *parts))


def _check_component(host: Host, component: Component) -> Checked:
    from diffir.testing import run_suite, suite_for

    what = f"{component.kind} {component.name}"
    suite = suite_for(component.kind)
    if suite is None:
        return Checked(what, skipped="a file, which no suite checks")
    try:
        options = _options(host, component)
        if options is None:
            return Checked(
                what,
                skipped="not checked: it is created with options, and no recipe that is there "
                "uses it; give your own test the fixture",
            )
        subject = _create(host, component, options)
        results = run_suite(_with_waivers(suite, subject), subject)
    except DiffirError as error:
        return Checked(what, error=error.message, hint=error.hint)
    except Exception as error:  # a plugin's mistake is a row, never a crash
        return Checked(what, error=repr(error), hint="It fails when it is created.")
    return Checked(what, tuple(results))


def _options(host: Host, component: Component) -> dict[str, Any] | None:
    """What a recipe creates the component with; `None` where it wants options and no recipe has."""
    from diffir.recipes.recipe import load_recipe

    if component.kind not in NEEDS_OPTIONS:
        return {}
    for recipe in host.components("recipe"):
        try:
            part = load_recipe(recipe.name, host).parts[component.kind]
        except (DiffirError, OSError, ImportError):
            continue  # another plugin's broken recipe
        if part.use == component.name:
            return part.options
    try:
        host.create(component.kind, component.name)
    except DiffirError as error:
        if isinstance(error.__cause__, TypeError):
            return None
        raise
    return {}


def _create(host: Host, component: Component, options: dict[str, Any]) -> Any:
    if component.kind == "codec":
        return host.codec(component.name)
    return host.create(component.kind, component.name, **options)


def _with_waivers(suite: type[Suite], subject: object) -> type[Suite]:
    waivers = getattr(subject, "expected_failures", None)
    if not waivers:
        return suite
    return type(f"{suite.__name__}WithWaivers", (suite,), {"expected_failures": dict(waivers)})
