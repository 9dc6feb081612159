"""Conformance tables of LlamaIndex packages: `python -m benchmarks.conformance` runs the suites and prints the tables.

Packages that are not installed are left out. Each suite runs in a process of its own, three at a time; `pytest-timeout`
ends tests that hang.
"""

import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks import conformance_suites as suites
from mdstream_core.testing import EmbeddingConformance, LLMConformance, RerankConformance

ROOT = Path(__file__).parent.parent
PYTEST = "-c /dev/null -p no:cacheprovider -q --tb=native --timeout=60".split()

_TITLES = {LLMConformance: "LLMs", EmbeddingConformance: "embeddings", RerankConformance: "rerankers"}

Cells = Mapping[str, str]
"""Result of each rule."""


def main() -> None:
    """Run the suites and print the tables."""
    for kind, title in _TITLES.items():
        names = [name for name, one in vars(suites).items() if name.startswith("Test") and issubclass(one, kind)]
        with ThreadPoolExecutor(3) as pool:
            outcomes = dict(zip(names, pool.map(_run, names), strict=True))
        present = {name: cells for name, cells in outcomes.items() if set(cells.values()) - {"–"}}
        print(f"### Results for {title}\n\n{_table(kind, present)}\n")
        print(_legend(present))


def _run(name: str) -> Cells:
    """Run one suite in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        file = f"{ROOT / 'benchmarks/conformance_suites.py'}::{name}"
        command = [sys.executable, "-m", "pytest", *PYTEST, f"--rootdir={ROOT}", f"--junitxml={report}", file]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        if ended.returncode > 1:
            raise RuntimeError(f"{name} did not complete: {ended.stdout[-2000:]}{ended.stderr[-2000:]}")
        outcomes = defaultdict[str, list[str]](list)
        for case in ET.parse(report).iter("testcase"):
            outcomes[case.get("name", "").partition("[")[0]].append(_outcome(case))
    return {rule: _cell(results) for rule, results in outcomes.items() if rule}


def _outcome(case: ET.Element) -> str:
    return next((kind for kind in ("skipped", "failure", "error") if case.find(kind) is not None), "passed")


def _cell(outcomes: Iterable[str]) -> str:
    results = [outcome for outcome in outcomes if outcome != "skipped"]
    passed = results.count("passed")
    if not results:
        return "–"
    return "✓" if passed == len(results) else "✗" if not passed else f"{passed}/{len(results)}"


def _table(kind: type, ran: Mapping[str, Cells]) -> str:
    rules = [name for base in kind.__mro__ for name in vars(base) if name.startswith("test_")]
    heads = [_title(name) for name in ran]
    rows = [["rule", *heads], ["---", *(":-:" for _ in heads)]]
    rows += [[_rule_name(rule), *(cells.get(rule, "–") for cells in ran.values())] for rule in rules]
    counts = [Counter(cells.values()) for cells in ran.values()]
    passed = [f"**{count['✓']}** of {count.total() - count['–']}" for count in counts]
    rows += [["**passed, of the supported rules**", *passed], ["not supported", *(str(count["–"]) for count in counts)]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _rule_name(rule: str) -> str:
    return rule.removeprefix("test_").replace("_", " ").replace("llamaindex", "LlamaIndex")


def _title(name: str) -> str:
    if "Peer" not in name:
        return f"mdstream {name.removeprefix('Test')}"
    return (getattr(suites, name).__doc__ or "").rstrip(".").removeprefix("llama-index-")


def _legend(ran: Iterable[str]) -> str:
    lines = [f"- {_title(name)}{_version(name)}: {suites.NOTES[name]}" for name in ran if name in suites.NOTES]
    without_notes = [f"- {_title(name)}{_version(name)}" for name in ran if "Peer" in name and name not in suites.NOTES]
    return "\n".join([*lines, *without_notes, ""])


def _version(name: str) -> str:
    package = re.match(r"[\w-]+", getattr(suites, name).__doc__)
    try:
        return f" {version(package[0])}" if package else ""
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    main()
