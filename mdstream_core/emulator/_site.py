"""The servers on one event loop: connections are accepted, requests recorded, faults taken from the script."""

import asyncio
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from email.utils import formatdate
from itertools import count
from time import time
from typing import Protocol

from mdstream_core.emulator._bounds import MAX_CONNECTIONS, MAX_RECORD_BYTES
from mdstream_core.emulator._connection import Connection
from mdstream_core.emulator._plan import Plan, gathered, joined
from mdstream_core.emulator._received import Received
from mdstream_core.emulator._switch import Switch
from mdstream_core.emulator.faults import Fault, apply

Step = Fault | Sequence[Fault] | None
"""What happens to one request: one fault, several one after the other, or none."""


_KEPT = 10_000  # records, and no more than `MAX_RECORD_BYTES` of them; a security limit


class Service(Protocol):
    """One of the clouds' services."""

    def owns(self, path: str) -> bool:
        """Whether this path is its own."""
        ...

    async def answer(self, received: Received) -> Plan:
        """Its healthy answer."""
        ...


class Site:
    """Answers by asking the first service that owns the path; thread-safe to script and to look at."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        delay: float = 0.0,
        events_per_chunk: int = 1,
        clock: Callable[[], float] = time,
        idle: float = 120.0,
    ) -> None:
        self._idle = idle
        self._services = services
        self._clock = clock
        self._delay = delay
        self._events_per_chunk = events_per_chunk
        self._lock = threading.Lock()
        self._script: deque[Step] = deque()
        self._always: Step = None
        self._received: deque[Received] = deque()
        self._recorded = 0  # bytes
        self._accepted = 0
        self._ids = count(1)
        self._open: set[Connection] = set()
        self._server: asyncio.Server | None = None

    # what tests do, from any thread

    def script(self, steps: Iterable[Step]) -> None:
        """Queue what happens to the coming requests."""
        with self._lock:
            self._script.extend(steps)

    def always(self, step: Step) -> None:
        """What happens to every request for which nothing is queued."""
        with self._lock:
            self._always = step

    @property
    def received(self) -> list[Received]:
        """The requests so far."""
        with self._lock:
            return list(self._received)

    @property
    def accepted(self) -> int:
        """TCP connections accepted so far."""
        with self._lock:
            return self._accepted

    def forget(self) -> None:
        """Drop records and script."""
        with self._lock:
            self._received.clear()
            self._recorded = 0
            self._script.clear()
            self._always = None

    # what the loop does

    async def open(self, host: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Listen; the port."""
        loop = asyncio.get_running_loop()
        make: Callable[[], Connection] = lambda: Connection(  # noqa: E731
            self._answer, self._opened, self._open.discard, self._idle
        )
        self._server = await loop.create_server(make, host, port, ssl=context)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and drop every client."""
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*(connection.stop() for connection in list(self._open)))

    def _opened(self, connection: Connection) -> int:
        if len(self._open) >= MAX_CONNECTIONS:
            return 0
        self._open.add(connection)
        with self._lock:
            self._accepted += 1
            return self._accepted

    def _record(self, received: Received) -> None:
        """Keep a record, and drop the oldest ones where there are too many."""
        self._received.append(received)
        self._recorded += received.size
        while len(self._received) > 1 and (len(self._received) > _KEPT or self._recorded > MAX_RECORD_BYTES):
            self._recorded -= self._received.popleft().size

    async def _answer(self, received: Received) -> Plan:
        with self._lock:
            self._record(received)
            step = self._script.popleft() if self._script else self._always
        service = next(service for service in self._services if service.owns(received.path))
        plan = self._dressed(await service.answer(received), received)
        faults = (step,) if isinstance(step, Fault) else step or ()
        if isinstance(plan, Switch):
            return plan.struck(faults)
        if faults:
            plan = await gathered(plan)  # a fault counts events
        for fault in faults:
            plan = apply(fault, plan)
        return joined(self._dressed(plan, received), self._events_per_chunk)

    def _dressed(self, plan: Plan, received: Received) -> Plan:
        """Add what every answer has: date, request id, and the pace of a stream."""
        names = {name.lower() for name, _ in plan.headers}
        if "opc-request-id" not in names:
            asked = received.headers.get("opc-request-id", "")
            id = f"{asked}/{next(self._ids):032X}" if asked else f"{next(self._ids):032X}"
            plan = plan.with_headers(("opc-request-id", id))
        if "date" not in names:
            plan = plan.with_headers(("date", formatdate(self._clock(), usegmt=True)))
        return replace(plan, delay=self._delay) if plan.framing == "chunked" else plan
