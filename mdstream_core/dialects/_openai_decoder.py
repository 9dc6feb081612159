"""Decoder for OpenAI chat and completion responses, as vLLM, SGLang, TGI, llama.cpp, transformers and LMI write them.

What a server writes is read tolerantly (see the samples under `tests/samples`); how it ended is read strictly: every
choice must say why it finished, and an error object anywhere is the end of the stream.
"""

from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any

from mdstream_core.dialects._choice import Choice, error_in_choice, failed_reason, plain, read_index, stream_failure
from mdstream_core.dialects._content_parts import read_content
from mdstream_core.dialects._media import MEDIA
from mdstream_core.dialects._spoken import UNREADABLE, misfit, misshapen, shown, spoken
from mdstream_core.dialects._surrogates import SurrogateJoiner
from mdstream_core.dialects._whole_message import read_sum
from mdstream_core.errors import MalformedStream, MDStreamError, StreamFailure, StreamInterrupted, Words, words_of
from mdstream_core.events import Event, Logprobs, ReasoningDelta, Served, TextDelta, Usage


class OpenAIDecoder:
    """Reads one answer, streamed or whole: a container that ignores `stream` sends `message` in place of `delta`."""

    def __init__(self) -> None:
        self._choices: dict[int, Choice] = {}
        self._unfinished = 0
        self._served: Served | None = None
        self._done = False
        self._usage_came = False
        self._counted = False
        self._joiner = SurrogateJoiner()
        #: What was wrong with a payload that had events too.
        self.broken: MDStreamError | None = None

    @property
    def finished(self) -> bool:
        """Whether every choice that was seen has finished."""
        return not self._unfinished and bool(self._choices) and self.broken is None

    @property
    def over(self) -> bool:
        """Whether `[DONE]` has come, or the usage behind the last finish reason."""
        return self.finished and (self._done or self._counted)

    @property
    def done(self) -> bool:
        """Whether `[DONE]` has come."""
        return self._done

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload."""
        joiner = self._joiner
        try:
            payload = joiner.loads(data)
        except ValueError:
            return self._not_json(data, event)
        events: list[Event] = []
        try:
            if not isinstance(payload, dict):
                raise misfit("openai-chat", payload, shown(data))
            if event == "error" or payload.get("error") or not payload.get("choices"):
                self._beside(payload, data, event)
            self._read(payload, events)
        except MDStreamError as error:
            self._fail(error, data)
        except UNREADABLE as error:
            self._fail(misshapen(data, error), data)
        if joiner.active:
            events = joiner.join(events)
        if self.broken and not events:
            raise self.broken
        return events

    def end(self, *, is_document: bool = False) -> list[Event]:
        """Check that the answer is whole.

        Args:
            is_document: Whether the body was one JSON document: it came whole, so that its choices have ended.
        """
        events: list[Event] = []
        if self.broken:
            raise self.broken
        if not self._choices:
            raise StreamInterrupted("the stream ended without an answer: not one choice was in it", code="EmptyStream")
        if is_document:
            self._end_document(events)
        if not self.finished:
            raise StreamInterrupted(self._interrupted())
        for choice in self._choices.values():
            choice.calls.end(cut=choice.reason == "length")
        return [*events, *self._joiner.flush()]

    def held(self) -> list[Event]:
        """What has come and was not told yet: pieces of sound, half a character."""
        sound = [event for choice in self._choices.values() if choice.media for event in choice.media.sound()]
        return [*sound, *self._joiner.flush()]

    def _fail(self, error: MDStreamError, data: bytes) -> None:
        """Keep the first error: what comes behind it explains less."""
        if self.broken is None:
            error.raw = error.raw or shown(data, 2000)
            self.broken = error

    def _end_document(self, events: list[Event]) -> None:
        """Finish the choices of a whole answer whose server gives no reason. Pieces of one do not end so."""
        for choice in self._choices.values():
            if choice.reason or choice.has_whole_messages or self._usage_came:
                choice.reason = choice.reason or "stop"
                self._unfinished -= choice.confirm(events)

    def _interrupted(self) -> str:
        words = sorted({choice.reason for choice in self._choices.values() if choice.reason and not choice.finished})
        unknown = f" that is known (it said {', '.join(map(repr, words))})" if words else ""
        return f"the stream ended before a finish reason{unknown}{', with [DONE]' if self._done else ''}"

    def _beside(self, payload: dict[str, Any], data: bytes, event: str) -> None:
        """Look for the error in a payload that is an answer in part only, or not at all."""
        if not payload.get("choices") and (payload.get("object") == "error" or {"code", "message"} <= payload.keys()):
            payload = {name: value for name, value in payload.items() if name != "choices"}
        if failure := _failure(payload, data, told=event == "error"):
            self._fail(failure, data)
        if self.broken is None and "choices" not in payload and spoken(payload):
            self.broken = misfit("openai-chat", payload, shown(data))

    def _read(self, payload: dict[str, Any], events: list[Event]) -> None:
        for wire in payload.get("choices") or ():
            self._choice(wire, events, payload)
        if usage := payload.get("usage"):
            self._count(usage, events)
        # Announced with the first news, not before: a chunk that only says "role" is no reason not to ask again.
        if events and (self._served is None or usage):
            self._announce(_served(payload), events)

    def _count(self, usage: Mapping[str, Any], events: list[Event]) -> None:
        """Take the usage. Behind a reason it confirms it, unless the server counts with every chunk."""
        counted = _usage(usage)
        events.append(counted)
        if not self._usage_came:
            self._confirm(events)
        self._usage_came = True
        self._counted = self.finished and counted.total > 0

    def _confirm(self, events: list[Event]) -> None:
        for choice in self._choices.values():
            self._unfinished -= choice.confirm(events)

    def _announce(self, served: Served, events: list[Event]) -> None:
        if self._served is None:
            self._served = served
            events.insert(0, served)
        elif served.fingerprint and served.fingerprint != self._served.fingerprint:
            self._served = served  # vLLM names it beside the usage only
            events.append(served)

    def _choice(self, wire: dict[str, Any], events: list[Event], payload: Mapping[str, Any]) -> None:
        index = wire.get("index") or 0
        choice = self._choices.get(index)
        if choice is None:
            choice = self._known(read_index(index))
        before = len(events)
        if delta := wire.get("delta"):
            _read_fields(delta, choice, events)
        elif text := wire.get("text"):
            choice.add_text(text, events)
        if choice.reason and len(events) > before:
            self._unfinished += choice.reopen()
        if message := wire.get("message"):
            _read_message(message, choice, events, is_sum="delta" in wire or payload.get("object") == _WHOLE)
        if logprobs := wire.get("logprobs"):
            events.append(Logprobs(_logprobs(logprobs), choice.index))
        if wire.get("finish_reason") or wire.get("error"):
            self._ending(wire, choice, events)

    def _ending(self, wire: dict[str, Any], choice: Choice, events: list[Event]) -> None:
        """Take a finish reason, or the error object of one choice."""
        if error := wire.get("error"):
            raise error_in_choice(error, wire)
        if failure := failed_reason(wire["finish_reason"], wire):
            raise failure
        self._unfinished -= choice.end(wire["finish_reason"], events)

    def _known(self, index: int) -> Choice:
        """The choice of this index, a new one if it was not seen before."""
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = Choice(index)
            self._unfinished += 1
        return choice

    def _not_json(self, data: bytes, event: str) -> list[Event]:
        text = data.strip()
        if text == b"[DONE]":
            self._done = True
            events: list[Event] = []
            self._confirm(events)
            return events
        if event == "error":
            raise StreamFailure(f"the service ended the stream: {shown(text) or 'no words'}", raw=shown(text))
        if not text:
            return []
        raise MalformedStream(f"a payload that is not JSON: {shown(text)}", raw=shown(text))


#: What a whole answer calls itself; a piece of one is a `chat.completion.chunk`.
_WHOLE = "chat.completion"


def _read_fields(delta: dict[str, Any], choice: Choice, events: list[Event]) -> None:
    for name, value in delta.items():
        if value and (read := _FIELDS.get(name)):
            read(value, choice, events, delta)


def _read_message(message: dict[str, Any], choice: Choice, events: list[Event], *, is_sum: bool) -> None:
    """A message in place of a delta: the whole answer, the next piece of it, or the sum of what was streamed."""
    if choice.has_output and (is_sum or not choice.has_whole_messages):
        read_sum(message, choice, events)
    else:
        choice.has_whole_messages = True
        _read_fields(message, choice, events)


def _text(value: Any, choice: Choice, events: list[Event], _: Mapping[str, Any]) -> None:
    if isinstance(value, str):
        choice.text.write(value)
        events.append(TextDelta(value, choice.index))
    else:
        read_content(value, choice, events)  # some gateways send a list of parts


def _reasoning(value: Any, choice: Choice, events: list[Event], _: Mapping[str, Any]) -> None:
    choice.reasoning.write(plain(value))
    events.append(ReasoningDelta(value, choice.index))


def _reasoning_once(value: Any, choice: Choice, events: list[Event], delta: Mapping[str, Any]) -> None:
    if not delta.get("reasoning_content"):  # vLLM 0.11 to 0.13 sends the same text under both names
        choice.add_reasoning(value, events)


def _refusal(value: Any, choice: Choice, events: list[Event], _: Mapping[str, Any]) -> None:
    choice.add_refusal(value, events)


def _tool_calls(value: list[dict[str, Any]], choice: Choice, events: list[Event], _: Mapping[str, Any]) -> None:
    events.extend(choice.calls.read(value))


def _function_call(value: dict[str, Any], choice: Choice, events: list[Event], delta: Mapping[str, Any]) -> None:
    if not delta.get("tool_calls"):  # llama-cpp-python sends the legacy field beside the new one
        events.extend(choice.calls.read([value]))


def _error(value: Any, choice: Choice, events: list[Event], delta: Mapping[str, Any]) -> None:
    raise error_in_choice(value, delta)


def _media(name: str) -> Callable[[Any, Choice, list[Event], Mapping[str, Any]], None]:
    def read(value: Any, choice: Choice, events: list[Event], _: Mapping[str, Any]) -> None:
        if name != "audio" and not isinstance(value, list):
            raise TypeError(f"{name} is no list")
        choice.add_media(name, value, events)

    return read


_FIELDS: dict[str, Callable[[Any, Choice, list[Event], Mapping[str, Any]], None]] = {
    "content": _text,
    "reasoning_content": _reasoning,
    "reasoning": _reasoning_once,
    "refusal": _refusal,
    "tool_calls": _tool_calls,
    "function_call": _function_call,
    "error": _error,
    **{name: _media(name) for name in MEDIA},
}


def _logprobs(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):  # LMI wraps the object in a list
        return [entry for item in value for entry in _logprobs(item)]
    if not isinstance(value, dict):
        return []
    if "tokens" in value:  # completions: parallel arrays
        columns = zip_longest(value["tokens"], value.get("token_logprobs") or (), value.get("top_logprobs") or ())
        return [_token(*column) for column in columns]
    return list(value.get("content") or ())


def _token(token: str, logprob: float | None, top: Mapping[str, float] | None) -> dict[str, Any]:
    others = [{"token": other, "logprob": value} for other, value in (top or {}).items()]
    return {"token": token, "logprob": logprob, **({"top_logprobs": others} if others else {})}


def _usage(value: Mapping[str, Any]) -> Usage:
    prompt, completion = int(value.get("prompt_tokens") or 0), int(value.get("completion_tokens") or 0)
    of_prompt, of_completion = value.get("prompt_tokens_details") or {}, value.get("completion_tokens_details") or {}
    return Usage(
        input=prompt,
        output=completion,
        total=int(value.get("total_tokens") or 0) or prompt + completion,
        cached=_count(of_prompt.get("cached_tokens")),
        reasoning=_count(of_completion.get("reasoning_tokens", value.get("reasoning_tokens"))),
        input_audio=_count(of_prompt.get("audio_tokens")),
        output_audio=_count(of_completion.get("audio_tokens")),
    )


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


def _served(payload: Mapping[str, Any]) -> Served:
    named = (payload.get(name) for name in ("model", "id", "system_fingerprint"))
    return Served(*(name if isinstance(name, str) else None for name in named))


def _failure(payload: dict[str, Any], data: bytes, *, told: bool) -> StreamFailure | None:
    """The failure that a payload spells, if it does; `told` if the event's name says that it does."""
    words = words_of(payload)
    if words is None:
        if not told and payload.get("object") != "error":
            return None
        words = Words(shown(data))
    return stream_failure(words, shown(data, 2000))
