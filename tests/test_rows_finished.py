"""Resume of a job: the ids that its Parquet files have without an error, and the rows that remain."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdstream_core.batch import finished_ids, remaining_rows

np: Any = pytest.importorskip("numpy", reason="numpy is not installed: pip install numpy")
pd: Any = pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")
pa: Any = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
pq: Any = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install pyarrow")

TABLES: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "dict of lists": dict,
    "dict of arrays": lambda columns: {name: np.array(values) for name, values in columns.items()},
    "pandas": lambda columns: pd.DataFrame(columns, index=[f"row {index}" for index in range(len(columns["id"]))]),
    "Arrow table": pa.table,
    "Arrow batch": pa.RecordBatch.from_pydict,
}
each_table = pytest.mark.parametrize("build", TABLES.values(), ids=TABLES)


def write(folder: Path, name: str, ids: list[Any], errors: list[str | None], **columns: list[Any]) -> Path:
    """Write a Parquet file; a list of nulls has Arrow's type null, as engines write it too."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": ids, "error": errors, **columns}), path)
    return path


def columns_of(table: Any) -> dict[str, list[Any]]:
    """The columns of a table of any kind as lists."""
    if isinstance(table, dict):
        return {name: list(values) for name, values in table.items()}
    return table.to_dict("list") if isinstance(table, pd.DataFrame) else table.to_pydict()


def test_rows_without_an_error_are_finished(tmp_path: Path) -> None:
    """
    In any of the files, also where a file has errors only or none, and where an id failed first.
    """
    write(tmp_path, "part-0.parquet", [1, 2, 3], [None, None, None])
    write(tmp_path, "run-2/part-0.parquet", [4, 5], ["ServerError: down", None])
    write(tmp_path, "run-3/part-0.parquet", [4, 3], [None, None])
    write(tmp_path, "run-3/part-1.parquet", [6, None], ["ServerError: down", "ServerError: down"])

    assert [1, 2, 3, 4, 5] == sorted(finished_ids(tmp_path, "id").to_pylist())


def test_a_prefix_selects_the_errors(tmp_path: Path) -> None:
    """
    Of one of several columns of results.
    """
    write(tmp_path, "part-0.parquet", [1, 2], [None, None], answer_error=["ServerError: down", None])

    assert [2] == finished_ids(tmp_path, "id", prefix="answer_").to_pylist()


def test_nothing_is_finished_before_the_first_run(tmp_path: Path) -> None:
    """
    The same program starts and resumes a job: a folder that does not exist, or is empty.
    """
    assert [] == finished_ids(tmp_path / "out", "id").to_pylist()
    assert [] == finished_ids(tmp_path, "id").to_pylist()
    batch = {"id": [1], "text": ["a"]}
    assert batch == remaining_rows(batch, finished_ids(tmp_path, "id"), "id")


def test_uris_and_file_systems_are_read(tmp_path: Path) -> None:
    """
    A URI names its file system; a single file is read too.
    """
    path = write(tmp_path, "part-0.parquet", ["a", "b"], [None, None])

    assert ["a", "b"] == finished_ids(f"file://{tmp_path}", "id").to_pylist()
    assert ["a", "b"] == finished_ids(path, "id").to_pylist()
    assert ["a", "b"] == finished_ids(str(tmp_path), "id", filesystem=pa.fs.LocalFileSystem()).to_pylist()


def test_metadata_and_temporary_files_are_not_read(tmp_path: Path) -> None:
    """
    Spark writes into `_temporary` until a task is committed.
    """
    write(tmp_path, "part-0.parquet", [1], [None])
    write(tmp_path, "_temporary/0/part-1.parquet", [2], [None])
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".part-0.parquet.crc").touch()

    assert [1] == finished_ids(tmp_path, "id").to_pylist()


@pytest.mark.parametrize("size", [0, 3, 100])
def test_a_file_of_a_killed_process_has_no_finished_rows(tmp_path: Path, size: int) -> None:
    """
    It is reported, or removed on request: other readers raise an error for it.
    """
    write(tmp_path, "part-0.parquet", [1], [None])
    killed = write(tmp_path, "part-1.parquet", list(range(100)), [None] * 100)
    killed.write_bytes(killed.read_bytes()[:size])

    with pytest.warns(RuntimeWarning, match=r"part-1\.parquet is not a complete Parquet file.*remove_incomplete=True"):
        assert [1] == finished_ids(tmp_path, "id").to_pylist()
    with warnings.catch_warnings(action="error"):
        assert [1] == finished_ids(tmp_path, "id", remove_incomplete=True).to_pylist()
    assert not killed.exists()


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """
    With the file, and the columns that exist.
    """
    write(tmp_path, "part-0.parquet", [1], [None])
    with pytest.raises(ValueError, match=r"part-0\.parquet has no column 'ids'; did you mean 'id'\?.*id, error"):
        finished_ids(tmp_path, "ids")
    with pytest.raises(ValueError, match="has no column 'x_error'"):
        finished_ids(tmp_path, "id", prefix="x_")
    with pytest.raises(ValueError, match=r"the batch has no column 'id'.*its columns are number"):
        remaining_rows({"number": [1]}, finished_ids(tmp_path, "id"), "id")


@each_table
def test_the_remaining_rows_are_of_the_same_kind(tmp_path: Path, build: Callable[..., Any]) -> None:
    """
    In their order, with all columns.
    """
    write(tmp_path, "part-0.parquet", [3, 1], [None, None])
    batch = build({"id": [1, 4, 2, 3], "text": ["a", "d", "b", "c"]})
    rows = remaining_rows(batch, finished_ids(tmp_path, "id"), "id")

    assert type(batch) is type(rows)
    assert {"id": [4, 2], "text": ["d", "b"]} == columns_of(rows)


@each_table
def test_all_rows_may_be_finished(tmp_path: Path, build: Callable[..., Any]) -> None:
    """
    Then a batch without rows is left.
    """
    write(tmp_path, "part-0.parquet", ["a"], [None])

    assert {"id": []} == columns_of(remaining_rows(build({"id": ["a", "a"]}), finished_ids(tmp_path, "id"), "id"))


def test_integers_of_different_widths_are_the_same_ids(tmp_path: Path) -> None:
    """
    Engines choose them differently.
    """
    pq.write_table(pa.table({"id": pa.array([1, 2], pa.int32()), "error": pa.nulls(2)}), tmp_path / "part-0.parquet")
    pq.write_table(pa.table({"id": pa.array([3], pa.int64()), "error": pa.nulls(1)}), tmp_path / "part-1.parquet")

    assert {"id": [4]} == remaining_rows({"id": [3, 4, 1]}, finished_ids(tmp_path, "id"), "id")


def test_numbers_and_texts_are_different_ids(tmp_path: Path) -> None:
    """
    Else every row would be processed again.
    """
    write(tmp_path, "part-0.parquet", [1], [None])
    with pytest.raises(ValueError, match=r"type string in the batch and int64 in the output"):
        remaining_rows({"id": ["1"]}, finished_ids(tmp_path, "id"), "id")
