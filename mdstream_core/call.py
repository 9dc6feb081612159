"""One question: its attempts, and the reading of its answer. No socket, no clock, no framework.

A client asks `Call.attempt()` for an `Attempt`, hands the exchange what arrives (`begin`, `feed`, `end`) and, when
something went wrong, asks `Call.failed()` whether to try again. All of it inside `with call:`, so that whoever is told
what happens is told an end too, however the client is left.
"""

from collections.abc import Callable, Mapping
from math import inf
from types import TracebackType
from typing import Any, Self

from mdstream_core import _json
from mdstream_core.attempt import Attempt
from mdstream_core.errors import (
    AuthenticationError,
    MDStreamError,
)
from mdstream_core.events import Reply
from mdstream_core.http import RequestHeaders, Timeout, without_locals
from mdstream_core.resume import Joint, can_go_on
from mdstream_core.retry import EMPTY_QUOTA, Retry, RetryQuota
from mdstream_core.tracing import (
    Asked,
    AskedAgain,
    Ended,
    Failed,
    Hook,
    Left,
    Moment,
    PerCall,
    Question,
    listening,
)

#: How many times a refused question is asked in a simpler form: a server may refuse one parameter after the other.
_SIMPLER = 10

_RETRY = Retry()
_TIMEOUT = Timeout()


