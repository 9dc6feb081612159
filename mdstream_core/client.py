"""The two loops that wait for an answer: `Client` and `AsyncClient`, twins line for line.

They hold a connection pool and a signer, and nothing of any stream: one client serves threads and tasks alike.
"""

import asyncio
import inspect
import time
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import anyio

from mdstream_core import _fork
from mdstream_core.attempt import Attempt
from mdstream_core.auth import Signer, UnsignedSigner, raise_refresh_error
from mdstream_core.call import Call
from mdstream_core.errors import AuthenticationError, ConnectionFailed, InvalidRequest, MDStreamError, StreamInterrupted
from mdstream_core.events import Event, ModelResponse
from mdstream_core.http import (
    Request,
    ResponseHead,
    ResponseTrailers,
    require_values,
    scrub_credentials,
    sendable_headers,
)
from mdstream_core.transport import async_http_client, http_client
from mdstream_core.transport._fairness import acheckpoint, checkpoint
from mdstream_core.transport._loop_bound import LoopBoundClient, discard_closed_loops, running_loop
from mdstream_core.transport.decompression import aiter_body, iter_body
from mdstream_core.transport.exceptions import map_exceptions
from mdstream_core.transport.timeouts import TimeoutBudget

if TYPE_CHECKING:
    import httpx  # a tenth of a second, which who only imports us need not wait for


class _BaseClient:
    """What does not wait: who signs (a signer of ours, or an `httpx.Auth` while it is sent), and who is warned."""

    def __init__(self, auth: Any) -> None:
        self._signer = auth if isinstance(auth, Signer) else UnsignedSigner()
        self._auth = {} if auth is None or isinstance(auth, Signer) else {"auth": auth}
        self._warned = False

    def reset_after_fork(self) -> None:
        """Begin without connections and locks, in a forked process.

        It has its parent's connections in its hands, and two who read from one socket read each other's answers: they
        are forgotten, and not closed, for they are the parent's.
        """
        raise NotImplementedError

    def _expired_generation(self, attempt: Attempt) -> int | None:
        """The key that must be fetched again before the next signature, if it must: once in a call."""
        if attempt.rejected_generation is not None or attempt.has_refreshed:
            return attempt.rejected_generation
        generation = self._signer.generation  # looked up first: somebody may fetch the key in between
        return generation if self._signer.needs_refresh() else None

    def _build_signed_request(self, http: Any, attempt: Attempt, budget: TimeoutBudget) -> Any:
        budget.start()
        attempt.generation = self._signer.generation
        with scrub_credentials:
            signed = _sendable(self._signer.sign(attempt.request))
        return http.build_request(
            signed.method,
            signed.url,
            headers=dict(signed.headers),
            content=signed.content,
            extensions={"timeout": budget.limits},
        )

    def _warn_if_trailers_invisible(self, attempt: Attempt, response: Any) -> None:
        """Warn, once, when a success may be none. Last of all: a failure that could be seen was raised before."""
        if self._warned or not attempt.needs_trailers or "trailers" in response.extensions:
            return
        self._warned = True
        warnings.warn(
            "this http_client cannot see HTTP trailers, in which the service reports a broken stream: build it with "
            "mdstream_core.transport.http_client() or async_http_client()",
            RuntimeWarning,
            stacklevel=3,
        )


