"""Sections about calls as agents make them: short ones, ones that are not streamed, and the first token."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks import contenders as all_contenders
from benchmarks.bench import Bench
from benchmarks.contenders import Contender, Entry
from benchmarks.measure import Track, acheck, afirst_token, check, cpu, first_token
from benchmarks.ours import rsa_key
from benchmarks.server import Source
from benchmarks.table import Row, Table

#: Chunks of a short call.
SHORT = 20

_TIMES = 20  # calls of a round


@dataclass(frozen=True, slots=True)
class _Group:
    """Contenders that are compared with each other.

    Attributes:
        name: Its name in the tables.
        floor: The contender that the others are compared with.
        ours: The contender of mdstream.
        peers: The other ones.
        max_ratio: The target: the maximum cost of a call of ours, in costs of the floor.
    """

    name: str
    floor: Entry
    ours: Entry
    peers: Sequence[Entry]
    max_ratio: float

    @property
    def entries(self) -> Sequence[Entry]:
        """All contenders."""
        return (self.floor, self.ours, *self.peers)


_GROUPS = (
    _Group("core", all_contenders.SOCKET, all_contenders.CORE, (all_contenders.HTTPX,), 2.0),
    _Group("langchain", all_contenders.LANGCHAIN_SOCKET, all_contenders.LANGCHAIN, all_contenders.LANGCHAIN_PEERS, 1.5),
    _Group(
        "llamaindex", all_contenders.LLAMAINDEX_SOCKET, all_contenders.LLAMAINDEX, all_contenders.LLAMAINDEX_PEERS, 2.0
    ),
)


def calls(bench: Bench) -> Iterator[Table]:
    """A warm call of 20 chunks, and one whose response is not streamed."""
    short = bench.server.burst(SHORT)
    whole = Source(bench.server.port, "whole", SHORT)
    for group in _GROUPS:
        for variant, awaited in (("sync", False), ("async", True)):
            title = f"{group.name} {variant}, a call of {SHORT} chunks: CPU"
            opened = {entry: contender for entry in group.entries if (contender := bench.open(entry, short))}
            tracks = {
                entry: bench.track(contender, short, awaited=awaited, times=_TIMES)
                for entry, contender in opened.items()
                if contender.astream or not awaited
            }
            yield _race(bench, group, title, tracks, f"{group.name} call {variant}")
            opened = {entry: contender for entry in group.entries if (contender := bench.open(entry, whole))}
            title = f"{group.name} {variant}, a response that is not streamed: CPU"
            tracks = dict(_whole_tracks(bench, opened, awaited=awaited))
            yield _race(bench, group, title, tracks, f"{group.name} whole {variant}")


def _whole_tracks(bench: Bench, opened: dict[Entry, Contender], *, awaited: bool) -> Iterator[tuple[Entry, Track]]:
    for entry, contender in opened.items():
        complete, acomplete = contender.complete, contender.acomplete
        if awaited and acomplete is not None:
            bench.runner.run(acomplete())
            yield entry, Track(lambda call=acomplete: [bench.runner.run(call()) for _ in range(_TIMES)], 1)
        elif not awaited and complete is not None:
            complete()
            yield entry, Track(lambda call=complete: [call() for _ in range(_TIMES)], 1)


def _race(bench: Bench, group: _Group, title: str, tracks: dict[Entry, Track], key: str) -> Table:
    """Compare calls: ours with the floor, and with the cheapest of the peers."""
    one_call = [Track(track.run, 1000 * _TIMES) for track in tracks.values()]  # thousands: in milliseconds
    costs = dict(zip(tracks, cpu(one_call, 3 if bench.quick else 12), strict=True))
    floor = costs[group.floor]
    cheapest = min((costs[entry] for entry in group.peers if entry in costs), default=None)
    rows = []
    for entry, cost in costs.items():
        figures = (cost, cost / floor, cost / cheapest if cheapest else None)
        rows.append(Row(entry.name, figures, 1 if entry is group.ours else None, group.max_ratio))
    return Table(title, ("ms", "x floor", "x best peer"), rows, key)


def first_tokens(bench: Bench) -> Iterator[Table]:
    """Time to the first token of a warm call, with an RSA signature of 2,048 bits (OpenAI's clients do not sign)."""
    source, pem, number = bench.server.paced(3), rsa_key(), 20 if bench.quick else 100
    entries = (all_contenders.SOCKET, all_contenders.HTTPX, all_contenders.CORE)
    entries += tuple(
        entry for group in _GROUPS[1:] for entry in group.entries if entry not in all_contenders.LITELLM_ROUTES
    )
    times = {}
    for entry in entries:
        if contender := bench.open(entry, source, pem):
            check(contender, source.texts)
            bench.runner.run(acheck(contender, source.texts))
            times[entry] = (first_token(contender, number), bench.runner.run(afirst_token(contender, number)))
    yield Table(
        f"Time to first token, ms, median of {number} warm calls",
        ("sync", "async", "x framework"),
        list(_first_rows(times)),
        "first token",
    )


def _first_rows(times: dict[Entry, tuple[float, float]]) -> Iterator[Row]:
    """Compare what a contender adds to a raw socket's time with what the framework alone adds: the worse of both."""
    sockets = times[all_contenders.SOCKET]
    for entry, figures in times.items():
        group = next((group for group in _GROUPS[1:] if entry in group.entries), None)
        if group is None:
            yield Row(entry.name, (*figures, None))
            continue
        ratios = [
            (figure - socket) / (floor - socket)
            for figure, floor, socket in zip(figures, times[group.floor], sockets, strict=True)
        ]
        ratio = max((ratio for ratio in ratios if ratio == ratio), default=None)  # NaN: there is no async stream
        yield Row(entry.name, (*figures, ratio), 2 if entry is group.ours else None, 2.0)
