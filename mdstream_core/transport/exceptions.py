"""Map exceptions of httpx and httpx2 to mdstream errors. Both libraries use the same names."""

import re
import sys
from types import TracebackType
from typing import Any, NoReturn

from mdstream_core.errors import (
    ConnectionFailed,
    MalformedStream,
    MDStreamError,
    ServiceError,
    StreamInterrupted,
    StreamStalled,
    error_class_for_status,
)
from mdstream_core.http import remove_credentials
from mdstream_core.transport.timeouts import TimeoutBudget

#: Error classes for exceptions before the head of the response; for all others `ConnectionFailed`.
_BEFORE_RESPONSE: dict[str, type[MDStreamError]] = {
    "ReadTimeout": StreamStalled,
    "WriteTimeout": StreamStalled,
}

#: Error classes for exceptions after it; for all others `StreamInterrupted`.
_AFTER_RESPONSE: dict[str, type[MDStreamError]] = {
    "ReadTimeout": StreamStalled,
    "DecodingError": MalformedStream,
}

#: Exceptions after which a retry cannot succeed.
_NOT_RETRYABLE = frozenset({"UnsupportedProtocol", "LocalProtocolError", "InvalidURL"})


def http_errors() -> tuple[type[Exception], ...]:
    """Return the base classes of the exceptions of the imported HTTP libraries."""
    # At the exit of the interpreter, when suspended streams are closed, modules are replaced by `None`.
    libraries = [library for name in ("httpx", "httpx2") if (library := sys.modules.get(name)) is not None]
    return tuple(error for lib in libraries for error in (lib.HTTPError, lib.InvalidURL, lib.StreamError))


class map_exceptions:  # noqa: N801  # a context manager is used like a function
    """Map exceptions of the HTTP library that are raised inside to mdstream errors.

    A class, because a generator would cost more in each request.
    """

    __slots__ = ("_budget",)

    def __init__(self, budget: TimeoutBudget) -> None:
        self._budget = budget

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            return
        if isinstance(error, http_errors()):
            _raise_mapped(error, self._budget)
        if isinstance(error, OSError | TypeError | ValueError | RuntimeError):  # a password, a hook
            remove_credentials(error)


class IgnoreErrorsWhenFinal:
    """Ignore a timeout or disconnect after the last output: only the usage and the end of the body could follow.

    Args:
        budget: The timeouts of the call.
        attempt: The attempt: its `is_final` says whether nothing else can follow.
    """

    __slots__ = ("_attempt", "_budget")

    def __init__(self, budget: TimeoutBudget, attempt: Any) -> None:
        self._budget = budget
        self._attempt = attempt

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is None:
            return False
        try:
            map_exceptions(self._budget).__exit__(kind, error, traceback)
        except StreamInterrupted:
            if not self._attempt.is_final:
                raise
            return True
        return isinstance(error, StreamInterrupted) and self._attempt.is_final


def _raise_mapped(error: Exception, budget: TimeoutBudget) -> NoReturn:
    name = type(error).__name__
    remove_credentials(error)
    if name == "HTTPStatusError":
        raise _status_error(error) from error
    classes, default = (_AFTER_RESPONSE, StreamInterrupted) if budget.has_head else (_BEFORE_RESPONSE, ConnectionFailed)
    message = _describe(name, error, budget)
    error_class = classes.get(name, default)
    raise error_class(message, code=name, retryable=False if name in _NOT_RETRYABLE else None) from error


def _status_error(error: Any) -> ServiceError:
    """Convert an error of `raise_for_status`, which an event hook of the user's client has called."""
    status = error.response.status_code
    message = f"{status}: {error.response.reason_phrase}, raised by an event hook of the http_client"
    return error_class_for_status(status)(message, status=status)


#: What the exceptions of the operating system and of OpenSSL contain if a connection fails, and the hint for each.
_CONNECTION_HINTS = (
    (
        r"getaddrinfo|Name or service not known|nodename nor servname|name resolution|No address associated",
        "check the host name, the region in it, and this machine's DNS",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "set SSL_CERT_FILE, or verify=, to the PEM file of the certificate authority, such as that of a proxy",
    ),
    (r"WRONG_VERSION_NUMBER", "check that this port serves HTTPS; if it does not, use http://"),
    (r"Connection refused|Connect call failed|actively refused", "check the port, and that the server and proxy run"),
    (r"Server disconnected|reset by peer", "send the request again; if the port serves HTTPS, use https://"),
)


def _describe(name: str, error: Exception, budget: TimeoutBudget) -> str:
    message = str(error)
    if name == "ReadTimeout":
        return budget.read_message
    if name.endswith("Timeout") and budget.is_exhausted:
        return budget.total_message
    if name == "PoolTimeout":
        return "no connection became free within the timeout (timeout.pool): all connections of the pool are in use"
    if name == "ConnectTimeout":
        return f"the service was not reached within {budget.limits['connect']} s (timeout.connect)"
    if budget.has_head:
        return f"the connection failed before the response ended: {message or name}"
    hints = (hint for pattern, hint in _CONNECTION_HINTS if re.search(pattern, message))
    text = f"{_host(error)} was not reached: {message or name}"
    return f"{text} (hint: {hint})" if (hint := next(hints, None)) else text


def _host(error: Exception) -> str:
    """Return the host and port of the request that failed, without the rest of its URL, which can contain secrets."""
    url = getattr(getattr(error, "_request", None), "url", None)
    return f"{url.host}:{url.port}" if url and url.port else getattr(url, "host", "") or "the service"
