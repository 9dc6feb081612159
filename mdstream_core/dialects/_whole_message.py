"""Whole messages at the end of a stream: emit what was not streamed before.

MiniMax and several gateways end a stream with one whole `chat.completion` frame, `message` in place of `delta`
(GCWing/OpenBitFun#792). It repeats the whole response: reading it as a delta would double the text, and an agent would
run each tool twice.
"""

from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._choice_decoder import ChoiceState, error_in_choice, is_error
from mdstream_core.dialects._content_parts import read_content
from mdstream_core.dialects._media import MEDIA
from mdstream_core.errors import MalformedStream
from mdstream_core.events import Event, ProviderData, ToolCallDelta


def read_full_message(message: Mapping[str, Any], choice: ChoiceState, events: list[Event]) -> None:
    """Append to `events` what a whole message has beyond the deltas of its choice.

    Raises:
        MalformedStream: The message contradicts what was streamed.
    """
    if is_error(error := message.get("error")):
        raise error_in_choice(error, message)
    whole, others = _read_whole(message, choice.index)
    try:
        _read_rest("text", whole.text, choice.text, choice.add_text, events)
        _read_rest("reasoning", whole.reasoning, choice.reasoning, choice.add_reasoning, events)
        _read_rest("refusal", whole.refusal, choice.refusal, choice.add_refusal, events)
        events += choice.calls.merge(_calls(message) or [_entry(event) for event in others if _is_call(event)])
    except ValueError as error:
        raise MalformedStream(f"the stream contradicts itself: {error}", code="InconsistentMessage") from error
    for event in others:
        if isinstance(event, ProviderData):
            choice.merge_media(event.name, event.value, events)
    for name in MEDIA & message.keys():
        if value := message[name]:
            choice.merge_media(name, value, events)


def _read_whole(message: Mapping[str, Any], index: int) -> tuple[ChoiceState, list[Event]]:
    """Read the message as if nothing had been streamed."""
    whole = ChoiceState(index)
    events: list[Event] = []
    if content := message.get("content"):
        read_content(content, whole, events)
    for name in ("reasoning_content", "reasoning"):
        if (reasoning := message.get(name)) and not whole.reasoning.tell():
            whole.add_reasoning(reasoning, events)
    if refusal := message.get("refusal"):
        whole.add_refusal(refusal, events)
    return whole, events


def _calls(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    legacy = message.get("function_call")
    return message.get("tool_calls") or ([legacy] if legacy else [])


def _is_call(event: Event) -> bool:
    return isinstance(event, ToolCallDelta)


def _entry(delta: Any) -> dict[str, Any]:
    return {"id": delta.id, "function": {"name": delta.name, "arguments": delta.arguments}}


def _read_rest(
    name: str, whole: StringIO, streamed: StringIO, add: Callable[[Any, list[Event]], None], events: list[Event]
) -> None:
    if whole.tell() and (rest := remaining_text(whole.getvalue(), streamed.getvalue(), name)):
        add(rest, events)


def remaining_text(whole: str, streamed: str, name: str = "text") -> str:
    """Return the part of a whole text that was not streamed. Whitespace at both ends may differ: servers strip it.

    >>> remaining_text("Hello", "Hel"), remaining_text("Hello", "Hello "), remaining_text("", "Hello")
    ('lo', '', '')

    Raises:
        ValueError: The texts differ.
    """
    if not streamed.isascii():
        whole, streamed = _normalize_surrogates(whole, streamed)
    if whole.startswith(streamed):
        return whole[len(streamed) :]
    stripped, core = whole.strip(), streamed.strip()
    if not stripped or stripped == core:
        return ""
    if stripped.startswith(core):
        return stripped[len(core) :]
    raise ValueError(f"a whole {name} at the end, {whole[-80:]!r}, that is not what was streamed: {streamed[-80:]!r}")


def _normalize_surrogates(whole: str, streamed: str) -> tuple[str, str]:
    """Make two texts comparable that may contain split surrogate pairs.

    Pairs are joined. If `streamed` ends with a high surrogate, the pair at that position of `whole` is split.
    """
    joined = str(_json.replace_lone_surrogates(streamed, keep_edges=True))
    size = len(joined) - 1
    if joined and "\ud800" <= joined[-1] <= "\udbff" and whole[size : size + 1] > "\uffff":
        units = whole[size].encode("utf-16-le")
        high, low = units[:2].decode("utf-16-le", "surrogatepass"), units[2:].decode("utf-16-le", "surrogatepass")
        whole = f"{whole[:size]}{high}{low}{whole[size + 1 :]}"
    return whole, joined
