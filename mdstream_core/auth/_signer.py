"""What every signer is, and the two that need no service."""

import copy
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self

from mdstream_core import _fork
from mdstream_core.auth._rejections import RejectionMemory
from mdstream_core.errors import ConnectionFailed, MDStreamError, ServiceError
from mdstream_core.http import Request, check_key, remove_credentials


class Refresh(Future[None]):
    """A credential that is being fetched, for all who wait for it."""

    #: Where it went wrong. Each caller raises the error from here: the frames of the others must not pile up in it.
    traceback: TracebackType | None = None


class Signer:
    """Signs requests; may hold a key that ages and is fetched again.

    A client asks `needs_refresh()` before it signs and calls `refresh(generation)` when it is, or when the service
    answered
    401. Refreshing is single-flight: however many callers ask, the key is fetched once, and no lock is held meanwhile.
    A definite rejection (a wrong password) is remembered, and raised without another login until a pause is over.

    Copies of a model share its signer, and so its key and its refreshes. A pickle never holds a credential: a signer
    that can find its key again elsewhere (a file, the environment) says how in `__reduce__`, the others refuse.

    Args:
        clock: Seconds that pass, for the pauses after a rejected login.
    """

    #: Seconds that a caller waits for a refresh that runs in another thread.
    refresh_timeout: float = 60.0

    #: Whether `fetch_credential` only reads this machine's files or environment: there is no login to spare, and no
    #: network.
    is_local: bool = False

    #: Whether `fetch_credential` may return a credential that another program or library has cached: where the
    #: service rejects it,
    #: fetching it a second time in one call can help. A login always returns a new one.
    returns_cached: bool = False

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pending_refresh: Refresh | None = None
        self._rejections = RejectionMemory(clock)
        #: Counts the keys this signer had; a caller names the one it saw refused.
        self.generation = 0
        self._lock = _fork.Lock()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Forget a refresh that goes on in the parent process: it never ends in this one."""
        self._pending_refresh = None

    @property
    def credential_source(self) -> str:
        """What the credential is and where it was found, in words; never the credential."""
        return "a credential that was given"

    def sign(self, request: Request) -> Request:
        """A copy of `request` that carries the credential. Must not wait for anything."""
        raise NotImplementedError

    def needs_refresh(self) -> bool:
        """Whether the key should be fetched again before the next signature."""
        return False

    def can_refresh(self) -> bool:
        """Whether a refresh can bring another key at all."""
        return False

    def refresh(self, generation: int, timeout: float | None = None) -> None:
        """Fetch the key again, unless somebody already did since `generation`. May wait for the network.

        Args:
            generation: The key that was seen to be refused or stale.
            timeout: Seconds to wait. The refresh goes on in a thread of its own when they are over, for whoever asks
                next. By default the refresh runs in the caller's thread, to its end.

        Raises:
            MDStreamError: The key could not be fetched, or (`ConnectionFailed`) not in time.
        """
        flight, leads = self._join(generation)
        if flight is None:
            return
        if leads and (timeout is None or self.is_local):
            self._lead_refresh(flight)
            return
        if leads:
            self._start(flight)
        self._follow_refresh(flight, self.refresh_timeout if timeout is None else min(timeout, self.refresh_timeout))

    def start_refresh(self, generation: int) -> Refresh | None:
        """Begin a refresh in a thread of its own, or join the one that is under way; `None` if there is no need.

        Raises:
            MDStreamError: A login was rejected a short while ago.
        """
        flight, leads = self._join(generation)
        if flight is not None and leads:
            self._start(flight)
        return flight

    def fetch_credential(self) -> None:
        """Fetch the key. Signers whose key ages override this; `refresh` calls it once at a time."""

    def is_rejection(self, error: BaseException) -> bool:
        """Whether an error of `fetch_credential` is definite, so that another login would end the same way."""
        return isinstance(error, ServiceError) and not error.retryable

    def source_state(self) -> object:
        """A value that is another one once the credential was corrected where it is kept. Must not wait."""
        return None

    def _join(self, generation: int) -> tuple[Refresh | None, bool]:
        """The refresh that is under way, or a new one, and whether the caller has to run it."""
        with self._lock:
            if generation != self.generation:
                return None, False
            if self._pending_refresh is not None:
                return self._pending_refresh, False
            self._rejections.check(self.source_state)
            self._pending_refresh = Refresh()
            return self._pending_refresh, True

    def _start(self, flight: Refresh) -> None:
        work = partial(copy_context().run, self._run, flight)
        thread = threading.Thread(target=work, name="mdstream refresh", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads: the process has too many, or ends
            self._run(flight)
        except BaseException as error:  # KeyboardInterrupt: whoever asks next must not wait for this refresh
            if thread.ident is None:
                self.finish_refresh(flight, error)
            raise

    def _run(self, flight: Refresh) -> None:
        with _RefreshScope(self, flight, raises=False):
            self.fetch_credential()

    def _lead_refresh(self, flight: Refresh) -> None:
        with _RefreshScope(self, flight, raises=True):
            self.fetch_credential()

    def finish_refresh(self, pending: Refresh, error: BaseException | None) -> None:
        """Deliver how a refresh ended to all who wait for it."""
        if error is not None:
            remove_credentials(error)  # a password is among the locals, and in the request that failed
        with self._lock:
            if self._pending_refresh is pending:
                self._pending_refresh = None
            if error is None:
                self.generation += 1
                self._rejections.clear()
            elif isinstance(error, MDStreamError) and not self.is_local and self.is_rejection(error):
                self._rejections.record(error, self.source_state())
            if pending.running() or pending.done():  # its start was interrupted, and it went on all the same
                return
            pending.set_running_or_notify_cancel()
        if error is None:
            pending.set_result(None)
        else:
            pending.traceback = error.__traceback__
            pending.set_exception(error)

    def _follow_refresh(self, flight: Refresh, seconds: float) -> None:
        try:
            flight.exception(seconds)
        except TimeoutError:
            raise ConnectionFailed(f"no new credential within {seconds:g} s") from None
        raise_refresh_error(flight)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError(
            f"{self!r} holds a credential, which is not written to a pickle: build it anew on the other side"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def raise_refresh_error(flight: Refresh) -> None:
    """Raise what went wrong in a refresh that has ended."""
    error = flight.exception()
    if error is None:
        return
    if not isinstance(error, Exception):  # the leader was told to stop; the followers were not
        raise ConnectionFailed("the refresh of the credential was abandoned") from error
    if not isinstance(error, MDStreamError):
        raise error.with_traceback(flight.traceback)
    # A client hangs the facts of its own call on an error of ours: each caller needs one of its own.
    raise copy.copy(error) from error.__cause__


class _RefreshScope:
    """Runs a block that renews a key, and delivers how it ended."""

    def __init__(self, signer: Signer, flight: Refresh, *, raises: bool) -> None:
        self._signer = signer
        self._flight = flight
        self._raises = raises

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        self._signer.finish_refresh(self._flight, error)
        return not self._raises


class UnsignedSigner(Signer):
    """Sends requests as they are: for services on loopback, or where a gateway signs."""

    @property
    def credential_source(self) -> str:
        return "none: requests are not signed"

    def sign(self, request: Request) -> Request:
        return request

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


class BearerSigner(Signer):
    """Sends `Authorization: BearerSigner <key>`.

    Args:
        key: The API key. It appears in no repr, log or error.
    """

    def __init__(self, key: str) -> None:
        super().__init__()
        check_key("api_key", key)
        self._key = key

    @property
    def credential_source(self) -> str:
        return "an API key"

    def sign(self, request: Request) -> Request:
        return replace(request, headers={**request.headers, "authorization": f"Bearer {self._key}"})
