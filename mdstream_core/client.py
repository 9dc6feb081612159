"""`Client` and `AsyncClient`: send the requests of a call and stream the events of its response.

The sync and async variants differ only in awaiting. A client holds a connection pool and a signer, and no state of any
stream, so threads and tasks can share it.
"""

import inspect
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
from mdstream_core.errors import AuthenticationError, ConnectionFailed, MDStreamError
from mdstream_core.events import Event, ModelResponse
from mdstream_core.http import (
    Request,
    ResponseHead,
    ResponseTrailers,
    scrub_error,
)
from mdstream_core.rate_limit import arate_limited, rate_limited
from mdstream_core.transport._async import AsyncRequestSender
from mdstream_core.transport._cancellation import sleep, thread_token
from mdstream_core.transport._clients import create_owned_client
from mdstream_core.transport._fairness import acheckpoint, checkpoint
from mdstream_core.transport._loop_bound import LoopBoundClient, call_soon, discard_closed_loops, running_loop
from mdstream_core.transport._sync import RequestSender
from mdstream_core.transport.decompression import aiter_body, iter_body
from mdstream_core.transport.exceptions import IgnoreErrorsWhenFinal, map_exceptions
from mdstream_core.transport.timeouts import TimeoutBudget

if TYPE_CHECKING:
    import httpx  # imported when needed, because it takes a tenth of a second


class _BaseClient:
    """Shared base of both clients: authentication (a `Signer`, or an `httpx.Auth`) and warnings."""

    def __init__(self, auth: Any) -> None:
        self._signer = auth if isinstance(auth, Signer) else UnsignedSigner()
        self._auth = {} if auth is None or isinstance(auth, Signer) else {"auth": auth}
        self._warned = False

    def reset_after_fork(self) -> None:
        """Drop connections and locks in a forked process.

        The child inherits the parent's sockets, and two processes that read from one socket get each other's data. The
        connections are dropped and not closed, because the parent still uses them.
        """
        raise NotImplementedError

    def _generation_to_refresh(self, attempt: Attempt) -> int | None:
        """Return the generation of the credential to refresh before signing; `None` if it is valid or was refreshed."""
        if attempt.rejected_generation is not None or attempt.has_refreshed:
            return attempt.rejected_generation
        generation = self._signer.generation  # read first: another thread may refresh in between
        return generation if self._signer.needs_refresh() else None

    def _sign(self, attempt: Attempt, budget: TimeoutBudget) -> Request:
        budget.start()
        attempt.generation = self._signer.generation
        try:
            return self._signer.sign(attempt.request)
        except BaseException as error:
            scrub_error(error)
            raise

    def _warn_if_trailers_invisible(self, attempt: Attempt, response: Any) -> None:
        """Warn once if a failure in the trailers would not be noticed. Called after every other check has passed."""
        if self._warned or not attempt.needs_trailers or "trailers" in response.extensions:
            return
        self._warned = True
        warnings.warn(
            "this http_client cannot see HTTP trailers, in which the service reports failed streams (hint: create it "
            "with mdstream_core.transport.http_client() or async_http_client())",
            RuntimeWarning,
            stacklevel=3,
        )


