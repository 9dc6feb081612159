"""The service behind a model object: built when it is first asked, and nobody's to copy or pickle."""

import threading
from collections.abc import Callable
from typing import Any, Self

from mdstream_core import Service


class Lazy:
    """Holds the service of one model object; a copy of the object begins with none.

    A field that the service was built from may be assigned anew: the next question then gets another service.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[Any, ...] = ()
        self._service: Service | None = None

    def get(self, key: tuple[Any, ...], build: Callable[[], Service]) -> Service:
        """The service that was built for `key`, or else a new one.

        Args:
            key: What the service is built from. Compared with `==`.
            build: Makes it.
        """
        with self._lock:
            if self._service is None or self._key != key:
                self._service, self._key = build(), key
            return self._service

    def taken(self) -> Service | None:
        """The service, which is then forgotten; `None` if there is none."""
        with self._lock:
            service, self._service = self._service, None
            return service

    @property
    def built(self) -> Service | None:
        """The service if there is one."""
        return self._service

    def __copy__(self) -> Self:
        return type(self)()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()
