"""Decoder for OpenAI chat and completion responses, as vLLM, SGLang, TGI, llama.cpp, transformers and LMI write them.

What a server writes is read tolerantly (see the samples under `tests/samples`); how it ended is read strictly: every
choice must say why it finished, and an error object anywhere is the end of the stream.
"""

from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._media import MEDIA, Media
from mdstream_core.dialects._spoken import UNREADABLE, misfit, misshapen, shown, spoken
from mdstream_core.dialects._tool_calls import ToolCalls
from mdstream_core.errors import (
    MalformedStream,
    MDStreamError,
    StreamFailure,
    StreamInterrupted,
    StreamTimeout,
    Words,
    words_of,
)
from mdstream_core.events import (
    Event,
    Finish,
    Logprobs,
    ReasoningDelta,
    RefusalDelta,
    Served,
    TextDelta,
    Usage,
)

#: Finish reasons that mean success under another name (TGI, older LMI, the legacy function call).
_FINISH = {
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "function_call": "tool_calls",
}

#: Finish reasons, in lower case, that say that the server gave up (SGLang, vLLM, LMI, DeepSeek, gateways).
FAILED = frozenset(
    {"abort", "aborted", "cancelled", "canceled", "error", "insufficient_system_resource"}
    | {"malformed_function_call", "network_error", "timeout"}
)


class _Choice:
    """One answer while it comes in."""

    __slots__ = ("calls", "finished", "index", "media")

    def __init__(self, index: int) -> None:
        if not isinstance(index, int):
            raise TypeError(f"the index {index!r} of a choice is no number")
        self.index = index
        self.calls = ToolCalls(index)
        self.media: Media | None = None
        self.finished = ""


class OpenAIDecoder:
    """Reads one answer, streamed or whole: a container that ignores `stream` sends `message` in place of `delta`."""

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._unfinished = 0
        self._served: Served | None = None
        self._done = False
        self._counted = False
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
        try:
            payload = _json.loads(data)
        except ValueError:
            return self._not_json(data, event)
        events: list[Event] = []
        try:
            if not isinstance(payload, dict):
                raise misfit("openai-chat", payload, shown(data))
            if event == "error" or payload.get("error") or not payload.get("choices"):
                self._beside(payload, data, event)
            self._read(payload, events)
        except UNREADABLE as error:
            if self.broken is None:
                self.broken = misshapen(data, error)
        if self.broken and not events:
            raise self.broken
        return events

    def end(self) -> list[Event]:
        """Check that the answer is whole."""
        if self.broken:
            raise self.broken
        if not self._choices:
            raise StreamInterrupted("the stream ended without an answer: not one choice was in it", code="EmptyStream")
        if not self.finished:
            raise StreamInterrupted("the stream ended before a finish reason" + (", with [DONE]" if self._done else ""))
        for choice in self._choices.values():
            choice.calls.end(cut=choice.finished == "length")
        return []

    def held(self) -> list[Event]:
        """What has come and was not told yet: pieces of sound."""
        return [event for choice in self._choices.values() if choice.media for event in choice.media.sound()]

    def _beside(self, payload: dict[str, Any], data: bytes, event: str) -> None:
        """Look for the error in a payload that is an answer in part only, or not at all."""
        if not payload.get("choices") and (payload.get("object") == "error" or {"code", "message"} <= payload.keys()):
            payload = {name: value for name, value in payload.items() if name != "choices"}
        self.broken = _failure(payload, data, told=event == "error") or self.broken
        if self.broken is None and "choices" not in payload and spoken(payload):
            self.broken = misfit("openai-chat", payload, shown(data))

    def _read(self, payload: dict[str, Any], events: list[Event]) -> None:
        for wire in payload.get("choices") or ():
            self._choice(wire, events)
        if usage := payload.get("usage"):
            events.append(_usage(usage))
            self._counted = True
        # Announced with the first news, not before: a chunk that only says "role" is no reason not to ask again.
        if events and (self._served is None or usage):
            self._announce(_served(payload), events)

    def _announce(self, served: Served, events: list[Event]) -> None:
        if self._served is None:
            self._served = served
            events.insert(0, served)
        elif served.fingerprint and served.fingerprint != self._served.fingerprint:
            self._served = served  # vLLM names it beside the usage only
            events.append(served)

    def _choice(self, wire: dict[str, Any], events: list[Event]) -> None:
        index = wire.get("index") or 0
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice(index)
            self._unfinished += 1
        delta = wire.get("delta") or wire.get("message")
        if delta:
            for name, value in delta.items():
                if value and (read := _FIELDS.get(name)):
                    read(value, choice, events, delta)
        elif text := wire.get("text"):
            events.append(TextDelta(_plain(text), index))
        if logprobs := wire.get("logprobs"):
            events.append(Logprobs(_logprobs(logprobs), index))
        if reason := wire.get("finish_reason"):
            self._finish(choice, reason, events)

    def _finish(self, choice: _Choice, reason: str, events: list[Event]) -> None:
        name = str(reason).lower()
        if name in FAILED:
            self.broken = StreamFailure(f"the model server gave up: finish_reason is {reason!r}", code=str(reason))
            return
        if choice.finished:
            return  # some gateways repeat the last chunk
        self._unfinished -= 1
        if choice.media:
            events.extend(choice.media.sound())
        choice.finished = reason = _FINISH.get(name, name)
        events.append(Finish("tool_calls" if reason == "stop" and choice.calls else reason, choice.index))

    def _not_json(self, data: bytes, event: str) -> list[Event]:
        text = data.strip()
        if text == b"[DONE]":
            self._done = True
            return []
        if event == "error":
            raise StreamFailure(f"the service ended the stream: {shown(text) or 'no words'}", raw=shown(text))
        if not text:
            return []
        raise MalformedStream(f"a payload that is not JSON: {shown(text)}", raw=shown(text))