class Client(_BaseClient):
    """Asks, waits and hands out events, for synchronous code.

    Args:
        auth: A `Signer`, an `httpx.Auth`, or `None` for unsigned requests.
        http: An `httpx.Client` (or one of httpx2) to send with; without our transport it cannot show trailers, and a
            warning says so. By default one is made when it is first needed, with `options`.
        options: `verify`, `cert`, `proxy`, `trust_env` and limits for `mdstream_core.transport.http_client`.

    Example:
        >>> client = Client()
        >>> client.close()
    """

    def __init__(self, auth: Any = None, http: "httpx.Client | None" = None, **options: Any) -> None:
        super().__init__(auth)
        if inspect.iscoroutinefunction(getattr(http, "send", None)):
            raise ValueError("http_client is for threads: give an httpx.AsyncClient as http_async_client")
        self._user_client = http
        self._options = options
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Begin without connections and locks, in a forked process."""
        self._lock = _fork.Lock()
        self._owned: httpx.Client | None = None

    def stream(self, call: Call) -> Generator[Event]:
        """The events of an answer, as they come. Closing the generator closes the connection at once.

        Raises:
            MDStreamError: The answer is not whole; `partial` is what was received.
        """
        budget = TimeoutBudget(call.timeout)
        with call:
            while True:
                attempt = call.create_attempt()
                try:
                    with map_exceptions(budget), self._open_response(attempt, budget) as response:
                        with _ignore_errors_when_final(attempt, budget):
                            for data in iter_body(response):
                                while True:
                                    events = attempt.feed(data)
                                    for event in events:
                                        yield event
                                    budget.record_read(
                                        progress=bool(events) or attempt.is_buffering,
                                        drain_timeout=attempt.drain_timeout,
                                    )
                                    if not attempt.unread or attempt.should_stop_reading:
                                        break
                                    data = checkpoint()
                                if attempt.should_stop_reading:
                                    break
                        data = b""  # the body of a redirect repeats its URL, and tracebacks may show locals
                        for event in attempt.flush():
                            yield event
                        for event in attempt.finish(_decode_trailers(response)):
                            yield event
                        self._warn_if_trailers_invisible(attempt, response)
                        return
                except MDStreamError as error:
                    time.sleep(
                        call.handle_failure(
                            attempt, error, can_refresh=self._signer.can_refresh(), remaining=budget.remaining
                        )
                    )
                    budget = TimeoutBudget(call.timeout) if attempt.started else budget

    def complete(self, call: Call) -> ModelResponse:
        """The whole answer. Raises as `stream` does."""
        events = [event for event in self.stream(call)]  # noqa: C416  # as the twin must
        return ModelResponse.from_events(events)

    def close(self) -> None:
        """Close the connections. A client that was given stays open: it is its owner's."""
        own, self._owned = self._owned, None
        if own is not None:
            own.close()

    @contextmanager
    def _open_response(self, attempt: Attempt, budget: TimeoutBudget) -> Iterator["httpx.Response"]:
        http = self._get_http_client()
        if (aged := self._expired_generation(attempt)) is not None:
            with _enforce_deadline(attempt, budget, self._signer):
                _refresh(self._signer, aged, budget)
        request = self._build_signed_request(http, attempt, budget)
        response = http.send(request, stream=True, follow_redirects=False, **self._auth)
        try:
            _start_attempt(attempt, budget, response)
            yield response
        finally:
            response.close()

    def _get_http_client(self) -> "httpx.Client":
        if self._user_client is not None:
            return self._user_client
        with self._lock:
            if self._owned is None:
                self._owned = http_client(**self._options)
            return self._owned