class Client(_BaseClient):
    """Synchronous client.

    Args:
        auth: A `Signer`, an `httpx.Auth`, or `None` for unsigned requests.
        http: An `httpx.Client` (or one of httpx2). It stays open on `close()`. Without mdstream's transport it does not
            provide trailers, and a `RuntimeWarning` reports that. By default a client is created with `options` when it
            is first needed.
        options: `verify`, `cert`, `proxy`, `trust_env` and `limits` for `mdstream_core.transport.http_client`.

    Example:
        >>> client = Client()
        >>> client.close()
    """

    def __init__(self, auth: Any = None, http: "httpx.Client | None" = None, **options: Any) -> None:
        super().__init__(auth)
        if inspect.iscoroutinefunction(getattr(http, "send", None)):
            raise ValueError("http_client is an async client (hint: pass an httpx.AsyncClient as http_async_client)")
        self._user_sender = None if http is None else RequestSender(http)
        self._options = options
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Drop connections and locks in a forked process."""
        self._lock = _fork.Lock()
        self._owned: RequestSender | None = None

    def stream(self, call: Call) -> Generator[Event]:
        """Send the request and yield the events of its response as they arrive.

        Closing the generator closes the connection at once.

        Args:
            call: The call; use it once.

        Raises:
            MDStreamError: The response is an error or incomplete; `partial` is the output received.
        """
        budget = TimeoutBudget(call.timeout)
        call.cancel_token = call.cancel_token or thread_token()
        with call:
            while True:
                attempt = call.create_attempt()
                try:
                    with map_exceptions(budget), rate_limited(attempt, budget):
                        response = self._send(attempt, budget)
                        try:
                            _start_attempt(attempt, budget, response)
                            with IgnoreErrorsWhenFinal(budget, attempt):
                                for data in attempt.observe_body(response, iter_body(response)):
                                    while True:
                                        events = attempt.feed(data)
                                        for event in events:
                                            yield event
                                        budget.record_read(
                                            progress=bool(events) or attempt.is_buffering,
                                            drain_timeout=attempt.drain_timeout,
                                        )
                                        is_enough = attempt.should_stop_reading
                                        if is_enough or not attempt.has_pending_frames:
                                            break
                                        data = checkpoint()
                                    if is_enough:
                                        break
                            data = b""  # the body of a redirect repeats its URL, and tracebacks may show locals
                            for event in attempt.flush():
                                yield event
                            for event in attempt.finish(_decode_trailers(response)):
                                yield event
                            self._warn_if_trailers_invisible(attempt, response)
                            return
                        finally:
                            response.close()
                except MDStreamError as error:
                    delay = call.handle_failure(
                        attempt, error, can_refresh=self._signer.can_refresh(), remaining=budget.remaining
                    )
                    sleep(delay, call.cancel_token)
                    budget = TimeoutBudget(call.timeout) if attempt.started else budget

    def complete(self, call: Call) -> ModelResponse:
        """Return the complete response. Raises as `stream` does."""
        events = [event for event in self.stream(call)]  # noqa: C416  # parallel to the async variant
        return ModelResponse.from_events(events)

    def close(self) -> None:
        """Close the connections. An `httpx.Client` that was passed in stays open."""
        own, self._owned = self._owned, None
        if own is not None:
            own.close()

    def _send(self, attempt: Attempt, budget: TimeoutBudget) -> Any:
        sender = self._get_sender()
        if (expired := self._generation_to_refresh(attempt)) is not None:
            with _track_refresh(attempt, budget, self._signer):
                _refresh(self._signer, expired, budget)
        request = self._sign(attempt, budget)
        return sender.send(request, attempt.build_extensions(budget.limits), self._auth)

    def _get_sender(self) -> RequestSender:
        if (sender := self._user_sender or self._owned) is not None:
            return sender
        with self._lock:
            if self._owned is None:
                self._owned = RequestSender(*create_owned_client(**self._options))
            return self._owned


class AsyncClient(_BaseClient):
    """Asynchronous client, for asyncio and trio.

    Connections belong to an event loop, and clients may outlive `asyncio.run`, so there is one pool per running loop.

    Args:
        auth: A `Signer`, an `httpx.Auth`, or `None` for unsigned requests. A signer's refresh runs in a thread.
        http: An `httpx.AsyncClient` (or one of httpx2). It stays open on `aclose()`.
        options: As for `Client`.
    """

    def __init__(self, auth: Any = None, http: "httpx.AsyncClient | None" = None, **options: Any) -> None:
        super().__init__(auth)
        if http is not None and not inspect.iscoroutinefunction(getattr(http, "send", None)):
            raise ValueError("http_async_client is a sync client (hint: pass an httpx.Client as http_client)")
        self._user_sender = None if http is None else AsyncRequestSender(http)
        self._options = options
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Drop connections and locks in a forked process."""
        self._lock = _fork.Lock()
        self._owned: WeakKeyDictionary[Any, LoopBoundClient] = WeakKeyDictionary()

    async def stream(self, call: Call) -> AsyncGenerator[Event]:
        """Send the request and yield the events of its response as they arrive.

        Closing the generator closes the connection at once.

        Args:
            call: The call; use it once.

        Raises:
            MDStreamError: The response is an error or incomplete; `partial` is the output received.
        """
        budget = TimeoutBudget(call.timeout)
        call.cancel_token = call.cancel_token or thread_token()
        with call:
            while True:
                attempt = call.create_attempt()
                try:
                    with map_exceptions(budget):
                        async with arate_limited(attempt, budget):
                            response = await self._send(attempt, budget)
                            try:
                                _start_attempt(attempt, budget, response)
                                with IgnoreErrorsWhenFinal(budget, attempt):
                                    async for data in attempt.observe_body(response, aiter_body(response)):
                                        while True:
                                            events = attempt.feed(data)
                                            for event in events:
                                                yield event
                                            budget.record_read(
                                                progress=bool(events) or attempt.is_buffering,
                                                drain_timeout=attempt.drain_timeout,
                                            )
                                            is_enough = attempt.should_stop_reading
                                            if is_enough or not attempt.has_pending_frames:
                                                break
                                            data = await acheckpoint()
                                        if is_enough:
                                            break
                                data = b""  # the body of a redirect repeats its URL, and tracebacks may show locals
                                for event in attempt.flush():
                                    yield event
                                for event in attempt.finish(_decode_trailers(response)):
                                    yield event
                                self._warn_if_trailers_invisible(attempt, response)
                                return
                            finally:
                                await response.aclose()
                except MDStreamError as error:
                    delay = call.handle_failure(
                        attempt, error, can_refresh=self._signer.can_refresh(), remaining=budget.remaining
                    )
                    await anyio.sleep(delay)
                    budget = TimeoutBudget(call.timeout) if attempt.started else budget

    async def complete(self, call: Call) -> ModelResponse:
        """Return the complete response. Raises as `stream` does."""
        events = [event async for event in self.stream(call)]
        return ModelResponse.from_events(events)

    async def aclose(self) -> None:
        """Close this loop's connections. An `httpx.AsyncClient` that was passed in stays open."""
        own = self._owned.pop(running_loop(), None)
        if own is not None:
            await own.aclose()

    async def _send(self, attempt: Attempt, budget: TimeoutBudget) -> Any:
        sender = self._get_sender()
        if (expired := self._generation_to_refresh(attempt)) is not None:
            async with _atrack_refresh(attempt, budget, self._signer):
                await _arefresh(self._signer, expired, budget)
        request = self._sign(attempt, budget)
        return await sender.send(request, attempt.build_extensions(budget.limits), self._auth)

    def _get_sender(self) -> AsyncRequestSender:
        if self._user_sender is not None:
            return self._user_sender
        loop = running_loop()
        if (known := self._owned.get(loop)) is not None:
            return known.sender
        with self._lock:
            own = self._owned.get(loop)
            if own is None:
                discard_closed_loops(self._owned)
                sender = AsyncRequestSender(*create_owned_client(is_async=True, **self._options))
                own = self._owned[loop] = LoopBoundClient(sender, partial(self._owned.pop, loop, None))
            return own.sender


