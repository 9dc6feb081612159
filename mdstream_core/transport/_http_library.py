"""`HTTPLibrary`: httpx with httpcore, or httpx2 with httpcore2. All their differences are handled here."""

from dataclasses import dataclass, field
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


@cache  # not `cached_property`: that has a lock in Python 3.11, which may be held during a fork
def _errors(api: ModuleType, core: ModuleType) -> dict[type[Exception], type[Exception]]:
    return {getattr(core, name): getattr(api, name) for name in _ERRORS}


class ExceptionMapper:
    """Context manager; see `HTTPLibrary.map_exceptions`. A class, because generators cost more in each request."""

    __slots__ = ("_library", "_request")

    def __init__(self, library: "HTTPLibrary", request: Any) -> None:
        self._library = library
        self._request = request

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            return
        errors = _errors(self._library.api, self._library.core)
        mapped = next((errors[base] for base in type(error).__mro__ if base in errors), None)
        if mapped is None:
            return
        raised = mapped(str(error))
        if self._request is not None:
            raised.request = self._request.to_api(self._library.api)  # type: ignore[attr-defined]
        raise raised from error


@dataclass(frozen=True)
class HTTPLibrary:
    """The modules of an HTTP library."""

    api: ModuleType
    """The module that users see: httpx or httpx2."""
    core: ModuleType
    """The module with the network layer: httpcore or httpcore2."""
    _mapper: ExceptionMapper = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_mapper", ExceptionMapper(self, None))

    @classmethod
    def from_name(cls, library: str) -> "HTTPLibrary":
        """Import a library by its name, `httpx` or `httpx2`.

        Raises:
            ValueError: The name is unknown.
            ImportError: The library is not installed.
        """
        if library not in _CORES:
            raise ValueError(f"library={library!r} must be one of {', '.join(_CORES)}")
        return cls(import_module(library), import_module(_CORES[library]))

    def map_exceptions(self, request: Any = None) -> "ExceptionMapper":
        """Return a context manager that maps exceptions of the core to those of the API module with the same name.

        Args:
            request: A direct request, whose URL the exceptions of the API have; httpx sets it for its own requests.
        """
        return self._mapper if request is None else ExceptionMapper(self, request)

    def to_core(self, request: Any) -> Any:
        """Convert a request of the API to one of the core, with the same `timeout` mapping in its extensions."""
        url = self.core.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
        )
        return self.core.Request(
            request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )

    def to_api(self, response: Any, stream: Any) -> Any:
        """Convert a response of the core to one of the API."""
        return self.api.Response(
            response.status, headers=response.headers, stream=stream, extensions=response.extensions
        )
