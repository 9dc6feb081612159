"""What every signer is, and the two that need no service."""

import copy
import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Self

from mdstream_core.errors import ConnectionFailed, MDStreamError
from mdstream_core.http import Request, check_key, forget_credentials


class Signer:
    """Signs requests; may hold a key that ages and is fetched again.

    A client asks `stale()` before it signs and calls `refresh(generation)` when it is, or when the service answered
    401. Refreshing is single-flight: however many callers ask, the key is fetched once, and no lock is held meanwhile.

    Copies of a model share its signer, and so its key and its refreshes. A pickle never holds a credential: a signer
    that can find its key again elsewhere (a file, the environment) says how in `__reduce__`, the others refuse.
    """

    #: Seconds that a caller waits for another caller's refresh.
    patience: float = 60.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flight: Future[None] | None = None
        #: Counts the keys this signer had; a caller names the one it saw refused.
        self.generation = 0

    @property
    def origin(self) -> str:
        """What the credential is and where it was found, in words; never the credential."""
        return "a credential that was given"

    def sign(self, request: Request) -> Request:
        """A copy of `request` that carries the credential. Must not wait for anything."""
        raise NotImplementedError

    def stale(self) -> bool:
        """Whether the key should be fetched again before the next signature."""
        return False

    def renewable(self) -> bool:
        """Whether a refresh can bring another key at all."""
        return False

    def refresh(self, generation: int) -> None:
        """Fetch the key again, unless somebody already did since `generation`. May wait for the network."""
        with self._lock:
            if generation != self.generation:
                return
            flight, leads = self._flight, self._flight is None
            if flight is None:
                flight = self._flight = Future()
        if leads:
            self._lead(flight)
        else:
            self._follow(flight)

    def renew(self) -> None:
        """Fetch the key. Signers whose key ages override this; `refresh` calls it once at a time."""

    def _lead(self, flight: "Future[None]") -> None:
        try:
            self.renew()
        except BaseException as error:
            forget_credentials(error)  # a password is among the locals, and in the request that failed
            self._land()
            flight.set_exception(error)
            raise
        self._land(new=1)
        flight.set_result(None)

    def _follow(self, flight: "Future[None]") -> None:
        try:
            error = flight.exception(self.patience)
        except TimeoutError:
            raise ConnectionFailed(f"no new credential within {self.patience:g} s") from None
        if error is None:
            return
        if not isinstance(error, Exception):  # the leader was told to stop; the followers were not
            raise ConnectionFailed("the refresh of the credential was abandoned") from error
        # A client hangs the facts of its own call on an error of ours: each follower needs one of its own.
        raise copy.copy(error) if isinstance(error, MDStreamError) else error

    def _land(self, new: int = 0) -> None:
        with self._lock:
            self._flight = None
            self.generation += new

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


class Unsigned(Signer):
    """Sends requests as they are: for services on loopback, or where a gateway signs."""

    @property
    def origin(self) -> str:
        return "none: requests are not signed"

    def sign(self, request: Request) -> Request:
        return request

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


class Bearer(Signer):
    """Sends `Authorization: Bearer <key>`.

    Args:
        key: The API key. It appears in no repr, log or error.
    """

    def __init__(self, key: str) -> None:
        super().__init__()
        check_key("api_key", key)
        self._key = key

    @property
    def origin(self) -> str:
        return "an API key"

    def sign(self, request: Request) -> Request:
        return replace(request, headers={**request.headers, "authorization": f"Bearer {self._key}"})