def _start_attempt(attempt: Attempt, budget: TimeoutBudget, response: Any) -> None:
    budget.has_head = True
    attempt.start(ResponseHead.from_fields(response.status_code, response.headers.multi_items()))


@contextmanager
def _track_refresh(attempt: Attempt, budget: TimeoutBudget, signer: Signer) -> Iterator[None]:
    """Record the refresh of an attempt, and raise if it exceeds the total timeout.

    A refresh that is too slow continues in its thread, for the next request.
    """
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
async def _atrack_refresh(attempt: Attempt, budget: TimeoutBudget, signer: Signer) -> AsyncIterator[None]:
    """Async variant, which also stops waiting at the deadline."""
    with _track_refresh(attempt, budget, signer), anyio.move_on_after(max(budget.remaining, 0.0)) as scope:
        yield
    budget.check(expired=scope.cancelled_caught)


def _refresh(signer: Signer, expired: int, budget: TimeoutBudget) -> None:
    """Refresh the credentials in a thread, and wait no longer than the call's timeout."""
    signer.refresh(expired, budget.remaining)


async def _arefresh(signer: Signer, expired: int, budget: TimeoutBudget) -> None:
    """Async variant, which does not block a thread for each waiting task."""
    pending = signer.start_refresh(expired)
    if pending is None:
        return
    done = anyio.Event()
    pending.add_done_callback(partial(_set_event, call_soon(), done))
    with anyio.move_on_after(signer.refresh_timeout) as scope:
        await done.wait()
    if scope.cancelled_caught:
        raise ConnectionFailed(f"no new credential within {signer.refresh_timeout:g} s")
    raise_refresh_error(pending)


def _set_event(call_soon: Callable[[Callable[[], None]], Any], done: anyio.Event, _: object) -> None:
    with suppress(RuntimeError):  # the loop is closed
        call_soon(done.set)


def _decode_trailers(response: Any) -> tuple[tuple[str, str], ...]:
    trailers = response.extensions.get("trailers")
    if not trailers:
        return ()
    return ResponseTrailers((name.decode("latin-1"), value.decode("latin-1")) for name, value in trailers)
