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
from mdstream_core.auth import Signer, Unsigned, raise_failure
from mdstream_core.call import Call
from mdstream_core.errors import AuthenticationError, ConnectionFailed, InvalidRequest, MDStreamError, StreamInterrupted
from mdstream_core.events import Event, Reply
from mdstream_core.http import Head, Request, ResponseTrailers, require_values, sendable_headers, without_locals
from mdstream_core.transport import async_http_client, http_client
from mdstream_core.transport._turns import atake_turn, take_turn
from mdstream_core.transport.coding import abody, body
from mdstream_core.transport.loop_bound import LoopBoundClient, forget_closed, running_loop
from mdstream_core.transport.patience import Patience
from mdstream_core.transport.wall import wall

if TYPE_CHECKING:
    import httpx  # a tenth of a second, which who only imports us need not wait for


class _Half:
    """What does not wait: who signs (a signer of ours, or an `httpx.Auth` while it is sent), and who is warned."""

    def __init__(self, auth: Any) -> None:
        self._signer = auth if isinstance(auth, Signer) else Unsigned()
        self._auth = {} if auth is None or isinstance(auth, Signer) else {"auth": auth}
        self._warned = False

    def reset_after_fork(self) -> None:
        """Begin without connections and locks, in a forked process.

        It has its parent's connections in its hands, and two who read from one socket read each other's answers: they
        are forgotten, and not closed, for they are the parent's.
        """
        raise NotImplementedError

    def _aged(self, exchange: Attempt) -> int | None:
        """The key that must be fetched again before the next signature, if it must: once in a call."""
        if exchange.refused is not None or exchange.renewed:
            return exchange.refused
        generation = self._signer.generation  # looked up first: somebody may fetch the key in between
        return generation if self._signer.stale() else None

    def _signed(self, http: Any, exchange: Attempt, patience: Patience) -> Any:
        patience.start()
        exchange.generation = self._signer.generation
        with without_locals:
            signed = _sendable(self._signer.sign(exchange.request))
        return http.build_request(
            signed.method,
            signed.url,
            headers=dict(signed.headers),
            content=signed.content,
            extensions={"timeout": patience.limits},
        )

    def _judge(self, exchange: Attempt, response: Any) -> None:
        """Warn, once, when a success may be none. Last of all: a failure that could be seen was raised before."""
        if self._warned or not exchange.trailers_matter or "trailers" in response.extensions:
            return
        self._warned = True
        warnings.warn(
            "this http_client cannot see HTTP trailers, in which the service reports a broken stream: build it with "
            "mdstream_core.transport.http_client() or async_http_client()",
            RuntimeWarning,
            stacklevel=3,
        )


class Client(_Half):
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
        self._given = http
        self._options = options
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Begin without connections and locks, in a forked process."""
        self._lock = _fork.Lock()
        self._own: httpx.Client | None = None

    def stream(self, call: Call) -> Generator[Event]:
        """The events of an answer, as they come. Closing the generator closes the connection at once.

        Raises:
            MDStreamError: The answer is not whole; `partial` is what was received.
        """
        patience = Patience(call.timeout)
        with call:
            while True:
                exchange = call.attempt()
                try:
                    with wall(patience), self._answer(exchange, patience) as response:
                        with _settled(exchange, patience):
                            for data in body(response):
                                while True:
                                    events = exchange.feed(data)
                                    for event in events:
                                        yield event
                                    patience.heard(progress=bool(events) or exchange.holds, drain=exchange.drain)
                                    if not exchange.unread or exchange.enough:
                                        break
                                    data = take_turn()
                                if exchange.enough:
                                    break
                        data = b""  # the body of a redirect repeats its URL, and tracebacks may show locals
                        for event in exchange.rest():
                            yield event
                        for event in exchange.end(_trailers(response)):
                            yield event
                        self._judge(exchange, response)
                        return
                except MDStreamError as error:
                    time.sleep(call.failed(exchange, error, renewable=self._signer.renewable(), left=patience.left))
                    patience = Patience(call.timeout) if exchange.started else patience

    def complete(self, call: Call) -> Reply:
        """The whole answer. Raises as `stream` does."""
        events = [event for event in self.stream(call)]  # noqa: C416  # as the twin must
        return Reply.of(events)

    def close(self) -> None:
        """Close the connections. A client that was given stays open: it is its owner's."""
        own, self._own = self._own, None
        if own is not None:
            own.close()

    @contextmanager
    def _answer(self, exchange: Attempt, patience: Patience) -> Iterator["httpx.Response"]:
        http = self._http()
        if (aged := self._aged(exchange)) is not None:
            with _in_time(exchange, patience, self._signer):
                _refresh(self._signer, aged, patience)
        request = self._signed(http, exchange, patience)
        response = http.send(request, stream=True, follow_redirects=False, **self._auth)
        try:
            _begin(exchange, patience, response)
            yield response
        finally:
            response.close()

    def _http(self) -> "httpx.Client":
        if self._given is not None:
            return self._given
        with self._lock:
            if self._own is None:
                self._own = http_client(**self._options)
            return self._own


