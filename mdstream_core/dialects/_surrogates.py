"""Join surrogate pairs that a server splits between two payloads."""

from dataclasses import replace
from typing import Any

from mdstream_core import _json
from mdstream_core.events import (
    Event,
    Finish,
    Logprobs,
    ProviderData,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)

#: The deltas whose text continues in the next delta of the same type and choice.
_TEXTS = (TextDelta, ReasoningDelta, RefusalDelta)

#: Which text a buffered half belongs to: the type of the delta, and the index of the tool call.
_Key = tuple[type, int]


class SurrogateJoiner:
    """Joins surrogate pairs: a high surrogate at the end of a delta is buffered until the next delta of the same type.

    `_json.loads_nonstandard` keeps lone surrogates. One that has no other half becomes U+FFFD. Decoders create a joiner
    at the first payload that needs one.

    >>> joiner = SurrogateJoiner()
    >>> joiner.join([TextDelta("Hi \\ud83d")])
    [TextDelta(text='Hi ', choice=0)]
    >>> joiner.join([TextDelta("\\ude00!")])
    [TextDelta(text='😀!', choice=0)]
    """

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: dict[int, dict[_Key, str]] = {}  # keys: index of the choice

    def join(self, events: list[Event]) -> list[Event]:
        """Return the events with joined surrogate pairs."""
        joined: list[Event] = []
        for event in events:
            if isinstance(event, _TEXTS):
                self._text(event, joined)
            elif isinstance(event, ToolCallDelta):
                self._call(event, joined)
            else:
                joined += self._flush_before(event)
        return joined

    def flush(self, choice: int | None = None) -> list[Event]:
        """Return the halves that are still buffered, as U+FFFD.

        Args:
            choice: The index of a choice, to flush only that one.
        """
        choices = list(self._pending) if choice is None else [choice]
        return [
            ToolCallDelta(index, arguments="\ufffd", choice=at) if kind is ToolCallDelta else kind("\ufffd", at)
            for at in choices
            for kind, index in self._pending.pop(at, ())
        ]

    def _text(self, event: Any, joined: list[Event]) -> None:
        text = self._join_text(event.choice, (type(event), 0), event.text)
        if text or not event.text:
            joined.append(replace(event, text=text))

    def _call(self, event: ToolCallDelta, joined: list[Event]) -> None:
        arguments = self._join_text(event.choice, (ToolCallDelta, event.index), event.arguments)
        if arguments or event.name or not event.arguments:
            cleaned = _json.replace_lone_surrogates({"id": event.id, "name": event.name})
            joined.append(replace(event, arguments=arguments, **cleaned))

    def _flush_before(self, event: Event) -> list[Event]:
        """Return another event; before a `Finish` the halves that are buffered for its choice."""
        match event:
            case Finish(choice=choice):
                return [*self.flush(choice), event]
            case Logprobs(content):
                return [replace(event, content=_json.replace_lone_surrogates(content))]
            case ProviderData(value=value):
                return [replace(event, value=_json.replace_lone_surrogates(value))]
        return [event]

    def _join_text(self, choice: int, key: _Key, text: str) -> str:
        if not text:
            return text
        halves = self._pending.setdefault(choice, {})
        text = halves.pop(key, "") + text
        if "\ud800" <= text[-1] <= "\udbff":
            halves[key] = text[-1]
            text = text[:-1]
        return str(_json.replace_lone_surrogates(text))
