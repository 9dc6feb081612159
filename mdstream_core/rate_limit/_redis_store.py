"""The state of a rate limit in Redis (or Valkey), for the processes of several hosts. Requires the extra `redis`."""

from typing import Any, cast

from mdstream_core import _fork
from mdstream_core.errors import MissingExtra
from mdstream_core.rate_limit._algorithm import Limits, Reservation
from mdstream_core.rate_limit._redis_script import SCRIPT
from mdstream_core.rate_limit._store import STORE_TIMEOUT, StoreError

#: Beginning of the names of all keys.
_PREFIX = "mdstream:rate-limit:"


class RedisStore:
    """The state in Redis, on the clock of Redis. Each operation is one script, so that no process sees half of it.

    Args:
        url: URL of the server, with its password.
        key: The name of the limit.

    Raises:
        MissingExtra: The package `redis` is not installed.
    """

    is_remote = True

    def __init__(self, url: str, key: str) -> None:
        require_redis()
        self._url = url
        self._key = _PREFIX + key
        self._lock = _fork.Lock()
        self._client: Any = None
        self._script: Any = None
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Open connections of its own in a forked process."""
        self._client = self._script = None

    def reserve(
        self,
        limits: Limits,
        *,
        tokens: float,
        correction: float,
        max_wait: float,
        blocking: bool = True,
        now: float | None = None,
    ) -> Reservation:
        """Reserve one request; see `Store`. `now` replaces the clock of Redis."""
        wait, at, rate, granted = self._run("reserve", limits, (tokens, correction, max_wait), now)
        return Reservation(float(wait), float(at), float(rate), bool(int(granted)))

    def slow_down(
        self,
        limits: Limits,
        *,
        granted_at: float,
        retry_after: float,
        blocking: bool = True,
        now: float | None = None,
    ) -> None:
        """Lower the rate; see `Store`."""
        self._run("slow_down", limits, (granted_at, retry_after, 0.0), now)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            client, self._client, self._script = self._client, None, None
        if client is not None:
            client.close()

    def _run(self, operation: str, limits: Limits, own: tuple[float, float, float], now: float | None) -> list[bytes]:
        redis = require_redis()
        values = (limits.rate, limits.burst, limits.token_rate, int(limits.adaptive), *own)
        arguments = [operation, *map(repr, values), "" if now is None else repr(now)]
        try:
            return cast("list[bytes]", self._get_script()(keys=[self._key], args=arguments))
        except (redis.RedisError, OSError) as error:
            reason = str(error).rstrip(".") or type(error).__name__
            raise StoreError(f"Redis: {reason}") from error

    def _get_script(self) -> Any:
        with self._lock:
            if self._script is None:
                redis = require_redis()
                # A kept connection may have been closed by the server; a timeout is not repeated.
                retry = redis.retry.Retry(redis.backoff.NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
                self._client = redis.Redis.from_url(
                    self._url, socket_timeout=STORE_TIMEOUT, socket_connect_timeout=STORE_TIMEOUT, retry=retry
                )
                self._script = self._client.register_script(SCRIPT)
            return self._script


def require_redis() -> Any:
    """Return the package `redis`. Raises `MissingExtra` if it is not installed."""
    try:
        import redis  # noqa: PLC0415  # an extra
        import redis.backoff  # noqa: PLC0415
        import redis.retry  # noqa: PLC0415
    except ImportError:
        raise MissingExtra("redis", "redis") from None
    return redis
