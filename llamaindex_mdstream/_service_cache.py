"""Cache of the service objects of a model: created on first use, shared by shallow copies, never pickled."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from mdstream_core._fork import Lock

if TYPE_CHECKING:
    from mdstream_core import Service

#: Maximum number of services of one cache. There are several if fields are reassigned or differ between copies.
_MAX_SERVICES = 8


class ServiceKey(tuple[Any, ...]):
    """Values that a service is built from. `repr` shows none of them, because they contain credentials."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class ServiceCache:
    """Services of one model and its shallow copies. Deep copies and pickles of the cache are empty."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._services: list[tuple[tuple[Any, ...], Service]] = []

    def get(self, key: tuple[Any, ...], build: "Callable[[], Service]") -> "Service":
        """Return the service of `key`; create it if there is none.

        Args:
            key: Values that the service is built from, compared with `==`.
            build: Creates the service.
        """
        for known, service in self._services:  # without the lock: the list is replaced, and never changed
            if known == key:
                return service
        with self._lock:
            for known, service in self._services:
                if known == key:
                    return service
            service = build()
            self._services = [*self._services[1 - _MAX_SERVICES :], (key, service)]
            return service

    def __bool__(self) -> bool:
        return bool(self._services)

    def close(self) -> None:
        """Close the synchronous connections. The next request opens new ones."""
        for _, service in self._services:
            service.close()

    async def aclose(self) -> None:
        """Close the asynchronous connections of the running event loop."""
        for _, service in self._services:
            await service.aclose()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()
