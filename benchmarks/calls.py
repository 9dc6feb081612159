"""Section about calls as agents make them: short ones, and ones that are not streamed."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import contenders as all_contenders
from benchmarks.bench import Bench
from benchmarks.contenders import Contender, Entry
from benchmarks.measure import Track, cpu
from benchmarks.source import Source
from benchmarks.table import Row, Table, Target

#: Chunks of a short call.
SHORT = 20

_TIMES = 20  # calls of a round

_MS, _X_FLOOR, _X_PEER = range(3)  # columns


@dataclass(frozen=True, slots=True)
class Group:
    """Contenders that are compared with each other.

    Attributes:
        name: Its name in the titles of the tables; in lower case, in their keys.
        floor: The contender that the others are compared with.
        ours: The contender of mdstream.
        peers: The other ones.
        targets: The targets of a call of ours: its milliseconds, its cost in costs of the floor, and in costs of the
            cheapest peer.
    """

    name: str
    floor: Entry
    ours: Entry
    peers: Sequence[Entry]
    targets: tuple[Target, ...]

    @property
    def entries(self) -> Sequence[Entry]:
        """All contenders."""
        return (self.floor, self.ours, *self.peers)


#: Most programs have no callback handler. For one that traces its calls, LangChain does more, with any model.
WITH_CALLBACKS = Group(
    "LangChain with a callback handler",
    all_contenders.LANGCHAIN_SOCKET_WITH_CALLBACKS,
    all_contenders.LANGCHAIN_WITH_CALLBACKS,
    (),
    (),
)

GROUPS = (
    Group("Core", all_contenders.SOCKET, all_contenders.CORE, (all_contenders.HTTPX,), (Target(_MS, 0.6),)),
    Group(
        "LangChain",
        all_contenders.LANGCHAIN_SOCKET,
        all_contenders.LANGCHAIN,
        all_contenders.LANGCHAIN_PEERS,
        (Target(_X_FLOOR, 1.5), Target(_X_PEER, 0.5)),
    ),
    WITH_CALLBACKS,
    Group(
        "LlamaIndex",
        all_contenders.LLAMAINDEX_SOCKET,
        all_contenders.LLAMAINDEX,
        all_contenders.LLAMAINDEX_PEERS,
        (Target(_X_FLOOR, 2.0), Target(_X_PEER, 0.5)),
    ),
)


def calls(bench: Bench) -> Iterator[Table]:
    """A warm call of 20 chunks, and one whose response is not streamed."""
    short = bench.server.burst(SHORT)
    whole = Source(bench.server.port, "whole", SHORT)
    for group in GROUPS:
        for variant, awaited in (("sync", False), ("async", True)):
            title = f"{group.name} {variant}, a call of {SHORT} chunks: CPU"
            opened = {entry: contender for entry in group.entries if (contender := bench.open(entry, short))}
            tracks = {
                entry: bench.track(contender, short, awaited=awaited, times=_TIMES)
                for entry, contender in opened.items()
                if contender.astream or not awaited
            }
            yield _race(bench, group, title, tracks, f"{group.name.lower()} call {variant}")
            opened = {entry: contender for entry in group.entries if (contender := bench.open(entry, whole))}
            title = f"{group.name} {variant}, a call that is not streamed: CPU"
            tracks = dict(_whole_tracks(bench, opened, awaited=awaited))
            yield _race(bench, group, title, tracks, f"{group.name.lower()} whole {variant}")


def _whole_tracks(bench: Bench, opened: dict[Entry, Contender], *, awaited: bool) -> Iterator[tuple[Entry, Track]]:
    for entry, contender in opened.items():
        complete, acomplete = contender.complete, contender.acomplete
        if awaited and acomplete is not None:
            runner = bench.get_runner(contender)
            runner.run(acomplete())
            yield entry, Track(lambda call=acomplete, run=runner.run: run(_repeat(call)), 1)
        elif not awaited and complete is not None:
            complete()
            yield entry, Track(lambda call=complete: [call() for _ in range(_TIMES)], 1)


async def _repeat(call: Callable[[], Awaitable[Any]]) -> None:
    """Make the calls of a round. `asyncio.Runner.run` formats the result of its coroutine, so there is none."""
    for _ in range(_TIMES):
        await call()


def _race(bench: Bench, group: Group, title: str, tracks: dict[Entry, Track], key: str) -> Table:
    """Compare calls: ours with the floor, and with the cheapest of the peers."""
    one_call = [Track(track.run, 1000 * _TIMES) for track in tracks.values()]  # thousands: in milliseconds
    costs = dict(zip(tracks, cpu(one_call, 3 if bench.quick else 12), strict=True))
    floor = costs[group.floor]
    cheapest = min((costs[entry] for entry in group.peers if entry in costs), default=None)
    rows = []
    for entry, cost in costs.items():
        figures = (cost, cost / floor, cost / cheapest if cheapest else None)
        rows.append(Row(entry.name, figures, group.targets if entry is group.ours else ()))
    return Table(title, ("ms", "x floor", "x best peer"), rows, key)
