"""The sections of the benchmark, one function each; `SECTIONS` has them in the order of the output."""

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import agents, embedders, vector_formats
from benchmarks import contenders as all_contenders
from benchmarks.bench import Bench
from benchmarks.calls import calls
from benchmarks.contenders import Entry
from benchmarks.first_token import first_tokens
from benchmarks.measure import Track, cpu
from benchmarks.startup import cold, constructor, imports
from benchmarks.stream_failures import count_reported, outcomes
from benchmarks.table import Row, Table, Target

_FLOORS = (
    (None, all_contenders.CORE),
    (all_contenders.LLAMAINDEX_FLOOR, all_contenders.LLAMAINDEX),
    (all_contenders.LANGCHAIN_FLOOR, all_contenders.LANGCHAIN),
)
_VARIANTS = {"sync": False, "async": True}


def burst(bench: Bench) -> Iterator[Table]:
    """LangChain, one event per HTTP chunk, as fast as they are read."""
    source = bench.server.burst(500 if bench.quick else 2000)
    entries = (
        all_contenders.LANGCHAIN_FLOOR,
        all_contenders.LANGCHAIN,
        all_contenders.LANGCHAIN_SOCKET,
        all_contenders.SOCKET,
        all_contenders.CORE,
        all_contenders.HTTPX,
        *all_contenders.LANGCHAIN_PEERS,
        *all_contenders.LITELLM_ROUTES,
    )
    for variant, awaited in _VARIANTS.items():
        title = f"LangChain {variant}, {source.count:,} chunks in a burst: CPU per chunk"
        rounds = 3 if bench.quick else 12
        targets = {all_contenders.LANGCHAIN: 0.8}
        key = f"langchain chunk {variant}"
        table = bench.race(title, entries, source, awaited=awaited, rounds=rounds, targets=targets, key=key)
        yield table
        yield _compare_core(table, variant)


def _compare_core(table: Table, variant: str) -> Table:
    """The rows without a framework again, compared with a raw socket and `json`."""
    plain = (all_contenders.SOCKET, all_contenders.CORE, all_contenders.HTTPX)
    costs = {row.name: row.figures[0] or 0.0 for row in table.rows}
    rows = []
    for entry in plain:
        targets = (Target(1, 0.7),) if entry is all_contenders.CORE else ()
        rows.append(Row(entry.name, (costs[entry.name], costs[entry.name] / costs[plain[0].name]), targets))
    return Table(table.title.replace("LangChain", "Core"), ("µs", "x socket + json"), rows, f"core chunk {variant}")


def paced(bench: Bench) -> Iterator[Table]:
    """LangChain, one token per TCP segment, 1 ms apart: as models stream, so that each token wakes the reader."""
    source = bench.server.paced(100 if bench.quick else 500)
    entries = (
        all_contenders.LANGCHAIN_SOCKET,
        all_contenders.LANGCHAIN,
        all_contenders.SOCKET,
        all_contenders.CORE,
        all_contenders.HTTPX,
        *all_contenders.LANGCHAIN_PEERS,
    )
    for variant, awaited in _VARIANTS.items():
        title = f"LangChain {variant}, {source.count:,} tokens 1 ms apart: CPU per token"
        rounds = 2 if bench.quick else 7
        targets = {all_contenders.LANGCHAIN: 1.05}
        key = f"langchain paced {variant}"
        yield bench.race(title, entries, source, awaited=awaited, rounds=rounds, targets=targets, key=key)


def llamaindex(bench: Bench) -> Iterator[Table]:
    """LlamaIndex `stream_chat` and `astream_chat`, as fast as they are read."""
    source = bench.server.burst(500 if bench.quick else 2000)
    entries = (
        all_contenders.LLAMAINDEX_FLOOR,
        all_contenders.LLAMAINDEX,
        all_contenders.LLAMAINDEX_SOCKET,
        *all_contenders.LLAMAINDEX_PEERS,
    )
    for variant, awaited in _VARIANTS.items():
        title = f"LlamaIndex {variant}, {source.count:,} chunks in a burst: CPU per chunk"
        rounds = 3 if bench.quick else 10
        targets = {all_contenders.LLAMAINDEX: 0.7}
        key = f"llamaindex chunk {variant}"
        yield bench.race(title, entries, source, awaited=awaited, rounds=rounds, targets=targets, key=key)


