"""Run a conformance suite inside of a test, and find which of its rules fail."""

import re
from typing import Any

import httpcore  # noqa: F401  # httpx imports it on first use, and pytester forgets what is imported in its runs
import pytest


def failed_rules(pytester: pytest.Pytester, suite: type[Any], rules: str) -> set[str]:
    """Run the selected rules of a suite, and return those that fail, with their parameters."""
    reports = Reports()
    run_suite(pytester, suite, rules, plugins=[reports])

    assert reports.ran
    return reports.failed


class Reports:
    """A plugin that records which tests fail."""

    def __init__(self) -> None:
        self.ran, self.failed = 0, set[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the name of a failed test; with its error if that is no failed assertion."""
        self.ran += 1
        if report.failed:
            error = re.match(r"\w+", report.longrepr.reprcrash.message)[0]  # type: ignore[union-attr,index]
            rule = report.nodeid.partition("TestIt::")[2]
            self.failed.add(rule if error in {"assert", "AssertionError", "Failed"} else f"{rule}: {error}")


SUITES: dict[str, type[Any]] = {}


def run_suite(
    pytester: pytest.Pytester, suite: type[Any], rules: str, *arguments: str, plugins: Any = ()
) -> pytest.RunResult:
    """Run the selected rules of a suite, a class, in this process."""
    SUITES["TestIt"] = suite
    pytester.makepyfile(test_it=f"from {__name__} import SUITES\n\nTestIt = SUITES['TestIt']")
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", rules, *arguments, plugins=list(plugins))
