"""Base decoder of OpenAI's and OCI's formats: the choices of a response, their finish reasons, the first error."""

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
from mdstream_core.events import Event, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta, new_finish


class ChoiceState:
    """State of one choice of a response: the output received so far, and whether the choice has finished.

    A known finish reason finishes the choice. An unknown one must be confirmed: by `[DONE]`, by the usage, or by a body
    that is a single JSON document. Output after a finish reason reopens the choice; the same unknown reason cannot
    finish it any more.

    Args:
        index: The index of the choice, as returned by `read_index`.
    """

    __slots__ = (
        *("_is_reported", "_reopened", "calls", "has_whole_messages", "has_whole_text", "index", "is_finished"),
        *("media", "reason", "reasoning", "refusal", "text"),
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
        #: Whether the choice has finished.
        self.is_finished = False
        #: Whether the text is received in `message` in place of `delta`, or in `text`.
        self.has_whole_messages = self.has_whole_text = False
        self._reopened: set[str] = set()
        self._is_reported = False

    @property
    def has_output(self) -> bool:
        """Whether any output was received."""
        return bool(self.text.tell() or self.calls or self.reasoning.tell() or self.refusal.tell() or self.media)

    def expect_pieces(self) -> None:
        """Prepare for output in many pieces: a `StringIO` that was never read keeps each as a string of its own.

        Such a string has 49 bytes beside its characters; a buffer has 4 bytes for each character.
        """
        self.text.readline()
        self.reasoning.readline()

    def add_text(self, value: Any, events: list[Event]) -> None:
        """Add the next piece of text."""
        self.text.write(require_text(value))
        events.append(TextDelta(value, self.index))

    def add_reasoning(self, value: Any, events: list[Event]) -> None:
        """Add the next piece of reasoning."""
        self.reasoning.write(require_text(value))
        events.append(ReasoningDelta(value, self.index))

    def add_refusal(self, value: Any, events: list[Event]) -> None:
        """Add the next piece of a refusal."""
        self.refusal.write(require_text(value))
        events.append(RefusalDelta(value, self.index))

    def add_calls(self, value: Any, events: list[Event]) -> None:
        """Add the next pieces of tool calls. Entries that are `null` are skipped."""
        if not isinstance(value, list):
            raise TypeError("tool calls must be a list")
        events.extend(self.calls.read(value))

    def add_media(self, name: str, value: Any, events: list[Event]) -> None:
        """Add images, audio, annotations, or content parts of another type."""
        self.media = self.media or Media(self.index)
        events.extend(self.media.read(name, value))

    def merge_media(self, name: str, value: Any, events: list[Event]) -> None:
        """Add media of a whole message, without the entries that were streamed before."""
        self.media = self.media or Media(self.index)
        events.extend(self.media.merge_message(name, value))

    def set_finish_reason(self, reason: Any, events: list[Event]) -> bool:
        """Set the finish reason. Return whether the choice has finished with it."""
        word = read_finish_reason(reason)
        if not word or self.is_finished:
            return False
        self.reason = word
        self.is_finished = is_known(word)
        if self.is_finished or word not in self._reopened:
            self._emit_finish(events)
        return self.is_finished

    def reopen(self) -> bool:
        """Discard the finish reason, because more output follows. Return whether the choice had finished."""
        had_finished = self.is_finished
        if not is_known(self.reason):
            self._reopened.add(self.reason)
        self.reason, self.is_finished, self._is_reported = "", False, False
        return had_finished

    def confirm(self, events: list[Event]) -> bool:
        """Confirm an unknown finish reason. Return whether the choice has finished with it."""
        if self.is_finished or not self.reason or self.reason in self._reopened:
            return False
        self._emit_finish(events)
        self.is_finished = True
        return True

    def _emit_finish(self, events: list[Event]) -> None:
        if self.media:
            events.extend(self.media.flush())
        if not self._is_reported:
            self._is_reported = True
            has_called_tools = self.reason == "stop" and self.calls
            events.append(new_finish("tool_calls" if has_called_tools else self.reason, self.index))


def read_index(value: Any) -> int:
    """Return the index of a choice; some gateways send it as a string.

    >>> read_index("1"), read_index(None)
    (1, 0)
    """
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    if value is None or isinstance(value, int):
        return int(value or 0)
    raise TypeError(f"the index {value!r} of a choice is not a number")


def require_text(value: Any) -> str:
    """Return the value if it is a string, else raise `TypeError`."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def finish_reason_failure(value: Any, details: Mapping[str, Any]) -> StreamFailure | None:
    """Return the failure if a finish reason reports that the server failed, else `None`.

    Args:
        value: The finish reason.
        details: The choice with this finish reason, which may have an error message.
    """
    word = read_finish_reason(value)
    if word.lower() not in FAILURE_REASONS:
        return None
    error_body = parse_error_object({name: field for name, field in details.items() if name not in _OUTPUT_FIELDS})
    message = f": {error_body.message}" if error_body else ""
    code = (error_body.code if error_body else None) or word
    status = error_body.status if error_body else None
    return StreamFailure(f"the model server failed: finish_reason is {word!r}{message}", code=code, status=status)


#: Fields of a choice that `parse_error_object` would mistake for an error message.
_OUTPUT_FIELDS = frozenset({"message", "delta", "text"})


def build_stream_failure(error_body: ErrorBody, raw: str, *, retryable: frozenset[int] = frozenset()) -> StreamFailure:
    """Build the failure for an error object in a stream.

    Args:
        error_body: The parsed error object.
        raw: The payload, for the error's `raw`.
        retryable: Further statuses below 500 that are retryable, beside 408 and 429.
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
    """Return whether any of these events is output of the model."""
    return any([isinstance(event, _OUTPUT) for event in events])  # noqa: C419  # a generator takes three times as long


_OUTPUT = (TextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta)

#: Values in an error object that reports no error.
_NOT_ERRORS = frozenset({"", "0", "200", "null", "none", "ok", "success", "false"})


def is_error(error: Any) -> bool:
    """Return whether the value of an `error` field reports an error.

    Gateways with a fixed schema always send the field, empty or with `success`.

    >>> is_error({"code": 0, "message": "success"}), is_error("null"), is_error({"message": "boom"})
    (False, False, True)
    """
    if not error:
        return False
    if isinstance(error, Mapping):
        return any(is_error(value) for value in error.values())
    return str(error).strip().lower() not in _NOT_ERRORS


def error_in_choice(error: Any, container: Mapping[str, Any]) -> StreamFailure:
    """Build the failure for an error object inside a choice or a delta.

    Args:
        error: The error object, or its text.
        container: The choice or delta that has the error object, for the error's `raw`.
    """
    error_body = parse_error_object({"error": error}) or ErrorBody(_json.to_text(error)[:300])
    return build_stream_failure(error_body, _json.to_text(container)[:2000])


C = TypeVar("C", bound=ChoiceState)

_DONE = b"[DONE]"


class ChoiceDecoder(Generic[C]):
    """Base class of decoders for one response, streamed or whole. Subclasses decode the JSON payloads of a format."""

    #: The class that holds the state of one choice.
    choice_class: ClassVar[type[Any]] = ChoiceState
    #: The name of the finish reason in the format, for error messages.
    reason_name: ClassVar[str] = "finish reason"

    def __init__(self) -> None:
        self._choices: dict[int, C] = {}
        self._unfinished = 0
        self._done = False
        self._joiner: SurrogateJoiner | None = None
        #: The error of a payload that also had events.
        self.error: MDStreamError | None = None

    @property
    def is_finished(self) -> bool:
        """Whether every choice that was received has finished. The usage may still follow."""
        return not self._unfinished and bool(self._choices) and self.error is None

    @property
    def has_done_marker(self) -> bool:
        """Whether `[DONE]` was received."""
        return self._done

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Decode one payload."""
        try:
            payload = _json.parse(data)
        except _json.PARSE_ERRORS:
            return self._feed_nonstandard(data, event)
        return self._decode(payload, data, event)

    def _feed_nonstandard(self, data: bytes, event: str) -> list[Event]:
        """Decode a payload that is not strict JSON: `[DONE]`, half a surrogate pair, NaN, or a text of a proxy."""
        if data == _DONE:  # raising a second exception takes as long as decoding ten chunks
            return self._not_json_error(data, event)
        try:
            payload = _json.loads_nonstandard(data)
        except ValueError:
            return self._not_json_error(data, event)
        self._joiner = self._joiner or SurrogateJoiner()
        return self._decode(payload, data, event)

    def _decode(self, payload: Any, data: bytes, event: str) -> list[Event]:
        """Return the events of a parsed payload."""
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
        """Check that the response is complete; return the events that are still buffered.

        Args:
            is_document: Whether the body was a single JSON document. A whole message in it ends with the body.
        """
        events: list[Event] = []
        if self.error:
            raise self.error
        if not self._choices:
            raise StreamInterrupted("the stream ended without output: no choice was received", code="EmptyStream")
        if is_document:
            self._finish_document(events)
        if not self.is_finished:
            raise StreamInterrupted(self._interrupted_error())
        for choice in self._choices.values():
            choice.calls.check_complete(truncated=choice.reason == "length")
        return events + self.flush()

    def flush(self) -> list[Event]:
        """Return the events that are still buffered: audio, the last entries of lists, half a surrogate pair."""
        events: list[Event] = []
        for choice in self._choices.values():
            if choice.media:
                events += choice.media.flush()
        return events + self._joiner.flush() if self._joiner else events

    def _read(self, payload: Any, data: bytes, event: str, events: list[Event]) -> None:
        """Append the events of a payload to `events`. Raises if the payload is wrong."""
        raise NotImplementedError

    def _ends_without_reason(self, choice: C) -> bool:
        """Return whether a choice without a known finish reason ends with a body that is a single JSON document."""
        raise NotImplementedError

    def _record_error(self, error: MDStreamError, data: bytes) -> None:
        """Store the error if it is the first: later ones are often its consequences."""
        if self.error is None:
            error.raw = error.raw or quote_payload(data, 2000)
            self.error = error

    def _get_choice(self, index: int) -> C:
        """Return the choice of this index; create it if it is new."""
        choice = self._choices.get(index)
        if choice is None:
            if len(self._choices) >= MAX_CHOICES:
                raise over_limit("choices", MAX_CHOICES)
            choice = self._choices[index] = self.choice_class(index)
            self._unfinished += 1
        return choice

    def _take_reason(self, choice: C, reason: Any, events: list[Event]) -> None:
        """Set the finish reason of a choice; the value may mean "not finished yet"."""
        self._unfinished -= choice.set_finish_reason(reason, events)

    def reopen(self, choice: C) -> None:
        """Discard the finish reason of a choice, because more output follows it."""
        if choice.reason:
            self._unfinished += choice.reopen()

    def confirm(self, events: list[Event]) -> None:
        """Confirm the unknown finish reasons of all choices: `[DONE]` or the usage was received."""
        for choice in self._choices.values():
            self._unfinished -= choice.confirm(events)

    def _finish_document(self, events: list[Event]) -> None:
        for choice in self._choices.values():
            if self._ends_without_reason(choice):
                choice.reason = choice.reason or "stop"
                self._unfinished -= choice.confirm(events)

    def _interrupted_error(self) -> str:
        reasons = sorted(
            {choice.reason for choice in self._choices.values() if choice.reason and not choice.is_finished}
        )
        unknown = f" that is known (received: {', '.join(map(repr, reasons))})" if reasons else ""
        return f"the stream ended before a {self.reason_name}{unknown}{', with [DONE]' if self._done else ''}"

    def _not_json_error(self, data: bytes, event: str) -> list[Event]:
        text = data.strip()
        events: list[Event] = []
        if text == _DONE:
            if not self._done:  # only once, or a stream of markers would cost a loop over all choices each
                self.confirm(events)
            self._done = True
        elif event == "error":
            raise StreamFailure(
                f"the service ended the stream: {quote_payload(text) or 'no error message'}", raw=quote_payload(text)
            )
        elif text:
            raise MalformedStream(f"a payload is not JSON: {quote_payload(text)}", raw=quote_payload(text))
        return events
