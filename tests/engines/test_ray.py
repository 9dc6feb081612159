"""The recipes of docs/scaling-out.md on Ray Data: no row is lost, neither by faults nor by killed processes.

One job embeds all rows, and loses an actor and then all of its processes while it generates. It is started again. The
tests look at what the two runs have requested and written.
"""

import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if not find_spec("ray"):
    pytest.skip("Ray Data is not installed; install mdstream-llm[ray]", allow_module_level=True)

import pyarrow as pa
import pyarrow.parquet as pq
from _jobs import ROWS, Job, descendants, embedded_texts, inject_faults, prompts, recipe, running

from mdstream_core.batch import finished_ids, remaining_rows, summarize
from mdstream_core.emulator import Emulator, Fault

#: A cluster of one node with two CPUs, on loopback.
START_RAY = """
import ray
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
"""

#: Responses that fail once: an error response, and two streams that are interrupted.
FAULTS = (Fault("refuse", "internal"), Fault("trailer", after=1), Fault("cut", after=1))

TEXTS = [f"Text {index} names a river." for index in range(ROWS)]

#: Ids whose prompts are rejected in the first run.
REJECTED = range(10)

#: Rows of a block, and blocks that Ray assigns to an actor, in the recipe for generation.
BLOCK, BLOCKS_OF_ACTOR = 64, 4


@dataclass
class Runs:
    """What two runs have requested and written."""

    vectors: Any
    outputs: Any
    finished: set[int]
    pending: set[int]
    prompts: list[Counter[str]]
    texts: list[Counter[str]]
    faults: int
    folder: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Run the job, kill an actor and then the job, and run it again."""
    folder = tmp_path_factory.mktemp("ray")
    (folder / "texts").mkdir()
    pq.write_table(pa.table({"id": range(ROWS), "text": TEXTS}), folder / "texts/part-0.parquet")
    rejected = {TEXTS[id] for id in REJECTED}

    def model(request: dict[str, Any]) -> str:
        prompt = request["messages"][-1]["content"]
        if prompt in rejected:
            raise ValueError("the prompt is too long")
        return f"The Nile is in: {prompt}"

    with (
        Emulator(model=model) as emulator,
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as sockets,  # their paths must be short
    ):
        environment = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1", "RAY_TMPDIR": sockets}
        recipes = recipe("Ray Data", folder=folder, emulator=emulator, count=2)
        faults = inject_faults(emulator, *FAULTS)
        with running(START_RAY + recipes, folder, environment) as job:
            job.wait_until(lambda: len(prompts(emulator)) > ROWS // 8)
            os.kill(find_actor(job), signal.SIGKILL)
            job.wait_until(lambda: len(checkpointed(folder / "answers-checkpoint")) > ROWS // 3)
            job.kill()
        first = prompts(emulator), embedded_texts(emulator)
        finished = checkpointed(folder / "answers-checkpoint")
        pending = checkpointed(folder / "answers-checkpoint", pending=True)
        emulator.reset()
        rejected.clear()
        shutil.rmtree(sockets, ignore_errors=True)
        recipes = recipe("Ray Data", folder=folder, emulator=emulator)  # and the second pass
        with running(START_RAY + recipes, folder, environment) as job:
            job.finish()
        second = prompts(emulator), embedded_texts(emulator)
        tables = [pq.read_table(folder / name).sort_by("id") for name in ("vectors", "answers")]
        yield Runs(*tables, finished, pending, *map(list, zip(first, second, strict=True)), faults, folder)


def find_actor(job: Job) -> int:
    """Return the pid of an actor that generates."""
    return next(pid for pid, title in descendants(job.process.pid) if "MapWorker(MapBatches(GenerateColumn))" in title)


def checkpointed(folder: Path, *, pending: bool = False) -> set[int]:
    """Ids in the committed files of a checkpoint, or in those of blocks whose output was being written."""
    files = [file for file in folder.glob("*.parquet") if file.name.endswith(".pending.parquet") == pending]
    return {id for file in files for id in read_ids(file)}


def read_ids(file: Path) -> list[int]:
    """The ids in a file; none if the process was killed while it wrote the file."""
    try:
        ids: list[int] = pq.read_table(file)["id"].to_pylist()
    except pa.ArrowInvalid:
        return []
    return ids


def test_every_row_is_embedded_once(runs: Runs) -> None:
    """
    Though 3 % of the requests fail. The second run requests nothing, because all rows are in the checkpoint.
    """
    assert list(range(ROWS)) == runs.vectors["id"].to_pylist()
    assert TEXTS == runs.vectors["text"].to_pylist()
    assert 0 == summarize(runs.vectors).failed
    assert {256} == {len(vector) for vector in runs.vectors["vector"].to_pylist()}
    assert set(TEXTS) <= runs.texts[0].keys()
    assert set() == set(TEXTS) & runs.texts[1].keys()


def test_a_resumed_job_requests_only_the_missing_rows(runs: Runs) -> None:
    """
    Each row that is not in the checkpoint once; in the second pass, each row that has failed. Ray takes over a pending block if its
    output is complete, and repeats it otherwise.
    """
    missing = {TEXTS[id] for id in range(ROWS) if id not in runs.finished}
    failed = {TEXTS[id] for id in REJECTED if id in runs.finished}
    pending = {TEXTS[id] for id in runs.pending}

    assert ROWS // 3 < len(runs.finished) < ROWS
    assert (missing | failed) - pending == runs.prompts[1].keys() - pending
    assert {1} == set(runs.prompts[1].values())


def test_no_row_is_missing_after_the_resume(runs: Runs) -> None:
    """
    Every id has an output; those that failed first have their error too.
    """
    finished = finished_ids(runs.folder / "answers", "id")
    results = {row["id"]: row for row in runs.outputs.to_pylist() if row["error"] is None}
    failed = runs.outputs.filter(pa.compute.is_valid(runs.outputs["error"]))

    assert list(range(ROWS)) == sorted(finished.to_pylist()) == sorted(results)
    assert TEXTS == [results[id]["answer"].removeprefix("The Nile is in: ") for id in range(ROWS)]
    assert {id for id in REJECTED if id in runs.finished} - runs.pending == set(failed["id"].to_pylist()) - runs.pending
    assert 0 == len(remaining_rows(failed, finished, "id"))


def test_a_killed_actor_repeats_only_its_blocks_in_progress(runs: Runs) -> None:
    """
    The others are not requested again, except for the responses that have failed.
    """
    repeated = [prompt for prompt, count in runs.prompts[0].items() if count > 1]

    assert len(repeated) <= BLOCK * BLOCKS_OF_ACTOR + runs.faults