class AsyncClient(_BaseClient):
    """Asks, waits and hands out events, for asynchronous code.

    Connections belong to an event loop, and objects outlive `asyncio.run`: there is one pool for each running loop.

    Args:
        auth: A `Signer`, an `httpx.Auth`, or `None` for unsigned requests. A signer's refresh runs in a thread.
        http: An `httpx.AsyncClient` (or one of httpx2) to send with.
        options: As for `Client`.
    """

    def __init__(self, auth: Any = None, http: "httpx.AsyncClient | None" = None, **options: Any) -> None:
        super().__init__(auth)
        if http is not None and not inspect.iscoroutinefunction(getattr(http, "send", None)):
            raise ValueError("http_async_client is for tasks: give an httpx.Client as http_client")
        self._user_client = http
        self._options = options
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Begin without connections and locks, in a forked process."""
        self._lock = _fork.Lock()
        self._owned: WeakKeyDictionary[Any, LoopBoundClient] = WeakKeyDictionary()

    async def stream(self, call: Call) -> AsyncGenerator[Event]:
        """The events of an answer, as they come. Closing the generator closes the connection at once.

        Raises:
            MDStreamError: The answer is not whole; `partial` is what was received.
        """
        budget = TimeoutBudget(call.timeout)
        with call:
            while True:
                attempt = call.create_attempt()
                try:
                    with map_exceptions(budget):
                        async with self._open_response(attempt, budget) as response:
                            with _ignore_errors_when_final(attempt, budget):
                                async for data in aiter_body(response):
                                    while True:
                                        events = attempt.feed(data)
                                        for event in events:
                                            yield event
                                        budget.record_read(
                                            progress=bool(events) or attempt.is_buffering,
                                            drain_timeout=attempt.drain_timeout,
                                        )
                                        if not attempt.unread or attempt.should_stop_reading:
                                            break
                                        data = await acheckpoint()
                                    if attempt.should_stop_reading:
                                        break
                            data = b""  # the body of a redirect repeats its URL, and tracebacks may show locals
                            for event in attempt.flush():
                                yield event
                            for event in attempt.finish(_decode_trailers(response)):
                                yield event
                            self._warn_if_trailers_invisible(attempt, response)
                            return
                except MDStreamError as error:
                    await anyio.sleep(
                        call.handle_failure(
                            attempt, error, can_refresh=self._signer.can_refresh(), remaining=budget.remaining
                        )
                    )
                    budget = TimeoutBudget(call.timeout) if attempt.started else budget

    async def complete(self, call: Call) -> ModelResponse:
        """The whole answer. Raises as `stream` does."""
        events = [event async for event in self.stream(call)]
        return ModelResponse.from_events(events)

    async def aclose(self) -> None:
        """Close this loop's connections. A client that was given stays open: it is its owner's."""
        own = self._owned.pop(running_loop(), None)
        if own is not None:
            await own.aclose()

    @asynccontextmanager
    async def _open_response(self, attempt: Attempt, budget: TimeoutBudget) -> AsyncIterator["httpx.Response"]:
        http = self._get_http_client()
        if (aged := self._expired_generation(attempt)) is not None:
            async with _aenforce_deadline(attempt, budget, self._signer):
                await _arefresh(self._signer, aged, budget)
        request = self._build_signed_request(http, attempt, budget)
        response = await http.send(request, stream=True, follow_redirects=False, **self._auth)
        try:
            _start_attempt(attempt, budget, response)
            yield response
        finally:
            await response.aclose()

    def _get_http_client(self) -> "httpx.AsyncClient":
        if self._user_client is not None:
            return self._user_client
        loop = running_loop()
        with self._lock:
            own = self._owned.get(loop)
            if own is None:
                discard_closed_loops(self._owned)
                own = self._owned[loop] = LoopBoundClient(
                    async_http_client(**self._options), partial(self._owned.pop, loop, None)
                )
            return own.http


def _sendable(request: Request) -> Request:
    """The same request. Raises `InvalidRequest` if a header of it, whoever wrote it, cannot be sent."""
    try:
        with scrub_credentials:
            require_values("the request", sendable_headers("the request", request.headers))
    except ValueError as error:
        raise InvalidRequest(str(error), code="InvalidHeader") from None
    return request


@contextmanager
def _ignore_errors_when_final(attempt: Attempt, budget: TimeoutBudget) -> Iterator[None]:
    """Reading ends without an error where the answer is whole and only the connection, or its usage, was waited for."""
    try:
        with map_exceptions(budget):
            yield
    except StreamInterrupted:
        if not attempt.is_final:
            raise


def _start_attempt(attempt: Attempt, budget: TimeoutBudget, response: Any) -> None:
    budget.has_head = True
    attempt.start(ResponseHead.from_fields(response.status_code, response.headers.multi_items()))


@contextmanager
def _enforce_deadline(attempt: Attempt, budget: TimeoutBudget, signer: Signer) -> Iterator[None]:
    """Raises when the time is over. What goes on in a thread goes on there, for whoever asks next."""
    try:
        yield
    except AuthenticationError:
        attempt.record_refresh()
        raise
    except ConnectionFailed:
        budget.check()
        raise
    if not (signer.is_local or signer.returns_cached):
        attempt.record_refresh()
    budget.check()


@asynccontextmanager
async def _aenforce_deadline(attempt: Attempt, budget: TimeoutBudget, signer: Signer) -> AsyncIterator[None]:
    """The same, and the wait ends when the time is over."""
    with _enforce_deadline(attempt, budget, signer), anyio.move_on_after(max(budget.remaining, 0.0)) as scope:
        yield
    budget.check(expired=scope.cancelled_caught)


def _refresh(signer: Signer, aged: int, budget: TimeoutBudget) -> None:
    """Fetch the key again, in a thread that nobody has to wait for any longer than his call may take."""
    signer.refresh(aged, budget.remaining)


async def _arefresh(signer: Signer, aged: int, budget: TimeoutBudget) -> None:
    """The same without holding a thread for each task that waits."""
    flight = signer.start_refresh(aged)
    if flight is None:
        return
    landed = anyio.Event()
    flight.add_done_callback(partial(_wake, _call_soon(), landed))
    with anyio.move_on_after(signer.refresh_timeout) as scope:
        await landed.wait()
    if scope.cancelled_caught:
        raise ConnectionFailed(f"no new credential within {signer.refresh_timeout:g} s")
    raise_refresh_error(flight)


def _call_soon() -> Callable[[Callable[[], None]], Any]:
    """Calls a function on the running event loop, from any thread."""
    loop = running_loop()
    return loop.call_soon_threadsafe if isinstance(loop, asyncio.AbstractEventLoop) else loop.run_sync_soon


def _wake(call_soon: Callable[[Callable[[], None]], Any], landed: anyio.Event, _: object) -> None:
    with suppress(RuntimeError):  # the loop has ended
        call_soon(landed.set)


def _decode_trailers(response: Any) -> tuple[tuple[str, str], ...]:
    trailers = response.extensions.get("trailers", ())
    return ResponseTrailers((name.decode("latin-1"), value.decode("latin-1")) for name, value in trailers)
