"""The questions, one function for each, in the order in which they are printed. `SECTIONS` is their table.

The targets are those of issues 2 and 3, "What it must show".
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import agents, embedders
from benchmarks import contenders as who
from benchmarks.bench import Bench
from benchmarks.contenders import Entry
from benchmarks.measure import Track, acheck, afirst_token, check, cpu, first_token
from benchmarks.ours import rsa_key
from benchmarks.server import ROOT, Source
from benchmarks.table import Row, Table

_FLOORS = (
    (None, who.CORE),
    (who.LLAMAINDEX_FLOOR, who.LLAMAINDEX),
    (who.LANGCHAIN_FLOOR, who.LANGCHAIN),
)
_VARIANTS = {"sync": False, "async": True}


def burst(bench: Bench) -> Iterator[Table]:
    """LangChain, one event per HTTP chunk, as fast as it is read."""
    source = bench.server.burst(500 if bench.quick else 2000)
    entries = (who.LANGCHAIN_FLOOR, who.LANGCHAIN, who.CORE, who.HTTPX, *who.LANGCHAIN_PEERS)
    for color, awaited in _VARIANTS.items():
        title = f"LangChain {color}, {source.count:,} chunks in a flood: CPU per chunk"
        rounds = 3 if bench.quick else 12
        yield bench.race(title, entries, source, awaited=awaited, rounds=rounds, targets={who.LANGCHAIN: 1.0})


def paced(bench: Bench) -> Iterator[Table]:
    """LangChain, one token per TCP segment, 1 ms apart: how models stream, each token wakes the reader."""
    source = bench.server.paced(100 if bench.quick else 500)
    entries = (who.LANGCHAIN_SOCKET, who.LANGCHAIN, who.SOCKET, who.CORE, who.HTTPX, *who.LANGCHAIN_PEERS)
    for color, awaited in _VARIANTS.items():
        title = f"LangChain {color}, {source.count:,} tokens 1 ms apart: CPU per token"
        rounds = 2 if bench.quick else 7
        yield bench.race(title, entries, source, awaited=awaited, rounds=rounds, targets={who.LANGCHAIN: 1.2})


def llamaindex(bench: Bench) -> Iterator[Table]:
    """LlamaIndex `stream_chat` and `astream_chat`, in a flood."""
    source = bench.server.burst(500 if bench.quick else 2000)
    entries = (who.LLAMAINDEX_FLOOR, who.LLAMAINDEX, *who.LLAMAINDEX_PEERS)
    for color, awaited in _VARIANTS.items():
        title = f"LlamaIndex {color}, {source.count:,} chunks in a flood: CPU per chunk"
        rounds = 3 if bench.quick else 10
        yield bench.race(title, entries, source, awaited=awaited, rounds=rounds, targets={who.LLAMAINDEX: 1.2})


def platforms(bench: Bench) -> Iterator[Table]:
    """The same tokens over each platform, beside OCI model deployments, whose row is the first."""
    source = bench.server.burst(500 if bench.quick else 2000)
    pairs = {"Core": (who.CORE, who.CORE_CLOUDS), "LangChain": (who.LANGCHAIN, who.LANGCHAIN_CLOUDS)}
    for kind, (reference, clouds) in pairs.items():
        for color, awaited in _VARIANTS.items():
            title = f"{kind} {color}, {source.count:,} chunks, each platform beside OCI model deployments: CPU each"
            rounds, targets = 3 if bench.quick else 10, dict.fromkeys(clouds, 1.4)
            entries = (reference, *clouds)
            yield bench.race(title, entries, source, awaited=awaited, rounds=rounds, targets=targets)


def flat(bench: Bench) -> Iterator[Table]:
    """The cost of a further chunk in a short and in a long stream; the cost of the call itself is taken off.

    LangChain and its garbage collection keep every chunk until the end, whoever made it, so that its floor rises by
    itself; there the target is to rise no more than the floor does.
    """
    short, long = 200, 2000 if bench.quick else 20_000
    columns = ("call, µs", f"µs at {short}", f"µs at {long:,}", "long / short", "x floor's")
    for color, awaited in _VARIANTS.items():
        rows = []
        for floor, entry in _FLOORS:
            least = _flat(bench, floor, short, long, awaited=awaited) if floor else None
            found = _flat(bench, entry, short, long, awaited=awaited)
            if floor and least:
                rows.append(Row(floor.name, (*least, 1.0)))
            above = found[-1] / least[-1] if least else None
            rows.append(Row(entry.name, (*found, above), 4 if entry is who.LANGCHAIN else 3, 1.1))
        yield Table(f"Flat cost, {color}: a chunk of a stream of {short} and of {long:,}", columns, rows)


def _flat(bench: Bench, entry: Entry, short: int, long: int, *, awaited: bool) -> tuple[float, ...]:
    """Of a call, of a chunk of a short stream, of a chunk of a long one; and the ratio of the last two."""
    lengths = {1: 50, short: 50, long: 1}
    call, *costs = cpu(list(_tracks(bench, entry, lengths, awaited=awaited)), 2 if bench.quick else 6)
    near, far = ((cost * n - call) / (n - 1) for cost, n in zip(costs, (short, long), strict=True))
    return call, near, far, far / near


def _tracks(bench: Bench, entry: Entry, lengths: dict[int, int], *, awaited: bool) -> Iterator[Track]:
    for count, times in lengths.items():
        source = bench.server.burst(count)
        if contender := bench.open(entry, source):
            yield bench.track(contender, source, awaited=awaited, times=times)


def memory(bench: Bench) -> Iterator[Table]:
    """What a stream holds at its end, while its reader keeps nothing; LangChain itself keeps every chunk."""
    count = 5000 if bench.quick else 20_000
    targets = {who.CORE: 64.0, who.LLAMAINDEX: 64.0}  # the text must be kept for the partial; it takes 4 bytes a letter
    rows = []
    for entry in (who.CORE, who.LLAMAINDEX, who.LLAMAINDEX_FLOOR, who.LANGCHAIN, who.LANGCHAIN_FLOOR):
        if found := bench.alone("growth", entry, bench.server.port, count):
            bytes_each = found["growth"] * 1024 / found["chunks"]
            judged = 1 if entry in targets else None
            rows.append(Row(entry.name, (found["growth"], bytes_each), judged, targets.get(entry, 0.0)))
    yield Table(f"Memory from chunk 2,000 to chunk {count:,}", ("growth, kB", "bytes each"), rows)


def crowd(bench: Bench) -> Iterator[Table]:
    """Many streams in one event loop, in a flood; each contender in a process of its own."""
    streams, count = (64, 50) if bench.quick else (256, 200)
    ours = {who.LANGCHAIN, who.LLAMAINDEX}
    by_lag, by_memory = [], []
    for entry in (who.LANGCHAIN_FLOOR, who.LANGCHAIN, who.LLAMAINDEX, *who.LANGCHAIN_PEERS, *who.LLAMAINDEX_PEERS):
        if found := bench.alone("crowd", entry, bench.server.port, streams, count):
            figures = (found["lag"], found["usual"], found["cost"])
            by_lag.append(Row(entry.name, figures, 0 if entry in ours else None, 200.0))
            by_memory.append(Row(entry.name, (found["peak"],), 0 if entry in ours else None, 200.0))
    title = f"{streams} streams of {count} chunks at once, async, in a flood"
    yield Table(f"{title}: lag of the event loop", ("worst, ms", "median, ms", "µs per chunk"), by_lag)
    yield Table(f"{title}: peak memory of the process", ("MB",), by_memory)


def first(bench: Bench) -> Iterator[Table]:
    """Until the first token of a warm call, signature with an RSA key of 2,048 bits included (OpenAI's have none)."""
    source, pem, calls = bench.server.paced(3), rsa_key(), 20 if bench.quick else 100
    peers = (*who.LANGCHAIN_PEERS, *who.LLAMAINDEX_PEERS)
    ours = {who.CORE, who.LANGCHAIN, who.LLAMAINDEX}
    rows = []
    for entry in (who.SOCKET, who.HTTPX, who.CORE, who.LANGCHAIN_SOCKET, who.LANGCHAIN, who.LLAMAINDEX, *peers):
        contender = bench.open(entry, source, pem)
        if contender is None:
            continue
        check(contender, source.texts)
        bench.runner.run(acheck(contender, source.texts))
        times = (first_token(contender, calls), bench.runner.run(afirst_token(contender, calls)))
        rows.append(Row(entry.name, (*times, max(times)), 2 if entry in ours else None, 1.5))
    yield Table(f"Time to first token, ms, median of {calls} warm calls", ("sync", "async", "worse of both"), rows)


def embeddings(bench: Bench) -> Iterator[Table]:
    """Texts into vectors; the targets are half of OpenAI's cost, and a third of that of the OCI peers."""
    texts = [f"text {number}" for number in range(embedders.TEXTS)]
    makers = {**embedders.OURS, **embedders.PEERS, **embedders.NUMBERS}
    opened = {name: embed for name, make in makers.items() if (embed := embedders.opened(make, bench.server.port))}
    tracks = [Track(partial(embed, texts), 1) for embed in opened.values()]
    costs = dict(zip(opened, cpu(tracks, 2 if bench.quick else 7), strict=True))
    openai, slowest = costs.get(embedders.OPENAI), max(costs[name] for name in embedders.OURS)
    rows = []
    for name, cost in costs.items():
        figures = (cost / 1e3, cost / openai if openai else None, slowest / cost)
        judged = (1, 0.5) if name in embedders.OURS else (2, 1 / 3) if name in embedders.OCI_PEERS else ()
        rows.append(Row(name, figures, *judged))
    columns = ("ms", "x OpenAI's", "ours / its")
    yield Table(f"{len(texts):,} texts into vectors of {embedders.SIZE:,} numbers: CPU", columns, rows)


def agent(bench: Bench) -> Iterator[Table]:
    """A tool call of 25 KB through LlamaIndex's FunctionAgent, which asks for the call's arguments at each piece."""
    source = bench.server.burst(agents.PIECES)
    opened = {name: run for name, make in agents.MAKERS.items() if (run := agents.opened(make, source, bench.runner))}
    costs = cpu([Track(run, 1) for run in opened.values()], 1 if bench.quick else 3)
    rows = [
        Row(name, (cost / 1e3, cost / agents.PIECES), *((0, 500.0) if name == agents.OURS else ()))
        for name, cost in zip(opened, costs, strict=True)
    ]
    yield Table(f"A tool call in {agents.PIECES:,} pieces through FunctionAgent: CPU", ("ms", "µs a piece"), rows)


def imports(bench: Bench) -> Iterator[Table]:
    """CPU time of an import in a fresh interpreter, beyond that of the framework."""
    frameworks = {
        "langchain_core.language_models.chat_models": ("langchain_mdstream", "langchain_openai", "langchain_oci"),
        "llama_index.core.llms.function_calling": ("llamaindex_mdstream", "llama_index.llms.openai_like"),
    }
    targets = {"langchain_mdstream": 0.15}
    rows = []
    for framework, packages in frameworks.items():
        alone = _import_time("", framework, bench.quick)
        rows.append(Row(framework, (alone, None)))
        for package in packages:
            added = _import_time(framework, package, bench.quick)
            rows.append(
                Row(f"  {package}", (None, added), 1 if package in targets else None, targets.get(package, 0.0))
            )
    yield Table("Import, seconds of CPU", ("alone", "added"), rows)


_IMPORT = """
import time, importlib
for name in filter(None, {before!r}.split()): importlib.import_module(name)
started = time.process_time()
try: importlib.import_module({name!r})
except ModuleNotFoundError: print("nan")
else: print(time.process_time() - started)
"""


def _import_time(before: str, name: str, quick: bool) -> float:
    script = _IMPORT.format(before=before, name=name)
    words = [sys.executable, "-c", script]
    times = [subprocess.check_output(words, cwd=ROOT, text=True) for _ in range(2 if quick else 7)]
    return min(float(time) for time in times)


def constructor(bench: Bench) -> Iterator[Table]:
    """Milliseconds of CPU to build a model object, and to build one and read a first answer of one token."""
    source: Source = bench.server.burst(1)
    entries = (who.CORE, who.LANGCHAIN, who.LLAMAINDEX, *who.LANGCHAIN_PEERS, *who.LLAMAINDEX_PEERS)
    rows = []
    for entry in entries:
        if contender := bench.open(entry, source):
            built = Track(lambda entry=entry: entry.open(source), 1)
            requested = Track(lambda entry=entry: check(entry.open(source), source.texts), 1)
            check(contender, source.texts)
            rows.append(
                Row(entry.name, tuple(cost / 1e3 for cost in cpu([built, requested], 3 if bench.quick else 10)))
            )
    yield Table("Constructor, ms of CPU", ("built", "+ 1 answer"), rows)


SECTIONS: dict[str, Callable[[Bench], Iterator[Table]]] = {
    "flood": burst,
    "platforms": platforms,
    "flat": flat,
    "memory": memory,
    "paced": paced,
    "llamaindex": llamaindex,
    "crowd": crowd,
    "first": first,
    "embeddings": embeddings,
    "agent": agent,
    "imports": imports,
    "constructor": constructor,
}