def _text(value: Any, choice: _Choice, events: list[Event], _: Mapping[str, Any]) -> None:
    if isinstance(value, str):
        events.append(TextDelta(value, choice.index))
        return
    for part in value:  # some gateways send a list of parts
        if text := part.get("text"):
            events.append(TextDelta(_plain(text), choice.index))
        if refusal := part.get("refusal"):
            events.append(RefusalDelta(_plain(refusal), choice.index))


def _reasoning(value: Any, choice: _Choice, events: list[Event], _: Mapping[str, Any]) -> None:
    events.append(ReasoningDelta(_plain(value), choice.index))


def _reasoning_once(value: Any, choice: _Choice, events: list[Event], delta: Mapping[str, Any]) -> None:
    if not delta.get("reasoning_content"):  # vLLM 0.11 to 0.13 sends the same text under both names
        events.append(ReasoningDelta(_plain(value), choice.index))


def _refusal(value: Any, choice: _Choice, events: list[Event], _: Mapping[str, Any]) -> None:
    events.append(RefusalDelta(_plain(value), choice.index))


def _plain(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _tool_calls(value: list[dict[str, Any]], choice: _Choice, events: list[Event], _: Mapping[str, Any]) -> None:
    events.extend(choice.calls.read(value))


def _function_call(value: dict[str, Any], choice: _Choice, events: list[Event], delta: Mapping[str, Any]) -> None:
    if not delta.get("tool_calls"):  # llama-cpp-python sends the legacy field beside the new one
        events.extend(choice.calls.read([value]))


def _media(name: str) -> Callable[[Any, _Choice, list[Event], Mapping[str, Any]], None]:
    def read(value: Any, choice: _Choice, events: list[Event], _: Mapping[str, Any]) -> None:
        choice.media = choice.media or Media(choice.index)
        events.extend(choice.media.read(name, value))

    return read


_FIELDS: dict[str, Callable[[Any, _Choice, list[Event], Mapping[str, Any]], None]] = {
    "content": _text,
    "reasoning_content": _reasoning,
    "reasoning": _reasoning_once,
    "refusal": _refusal,
    "tool_calls": _tool_calls,
    "function_call": _function_call,
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
    kind = StreamTimeout if words.status == 408 else StreamFailure
    return kind(
        f"the service ended the stream: {words.message}",
        code=words.code,
        status=words.status,
        retryable=words.status is None or words.status >= 500 or words.status in {408, 429},
        raw=shown(data, 2000),
    )
