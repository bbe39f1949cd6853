"""Conformance suites: what a plugin's author runs to know that a component keeps its contract.

    from diffir.testing import CodecSuite

    class TestJpegXl(CodecSuite):
        @pytest.fixture
        def codec(self):
            return JpegXl()

Each check is a method `test_<what>(self, <subject>)`; the subject is a fixture called `codec`,
`degradation`, `router`, `conditioner`, `decoder`, or `plugin` (a name). The suites themselves do
not need pytest: `run_suite(CodecSuite, JpegXl())` returns the results as values. A check that a
component cannot pass is waived by name, with a reason, in `expected_failures`.

What suites need is imported when they are used: torch for a router, not for a codec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffir.testing.suite import CheckResult, Suite, run_suite

if TYPE_CHECKING:
    from diffir.host.component import Kind
    from diffir.testing.codec_suite import CodecSuite
    from diffir.testing.conditioner_suite import ConditionerSuite
    from diffir.testing.decoder_suite import DecoderSuite
    from diffir.testing.degradation_suite import DegradationSuite
    from diffir.testing.plugin_suite import PluginSuite
    from diffir.testing.router_suite import RouterSuite

__all__ = [
    "CheckResult",
    "CodecSuite",
    "ConditionerSuite",
    "DecoderSuite",
    "DegradationSuite",
    "PluginSuite",
    "RouterSuite",
    "Suite",
    "run_suite",
    "suite_for",
]

_LAZY = {
    "CodecSuite": "diffir.testing.codec_suite",
    "ConditionerSuite": "diffir.testing.conditioner_suite",
    "DecoderSuite": "diffir.testing.decoder_suite",
    "DegradationSuite": "diffir.testing.degradation_suite",
    "PluginSuite": "diffir.testing.plugin_suite",
    "RouterSuite": "diffir.testing.router_suite",
}


def suite_for(kind: Kind) -> type[Suite] | None:
    """The suite of a component kind; `None` for recipes and prompt packs, which are files."""
    name = f"{kind.capitalize()}Suite"
    found: type[Suite] | None = __getattr__(name) if name in _LAZY else None
    return found


def __getattr__(name: str) -> Any:
    """Import a suite on first use (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module 'diffir.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
