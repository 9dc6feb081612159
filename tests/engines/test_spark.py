"""The recipe of docs/scaling-out.md on Spark: no row is lost, neither by faults nor by killed processes."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

if not find_spec("pyspark") or not find_spec("pyarrow"):
    pytest.skip("Spark is not installed; install mdstream-llm[spark]", allow_module_level=True)
if not shutil.which("java"):
    pytest.skip("Spark needs Java 17 or newer", allow_module_level=True)

from _jobs import ROWS, descendants, inject_faults, recipe, running
from _tables import (
    INTERRUPTED,
    REJECTED,
    generating,
    read_output,
    reading_column,
    requested_rows,
    small_requests,
    with_secret,
    write_texts,
    written_ids,
)

from mdstream_core.batch import summarize
from mdstream_core.emulator import Emulator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator for the test."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def texts(tmp_path: Path) -> list[str]:
    """The texts of the input; their index is their id."""
    return write_texts(tmp_path)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Environment of a job: Spark in one process on loopback, which runs two tasks at once, each up to four times."""
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": str(tmp_path / "warehouse"),
        "spark.local.dir": str(tmp_path / "spark"),
    }
    arguments = " ".join(f"--conf {name}={value}" for name, value in settings.items())
    return {
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": f"--master local[2,4] {arguments} pyspark-shell",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


def test_every_row_is_embedded(
    emulator: Emulator, texts: list[str], tmp_path: Path, environment: dict[str, str]
) -> None:
    """
    3 % of the requests fail; retries embed their texts. The tasks of a worker share its connections.
    """
    assert inject_faults(emulator, REJECTED)
    code = small_requests(recipe("Spark", folder=tmp_path, emulator=emulator))
    with running(code, tmp_path, environment) as job:
        job.finish()
    table = read_output(tmp_path)

    assert list(range(ROWS)) == table["id"].to_pylist()
    assert 0 == summarize(table).failed
    assert {256} == {len(vector) for vector in table["vector"].to_pylist()}
    assert texts == table["text"].to_pylist()
    assert set(texts) == requested_rows(emulator, texts).keys()


def test_a_killed_worker_loses_no_row(
    emulator: Emulator, texts: list[str], tmp_path: Path, environment: dict[str, str]
) -> None:
    """
    3 % of the responses fail or are interrupted, and a Python worker is killed: Spark runs its task again.
    """
    inject_faults(emulator, REJECTED, *INTERRUPTED)
    code = generating(recipe("Spark", folder=tmp_path, emulator=emulator))
    with running(code, tmp_path, environment) as job:
        job.wait_until(lambda: len(emulator.requests) > ROWS // 4)
        workers = [pid for pid, title in descendants(job.process.pid) if "pyspark.daemon" in title]
        os.kill(max(workers), signal.SIGKILL)
        job.finish()
    table = read_output(tmp_path)

    assert len(workers) >= 2
    assert list(range(ROWS)) == table["id"].to_pylist()
    assert 0 == summarize(table).failed
    assert all(table["answer"].to_pylist())


def test_a_killed_job_requests_only_the_missing_rows(
    emulator: Emulator, texts: list[str], tmp_path: Path, environment: dict[str, str]
) -> None:
    """
    It is killed and started again. Each row that is in no finished file is requested once, no other one is.
    """
    code = generating(recipe("Spark", folder=tmp_path, emulator=emulator))
    with running(code, tmp_path, environment) as job:
        job.wait_until(lambda: len(written_ids(tmp_path)) >= ROWS // 4)
        job.kill()
    finished = written_ids(tmp_path)
    emulator.reset()
    with running(code, tmp_path, environment) as job:
        job.finish()
    table = read_output(tmp_path)

    assert ROWS // 4 <= len(finished) < ROWS
    assert {texts[id]: 1 for id in range(ROWS) if id not in finished} == requested_rows(emulator, texts)
    assert list(range(ROWS)) == table["id"].to_pylist()
    assert 0 == summarize(table).failed


def test_rows_that_are_no_text_keep_their_error(
    emulator: Emulator, texts: list[str], tmp_path: Path, environment: dict[str, str]
) -> None:
    """
    All of them are in the output, and no request is sent.
    """
    code = reading_column(recipe("Spark", folder=tmp_path, emulator=emulator), "id")
    with running(code, tmp_path, environment) as job:
        job.finish()
    table = read_output(tmp_path)

    assert list(range(ROWS)) == table["id"].to_pylist()
    assert {"RowError InvalidValue": ROWS} == summarize(table).failures
    assert {} == requested_rows(emulator, texts)


def test_a_missing_column_fails_the_job(
    emulator: Emulator, texts: list[str], tmp_path: Path, environment: dict[str, str]
) -> None:
    """
    With the name that was probably meant.
    """
    code = reading_column(recipe("Spark", folder=tmp_path, emulator=emulator), "texts")
    with running(code, tmp_path, environment) as job:
        assert 0 != job.process.wait(300)

    assert "ValueError: the batch has no column 'texts'; did you mean 'text'?" in job.output


def test_missing_credentials_of_a_worker_fail_the_job(
    emulator: Emulator, texts: list[str], tmp_path: Path, environment: dict[str, str]
) -> None:
    """
    A pickled model has no key; the error states what was searched, and the key is in no output.
    """
    code = with_secret(recipe("Spark", folder=tmp_path, emulator=emulator), "a-secret-key")
    with running(code, tmp_path, environment) as job:
        assert 0 != job.process.wait(300)

    assert "ValueError: no OCI credential found" in job.output
    assert "a pickled model holds no secrets: set them in the environment of this process" in job.output
    assert "a-secret-key" not in job.output
    assert {} == requested_rows(emulator, texts)
