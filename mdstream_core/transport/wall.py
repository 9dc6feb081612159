"""The wall where an HTTP library's exceptions become ours, by name: httpx and httpx2 use the same names."""

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
    service_error,
)
from mdstream_core.http import forget_credentials
from mdstream_core.transport.patience import Patience

#: What it means before the status line has come; whatever is not named is `ConnectionFailed`.
_BEFORE: dict[str, type[MDStreamError]] = {
    "ReadTimeout": StreamStalled,
    "WriteTimeout": StreamStalled,
}

#: … and after; whatever is not named is `StreamInterrupted`.
_AFTER: dict[str, type[MDStreamError]] = {
    "ReadTimeout": StreamStalled,
    "DecodingError": MalformedStream,
}

#: Asking again would end the same way.
_FINAL = frozenset({"UnsupportedProtocol", "LocalProtocolError", "InvalidURL"})


def http_errors() -> tuple[type[Exception], ...]:
    """The base classes of the HTTP libraries that are in use."""
    libraries = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]  # others raise nothing
    return tuple(error for lib in libraries for error in (lib.HTTPError, lib.InvalidURL, lib.StreamError))


@contextmanager
def wall(patience: Patience) -> Iterator[None]:
    """Turn what the HTTP library raises into our errors."""
    try:
        yield
    except http_errors() as error:
        name = type(error).__name__
        forget_credentials(error)
        if name == "HTTPStatusError":
            raise _refused(error) from error
        kind = _AFTER.get(name, StreamInterrupted) if patience.begun else _BEFORE.get(name, ConnectionFailed)
        sentence = _sentence(name, str(error), patience)
        raise kind(sentence, code=name, retryable=False if name in _FINAL else None) from error
    except (OSError, TypeError, ValueError, RuntimeError) as error:  # a certificate's password, a hook of the user's
        forget_credentials(error)
        raise


def _refused(error: Any) -> ServiceError:
    """An event hook of the user's own client called `raise_for_status` before we could read what the service says."""
    status = error.response.status_code
    sentence = f"{status}: {error.response.reason_phrase}, raised by an event hook of the http_client"
    return service_error(status)(sentence, status=status)


def _sentence(name: str, said: str, patience: Patience) -> str:
    if name == "ReadTimeout":
        return patience.waited
    if name.endswith("Timeout") and patience.over:
        return patience.unfinished
    if name == "PoolTimeout":
        return "no connection became free in time: all connections of the pool are in use"
    if name == "ConnectTimeout":
        return f"the service was not reached within {patience.limits['connect']} s (timeout.connect)"
    if patience.begun:
        return f"the connection broke before the answer ended: {said or name}"
    return f"the service was not reached: {said or name}"
