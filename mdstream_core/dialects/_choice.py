"""One choice of an answer while it is received: what it has said so far, and whether it has ended."""

from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core.dialects._finish_reasons import FAILED, is_known, read_finish_reason
from mdstream_core.dialects._media import Media
from mdstream_core.dialects._tool_calls import ToolCalls
from mdstream_core.errors import StreamFailure, StreamTimeout, Words, words_of
from mdstream_core.events import Event, Finish, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta


class Choice:
    """The state of one choice.

    A known finish reason ends it. An unknown one has to be confirmed: by `[DONE]`, by the usage, or by a body that is
    one document. What comes after a reason shows that it was no ending: the choice is open again, and a word that is
    unknown ends nothing any more.

    Args:
        index: Its index, as `read_index` gives it.
    """

    __slots__ = (
        *(
            "_disproved",
            "_told",
            "calls",
            "finished",
            "has_whole_messages",
            "has_whole_text",
            "index",
            "media",
            "reason",
            "reasoning",
        ),
        *("refusal", "text"),
    )

    calls_class: ClassVar[type[ToolCalls]] = ToolCalls

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
        self.finished = False
        #: Whether the text comes in `message` in place of `delta`, or in `text`.
        self.has_whole_messages = self.has_whole_text = False
        self._disproved: set[str] = set()
        self._told = False

    @property
    def has_output(self) -> bool:
        """Whether anything was received of it."""
        return bool(self.text.tell() or self.calls or self.reasoning.tell() or self.refusal.tell() or self.media)

    def add_text(self, value: Any, events: list[Event]) -> None:
        """Take the next piece of text."""
        self.text.write(plain(value))
        events.append(TextDelta(value, self.index))

    def add_reasoning(self, value: Any, events: list[Event]) -> None:
        """Take the next piece of reasoning."""
        self.reasoning.write(plain(value))
        events.append(ReasoningDelta(value, self.index))

    def add_refusal(self, value: Any, events: list[Event]) -> None:
        """Take the next piece of a refusal."""
        self.refusal.write(plain(value))
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
        events.extend(self.media.merge(name, value))

    def end(self, reason: Any, events: list[Event]) -> bool:
        """Take a finish reason. Returns whether the choice has finished now."""
        word = read_finish_reason(reason)
        if not word or self.finished:
            return False
        self.reason = word
        self.finished = is_known(word)
        if self.finished or word not in self._disproved:
            self._tell_finish(events)
        return self.finished

    def reopen(self) -> bool:
        """There is more behind the reason, so it was no ending. Returns whether the choice had finished."""
        had_finished = self.finished
        if not is_known(self.reason):
            self._disproved.add(self.reason)
        self.reason, self.finished, self._told = "", False, False
        return had_finished

    def confirm(self, events: list[Event]) -> bool:
        """Take what says that the answer is over. Returns whether the choice has finished now."""
        if self.finished or not self.reason or self.reason in self._disproved:
            return False
        self._tell_finish(events)
        self.finished = True
        return True

    def _tell_finish(self, events: list[Event]) -> None:
        if self.media:
            events.extend(self.media.rest())
        if not self._told:
            self._told = True
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


def plain(value: Any) -> str:
    """The value, which has to be a text."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def failed_reason(value: Any, beside: Mapping[str, Any]) -> StreamFailure | None:
    """The failure where a finish reason says that the server gave up.

    Args:
        value: The finish reason.
        beside: The choice, in which the provider may say more.
    """
    word = read_finish_reason(value)
    if word.lower() not in FAILED:
        return None
    said = words_of({name: found for name, found in beside.items() if name not in _NO_WORDS})
    why = f": {said.message}" if said else ""
    code = (said.code if said else None) or word
    status = said.status if said else None
    return StreamFailure(f"the model server gave up: finish_reason is {word!r}{why}", code=code, status=status)


#: Of a choice, what `words_of` would take for an error's words.
_NO_WORDS = frozenset({"message", "delta", "text"})


def stream_failure(words: Words, raw: str, *, retryable: frozenset[int] = frozenset()) -> StreamFailure:
    """The failure that an error object in a stream spells.

    Args:
        words: What it says.
        raw: The payload, for the error.
        retryable: Further statuses below 500 after which another request may help.
    """
    status = words.status
    return (StreamTimeout if status == 408 else StreamFailure)(
        f"the service ended the stream: {words.message}",
        code=words.code,
        status=status,
        retryable=status is None or status >= 500 or status in {408, 429} | retryable,
        raw=raw,
    )


def has_output(events: Iterable[Event]) -> bool:
    """Whether something of an answer is among these events."""
    return any(isinstance(event, _OUTPUT) for event in events)


_OUTPUT = (TextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta)

#: Words of an error object that is there and reports none.
_FINE = frozenset({"", "0", "200", "null", "none", "ok", "success", "false"})


def is_error(error: Any) -> bool:
    """Whether what stands under `error` reports one: gateways with a fixed schema send it empty, or `success`.

    >>> is_error({"code": 0, "message": "success"}), is_error("null"), is_error({"message": "boom"})
    (False, False, True)
    """
    if isinstance(error, Mapping):
        return any(is_error(value) for value in error.values())
    return bool(error) and str(error).strip().lower() not in _FINE


def error_in_choice(error: Any, wire: Mapping[str, Any]) -> StreamFailure:
    """The failure that an error object inside a choice or a delta spells.

    Args:
        error: The object, or its text.
        wire: What it stands in.
    """
    words = words_of({"error": error}) or Words(_json.to_text(error)[:300])
    return stream_failure(words, _json.to_text(wire)[:2000])
