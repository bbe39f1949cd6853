"""Waivers, running without pytest, and the shape that all suites have."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import diffir.testing
from diffir.host.component import KINDS
from diffir.testing import CheckResult, Suite, run_suite, suite_for
from diffir.testing.suite import check_names, require

PUBLIC_SUITES = {
    "codec": "CodecSuite",
    "degradation": "DegradationSuite",
    "router": "RouterSuite",
    "conditioner": "ConditionerSuite",
    "decoder": "DecoderSuite",
    "plugin": "PluginSuite",
}


class Numbers(Suite):
    def test_is_even(self, number):
        require(number % 2 == 0, expected="an even number", got=number, fix="Double it.")

    def test_is_small(self, number):
        require(10 / number > 1, expected="a small number", got=number, fix="Halve it.")


class OddOnes(Numbers):
    expected_failures = {"test_is_even": "odd on purpose"}  # noqa: RUF012


class TestWaiver:
    def test_passes_while_the_check_fails(self):
        OddOnes().test_is_even(3)

    def test_fails_once_the_check_passes(self):
        with pytest.raises(
            AssertionError, match=r"odd on purpose\. It passes now: remove the waiver"
        ):
            OddOnes().test_is_even(4)

    def test_any_exception_is_a_failure(self):
        class Zero(Numbers):
            expected_failures = {"test_is_small": "divides by it"}  # noqa: RUF012

        Zero().test_is_small(0)

    def test_other_checks_are_as_they_were(self):
        assert OddOnes.test_is_small is Numbers.test_is_small

    def test_a_subclass_keeps_it(self):
        class More(OddOnes):
            pass

        More().test_is_even(3)

    def test_a_subclass_may_take_it_back(self):
        class Strict(OddOnes):
            expected_failures = {}  # noqa: RUF012

        with pytest.raises(AssertionError, match="expected an even number, got 3"):
            Strict().test_is_even(3)

    def test_keeps_the_name_of_the_fixture(self):
        assert list(inspect.signature(OddOnes.test_is_even).parameters) == ["self", "number"]

    def test_of_no_check(self):
        with pytest.raises(ValueError, match="'test_is_evne', which is no check of it; its checks"):
            type("Wrong", (Numbers,), {"expected_failures": {"test_is_evne": "odd"}})

    def test_without_a_reason(self):
        with pytest.raises(ValueError, match="must say why the check fails, got an empty reason"):
            type("Wrong", (Numbers,), {"expected_failures": {"test_is_even": " "}})


class TestRunSuite:
    def test_results_are_values(self):
        assert run_suite(Numbers, 3) == [
            CheckResult(
                "test_is_even", False, "expected an even number, got 3. Double it.", waived=False
            ),
            CheckResult("test_is_small", True, "", waived=False),
        ]

    def test_waived_checks_show_their_reason(self):
        assert run_suite(OddOnes, 3)[0] == CheckResult("test_is_even", True, "odd on purpose", True)
        stale = run_suite(OddOnes, 4)[0]
        assert not stale.passed
        assert stale.waived
        assert "remove the waiver" in stale.message

    def test_what_is_raised_is_a_result(self):
        message = "expected no exception, got ZeroDivisionError: division by zero"
        assert run_suite(Numbers, 0)[1].message == message

    def test_inherited_checks_come_first(self):
        class More(Numbers):
            def test_is_positive(self, number):
                assert number > 0

        assert check_names(More) == ("test_is_even", "test_is_small", "test_is_positive")


@pytest.mark.parametrize(("subject", "name"), PUBLIC_SUITES.items())
class TestPublicSuite:
    def test_every_check_takes_the_subject_alone(self, subject, name):
        suite = getattr(diffir.testing, name)
        for check in check_names(suite):
            assert list(inspect.signature(getattr(suite, check)).parameters) == ["self", subject]
            assert inspect.getdoc(getattr(suite, check))

    def test_is_exported(self, subject, name):
        assert name in diffir.testing.__all__


def test_each_kind_has_its_suite():
    names = {kind: suite and suite.__name__ for kind in KINDS for suite in [suite_for(kind)]}
    files = {"recipe": None, "prompt_pack": None}
    assert names == {k: v for k, v in PUBLIC_SUITES.items() if k != "plugin"} | files


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="no attribute 'CodexSuite'"):
        diffir.testing.CodexSuite  # noqa: B018


def test_neither_pytest_nor_torch_is_needed_for_a_codec():
    program = (
        "import sys\nfrom diffir.testing import CodecSuite, run_suite\n"
        "from diffir.codecs.jpeg import Jpeg\n"
        "results = run_suite(CodecSuite, Jpeg())\n"
        "assert len(results) > 15 and all(r.passed for r in results), results\n"
        "sys.exit('torch' in sys.modules or 'pytest' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
