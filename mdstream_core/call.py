"""One question: its attempts, and the reading of its answer. No socket, no clock, no framework.

A client asks `Call.attempt()` for an `Exchange`, hands the exchange what arrives (`begin`, `feed`, `end`) and, when
something went wrong, asks `Call.failed()` whether to try again. All of it inside `with call:`, so that whoever is told
what happens is told an end too, however the client is left.
"""

from collections.abc import Callable, Mapping
from math import inf
from types import TracebackType
from typing import Any, Self

from mdstream_core import _json
from mdstream_core._hints import with_hint
from mdstream_core.errors import (
    AuthenticationError,
    ErrorResponse,
    MalformedStream,
    MDStreamError,
    StreamError,
    StreamInterrupted,
    as_overflow,
)
from mdstream_core.events import Event, Reply, Sum
from mdstream_core.http import Head, Request, Timeout, without_secrets
from mdstream_core.resume import Joint, SecondHalf, can_go_on
from mdstream_core.retry import Retry
from mdstream_core.tracing import (
    Answered,
    Asked,
    AskedAgain,
    Ended,
    Failed,
    Hook,
    Left,
    Moment,
    PerCall,
    Question,
    Started,
    listening,
)

#: The most that is read of a refusal's body, in bytes.
_REFUSAL = 1024 * 1024

#: How much of the body is kept for the case that it turns out to be no answer, in bytes.
_OPENING = 2000

#: How many times a refused question is asked in a simpler form: a server may refuse one parameter after the other.
_SIMPLER = 10

#: How many events are kept before they are folded into their sum.
_RECENT = 1024

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
    ) -> None:
        self.platform = platform
        self.dialect = dialect
        self.stream = stream
        self.timeout = timeout.with_defaults(platform.default_timeout(stream=stream))
        self._headers = headers or {}
        self._retry = retry
        self._hooks = listening(hooks)
        self._told: tuple[Callable[[Moment], None], ...] = ()
        self._open = False
        self._last: Exchange | None = None
        self._question = question
        self._body = dialect.body(question, stream=stream)
        self._failures = 0
        self._attempts = 0
        self._refused: int | None = None
        self._renewed = False
        self._simplified = 0
        self._resume = resume
        #: Where an answer broke that is gone on with.
        self.joint: Joint | None = None

    def attempt(self) -> "Exchange":
        """Ask once more. Raises `InvalidRequest` if the service would not take the question."""
        if self._hooks and not self._attempts:
            self._begin()
        body = self.dialect.continued(self._body, self.joint.said) if self.joint else self._body
        if not isinstance(body, bytes):  # bytes are sent as they are
            body = _json.dumps(self.platform.envelope(self.dialect.route, body)) if body else b""
        request = self.platform.request(self.dialect.route, body, stream=self.stream, headers=self._headers)
        self._attempts += 1
        exchange = Exchange(self, request)
        exchange.refused, self._refused = self._refused, None
        self._last = exchange if self._open else None
        self.tell(Asked(request, self._attempts))
        return exchange

    def failed(
        self, exchange: "Exchange", error: MDStreamError, *, renewable: bool = False, left: float = inf
    ) -> float:
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
            delay = self._delay(exchange, error, renewable)
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
        self._resume -= 1
        self._failures = 0
        self.joint = Joint(error, said)
        return 0.0

    def _cause(self, exchange: "Exchange", error: MDStreamError) -> MDStreamError:
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

    def _delay(self, exchange: "Exchange", error: MDStreamError, renewable: bool) -> float | None:
        if self.joint and error is self.joint.error:  # the server does not go on
            return None
        if isinstance(error, AuthenticationError) and renewable and not self._renewed:
            self._renewed = True
            self._refused = exchange.generation
            return 0.0
        if self._simplified < _SIMPLER and (simpler := self.dialect.simpler(self._body, error)):
            self._body = simpler
            self._simplified += 1
            return 0.0
        self._failures += 1
        if not self._retry.again(self._failures, error):
            return None
        return self._retry.delay(self._failures, error)