def platforms(bench: Bench) -> Iterator[Table]:
    """The same tokens with each platform, compared with OCI model deployments, the first row."""
    source = bench.server.burst(500 if bench.quick else 2000)
    pairs = {
        "Core": (all_contenders.CORE, all_contenders.CORE_PLATFORMS),
        "LangChain": (all_contenders.LANGCHAIN, all_contenders.LANGCHAIN_PLATFORMS),
        "LlamaIndex": (all_contenders.LLAMAINDEX, all_contenders.LLAMAINDEX_PLATFORMS),
    }
    for kind, (reference, contenders) in pairs.items():
        for variant, awaited in _VARIANTS.items():
            title = f"{kind} {variant}, {source.count:,} chunks, each platform compared with OCI model deployments: CPU"
            rounds, targets = 3 if bench.quick else 10, dict.fromkeys(contenders, 1.25)
            entries, key = (reference, *contenders), f"platforms {kind} {variant}"
            yield bench.race(title, entries, source, awaited=awaited, rounds=rounds, targets=targets, key=key)


def flat(bench: Bench) -> Iterator[Table]:
    """The cost of another chunk in a short and in a long stream, without the cost of the call itself.

    LangChain keeps every chunk of a floor until the end, so that the floor rises with the length.
    """
    short, long = 200, 2000 if bench.quick else 20_000
    columns = ("call, µs", f"µs at {short}", f"µs at {long:,}", "long / short", "x floor's")
    for variant, awaited in _VARIANTS.items():
        rows = []
        for floor, entry in _FLOORS:
            floor_costs = _flat(bench, floor, short, long, awaited=awaited) if floor else None
            costs = _flat(bench, entry, short, long, awaited=awaited)
            if floor and floor_costs:
                rows.append(Row(floor.name, (*floor_costs, 1.0)))
            ratio = costs[-1] / floor_costs[-1] if floor_costs else None
            rows.append(Row(entry.name, (*costs, ratio), (Target(3, 1.1),)))
        title = f"Flat cost, {variant}: a chunk of a stream of {short} and of {long:,}"
        yield Table(title, columns, rows, f"flat {variant}")


def _flat(bench: Bench, entry: Entry, short: int, long: int, *, awaited: bool) -> tuple[float, ...]:
    """Costs of a call, of a chunk of a short stream and of a long one, and the ratio of the last two."""
    lengths = {1: 100, short: 50, long: 1}
    call, *costs = cpu(list(_tracks(bench, entry, lengths, awaited=awaited)), 2 if bench.quick else 6)
    short_cost, long_cost = ((cost * n - call) / (n - 1) for cost, n in zip(costs, (short, long), strict=True))
    return call, short_cost, long_cost, long_cost / short_cost


def _tracks(bench: Bench, entry: Entry, lengths: dict[int, int], *, awaited: bool) -> Iterator[Track]:
    for count, times in lengths.items():
        source = bench.server.burst(count)
        if contender := bench.open(entry, source):
            yield bench.track(contender, source, awaited=awaited, times=times)


def memory(bench: Bench) -> Iterator[Table]:
    """The memory of a stream whose reader keeps no chunks; LangChain itself keeps those of a floor."""
    count = 5000 if bench.quick else 20_000
    targets = {
        all_contenders.CORE: 64.0,
        all_contenders.LLAMAINDEX: 64.0,
    }  # the text is kept for `error.partial`, at 4 bytes a character
    rows = []
    for entry in (
        all_contenders.CORE,
        all_contenders.LLAMAINDEX,
        all_contenders.LLAMAINDEX_FLOOR,
        all_contenders.LANGCHAIN,
        all_contenders.LANGCHAIN_FLOOR,
    ):
        if result := bench.run_isolated("growth", entry, bench.server.port, count):
            bytes_each = result["growth"] * 1024 / result["chunks"]
            target = (Target(1, targets[entry]),) if entry in targets else ()
            rows.append(Row(entry.name, (result["growth"], bytes_each), target))
    yield Table(f"Memory from chunk 2,000 to chunk {count:,}", ("growth, kB", "bytes each"), rows, "memory")


def concurrent(bench: Bench) -> Iterator[Table]:
    """Many concurrent streams in one event loop, as fast as they are read; each contender in its own process."""
    streams, count = (64, 50) if bench.quick else (256, 200)
    ours = {all_contenders.LANGCHAIN, all_contenders.LLAMAINDEX}
    by_lag, by_memory = [], []
    for entry in (
        all_contenders.LANGCHAIN_FLOOR,
        all_contenders.LANGCHAIN,
        all_contenders.LLAMAINDEX,
        *all_contenders.LANGCHAIN_PEERS,
        *all_contenders.LLAMAINDEX_PEERS,
    ):
        if result := bench.run_isolated("concurrent_streams", entry, bench.server.port, streams, count):
            figures = (result["lag"], result["median"], result["cost"])
            target = (Target(0, 200.0),) if entry in ours else ()
            by_lag.append(Row(entry.name, figures, target))
            by_memory.append(Row(entry.name, (result["peak"],), target))
    title = f"{streams} streams of {count} chunks at once, async, in a burst"
    columns = ("worst, ms", "median, ms", "µs per chunk")
    yield Table(f"{title}: lag of the event loop", columns, by_lag, "many lag")
    yield Table(f"{title}: peak memory of the process", ("MB",), by_memory, "many memory")


