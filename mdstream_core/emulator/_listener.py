"""The listening server: accepts connections, records requests, applies the scripted faults."""

import asyncio
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from email.utils import formatdate
from itertools import count
from pathlib import Path
from time import time
from typing import Protocol

from mdstream_core.emulator._bounds import MAX_CONNECTIONS, MAX_RECORD_BYTES
from mdstream_core.emulator._connection import Connection
from mdstream_core.emulator._rate_limits import RateEnforcer
from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._replay import ReplayService, create_replay
from mdstream_core.emulator._request_target import RateLimitScope, RequestTarget
from mdstream_core.emulator._response_plan import ResponsePlan, collect_chunks, merge_chunks
from mdstream_core.emulator._upgrade import UpgradePlan
from mdstream_core.emulator.faults import Fault, apply_fault
from mdstream_core.recording import Recording

Step = Fault | Sequence[Fault] | None
"""What happens to one request: a fault, several that apply one after the other, or `None`."""


_TOKENS = "/v3/auth/"  # a recording has no logins, so the emulated IAM issues the tokens
_MAX_RECORDS = 10_000  # and at most `MAX_RECORD_BYTES` of them; a security limit


class Service(Protocol):
    """One emulated service."""

    def matches(self, path: str) -> bool:
        """Return whether the service serves this path."""
        ...

    def find_target(self, http_request: RecordedRequest) -> RequestTarget | None:
        """Return what the request counts towards; `None` if it has no rate limit."""
        ...

    def build_throttling_response(self, target: RequestTarget, scope: RateLimitScope) -> ResponsePlan:
        """Build the error response to a request that exceeds a rate limit."""
        ...

    async def handle_request(self, http_request: RecordedRequest) -> ResponsePlan:
        """Build the healthy response to a request."""
        ...


class Listener:
    """Routes each request to the first service that serves its path; scripts and records are thread-safe."""

    def __init__(
        self,
        services: Sequence[Service],
        rate_enforcer: RateEnforcer,
        *,
        replay: ReplayService | None = None,
        delay: float = 0.0,
        events_per_chunk: int = 1,
        clock: Callable[[], float] = time,
        idle: float = 120.0,
    ) -> None:
        self._idle = idle
        self._services = services
        self._rate_enforcer = rate_enforcer
        self._replay = replay
        self._clock = clock
        self._delay = delay
        self._events_per_chunk = events_per_chunk
        self._lock = threading.Lock()
        self._script: deque[Step] = deque()
        self._default_step: Step = None
        self._recorded: deque[RecordedRequest] = deque()
        self._recorded_size = 0  # bytes
        self._connection_count = 0
        self._ids = count(1)
        self._open: set[Connection] = set()
        self._server: asyncio.Server | None = None

    # Called by tests, from any thread

    def script(self, steps: Iterable[Step]) -> None:
        """Queue the steps for the next requests."""
        with self._lock:
            self._script.extend(steps)

    def always(self, step: Step) -> None:
        """Set the step for every request for which none is queued."""
        with self._lock:
            self._default_step = step

    def replay(self, recording: str | Path | Recording) -> None:
        """Play back another recording. Raises `ValueError` if there is none so far."""
        if self._replay is None:
            raise ValueError("the emulator plays back no recording (hint: create it with replay=)")
        replay = create_replay(recording, timing=self._replay.timing)
        with self._lock:
            self._replay = replay

    @property
    def recorded_requests(self) -> list[RecordedRequest]:
        """The recorded requests, oldest first."""
        with self._lock:
            return list(self._recorded)

    @property
    def connection_count(self) -> int:
        """Number of TCP connections accepted so far."""
        with self._lock:
            return self._connection_count

    def reset(self) -> None:
        """Clear the records, the script and the ledger; restore the first rate limits."""
        self._rate_enforcer.reset()
        with self._lock:
            self._recorded.clear()
            self._recorded_size = 0
            self._script.clear()
            self._default_step = None
            if self._replay is not None:
                self._replay.reset()

    # Called on the event loop

    async def open(self, host: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Start to listen; return the port."""
        loop = asyncio.get_running_loop()
        create_connection: Callable[[], Connection] = lambda: Connection(  # noqa: E731
            self._handle_request, self._on_open, self._open.discard, self._idle
        )
        self._server = await loop.create_server(create_connection, host, port, ssl=context)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*(connection.stop() for connection in list(self._open)))

    def _on_open(self, connection: Connection) -> int:
        if len(self._open) >= MAX_CONNECTIONS:
            return 0
        self._open.add(connection)
        with self._lock:
            self._connection_count += 1
            return self._connection_count

    def _record(self, http_request: RecordedRequest) -> None:
        """Record a request; drop the oldest records if there are too many."""
        self._recorded.append(http_request)
        self._recorded_size += http_request.size
        while len(self._recorded) > 1 and (
            len(self._recorded) > _MAX_RECORDS or self._recorded_size > MAX_RECORD_BYTES
        ):
            self._recorded_size -= self._recorded.popleft().size

    async def _handle_request(self, http_request: RecordedRequest) -> ResponsePlan:
        with self._lock:
            self._record(http_request)
            if self._replay is not None and not http_request.path.startswith(_TOKENS):
                return self._replay.respond(http_request)
        service = next(service for service in self._services if service.matches(http_request.path))
        if (rejection := self._apply_rate_limits(service, http_request)) is not None:
            return self._add_common_headers(rejection, http_request)
        with self._lock:
            step = self._script.popleft() if self._script else self._default_step
        plan = self._add_common_headers(await service.handle_request(http_request), http_request)
        faults = (step,) if isinstance(step, Fault) else step or ()
        if isinstance(plan, UpgradePlan):
            return plan.with_faults(faults)
        if faults:
            plan = await collect_chunks(plan)  # a fault counts events
        for fault in faults:
            plan = apply_fault(fault, plan)
        return merge_chunks(self._add_common_headers(plan, http_request), self._events_per_chunk)

    def _apply_rate_limits(self, service: Service, http_request: RecordedRequest) -> ResponsePlan | None:
        """Build the error response if the request exceeds a rate limit."""
        target = service.find_target(http_request)
        rejection = None if target is None else self._rate_enforcer.admit(target, http_request)
        if target is None or rejection is None:
            return None
        plan = service.build_throttling_response(target, rejection.scope)
        return plan if rejection.retry_after is None else plan.with_headers(("Retry-After", rejection.retry_after))

    def _add_common_headers(self, plan: ResponsePlan, http_request: RecordedRequest) -> ResponsePlan:
        """Add the headers that every response has (date, request id), and the delay of a stream."""
        names = {name.lower() for name, _ in plan.headers}
        if "opc-request-id" not in names:
            client_id = http_request.headers.get("opc-request-id", "")
            id = f"{client_id}/{next(self._ids):032X}" if client_id else f"{next(self._ids):032X}"
            plan = plan.with_headers(("opc-request-id", id))
        if "date" not in names:
            plan = plan.with_headers(("date", formatdate(self._clock(), usegmt=True)))
        return replace(plan, delay=self._delay) if plan.framing == "chunked" else plan
