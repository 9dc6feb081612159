"""Sections about the start of a program: imports, the creation of a model object, a process up to its first token."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import contenders as all_contenders
from benchmarks.bench import Bench
from benchmarks.contenders import Entry
from benchmarks.measure import Track, check, cpu
from benchmarks.source import ROOT, Source
from benchmarks.table import Row, Table, Target

#: What an app has imported before: the framework's bases of models, and httpx.
LANGCHAIN_BASES = (
    "httpx langchain_core.language_models.chat_models langchain_core.language_models.llms "
    "langchain_core.embeddings.embeddings langchain_core.documents.compressor"
)
LLAMAINDEX_BASES = "httpx llama_index.core.llms.function_calling llama_index.core.base.embeddings.base"

#: The statement that imports each contender.
STATEMENTS: dict[Entry, str] = {
    all_contenders.LANGCHAIN: "from langchain_mdstream import ChatOCIModelDeployment",
    all_contenders.LLAMAINDEX: "from llamaindex_mdstream import OCIDataScience",
    **dict(
        zip(
            (*all_contenders.LANGCHAIN_PEERS, *all_contenders.LLAMAINDEX_PEERS),
            (
                "from langchain_oci import ChatOCIModelDeployment",
                "from langchain_oci import ChatOCIGenAI",
                "from langchain_openai import ChatOpenAI",
                "from langchain_litellm import ChatLiteLLM",
                "from llama_index.llms.oci_data_science import OCIDataScience",
                "from llama_index.llms.openai_like import OpenAILike",
            ),
            strict=True,
        )
    ),
}

_FRAMEWORKS = {
    "LangChain": (LANGCHAIN_BASES, (all_contenders.LANGCHAIN, *all_contenders.LANGCHAIN_PEERS), 0.15),
    "LlamaIndex": (LLAMAINDEX_BASES, (all_contenders.LLAMAINDEX, *all_contenders.LLAMAINDEX_PEERS), 0.05),
}

_SCRIPT = """
import os, sys, time, types, importlib
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
try: import ads
except ImportError: sys.modules["ads"] = types.ModuleType("ads")
for name in {before!r}.split(): importlib.import_module(name)
started = time.process_time()
try: exec({statement!r})
except ModuleNotFoundError: print("nan")
else: print(time.process_time() - started)
"""


_CREATED = 20  # model objects of a round


@contextmanager
def bytecode_cache() -> Iterator[dict[str, str]]:
    """The environment of processes that compile each module once only.

    Installed packages are compiled when they are installed, and a source tree when it is first imported, unless
    `PYTHONDONTWRITEBYTECODE` is set: then each import would compile mdstream again, and the others not.
    """
    with tempfile.TemporaryDirectory() as directory:
        yield {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": directory}


def imports(bench: Bench) -> Iterator[Table]:
    """CPU time of an import in a fresh interpreter, beyond that of the framework."""
    rows = []
    with bytecode_cache() as environment:
        for framework, (bases, entries, max_ratio) in _FRAMEWORKS.items():
            alone = _import_time("", f"import {bases.replace(' ', ', ')}", environment, _runs(bench, entries[0]))
            rows.append(Row(f"{framework}: bases of its models, and httpx", (alone, None, None)))
            for entry in entries:
                added = _import_time(bases, STATEMENTS[entry], environment, _runs(bench, entry))
                is_ours = entry in {all_contenders.LANGCHAIN, all_contenders.LLAMAINDEX}
                rows.append(Row(entry.name, (None, added, added / alone), (Target(2, max_ratio),) if is_ours else ()))
    yield Table("Import, seconds of CPU", ("alone", "added", "x bases"), rows, "imports")


def _runs(bench: Bench, entry: Entry) -> int:
    """The number of processes of which the best one counts: fewer for peers, whose imports take the most time."""
    is_peer = entry in {*all_contenders.LANGCHAIN_PEERS, *all_contenders.LLAMAINDEX_PEERS}
    return 1 if bench.quick else 3 if is_peer else 5


def import_in_new_process(before: str, statement: str, environment: dict[str, str]) -> float:
    """Execute an import statement in a new process, and return its CPU time.

    Args:
        before: Modules that are imported before.
        statement: The statement.
        environment: The environment of the process.
    """
    command = [sys.executable, "-c", _SCRIPT.format(before=before, statement=statement)]
    return float(subprocess.check_output(command, cwd=ROOT, env=environment, text=True))


def _import_time(before: str, statement: str, environment: dict[str, str], runs: int) -> float:
    import_in_new_process(before, statement, environment)  # compiles the modules
    return min(import_in_new_process(before, statement, environment) for _ in range(runs))


def constructor(bench: Bench) -> Iterator[Table]:
    """CPU time to create a model object, of several in a row, and to create one and read a response of one token."""
    source: Source = bench.server.burst(1)
    entries = (
        all_contenders.CORE,
        all_contenders.LANGCHAIN,
        all_contenders.LLAMAINDEX,
        *all_contenders.LANGCHAIN_PEERS,
        *all_contenders.LLAMAINDEX_PEERS,
    )
    rows = []
    for entry in entries:
        if contender := bench.open(entry, source):
            create = Track(lambda entry=entry: [entry.open(source) for _ in range(_CREATED)], _CREATED)
            create_and_read = Track(lambda entry=entry: check(entry.open(source), source.texts), 1)
            check(contender, source.texts)
            costs = tuple(cost / 1e3 for cost in cpu([create, create_and_read], 3 if bench.quick else 10))
            is_ours = entry in {all_contenders.LANGCHAIN, all_contenders.LLAMAINDEX}
            rows.append(Row(entry.name, costs, (Target(0, 0.25),) if is_ours else ()))
    yield Table("Constructor, ms of CPU", ("created", "+ 1 response"), rows, "constructor")


def cold(bench: Bench) -> Iterator[Table]:
    """A fresh process up to its first token: the interpreter's start, imports, a model object, and the request."""
    rows = []
    with bytecode_cache() as environment:
        for entry in _COLD:
            # The first run compiles the modules.
            runs = [_cold_run(entry, bench.server.port, environment) for _ in range(_runs(bench, entry) + 1)][1:]
            if measured := [run for run in runs if run is not None]:
                rows.append(Row(entry.name, tuple(min(times) for times in zip(*measured, strict=True))))
    yield Table("A cold process to its first token, seconds", ("wall", "CPU"), rows, "cold")


_COLD = (
    all_contenders.SOCKET,
    all_contenders.CORE,
    all_contenders.LANGCHAIN_SOCKET,
    all_contenders.LANGCHAIN,
    *all_contenders.LANGCHAIN_PEERS,
    all_contenders.LLAMAINDEX_SOCKET,
    all_contenders.LLAMAINDEX,
    *all_contenders.LLAMAINDEX_PEERS,
)


def _cold_run(entry: Entry, port: int, environment: dict[str, str]) -> tuple[float, float] | None:
    """Wall time and CPU time in seconds; `None` if the package is missing."""
    command = [sys.executable, "-m", "benchmarks.cold_job", entry.name, entry.factory, str(port)]
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        elapsed = time.perf_counter() - started
    result = json.loads(line)
    return None if result is None else (elapsed, result)