def embeddings(bench: Bench) -> Iterator[Table]:
    """Embedding of many texts; the targets are half of OpenAI's cost, and a third of that of the OCI peers."""
    texts = [f"text {number}" for number in range(embedders.TEXTS)]
    factories = {
        **embedders.FLOOR,
        **embedders.OURS,
        **embedders.LLAMAINDEX,
        **embedders.PEERS,
        **embedders.NUMBERS,
    }
    models = {
        name: embed
        for name, factory in factories.items()
        if (embed := embedders.create_embedder(factory, bench.server.port))
    }
    tracks = [Track(partial(embed, texts), 1) for embed in models.values()]
    costs = dict(zip(models, cpu(tracks, 2 if bench.quick else 7), strict=True))
    openai, slowest = costs.get(embedders.OPENAI), max(costs[name] for name in embedders.OURS)
    rows = []
    for name, cost in costs.items():
        figures = (cost / 1e3, cost / openai if openai else None, slowest / cost)
        rows.append(Row(name, figures, _embedder_targets(name)))
    columns = ("ms", "x OpenAI's", "ours / its")
    title = f"{len(texts):,} texts embedded in {embedders.SIZE:,} dimensions: CPU"
    yield Table(title, columns, rows, "embeddings")
    yield _embed_stream(bench)


def _embedder_targets(name: str) -> tuple[Target, ...]:
    if name in embedders.OURS:
        return (Target(1, 0.5),)
    return (Target(2, 1 / 3),) if name in embedders.OCI_PEERS else ()


def _embed_stream(bench: Bench) -> Table:
    """`embed_stream` over generators of two lengths: its memory must not depend on the length."""
    short, long = (2_000, 10_000) if bench.quick else (10_000, 50_000)
    rows = []
    for name, as_array in (("lists", 0), ("numpy arrays", 1)):
        base = None
        for count in (short, long):
            job = bench.run_isolated("embed_stream", all_contenders.LANGCHAIN, bench.server.port, count, as_array)
            if job:
                growth = None if base is None else job["peak"] / base
                target = () if base is None else (Target(3, 1.3),)
                base = base or job["peak"]
                figures = (job["rate"], job["cost"], job["peak"], growth)
                rows.append(Row(f"{count:,} texts, {name}", figures, target))
    columns = ("texts/s", "µs CPU a text", "peak KiB", "x the shorter")
    title = f"embed_stream over a generator, {embedders.SIZE:,} dimensions, one process"
    return Table(title, columns, rows, "embed_stream")


def agent(bench: Bench) -> Iterator[Table]:
    """A tool call of 25 KB with LlamaIndex's FunctionAgent, which parses the arguments after each piece."""
    source = bench.server.burst(agents.PIECES)
    runs = {
        name: run
        for name, factory in agents.FACTORIES.items()
        if (run := agents.create_agent_run(factory, source, bench.get_runner(factory)))
    }
    costs = cpu([Track(run, 1) for run in runs.values()], 1 if bench.quick else 5)
    rows = [
        Row(name, (cost / 1e3, cost / agents.PIECES), (Target(0, 500.0),) if name == agents.OURS else ())
        for name, cost in zip(runs, costs, strict=True)
    ]
    yield Table(f"A tool call in {agents.PIECES:,} pieces with FunctionAgent: CPU", ("ms", "µs a piece"), rows, "agent")


def failures(bench: Bench) -> Iterator[Table]:
    """The number of failed streams that each contender reports, of those that its service can have."""
    rows = [Row(name, count_reported(column)) for name, column in outcomes().items()]
    yield Table("Failed streams, each with another fault", ("reported", "of"), rows, "failures")


SECTIONS: dict[str, Callable[[Bench], Iterator[Table]]] = {
    "burst": burst,
    "calls": calls,
    "platforms": platforms,
    "flat": flat,
    "memory": memory,
    "paced": paced,
    "llamaindex": llamaindex,
    "concurrent": concurrent,
    "first": first_tokens,
    "embeddings": embeddings,
    "vector-formats": vector_formats.compare,
    "agent": agent,
    "imports": imports,
    "constructor": constructor,
    "cold": cold,
    "failures": failures,
}
