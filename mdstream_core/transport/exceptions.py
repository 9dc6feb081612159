"""Map exceptions of httpx and httpx2 to mdstream errors. Both libraries use the same names."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
    libraries = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
    return tuple(error for lib in libraries for error in (lib.HTTPError, lib.InvalidURL, lib.StreamError))


@contextmanager
def map_exceptions(budget: TimeoutBudget) -> Iterator[None]:
    """Map exceptions of the HTTP library that are raised inside to mdstream errors."""
    try:
        yield
    except http_errors() as error:
        name = type(error).__name__
        remove_credentials(error)
        if name == "HTTPStatusError":
            raise _status_error(error) from error
        kind = (
            _AFTER_RESPONSE.get(name, StreamInterrupted)
            if budget.has_head
            else _BEFORE_RESPONSE.get(name, ConnectionFailed)
        )
        message = _describe(name, error, budget)
        raise kind(message, code=name, retryable=False if name in _NOT_RETRYABLE else None) from error
    except (OSError, TypeError, ValueError, RuntimeError) as error:  # of a certificate's password or a user's hook
        remove_credentials(error)
        raise


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
