"""The services behind a model object: built when first asked, shared by its shallow copies, never pickled."""

from collections.abc import Callable
from typing import Any, Self

from mdstream_core import Service
from mdstream_core._fork import Lock

#: How many services are kept; a field that one was built from may be assigned anew, or differ in a copy.
_MAX_SERVICES = 8


class ServiceKey(tuple[Any, ...]):
    """What a service is built from. Its repr shows nothing: there are credentials in it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class ServiceCache:
    """The services of one model object and its shallow copies. A deep copy or a pickle begins with none."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._services: list[tuple[tuple[Any, ...], Service]] = []

    def get(self, key: tuple[Any, ...], build: Callable[[], Service]) -> Service:
        """The service that was built for `key`, or else a new one.

        Args:
            key: What the service is built from. Compared with `==`.
            build: Makes it.
        """
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
        """Close the synchronous connections. The next question opens new ones."""
        for _, service in self._services:
            service.close()

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        for _, service in self._services:
            await service.aclose()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()
