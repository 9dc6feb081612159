"""Section about the first token: its wall time, and what of it is the signature of the request."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter, sleep
from typing import Any

from benchmarks import contenders as all_contenders
from benchmarks.bench import Bench
from benchmarks.calls import GROUPS, Group
from benchmarks.contenders import Contender, Entry
from benchmarks.measure import acheck, afirst_token, check, first_token
from benchmarks.ours import rsa_key
from benchmarks.table import Row, Table, Target

#: Ours with a bearer token: its header costs nothing, so that it is comparable with clients that do not sign.
BEARER = {
    all_contenders.LANGCHAIN: all_contenders.LANGCHAIN_BEARER,
    all_contenders.LLAMAINDEX: all_contenders.LLAMAINDEX_BEARER,
}

_FRAMEWORKS = tuple(group for group in GROUPS if group.ours in BEARER)

WARM, PAUSED = "an RSA signature alone, in a loop", "an RSA signature alone, after a pause as between two calls"

_CALLS = 20  # of a contender, before it is another one's turn
_MAX_RATIO = 2.0


@dataclass(slots=True)
class _Waits:
    """Times to the first token in milliseconds, and the duration of a call."""

    sync: list[float] = field(default_factory=list)
    awaited: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def medians(self) -> tuple[float | None, ...]:
        """Those of the sync and the async variant."""
        return tuple(median(times) if times else None for times in (self.sync, self.awaited))


def first_tokens(bench: Bench) -> Iterator[Table]:
    """Time to the first token of a warm call, with an RSA signature of 2,048 bits (OpenAI's clients do not sign)."""
    source, pem, rounds = bench.server.paced(3), rsa_key(), 1 if bench.quick else 5
    opened = {entry: contender for entry in _entries() if (contender := bench.open(entry, source, pem))}
    for contender in opened.values():
        check(contender, source.texts)
        bench.run(contender, acheck(contender, source.texts))
    waits = {entry: _Waits() for entry in opened}
    warm, paused = [], []
    sign = _signature(pem)
    for _ in range(rounds):
        for entry, contender in opened.items():
            _measure(bench, contender, waits[entry])
        warm += _signatures(sign, 0.0)
        paused += _signatures(sign, waits[all_contenders.LANGCHAIN].seconds)
    rows = list(_rows({entry: times.medians for entry, times in waits.items()}))
    rows += [Row(WARM, (median(warm), None, None, None)), Row(PAUSED, (median(paused), None, None, None))]
    columns = ("sync", "async", "x framework", "async x")
    yield Table(f"Time to first token, ms, median of {rounds * _CALLS} warm calls", columns, rows, "first token")


def _entries() -> Iterator[Entry]:
    yield from (all_contenders.SOCKET, all_contenders.HTTPX, all_contenders.CORE)
    for group in _FRAMEWORKS:
        yield from (group.floor, group.ours, BEARER[group.ours], *group.peers)


def _measure(bench: Bench, contender: Contender, waits: _Waits) -> None:
    started = perf_counter()
    waits.sync += first_token(contender, _CALLS)
    waits.seconds = (perf_counter() - started) / _CALLS
    waits.awaited += bench.run(contender, afirst_token(contender, _CALLS))


def _signature(pem: bytes) -> Callable[[], Any]:
    """Return a function that signs what a signer of OCI signs, with `cryptography` alone."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    key: Any = load_pem_private_key(pem, None)
    padding, algorithm, message = PKCS1v15(), SHA256(), b"x" * 400
    return lambda: key.sign(message, padding, algorithm)


def _signatures(sign: Callable[[], Any], pause: float) -> list[float]:
    """Times of signatures in milliseconds, with a pause before each."""
    times = []
    for _ in range(_CALLS):
        if pause:
            sleep(pause)
        started = perf_counter()
        sign()
        times.append((perf_counter() - started) * 1e3)
    return times


def _rows(times: dict[Entry, tuple[float | None, ...]]) -> Iterator[Row]:
    """Compare what a contender adds to a raw socket's time with what the framework alone adds."""
    sockets = times[all_contenders.SOCKET]
    for entry, figures in times.items():
        group = next((group for group in _FRAMEWORKS if _is_of(entry, group)), None)
        if group is None:
            yield Row(entry.name, (*figures, None, None))
            continue
        ratios = tuple(
            None if None in {figure, floor, socket} else (figure - socket) / (floor - socket)  # type: ignore[operator]
            for figure, floor, socket in zip(figures, times[group.floor], sockets, strict=True)
        )
        targets = (Target(2, _MAX_RATIO), Target(3, _MAX_RATIO)) if entry is group.ours else ()
        yield Row(entry.name, (*figures, *ratios), targets)


def _is_of(entry: Entry, group: Group) -> bool:
    return entry in group.entries or entry is BEARER[group.ours]
