"""What the decoders of OpenAI's and OCI's formats share: the choices of an answer, its end, its first error."""

from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any, ClassVar, Generic, TypeVar

from mdstream_core import _json
from mdstream_core.dialects._finish_reasons import FAILURE_REASONS, is_known, read_finish_reason
from mdstream_core.dialects._limits import MAX_CHOICES, over_limit
from mdstream_core.dialects._media import Media
from mdstream_core.dialects._surrogates import SurrogateJoiner
from mdstream_core.dialects._tool_calls import ToolCallReader
from mdstream_core.errors import (
    SHAPE_ERRORS,
    ErrorBody,
    MalformedStream,
    MDStreamError,
    StreamFailure,
    StreamInterrupted,
    StreamTimeout,
    parse_error_object,
    quote_payload,
    unexpected_shape,
)
from mdstream_core.events import Event, Finish, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta

# One choice of an answer while it is received: what it has said so far, and whether it has ended.


class ChoiceState:
    """The state of one choice.

    A known finish reason ends it. An unknown one has to be confirmed: by `[DONE]`, by the usage, or by a body that is
    one document. What comes after a reason shows that it was no ending: the choice is open again, and a word that is
    unknown ends nothing any more.

    Args:
        index: Its index, as `read_index` gives it.
    """

    __slots__ = (
        *(
            "_reopened",
            "_is_reported",
            "calls",
            "is_finished",
            "has_whole_messages",
            "has_whole_text",
            "index",
            "media",
            "reason",
            "reasoning",
        ),
        *("refusal", "text"),
    )

    calls_class: ClassVar[type[ToolCallReader]] = ToolCallReader

    def __init__(self, index: int) -> None:
        self.index = index
        self.calls = self.calls_class(index)
        self.media: Media | None = None
        self.text = StringIO()
        self.reasoning = StringIO()
        self.refusal = StringIO()
        #: The last finish reason, confirmed or not.
        self.reason = ""
        #: Whether it ends the choice.
        self.is_finished = False
        #: Whether the text comes in `message` in place of `delta`, or in `text`.
        self.has_whole_messages = self.has_whole_text = False
        self._reopened: set[str] = set()
        self._is_reported = False

    @property
    def has_output(self) -> bool:
        """Whether anything was received of it."""
        return bool(self.text.tell() or self.calls or self.reasoning.tell() or self.refusal.tell() or self.media)

    def add_text(self, value: Any, events: list[Event]) -> None:
        """Take the next piece of text."""
        self.text.write(require_text(value))
        events.append(TextDelta(value, self.index))

    def add_reasoning(self, value: Any, events: list[Event]) -> None:
        """Take the next piece of reasoning."""
        self.reasoning.write(require_text(value))
        events.append(ReasoningDelta(value, self.index))

    def add_refusal(self, value: Any, events: list[Event]) -> None:
        """Take the next piece of a refusal."""
        self.refusal.write(require_text(value))
        events.append(RefusalDelta(value, self.index))

    def add_calls(self, value: Any, events: list[Event]) -> None:
        """Take the next pieces of tool calls. An entry that is `null` says nothing."""
        if not isinstance(value, list):
            raise TypeError("tool calls are no list")
        events.extend(self.calls.read(value))

    def add_media(self, name: str, value: Any, events: list[Event]) -> None:
        """Take what came beside the text: pictures, sound, annotations, parts of another type."""
        self.media = self.media or Media(self.index)
        events.extend(self.media.read(name, value))

    def merge_media(self, name: str, value: Any, events: list[Event]) -> None:
        """Take the same of a whole message: what was streamed of it is not told again."""
        self.media = self.media or Media(self.index)
        events.extend(self.media.merge_message(name, value))

    def set_finish_reason(self, reason: Any, events: list[Event]) -> bool:
        """Take a finish reason. Returns whether the choice has finished now."""
        word = read_finish_reason(reason)
        if not word or self.is_finished:
            return False
        self.reason = word
        self.is_finished = is_known(word)
        if self.is_finished or word not in self._reopened:
            self._emit_finish(events)
        return self.is_finished

    def reopen(self) -> bool:
        """There is more behind the reason, so it was no ending. Returns whether the choice had finished."""
        had_finished = self.is_finished
        if not is_known(self.reason):
            self._reopened.add(self.reason)
        self.reason, self.is_finished, self._is_reported = "", False, False
        return had_finished

    def confirm(self, events: list[Event]) -> bool:
        """Take what says that the answer is over. Returns whether the choice has finished now."""
        if self.is_finished or not self.reason or self.reason in self._reopened:
            return False
        self._emit_finish(events)
        self.is_finished = True
        return True

    def _emit_finish(self, events: list[Event]) -> None:
        if self.media:
            events.extend(self.media.rest())
        if not self._is_reported:
            self._is_reported = True
            called = self.reason == "stop" and self.calls
            events.append(Finish("tool_calls" if called else self.reason, self.index))


