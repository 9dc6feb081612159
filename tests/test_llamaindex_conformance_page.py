"""The examples and tables of docs/llamaindex/conformance.md."""

import re
from pathlib import Path

import pytest

from mdstream_core.testing import EmbeddingConformance, LLMConformance, RerankConformance

pytest_plugins = ["pytester"]

SUITES = (LLMConformance, EmbeddingConformance, RerankConformance)
PAGE = (Path(__file__).parent.parent / "docs/llamaindex/conformance.md").read_text(encoding="utf-8")


def test_the_example_suite_runs(pytester: pytest.Pytester) -> None:
    """
    The first block is a test file that passes.
    """
    pytester.makepyfile(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0])
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "metadata or deltas or sent or trailer")

    outcomes = result.parseoutcomes()
    assert 20 < outcomes["passed"]
    assert not {"failed", "errors"} & outcomes.keys()


def test_the_page_has_every_rule() -> None:
    """
    The tables name every rule.
    """
    rules = {name for suite in SUITES for name in dir(suite) if name.startswith("test_")}
    rows = {row.strip() for row in re.findall(r"^\| ([^|]+)\|", PAGE, re.MULTILINE)}

    assert (
        set()
        == {rule.removeprefix("test_").replace("_", " ").replace("llamaindex", "LlamaIndex") for rule in rules} - rows
    )


def test_the_page_has_every_attribute() -> None:
    """
    The page names every attribute of the suites.
    """
    names = {name for suite in SUITES for one in suite.__mro__ for name in vars(one).get("__annotations__", ())}

    assert set() == {name for name in names if f"`{name}`" not in PAGE}