class Call:
    """One question to one model, with the right to ask more than once.

    Args:
        platform: Where to ask (a `mdstream_core.platforms` value).
        dialect: What is spoken there (a `mdstream_core.dialects` value).
        question: The question in the OpenAI JSON shape: `messages` or `prompt`, `model`, `tools`, `temperature` …
        stream: Whether the answer comes piece by piece.
        headers: Further request headers; they are not kept from going wherever the platform sends the request.
        retry: When to ask again.
        timeout: How long to wait; the platform's defaults where nothing is given.
        hooks: Told what happens; see `mdstream_core.tracing`.
        resume: How many times to go on with an answer that broke, where that can be done; see `mdstream_core.resume`.
        quota: Limits the retries of all calls that share it; `None` is no limit.
    """

    def __init__(
        self,
        platform: Any,
        dialect: Any,
        question: Mapping[str, Any],
        *,
        stream: bool = True,
        headers: Mapping[str, str] | None = None,
        retry: Retry = _RETRY,
        timeout: Timeout = _TIMEOUT,
        hooks: tuple[Hook, ...] = (),
        resume: int = 0,
        quota: RetryQuota | None = None,
    ) -> None:
        self.platform = platform
        self.dialect = dialect
        self.stream = stream
        self.timeout = timeout.with_defaults(platform.default_timeout(stream=stream))
        self._headers = RequestHeaders(headers or {})
        self._retry = retry
        self._hooks = listening(hooks)
        self._told: tuple[Callable[[Moment], None], ...] = ()
        self._open = False
        self._last: Attempt | None = None
        self._question = question
        self._body = dialect.body(question, stream=stream)
        self._failures = 0
        self._attempts = 0
        self._refused: int | None = None
        #: Whether a key was fetched for this call, or could not be.
        self.renewed = False
        self._quota = quota
        self._retried = False
        self._simplified = 0
        self._resume = resume
        #: Where an answer broke that is gone on with.
        self.joint: Joint | None = None

    def attempt(self) -> "Attempt":
        """Ask once more. Raises `InvalidRequest` if the service would not take the question."""
        if self._hooks and not self._attempts:
            self._begin()
        body = self.dialect.continued(self._body, self.joint.said) if self.joint else self._body
        if not isinstance(body, bytes):  # bytes are sent as they are
            body = _json.dumps(self.platform.envelope(self.dialect.route, body)) if body else b""
        with without_locals:  # of whoever puts headers together
            request = self.platform.request(self.dialect.route, body, stream=self.stream, headers=self._headers)
        self._attempts += 1
        exchange = Attempt(self, request)
        exchange.refused, self._refused = self._refused, None
        self._last = exchange if self._open else None
        self.tell(Asked(request, self._attempts))
        return exchange

    def failed(self, exchange: "Attempt", error: MDStreamError, *, renewable: bool = False, left: float = inf) -> float:
        """How many seconds to wait before the next attempt; raises the error, with its facts, when there is none.

        Args:
            exchange: The attempt that failed.
            error: What happened.
            renewable: Whether the signer could fetch another key.
            left: How many seconds the call has left.
        """
        said = exchange.reply()
        whole = not self.stream and bool(exchange.request.content)
        error = exchange.explain(self._retry.judged(error, whole=whole))
        if exchange.started or exchange.holds:
            delay = self._goes_on(said, error) if left > 0 else None
        else:
            delay = self._delay(exchange, error, renewable, left)
            delay = None if delay is None or delay >= left else delay
        if delay is None:
            error = self._cause(exchange, error)
            self.finish(Failed(error))
            raise error
        self.tell(AskedAgain(error, delay))
        return delay

    def _goes_on(self, said: Reply, error: MDStreamError) -> float | None:
        """How long to wait before an answer that broke is gone on with; `None` where it is not."""
        if self._resume < 1 or not can_go_on(error, said) or self.dialect.continued(self._body, said) is None:
            return None
        if not self._can_spend(error):
            return None
        self._resume -= 1
        self._failures = 0
        self.joint = Joint(error, said)
        return 0.0

    def _cause(self, exchange: "Attempt", error: MDStreamError) -> MDStreamError:
        """Where a second half never began, what broke the first one is what happened."""
        if self.joint is None or exchange.started or exchange.holds or error is self.joint.error:
            return error
        self.joint.error.__cause__ = error
        return self.joint.error

    def tell(self, moment: Moment) -> None:
        """Give `moment` to the hooks."""
        for told in self._told:
            told(moment)

    def finish(self, moment: Ended | Failed | Left) -> None:
        """Give the last moment to the hooks."""
        self._open = False
        self.tell(moment)

    @property
    def hooked(self) -> bool:
        """Whether anybody is told what happens."""
        return bool(self._told)

    def _begin(self) -> None:
        question = Question(self.platform.name, self.dialect.name, self.stream, self._question)
        begun = [hook.begin(question) if isinstance(hook, PerCall) else hook for hook in self._hooks]
        self._told = tuple(told for told in begun if told is not None)
        self._open = bool(self._told)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        exchange, self._last = self._last, None
        if not self._open:
            return
        if isinstance(error, MDStreamError):  # refused before it was sent
            self.finish(Failed(error))
            return
        partial = exchange.reply() if exchange and exchange.started else None
        self.finish(Left(partial, error if isinstance(error, Exception) else None))

    def _delay(self, exchange: "Attempt", error: MDStreamError, renewable: bool, left: float) -> float | None:
        if self.joint and error is self.joint.error:  # the server does not go on
            return None
        if isinstance(error, AuthenticationError) and renewable and not self.renewed:
            self.renewed = True
            self._refused = exchange.generation
            return 0.0
        if self._simplified < _SIMPLER and (simpler := self.dialect.simpler(self._body, error)):
            self._body = simpler
            self._simplified += 1
            return 0.0
        self._failures += 1
        if not self._retry.again(self._failures, error):
            return None
        delay = self._retry.delay(self._failures, error)
        return delay if delay < left and self._can_spend(error) else None

    def _can_spend(self, error: MDStreamError) -> bool:
        """Whether the quota allows another request because of a failure; the error says so where it does not."""
        self._retried = self._quota is None or self._quota.spend()
        if not self._retried:
            error.args = (f"{error} (not retried: {EMPTY_QUOTA})",)
        return self._retried

    def note_answer(self) -> None:
        """An attempt has its first event."""
        if self._quota is not None:
            self._quota.refund(retried=self._retried)
        self._retried = False
