"""`RateLimit`: the limit that users configure."""

import re
from collections.abc import Mapping
from math import inf
from typing import Any, Self
from weakref import WeakValueDictionary

from mdstream_core import _fork
from mdstream_core.rate_limit._algorithm import Limits
from mdstream_core.rate_limit._limiter import Grant, Limiter
from mdstream_core.rate_limit._location import StoreLocation
from mdstream_core.rate_limit._tokens import estimate_input_tokens, is_without_output, max_output_tokens

#: Default of `burst`, for rates that allow it.
_DEFAULT_BURST = 8

#: Tokens of a response before one was received, for requests that do not limit them.
_FIRST_OUTPUT_ESTIMATE = 256.0

#: Weight of a response in the average number of output tokens.
_OUTPUT_WEIGHT = 0.1

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")

#: The limiters of this process, by the URL of the store and the key.
_limiters: "WeakValueDictionary[tuple[str, str], Limiter]" = WeakValueDictionary()
_lock = _fork.Lock()


class RateLimit:
    """Limit of requests per second, and of tokens per minute, for all that share it.

    Each HTTP request is counted, retries included, before it is signed. The wait is not part of `Timeout.total`; a
    cancelled request stops waiting. Pass the same limit to each model that the service counts together:

    >>> limit = RateLimit(requests_per_second=142, store="memory", key="oci-tenancy")
    >>> limit
    RateLimit(requests_per_second=142, burst=8, store='memory', key='oci-tenancy')

    In any second at most `requests_per_second + burst` requests are sent, so choose the two to sum to at most the limit
    of the service. Copies and pickles share the limit, in other processes too if its store is a file or Redis. If the
    store fails, a `RuntimeWarning` reports it, and each process limits itself to its share until the store is back.

    Args:
        requests_per_second: Maximum rate, over a longer time. `None` finds the rate of the service (`adaptive`).
        burst: Requests that may be sent at once after a pause; at most `requests_per_second`. Default: 8, or the rate
            if it is lower.
        store: Where the state is: `memory`, for one process; `file:///var/tmp/limits`, a directory for the processes
            of one host; `redis://HOST:PORT/DB` (or `rediss://`, `unix://`), for several hosts (extra `redis`). The
            password of Redis is taken from the URL, or from the environment variable `MDSTREAM_REDIS_PASSWORD`; pickles
            do not contain it.
        key: Name of the limit in its store: letters, digits, `.`, `_` and `-`. Default: `default`; in memory a name of
            its own, so that two limits without a name are separate.
        adaptive: Whether a rejected request (429, or any error with `Retry-After`) slows down all that share the limit:
            the rate is lowered to 80 %, grows back by 2 % a second, and never exceeds `requests_per_second`; nothing is
            sent before `Retry-After`, for at most 60 s.
        tokens_per_minute: Maximum number of tokens, of prompts and responses together. Each request is estimated
            before it is sent and corrected when its usage is known.
        max_wait: Longest wait of a request in seconds; then `RateLimitTimeout` is raised.
        processes: How many processes share the limit: the share of each while the store fails. Default: a tenth.

    Raises:
        ValueError: An argument is invalid, or the directory of the store cannot be used.
        MissingExtra: The store needs the package `redis`, which is not installed.
    """

    def __init__(
        self,
        requests_per_second: float | None = None,
        *,
        burst: int | None = None,
        store: str = "memory",
        key: str | None = None,
        adaptive: bool = True,
        tokens_per_minute: float | None = None,
        max_wait: float = 3600.0,
        processes: int | None = None,
    ) -> None:
        self._configure(
            requests_per_second=requests_per_second,
            burst=burst,
            store=store,
            key=key,
            adaptive=adaptive,
            tokens_per_minute=tokens_per_minute,
            max_wait=max_wait,
            processes=processes,
        )
        self._location.check(self.key)

    def _configure(
        self,
        *,
        requests_per_second: float | None,
        burst: int | None,
        store: str,
        key: str | None,
        adaptive: bool,
        tokens_per_minute: float | None,
        max_wait: float,
        processes: int | None,
    ) -> None:
        for name, number in [
            ("requests_per_second", requests_per_second),
            ("tokens_per_minute", tokens_per_minute),
            ("max_wait", max_wait),
        ]:
            _check_positive(name, number)
        for name, count in [("burst", burst), ("processes", processes)]:
            _check_count(name, count)
        if requests_per_second is None and tokens_per_minute is None and not adaptive:
            raise ValueError("nothing is limited (hint: set requests_per_second, tokens_per_minute or adaptive=True)")
        self.requests_per_second = requests_per_second
        self.burst = _check_burst(burst, requests_per_second)
        self.adaptive = adaptive
        self.tokens_per_minute = tokens_per_minute
        self.max_wait = max_wait
        self.processes = processes
        self._location = StoreLocation.parse(store)
        self._has_key = key is not None
        self.key = _check_key(key) if key is not None else self._location.create_key()
        self._limits = Limits(
            requests_per_second or inf, self.burst, tokens_per_minute / 60 if tokens_per_minute else inf, adaptive
        )
        self._output_tokens = _FIRST_OUTPUT_ESTIMATE
        self._limiter: Limiter | None = None

    @property
    def store(self) -> str:
        """Where the state is, without the password."""
        return self._location.url

    def acquire(self, params: Mapping[str, Any] | None = None) -> Grant:
        """Wait until a request may be sent.

        Models call this for each of their requests. Call it before requests that others send for you, too.

        Args:
            params: Parameters of the request in the OpenAI JSON shape, to estimate its tokens.

        Raises:
            RateLimitTimeout: No request may be sent within `max_wait`.

        >>> RateLimit(5).acquire().waited < 1
        True
        """
        return self._get_limiter().acquire(
            self._limits, tokens=self._estimate_tokens(params), max_wait=self.max_wait, processes=self.processes
        )

    async def aacquire(self, params: Mapping[str, Any] | None = None) -> Grant:
        """Async variant of `acquire`, for asyncio and trio."""
        return await self._get_limiter().aacquire(
            self._limits, tokens=self._estimate_tokens(params), max_wait=self.max_wait, processes=self.processes
        )

    def record_rejection(self, grant: Grant, retry_after: float | None = None) -> None:
        """Record that the service has rejected a request: all that share the limit slow down, if it is adaptive.

        Args:
            grant: What `acquire` has returned for the request.
            retry_after: Seconds of the response's `Retry-After`, if it has one.
        """
        self._get_limiter().correct_tokens(-grant.tokens)
        if self.adaptive:
            self._get_limiter().slow_down(self._limits, grant, retry_after or 0.0, self.processes)

    async def arecord_rejection(self, grant: Grant, retry_after: float | None = None) -> None:
        """Async variant of `record_rejection`."""
        self._get_limiter().correct_tokens(-grant.tokens)
        if self.adaptive:
            await self._get_limiter().aslow_down(self._limits, grant, retry_after or 0.0, self.processes)

    def record_usage(self, grant: Grant, *, input_tokens: int | None, output_tokens: int | None) -> None:
        """Replace the estimated tokens of a request by those that it has used.

        Args:
            grant: What `acquire` has returned for the request.
            input_tokens: Tokens of the prompt; `None` if the service has not returned them.
            output_tokens: Tokens of the response.
        """
        if not self.counts_tokens or (input_tokens is None and output_tokens is None):
            return
        self._get_limiter().correct_tokens((input_tokens or 0) + (output_tokens or 0) - grant.tokens)
        if output_tokens is not None:
            self._output_tokens += (output_tokens - self._output_tokens) * _OUTPUT_WEIGHT

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens are limited."""
        return self.tokens_per_minute is not None

    def close(self) -> None:
        """Close the file, or the connections to Redis. They are opened again when needed."""
        if self._limiter is not None:
            self._limiter.close()

    def _get_limiter(self) -> Limiter:
        if self._limiter is None:
            with _lock:
                name = (self._location.url, self.key)
                limiter = _limiters.get(name)
                if limiter is None:
                    limiter = _limiters[name] = Limiter(self._location.create_store(self.key), self.key)
                self._limiter = limiter
        return self._limiter

    def _estimate_tokens(self, params: Mapping[str, Any] | None) -> float:
        if params is None or not self.counts_tokens:
            return 0.0
        limit = max_output_tokens(params)
        expected = 0.0 if is_without_output(params) else self._output_tokens
        return estimate_input_tokens(params) + (expected if limit is None else limit)

    def _arguments(self) -> dict[str, Any]:
        """Return the arguments that create this limit, without the password."""
        return {name: getattr(self, name) for name in _ARGUMENTS}

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (self._arguments(),)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RateLimit) and self._arguments() == other._arguments()

    def __hash__(self) -> int:
        return hash(tuple(self._arguments().values()))

    def __repr__(self) -> str:
        arguments = self._arguments()
        if not self._has_key:
            del arguments["key"]
        shown = {name: value for name, value in arguments.items() if value not in _HIDDEN_DEFAULTS.get(name, ())}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


#: The arguments of the constructor.
_ARGUMENTS = ("requests_per_second", "burst", "store", "key", "adaptive", "tokens_per_minute", "max_wait", "processes")

#: Values that the repr leaves out.
_HIDDEN_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "requests_per_second": (None,),
    "adaptive": (True,),
    "tokens_per_minute": (None,),
    "max_wait": (3600.0,),
    "processes": (None,),
}


def _load(arguments: dict[str, Any]) -> RateLimit:
    """Create a limit from a pickle. A store that cannot be used here is a warning when it is first used."""
    limit = RateLimit.__new__(RateLimit)
    limit._configure(**arguments)  # without the check of the store
    return limit


def _check_positive(name: str, number: Any) -> None:
    if number is None and name != "max_wait":
        return
    if isinstance(number, bool) or not isinstance(number, int | float) or not (0 < number < inf):
        hint = "seconds" if name == "max_wait" else "or None for no limit of this kind"
        raise ValueError(f"{name}={number!r} must be a positive number (hint: {hint})")


def _check_count(name: str, count: Any) -> None:
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ValueError(f"{name}={count!r} must be an integer of 1 or more")


def _check_burst(burst: int | None, rate: float | None) -> int:
    """Return the burst. Raises `ValueError` if it exceeds the rate."""
    most = _DEFAULT_BURST if rate is None else max(1, int(rate))
    if burst is not None and rate is not None and burst > most:
        raise ValueError(
            f"burst={burst} must not exceed requests_per_second={rate:g} (hint: in any second, at most the sum of the "
            "two is sent)"
        )
    return min(_DEFAULT_BURST, most) if burst is None else burst


def _check_key(key: str) -> str:
    """Return the key. Raises `ValueError` if it cannot be part of a file name."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError(
            f"key={key!r} must have 1 to 100 letters, digits, '.', '_' or '-', and not begin with '.' (hint: such as "
            "'oci-tenancy'; processes that use the same key share the limit)"
        )
    return key
