"""What the benchmarks conclude from their figures: verdicts, growth, and why a figure is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import comparison, instructions_page, measure, pages, scaling, scaling_page, targets
from benchmarks.measure import Track
from benchmarks.table import Row, Table, Target

ROOT = Path(__file__).parents[1]


def table(variant: str, figures: dict[str, float], *row_targets: Target) -> Table:
    rows = [Row(name, (1.0, figure), row_targets) for name, figure in figures.items()]
    return Table(f"Core {variant}, a call: CPU", ("ms", "x floor"), rows, f"core {variant}")


def recorded(*tables: Table) -> dict[str, dict[str, object]]:
    return {table.key: comparison._rounded(table) for table in tables}


def test_a_figure_may_be_as_large_as_its_target() -> None:
    """
    A target is a maximum; a figure that was not measured has no verdict.
    """
    row = Row("a", (1.5, None, float("nan"), 1.6), tuple(Target(column, 1.5) for column in range(4)))

    assert row.verdicts == ["met", "not met"]


def test_both_variants_of_a_target_are_one_row_of_the_page() -> None:
    """
    The verdicts differ, so both are there.
    """
    rendered = targets.render(
        recorded(table("sync", {"ours": 1.2}, Target(1, 1.5)), table("async", {"ours": 1.62}, Target(1, 1.5)))
    )

    assert "| target | of | figure | maximum | 1 of 2 met |" in rendered
    assert "| Core, a call: CPU | ours | 1.2 / 1.62 × floor | 1.5 | met / **not met** |" in rendered


def test_every_target_of_a_row_has_its_own_line() -> None:
    """
    The same figure, or another one, may have several.
    """
    rendered = targets.render(recorded(table("sync", {"ours": 0.4}, Target(0, 0.6), Target(1, 0.5))))

    assert "| Core, a call: CPU | ours | 1 ms | 0.6 | **not met** |" in rendered
    assert "| Core, a call: CPU | ours | 0.4 × floor | 0.5 | met |" in rendered


def test_the_worst_of_many_rows_is_shown() -> None:
    """
    It decides whether the target is met.
    """
    figures = {"a": 0.1, "b": 0.2, "c": 1.6, "d": 0.4}

    assert "| the worst of 4 | 1.6 × floor | 1.5 | **not met** |" in targets.render(
        recorded(table("sync", figures, Target(1, 1.5)))
    )


def test_there_is_no_table_without_targets() -> None:
    """
    As in figures of a run without them.
    """
    assert targets.render(recorded(table("sync", {"ours": 1.0}))) == ""


def test_slow_contenders_run_in_some_of_the_rounds() -> None:
    """
    Ten times as long as the quickest, and long enough to matter: every fourth round.
    """
    runs: list[str] = []
    durations = {"quick": 1, "usual": 5, "slow": 50}
    times = [0.0]

    def track(name: str) -> Track:
        def run() -> None:
            runs.append(name)
            times[0] += durations[name]

        return Track(run, 1)

    costs = measure.cpu([track(name) for name in durations], 8, lambda: times[0])

    assert costs == [1e6, 5e6, 50e6]
    assert {name: runs.count(name) for name in durations} == {"quick": 8, "usual": 8, "slow": 2}


CURVE = scaling_page.CURVES[0]


def test_a_peer_that_would_take_too_long_has_the_reason() -> None:
    """
    It is measured up to the size before.
    """
    line = dict(scaling._line(CURVE, lambda *_: {"cpu": 1000.0, "memory": 1.0}, 30.0, quick=False))

    assert list(line) == ["20", "200", "2000", "20000"]
    assert line["20000"] == {"reason": "would take 40 s"}
    assert scaling_page.cell(line["20000"]) == "would take 40 s"
    assert scaling_page.cell(line["2000"]) == "1 ms, 1 KiB"


def test_ours_is_measured_however_long_it_takes() -> None:
    """
    Without a limit there is no reason.
    """
    line = dict(scaling._line(CURVE, lambda *_: {"cpu": 1e6, "memory": 1.0}, float("inf"), quick=False))

    assert all("reason" not in point for point in line.values())


@pytest.mark.parametrize(
    ("stderr", "name"),
    [
        ("Traceback (most recent call last):\n  File\nhttpx.ConnectError: All attempts failed\n", "ConnectError"),
        (
            "Traceback (most recent call last):\n  File\nKeyboardInterrupt\nsome output of a thread\n",
            "KeyboardInterrupt",
        ),
        ("", "an error"),
    ],
)
def test_the_reason_of_a_failure_is_the_exception(stderr: str, name: str) -> None:
    """
    The class of the last traceback.
    """
    assert scaling._exception_name(stderr) == name


def test_points_with_a_reason_are_not_drawn() -> None:
    """
    The line ends before.
    """
    first = scaling_page.FRAMEWORKS["langchain"][0].name
    line = {"20": {"cpu": 30.0, "memory": 1.0}, "200": {"cpu": 30.0, "memory": 1.0}}
    curves = {"chunks": {first: line}}

    assert scaling_page.picture("langchain", curves) == scaling_page.picture(
        "langchain", {"chunks": {first: line | {"2000": {"reason": "fails"}}}}
    )


def test_growth_is_compared_with_the_floor_at_the_last_step() -> None:
    """
    Not between the sizes that have a fixed maximum.
    """
    ours, floor = (entry.name for entry in scaling_page.FRAMEWORKS["langchain"][:2])
    streams = {
        ours: {"1": {"cpu": 100.0}, "1000": {"cpu": 120.0}, "4000": {"cpu": 180.0}},
        floor: {"1": {"cpu": 50.0}, "1000": {"cpu": 60.0}, "4000": {"cpu": 90.0}},
    }
    rendered = scaling_page._growth_table({"langchain": {"streams": streams}, "llamaindex": {}})

    assert "streams at once, async | 1 | 1,000 | 1.20 × | 1.20 × | 1.10 × | **not met** |" in rendered
    assert "streams at once, async | 1,000 | 4,000 | 1.50 × | 1.50 × | 1.65 × | met |" in rendered


COUNTS: instructions_page.Counts = {
    "floor": {"chunk": 10_000, "async chunk": 12_000, "call": 200_000, "async call": 210_000},
    "ours": {"chunk": 5_000, "async chunk": 6_000, "call": 300_000, "async call": 310_000},
    "langchain-litellm ChatLiteLLM": "not counted, it takes longer than 900 s",
}


def test_instruction_counts_are_compared_with_the_first_row() -> None:
    """
    Thousands, sync and async, and the ratio; a contender that was not counted has the reason.
    """
    rendered = instructions_page._group("core", COUNTS)

    assert "| ours | 5.0 / 6.0 (0.50 ×) | 300 / 310 (1.50 ×) |" in rendered
    assert "| langchain-litellm `ChatLiteLLM` | not counted, it takes longer than 900 s |  |" in rendered


def test_counting_ours_alone_keeps_the_rest(tmp_path: Path) -> None:
    """
    `--ours` replaces our rows of the file; the order stays that of the contenders.
    """
    path = tmp_path / "instructions.json"
    machine = pages.Machine("2026-11-29", "CPython 3.11", "p", 2, {})
    instructions_page.record("core", COUNTS, machine, path)
    merged = instructions_page.merge("core", {"ours": {"chunk": 1.0}}, list(COUNTS), path)

    assert list(merged) == list(COUNTS)
    assert merged["ours"] == {"chunk": 1.0}
    assert merged["floor"] == COUNTS["floor"]


def test_the_tables_of_instructions() -> None:
    """
    `python -m benchmarks.instructions --table-only` writes them.
    """
    text = instructions_page.PAGE.read_text(encoding="utf-8")
    figures = instructions_page.load()

    assert instructions_page.BEGIN in text
    if "machine" in figures:
        assert pages.replace(text, instructions_page.render(figures), instructions_page.BEGIN) == text


def test_a_marker_that_is_missing_is_an_error() -> None:
    """
    Otherwise the page would be replaced by the figures.
    """
    with pytest.raises(ValueError, match="no marker"):
        pages.replace("a page", "figures")


def test_the_cold_job_imports_nothing_of_ours() -> None:
    """
    What a process imports up to its first token would otherwise be cheaper for mdstream than for others.
    """
    script = "import benchmarks.cold_job, sys; print([m for m in sys.modules if 'mdstream' in m or m in ('httpx', 'asyncio')])"

    assert subprocess.check_output([sys.executable, "-c", script], cwd=ROOT, text=True).strip() == "[]"


def test_a_group_without_counts_has_no_table() -> None:
    """
    Its contenders were not selected, or none could be counted.
    """
    assert list(instructions_page.tables("core", {})) == []
    assert list(instructions_page.tables("imports", {"a": "not counted, it failed"})) == []


def test_imports_are_compared_with_the_bases_of_their_framework() -> None:
    """
    Each row has those that it was counted after.
    """
    counts: instructions_page.Counts = {"ours": {"bases of langchain": 1e9, "import": 1e8}, "peer": "not counted"}
    (table,) = instructions_page.tables("imports", counts)

    assert table.rows == [Row("ours", (100.0, 0.1))]
    assert "| ours | 100 | 0.10 |\n| peer | not counted | |" in instructions_page._imports(counts)
