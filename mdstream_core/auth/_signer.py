"""The base class of all signers, and the two signers that need no identity service."""

import copy
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from mdstream_core import _fork, _log
from mdstream_core.auth._rejections import RejectionMemory
from mdstream_core.errors import ConnectionFailed, MDStreamError, ServiceError
from mdstream_core.http import Request, check_key, remove_credentials


@runtime_checkable
class AuthFlow(Protocol):
    """The interface of `httpx.Auth` and `httpx2.Auth`."""

    def auth_flow(self, request: Any) -> Any:
        """Yield the authenticated request, as `httpx.Auth.auth_flow` does."""


class Refresh(Future[None]):
    """A refresh of a credential; all callers that need the credential wait for the same one."""

    #: The traceback of the failure. Each caller raises the error with this one, so that their frames do not add up.
    traceback: TracebackType | None = None


class Signer:
    """Base class of signers: adds a credential to each request, and refreshes the credential if it can expire.

    A subclass implements `sign`. If its credential expires, it also implements `needs_refresh`, `can_refresh` and
    `fetch_credential`. A client calls `needs_refresh()` before it signs, and `refresh(generation)` if the result is
    true or the service returned 401. Refreshes are single-flight: however many callers need one, the credential is
    fetched once, and no lock is held meanwhile. A definite rejection (a wrong password) is remembered and raised again
    without another login until a pause of 60 to 900 seconds has ended.

    Copies of a model share its signer, and so its credential and refreshes. A pickle never contains a credential: a
    signer that can read it again from a file or the environment implements `__reduce__`, the others raise `TypeError`.

    Args:
        clock: Returns a time in seconds, for the pauses after a rejected login. Default: `time.monotonic`.

    Example:
        >>> class TokenSigner(Signer):
        ...     def sign(self, request: Request) -> Request:
        ...         return replace(request, headers={**request.headers, "x-token": "secret"})
        >>> TokenSigner().sign(Request("GET", "https://host/")).headers["x-token"]
        'secret'
    """

    #: Seconds that a caller waits for a refresh that runs in another thread.
    refresh_timeout: float = 60.0

    #: Whether `fetch_credential` only reads files or the environment of this machine: no login, no network.
    is_local: bool = False

    #: Whether `fetch_credential` may return a credential that another program or library has cached. If the service
    #: rejects it, fetching a second time in one call can help. A login always returns a new credential.
    returns_cached: bool = False

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pending_refresh: Refresh | None = None
        self._rejections = RejectionMemory(clock)
        #: Number of refreshes so far. A caller passes the generation whose credential was rejected to `refresh`.
        self.generation = 0
        self._lock = _fork.Lock()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Discard a refresh that runs in the parent process: it never completes in the child."""
        self._pending_refresh = None

    @property
    def credential_source(self) -> str:
        """Kind and origin of the credential for logs and `mdstream check`; never the credential itself."""
        return "a credential that was passed as an argument"

    @property
    def expires_in(self) -> float | None:
        """Seconds until the credential expires, for logs; `None` if it does not, or if that is not known."""
        return None

    def sign(self, request: Request) -> Request:
        """Return a copy of `request` with the credential. Must not block.

        Args:
            request: The request; header names are lower case.
        """
        raise NotImplementedError

    def needs_refresh(self) -> bool:
        """Whether the credential must be fetched before the next signature."""
        return False

    def can_refresh(self) -> bool:
        """Whether a refresh can return another credential."""
        return False

    def refresh(self, generation: int, timeout: float | None = None) -> None:
        """Fetch the credential, unless another caller already did since `generation`. May wait for the network.

        Args:
            generation: The `generation` of the credential that was rejected or is about to expire.
            timeout: Seconds to wait; after them the refresh continues in its own thread, for later callers. Default:
                the refresh runs in the caller's thread until it ends.

        Raises:
            MDStreamError: The credential could not be fetched.
            ConnectionFailed: The refresh did not complete in time.
        """
        pending, is_leader = self._join_refresh(generation)
        if pending is None:
            return
        if is_leader and (timeout is None or self.is_local):
            self._run_refresh(pending, raises=True)
            return
        if is_leader:
            self._start_thread(pending)
        self._wait_for(pending, self.refresh_timeout if timeout is None else min(timeout, self.refresh_timeout))

    def start_refresh(self, generation: int) -> Refresh | None:
        """Start a refresh in its own thread, or join the pending one; `None` if none is needed.

        Raises:
            MDStreamError: A login was rejected a short time ago.
        """
        pending, is_leader = self._join_refresh(generation)
        if pending is not None and is_leader:
            self._start_thread(pending)
        return pending

    def fetch_credential(self) -> None:
        """Fetch the credential. Signers whose credential expires override this; `refresh` never calls it twice at once.

        Raises:
            MDStreamError: The credential could not be fetched.
        """

    def is_rejection(self, error: BaseException) -> bool:
        """Whether an error of `fetch_credential` is definite, so that another login would fail the same way."""
        return isinstance(error, ServiceError) and not error.retryable

    def source_state(self) -> object:
        """A value that changes when the credential is corrected at its source. Must not block."""
        return None

    def _join_refresh(self, generation: int) -> tuple[Refresh | None, bool]:
        """The pending refresh or a new one, and whether the caller has to run it."""
        with self._lock:
            if generation != self.generation:
                return None, False
            if self._pending_refresh is not None:
                return self._pending_refresh, False
            self._rejections.check(self.source_state)
            self._pending_refresh = Refresh()
            return self._pending_refresh, True

    def _start_thread(self, pending: Refresh) -> None:
        work = partial(copy_context().run, self._run_refresh, pending, raises=False)
        thread = threading.Thread(target=work, name="mdstream refresh", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads: the process has too many, or is shutting down
            self._run_refresh(pending, raises=False)
        except BaseException as error:  # KeyboardInterrupt: the next caller must not wait for this refresh
            if thread.ident is None:
                self.finish_refresh(pending, error)
            raise

    def _run_refresh(self, pending: Refresh, *, raises: bool) -> None:
        with _RefreshScope(self, pending, raises=raises):
            self.fetch_credential()

    def finish_refresh(self, pending: Refresh, error: BaseException | None) -> None:
        """Deliver the outcome of a refresh to all callers that wait for it."""
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
            if pending.running() or pending.done():  # its start was interrupted, but the thread ran all the same
                return
            pending.set_running_or_notify_cancel()
        if error is None:
            pending.set_result(None)
        else:
            pending.traceback = error.__traceback__
            pending.set_exception(error)

    def _wait_for(self, pending: Refresh, seconds: float) -> None:
        try:
            pending.exception(seconds)
        except TimeoutError:
            raise ConnectionFailed(
                f"no new credential within {seconds:g} s (hint: check that the service that issues it can be reached)"
            ) from None
        raise_refresh_error(pending)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError(
            f"{self!r} cannot be pickled, because it holds a credential "
            "(hint: create the signer again where the object is loaded)"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def raise_refresh_error(pending: Refresh) -> None:
    """Raise the error of a refresh that has ended; return if it succeeded."""
    error = pending.exception()
    if error is None:
        return
    if not isinstance(error, Exception):  # KeyboardInterrupt in the thread that ran it, not in the caller's
        message = "the refresh of the credential was interrupted (hint: send the request again)"
        raise ConnectionFailed(message) from error
    if not isinstance(error, MDStreamError):
        raise error.with_traceback(pending.traceback)
    # A client adds the details of its own call to the error: each caller needs its own copy.
    raise copy.copy(error) from error.__cause__


class _RefreshScope:
    """Context manager around `fetch_credential` that delivers the outcome, and suppresses the error on request."""

    def __init__(self, signer: Signer, pending: Refresh, *, raises: bool) -> None:
        self._signer = signer
        self._pending = pending
        self._raises = raises

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        try:
            _log_refresh(self._signer, error)
        finally:
            self._signer.finish_refresh(self._pending, error)
        return not self._raises


def _log_refresh(signer: Signer, error: BaseException | None) -> None:
    level = logging.INFO if error is None else logging.WARNING
    if not _log.AUTH.isEnabledFor(level):
        return
    source = _log.to_field(signer.credential_source)
    fields = {"signer": type(signer).__name__, "credential_source": source}
    if error is not None:
        text = f"the credential could not be refreshed ({source}): {_log.describe_error(error)}"
        _log.log(_log.AUTH, level, "refresh_failed", text, {**fields, **_log.error_fields(error)})
        return
    seconds = signer.expires_in
    validity = "" if seconds is None else f"; valid for {seconds:.0f} s"
    _log.log(
        _log.AUTH, level, "refreshed", f"credential refreshed: {source}{validity}", {**fields, "expires_in": seconds}
    )


class UnsignedSigner(Signer):
    """Sends requests without a credential: for services on loopback, or behind a gateway that signs.

    Example:
        >>> UnsignedSigner().credential_source
        'none: requests are not signed'
    """

    @property
    def credential_source(self) -> str:
        return "none: requests are not signed"

    def sign(self, request: Request) -> Request:
        return request

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


class BearerSigner(Signer):
    """Sends the header `Authorization: Bearer <key>`.

    Args:
        key: The API key; required, visible ASCII. It appears in no repr, log or error.

    Raises:
        ValueError: The key is empty, or has characters that a header cannot contain.

    Example:
        >>> BearerSigner("sk-1234").sign(Request("GET", "https://host/"))
        <Request GET https://host/ authorization; 0 bytes>
    """

    def __init__(self, key: str) -> None:
        super().__init__()
        check_key("api_key", key)
        self._key = key

    @property
    def credential_source(self) -> str:
        return "an API key"

    def sign(self, request: Request) -> Request:
        headers = {**request.headers, "authorization": f"Bearer {self._key}"}
        return Request(request.method, request.url, headers, request.content)
