"""An HTTP library and its core: httpx with httpcore, or httpx2 with httpcore2. All differences are looked up here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

_CORES = {"httpx": "httpcore", "httpx2": "httpcore2"}

_ERRORS = (
    "TimeoutException ConnectTimeout ReadTimeout WriteTimeout PoolTimeout "
    "NetworkError ConnectError ReadError WriteError ProxyError "
    "UnsupportedProtocol ProtocolError LocalProtocolError RemoteProtocolError"
).split()


@cache  # `cached_property` holds a lock in Python 3.11, which a fork may find locked
def _errors(api: ModuleType, core: ModuleType) -> dict[type[Exception], type[Exception]]:
    return {getattr(core, name): getattr(api, name) for name in _ERRORS}


@dataclass(frozen=True)
class HTTPLibrary:
    """`api` is what the user sees, `core` pools the connections."""

    api: ModuleType
    core: ModuleType

    @classmethod
    def from_name(cls, library: str) -> "HTTPLibrary":
        """The pair by the name of its face.

        Raises:
            ValueError: It is not a library that we know.
            ImportError: It is not installed.
        """
        if library not in _CORES:
            raise ValueError(f"library={library!r} must be one of {', '.join(_CORES)}")
        return cls(import_module(library), import_module(_CORES[library]))

    @contextmanager
    def map_exceptions(self) -> Iterator[None]:
        """The core's errors come out as the face's of the same name."""
        errors = _errors(self.api, self.core)
        try:
            yield
        except tuple(errors) as error:
            kind = next(errors[base] for base in type(error).__mro__ if base in errors)
            raise kind(str(error)) from error

    def to_core(self, request: Any) -> Any:
        """The face's request as the core's. The very `timeout` mapping of its extensions goes along."""
        url = self.core.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
        )
        return self.core.Request(
            request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )

    def to_api(self, response: Any, stream: Any) -> Any:
        """The core's response as the face's."""
        return self.api.Response(
            response.status, headers=response.headers, stream=stream, extensions=response.extensions
        )