def read_index(value: Any) -> int:
    """The index of a choice, which some gateways write as a string.

    >>> read_index("1"), read_index(None)
    (1, 0)
    """
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    if value is None or isinstance(value, int):
        return int(value or 0)
    raise TypeError(f"the index {value!r} of a choice is no number")


def require_text(value: Any) -> str:
    """The value, which has to be a text."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def finish_reason_failure(value: Any, details: Mapping[str, Any]) -> StreamFailure | None:
    """The failure where a finish reason says that the server gave up.

    Args:
        value: The finish reason.
        details: The choice, in which the provider may say more.
    """
    word = read_finish_reason(value)
    if word.lower() not in FAILURE_REASONS:
        return None
    said = parse_error_object({name: found for name, found in details.items() if name not in _OUTPUT_FIELDS})
    why = f": {said.message}" if said else ""
    code = (said.code if said else None) or word
    status = said.status if said else None
    return StreamFailure(f"the model server gave up: finish_reason is {word!r}{why}", code=code, status=status)


#: Of a choice, what `parse_error_object` would take for an error's words.
_OUTPUT_FIELDS = frozenset({"message", "delta", "text"})


def build_stream_failure(error_body: ErrorBody, raw: str, *, retryable: frozenset[int] = frozenset()) -> StreamFailure:
    """The failure that an error object in a stream spells.

    Args:
        error_body: What it says.
        raw: The payload, for the error.
        retryable: Further statuses below 500 after which another request may help.
    """
    status = error_body.status
    return (StreamTimeout if status == 408 else StreamFailure)(
        f"the service ended the stream: {error_body.message}",
        code=error_body.code,
        status=status,
        retryable=status is None or status >= 500 or status in {408, 429} | retryable,
        raw=raw,
    )


def has_output(events: Iterable[Event]) -> bool:
    """Whether something of an answer is among these events."""
    return any(isinstance(event, _OUTPUT) for event in events)


_OUTPUT = (TextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta)

#: Words of an error object that is there and reports none.
_NOT_ERRORS = frozenset({"", "0", "200", "null", "none", "ok", "success", "false"})


def is_error(error: Any) -> bool:
    """Whether what stands under `error` reports one: gateways with a fixed schema send it empty, or `success`.

    >>> is_error({"code": 0, "message": "success"}), is_error("null"), is_error({"message": "boom"})
    (False, False, True)
    """
    if isinstance(error, Mapping):
        return any(is_error(value) for value in error.values())
    return bool(error) and str(error).strip().lower() not in _NOT_ERRORS


def error_in_choice(error: Any, wire: Mapping[str, Any]) -> StreamFailure:
    """The failure that an error object inside a choice or a delta spells.

    Args:
        error: The object, or its text.
        wire: What it stands in.
    """
    words = parse_error_object({"error": error}) or ErrorBody(_json.to_text(error)[:300])
    return build_stream_failure(words, _json.to_text(wire)[:2000])


C = TypeVar("C", bound=ChoiceState)

#: In place of a payload: `[DONE]`, nothing, or what no parser reads.
_NO_JSON = object()


class ChoiceDecoder(Generic[C]):
    """Decoder for one answer, streamed or whole, whose payloads are JSON objects. A format reads the payloads."""

    #: The state of one choice.
    choice_class: ClassVar[type[Any]] = ChoiceState
    #: What the format calls its finish reason.
    reason_name: ClassVar[str] = "finish reason"

    def __init__(self) -> None:
        self._choices: dict[int, C] = {}
        self._unfinished = 0
        self._done = False
        self._joiner: SurrogateJoiner | None = None
        #: What was wrong with a payload that had events too.
        self.error: MDStreamError | None = None

    @property
    def is_finished(self) -> bool:
        """Whether every choice that was seen has finished. The usage may still come."""
        return not self._unfinished and bool(self._choices) and self.error is None

    @property
    def has_done_marker(self) -> bool:
        """Whether `[DONE]` has come."""
        return self._done

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload."""
        try:
            payload = _json.parse(data)
        except _json.PARSE_ERRORS:
            payload = self._parse_nonstandard(data)
            if payload is _NO_JSON:
                return self._not_json_error(data, event)
        events: list[Event] = []
        try:
            self._read(payload, data, event, events)
        except MDStreamError as error:
            self._record_error(error, data)
        except SHAPE_ERRORS as error:
            self._record_error(unexpected_shape(data, error), data)
        if self._joiner is not None:
            events = self._joiner.join(events)
        if not events and self.error is not None:
            raise self.error
        return events

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the answer is whole.

        Args:
            is_document: Whether the body was one JSON document: a whole answer in it has ended with it.
        """
        events: list[Event] = []
        if self.error:
            raise self.error
        if not self._choices:
            raise StreamInterrupted("the stream ended without an answer: not one choice was in it", code="EmptyStream")
        if is_document:
            self._finish_document(events)
        if not self.is_finished:
            raise StreamInterrupted(self._interrupted_error())
        for choice in self._choices.values():
            choice.calls.check_complete(truncated=choice.reason == "length")
        return [*events, *self.flush()]

    def flush(self) -> list[Event]:
        """What has come and was not told yet: pieces of sound, the last entries of a list, half a character."""
        media = [event for choice in self._choices.values() if choice.media for event in choice.media.rest()]
        return [*media, *self._flush_surrogates()]

    def _read(self, payload: Any, data: bytes, event: str, events: list[Event]) -> None:
        """Add the events of a payload. Raises for what is wrong with it."""
        raise NotImplementedError

    def _ends_without_reason(self, choice: C) -> bool:
        """Whether a choice without a known finish reason is whole when a body that is one document is."""
        raise NotImplementedError

    def _parse_nonstandard(self, data: bytes) -> Any:
        """A payload that a fast parser refuses: half a character, NaN; or `_NO_JSON`."""
        try:
            payload = _json.loads_nonstandard(data)
        except ValueError:
            return _NO_JSON
        self._joiner = self._joiner or SurrogateJoiner()
        return payload

    def _flush_surrogates(self) -> list[Event]:
        return self._joiner.flush() if self._joiner else []

    def _record_error(self, error: MDStreamError, data: bytes) -> None:
        """Keep the first error: what comes behind it explains less."""
        if self.error is None:
            error.raw = error.raw or quote_payload(data, 2000)
            self.error = error

    def _get_choice(self, index: int) -> C:
        """The choice of this index, a new one if it was not seen before."""
        choice = self._choices.get(index)
        if choice is None:
            if len(self._choices) >= MAX_CHOICES:
                raise over_limit("choices", MAX_CHOICES)
            choice = self._choices[index] = self.choice_class(index)
            self._unfinished += 1
        return choice

    def _take_reason(self, choice: C, reason: Any, events: list[Event]) -> None:
        """Take a finish reason, which may say "not yet"."""
        self._unfinished -= choice.set_finish_reason(reason, events)

    def _reopen(self, choice: C) -> None:
        """There is more behind a finish reason, so it was no ending."""
        if choice.reason:
            self._unfinished += choice.reopen()

    def _confirm(self, events: list[Event]) -> None:
        """Take what says that the answer is over, behind a reason that nobody knows."""
        for choice in self._choices.values():
            self._unfinished -= choice.confirm(events)

    def _finish_document(self, events: list[Event]) -> None:
        for choice in self._choices.values():
            if self._ends_without_reason(choice):
                choice.reason = choice.reason or "stop"
                self._unfinished -= choice.confirm(events)

    def _interrupted_error(self) -> str:
        words = sorted({choice.reason for choice in self._choices.values() if choice.reason and not choice.is_finished})
        unknown = f" that is known (it said {', '.join(map(repr, words))})" if words else ""
        return f"the stream ended before a {self.reason_name}{unknown}{', with [DONE]' if self._done else ''}"

    def _not_json_error(self, data: bytes, event: str) -> list[Event]:
        text = data.strip()
        events: list[Event] = []
        if text == b"[DONE]":
            if not self._done:  # once: looking at every choice costs more than a payload has bytes
                self._confirm(events)
            self._done = True
        elif event == "error":
            raise StreamFailure(
                f"the service ended the stream: {quote_payload(text) or 'no words'}", raw=quote_payload(text)
            )
        elif text:
            raise MalformedStream(f"a payload that is not JSON: {quote_payload(text)}", raw=quote_payload(text))
        return events