class Exchange:
    """One attempt: a request, and the state of its answer while it is read."""

    def __init__(self, call: Call, request: Request) -> None:
        self._call = call
        self.request = request
        #: Whether an event was handed out; what was said is never said twice.
        self.started = False
        #: Which of the signer's keys signed this attempt.
        self.generation = 0
        #: Which of them was refused just before, so that this attempt needs another one.
        self.refused: int | None = None
        self._head: Head | None = None
        self._trailers: tuple[tuple[str, str], ...] = ()
        self._frames: Any = None
        decoder = call.dialect.decoder()
        self._decoder = call.joint.decoder(decoder) if call.joint else decoder
        self._broken: MDStreamError | None = None
        self._cut: MDStreamError | None = None
        self._refusal: list[bytes] | None = None
        self._refusal_size = 0
        self._opening = b""
        self._sum = Sum()
        self._recent: list[Event] = call.joint.events if call.joint else []

    def begin(self, head: Head) -> None:
        """The status line and the headers have come."""
        self._head = head
        if self._call.hooked:
            self._call.tell(Answered(head, self._request_id(head)))
        if head.status >= 300:  # redirects are not followed: the request carries a credential
            self._refusal = []
        else:
            self._frames = self._call.platform.frames(head)

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete with these bytes of the body."""
        if self._refusal is not None:
            self._keep(data)
            return []
        if not self.started and len(self._opening) < _OPENING:
            self._opening += data[:_OPENING]
        events: list[Event] = []
        read = self._decoder.feed
        try:
            for payload, name in self._frames.feed(data):
                events += read(payload, name)
        except MDStreamError as error:
            if not events:
                raise
            self._broken = error  # first what came before it
        if events:
            self._broken = self._broken or self._decoder.broken
            self._note(events)
        return events

    def rest(self) -> list[Event]:
        """The body has ended: the events of a last frame without its end. What is wrong with it, `end` raises."""
        events: list[Event] = []
        if self._frames is None or self._broken or self.enough:  # what is behind the end is no part of the answer
            return events
        payload = b""
        try:
            for payload, name in self._frames.end():
                events += self._decoder.feed(payload, name)
        except MalformedStream as error:
            if not payload or _json.is_unfinished(payload.decode("utf-8", "replace")):
                self._cut = StreamInterrupted(f"the answer stopped in the middle: {error}", raw=error.raw)
            else:
                self._broken = error  # it came whole, and cannot be read
        except MDStreamError as error:
            self._broken = error
        if events:
            self._broken = self._broken or self._decoder.broken
            self._note(events)
        return events

    def end(self, trailers: tuple[tuple[str, str], ...] = ()) -> list[Event]:
        """There is nothing more: the last events. Raises what the answer, its trailers or their absence spell."""
        self._trailers = trailers
        if self._refusal is not None:
            raise self._refused()
        events = self.rest()
        if self._broken:
            raise self._broken
        self._call.platform.ended(trailers)
        if self._cut:
            raise self._cut
        if last := self._decoder.end(is_document=self._frames.is_document):
            self._note(last)
            events += last
        if self._call.hooked:
            self._call.finish(Ended(self.reply()))
        return events

    @property
    def holds(self) -> bool:
        """Whether something of a second half has come that is not told yet."""
        return isinstance(self._decoder, SecondHalf) and self._decoder.holds

    @property
    def over(self) -> bool:
        """Whether the answer is complete, whatever the transport has still to say."""
        return bool(self._decoder.finished)

    @property
    def enough(self) -> bool:
        """Whether to stop reading: it is known how the stream ended."""
        if self._broken is not None or self._refusal_size > _REFUSAL:
            return True
        return bool(self._decoder.over) and not self._call.platform.tells_at_the_end

    @property
    def settled(self) -> bool:
        """Whether the answer is whole and the service has no way to take it back: silence or a cut is no failure."""
        return self.over and not self._call.platform.tells_at_the_end

    @property
    def trailers_matter(self) -> bool:
        """Whether the service reports in trailers how the stream went."""
        return bool(self._call.platform.has_trailers)

    @property
    def drain(self) -> float | None:
        """Once the answer is over: how many seconds the end of the body may take."""
        return self._call.platform.drain if self.over else None

    def reply(self) -> Reply:
        """The sum of what was received."""
        self._fold()
        return self._sum.reply()

    def explain(self, error: MDStreamError) -> MDStreamError:
        """Hang the facts of this exchange on an error: partial, request id, head and trailers."""
        if self._refusal is not None and isinstance(error, StreamError):
            error = self._refused()  # the body of a refusal was cut; the status says enough
        error = error if self.started else as_overflow(error)
        head = self._head or Head(0)
        self._recent += self._decoder.held()  # it was received, so it is in the partial
        if error.code == "EmptyStream" and error.raw is None:
            error.raw = self._opening[:_OPENING].decode("utf-8", "replace")
            error.args = (f"{error}; what came was {error.raw[:300]!r}",)
        error.partial = self.reply() if self._sum or self._recent else None
        error.request_id = error.request_id or self._request_id(head)
        error.status = error.status or (head.status or None)
        error.response = ErrorResponse(
            head.status or error.status or 0,
            without_secrets({**head.headers, **Head.of(0, self._trailers).headers}),
            {"error": _facts(error), "partial": error.partial.as_dict() if error.partial else None},
            error.raw or str(error),
        )
        return error

    def _request_id(self, head: Head) -> str | None:
        """As the service names the request in its answer, or else as we named it."""
        named: str | None = self._call.platform.request_id(head)
        return named or self._call.platform.request_id(Head(0, self.request.headers)) or None

    def _refused(self) -> MDStreamError:
        error: MDStreamError = self._call.platform.refused(self._head, b"".join(self._refusal or ()))
        return with_hint(error, self._call.dialect.name)

    def _keep(self, data: bytes) -> None:
        if self._refusal is not None and self._refusal_size <= _REFUSAL:
            self._refusal.append(data[: _REFUSAL - self._refusal_size])
            self._refusal_size += len(data)

    def _note(self, events: list[Event]) -> None:
        if not self.started:
            self.started = True
            self._opening = b""
            self._call.tell(Started())
        self._recent += events
        if len(self._recent) > _RECENT:
            self._fold()

    def _fold(self) -> None:
        self._sum.extend(self._recent)
        self._recent.clear()


def _facts(error: MDStreamError) -> dict[str, Any]:
    names = ("code", "status", "request_id", "raw")
    facts = {name: value for name in names if (value := getattr(error, name)) is not None}
    return {"type": type(error).__name__, "message": str(error), **facts}