class AsyncClient(_Half):
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
        self._given = http
        self._options = options
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Begin without connections and locks, in a forked process."""
        self._lock = _fork.Lock()
        self._own: WeakKeyDictionary[Any, LoopBoundClient] = WeakKeyDictionary()

    async def stream(self, call: Call) -> AsyncGenerator[Event]:
        """The events of an answer, as they come. Closing the generator closes the connection at once.

        Raises:
            MDStreamError: The answer is not whole; `partial` is what was received.
        """
        patience = Patience(call.timeout)
        with call:
            while True:
                exchange = call.attempt()
                try:
                    with wall(patience):
                        async with self._answer(exchange, patience) as response:
                            with _settled(exchange, patience):
                                async for data in abody(response):
                                    while True:
                                        events = exchange.feed(data)
                                        for event in events:
                                            yield event
                                        patience.heard(progress=bool(events) or exchange.holds, drain=exchange.drain)
                                        if not exchange.unread or exchange.enough:
                                            break
                                        data = await atake_turn()
                                    if exchange.enough:
                                        break
                            data = b""  # the body of a redirect repeats its URL, and tracebacks may show locals
                            for event in exchange.rest():
                                yield event
                            for event in exchange.end(_trailers(response)):
                                yield event
                            self._judge(exchange, response)
                            return
                except MDStreamError as error:
                    await anyio.sleep(
                        call.failed(exchange, error, renewable=self._signer.renewable(), left=patience.left)
                    )
                    patience = Patience(call.timeout) if exchange.started else patience

    async def complete(self, call: Call) -> Reply:
        """The whole answer. Raises as `stream` does."""
        events = [event async for event in self.stream(call)]
        return Reply.of(events)

    async def aclose(self) -> None:
        """Close this loop's connections. A client that was given stays open: it is its owner's."""
        own = self._own.pop(running_loop(), None)
        if own is not None:
            await own.aclose()

    @asynccontextmanager
    async def _answer(self, exchange: Attempt, patience: Patience) -> AsyncIterator["httpx.Response"]:
        http = self._http()
        if (aged := self._aged(exchange)) is not None:
            async with _ain_time(exchange, patience, self._signer):
                await _arefresh(self._signer, aged, patience)
        request = self._signed(http, exchange, patience)
        response = await http.send(request, stream=True, follow_redirects=False, **self._auth)
        try:
            _begin(exchange, patience, response)
            yield response
        finally:
            await response.aclose()

    def _http(self) -> "httpx.AsyncClient":
        if self._given is not None:
            return self._given
        loop = running_loop()
        with self._lock:
            own = self._own.get(loop)
            if own is None:
                forget_closed(self._own)
                own = self._own[loop] = LoopBoundClient(
                    async_http_client(**self._options), partial(self._own.pop, loop, None)
                )
            return own.http


def _sendable(request: Request) -> Request:
    """The same request. Raises `InvalidRequest` if a header of it, whoever wrote it, cannot be sent."""
    try:
        with without_locals:
            require_values("the request", sendable_headers("the request", request.headers))
    except ValueError as error:
        raise InvalidRequest(str(error), code="InvalidHeader") from None
    return request


@contextmanager
def _settled(exchange: Attempt, patience: Patience) -> Iterator[None]:
    """Reading ends without an error where the answer is whole and only the connection, or its usage, was waited for."""
    try:
        with wall(patience):
            yield
    except StreamInterrupted:
        if not exchange.settled:
            raise


def _begin(exchange: Attempt, patience: Patience, response: Any) -> None:
    patience.begun = True
    exchange.begin(Head.of(response.status_code, response.headers.multi_items()))


@contextmanager
def _in_time(exchange: Attempt, patience: Patience, signer: Signer) -> Iterator[None]:
    """Raises when the time is over. What goes on in a thread goes on there, for whoever asks next."""
    try:
        yield
    except AuthenticationError:
        exchange.note_renewal()
        raise
    except ConnectionFailed:
        patience.check()
        raise
    if not (signer.is_local or signer.returns_cached):
        exchange.note_renewal()
    patience.check()


@asynccontextmanager
async def _ain_time(exchange: Attempt, patience: Patience, signer: Signer) -> AsyncIterator[None]:
    """The same, and the wait ends when the time is over."""
    with _in_time(exchange, patience, signer), anyio.move_on_after(max(patience.left, 0.0)) as scope:
        yield
    patience.check(late=scope.cancelled_caught)


def _refresh(signer: Signer, aged: int, patience: Patience) -> None:
    """Fetch the key again, in a thread that nobody has to wait for any longer than his call may take."""
    signer.refresh(aged, patience.left)


async def _arefresh(signer: Signer, aged: int, patience: Patience) -> None:
    """The same without holding a thread for each task that waits."""
    flight = signer.start_refresh(aged)
    if flight is None:
        return
    landed = anyio.Event()
    flight.add_done_callback(partial(_wake, _call_soon(), landed))
    with anyio.move_on_after(signer.patience) as scope:
        await landed.wait()
    if scope.cancelled_caught:
        raise ConnectionFailed(f"no new credential within {signer.patience:g} s")
    raise_failure(flight)


def _call_soon() -> Callable[[Callable[[], None]], Any]:
    """Calls a function on the running event loop, from any thread."""
    loop = running_loop()
    return loop.call_soon_threadsafe if isinstance(loop, asyncio.AbstractEventLoop) else loop.run_sync_soon


def _wake(call_soon: Callable[[Callable[[], None]], Any], landed: anyio.Event, _: object) -> None:
    with suppress(RuntimeError):  # the loop has ended
        call_soon(landed.set)


def _trailers(response: Any) -> tuple[tuple[str, str], ...]:
    trailers = response.extensions.get("trailers", ())
    return ResponseTrailers((name.decode("latin-1"), value.decode("latin-1")) for name, value in trailers)
