"""Decoder for OpenAI chat and completion responses of vLLM, SGLang, TGI, llama.cpp, transformers, LMI and others.

The decoder accepts many variants of the output (see the samples under `tests/samples`), but not of its end: every
choice must have a finish reason. An error object anywhere in a payload ends the stream.
"""

from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._choice_decoder import (
    ChoiceDecoder,
    ChoiceState,
    build_stream_failure,
    error_in_choice,
    finish_reason_failure,
    has_output,
    is_error,
    read_index,
    require_text,
)
from mdstream_core.dialects._content_parts import read_content
from mdstream_core.dialects._detect import detect_dialect, wrong_dialect_error
from mdstream_core.dialects._limits import read_count
from mdstream_core.dialects._media import MEDIA
from mdstream_core.dialects._text_template import MAX_TEMPLATES, TextTemplate, find_template
from mdstream_core.dialects._whole_message import read_full_message
from mdstream_core.errors import ErrorBody, StreamFailure, parse_error_object, quote_payload
from mdstream_core.events import (
    Event,
    Logprobs,
    ReasoningDelta,
    ResponseMetadata,
    TextDelta,
    Usage,
    new_metadata,
    new_usage,
)
from mdstream_core.events.event import text_deltas

#: Exceptions of the fast path for a payload of another shape, which is decoded without it.
_OTHER_SHAPE = (LookupError, TypeError, ValueError, AttributeError)

#: The name of the field that has the text of a chunk.
_TEXT = b'"content"'


class OpenAIDecoder(ChoiceDecoder[ChoiceState]):
    """Decoder for one response, streamed or whole: a server that ignores `stream` sends `message`, not `delta`."""

    def __init__(self) -> None:
        super().__init__()
        self._metadata: ResponseMetadata | None = None
        self._has_usage = False
        self._usage_ends_response = False
        self._template: TextTemplate | None = None
        self._template_choice: Any = None
        self._templates = MAX_TEMPLATES

    @property
    def is_complete(self) -> bool:
        """Whether `[DONE]` was received, or the usage after the last finish reason."""
        return self.is_finished and (self._done or self._usage_ends_response)

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Decode one payload."""
        template = self._template
        if template is not None and data.startswith(template.start) and data.endswith(template.end):
            try:
                text = _json.parse(data[template.first : template.last])
            except _json.PARSE_ERRORS:
                text = ""  # more than a string: another document that starts and ends like this one
            if text and event != "error":
                choice = self._template_choice
                choice.text.write(text)
                return [TextDelta(text, choice.index)]
        try:
            payload = _json.parse(data)
        except _json.PARSE_ERRORS:
            self._template = None
            return self._feed_nonstandard(data, event)
        # Fast path: a chunk with nothing but a piece of text for a choice that is known, as all but a few are.
        try:
            (raw_choice,) = payload["choices"]
            delta = raw_choice["delta"]
            text = delta["content"]
            choice = self._choices[raw_choice.get("index") or 0]
            if (
                type(text) is str
                and text
                and len(delta) == 1
                and self._metadata is not None
                and self._joiner is None
                and event != "error"
                and not (
                    choice.reason
                    or raw_choice.get("finish_reason")
                    or raw_choice.get("logprobs")
                    or payload.get("usage")
                    or payload.get("error")
                    or "message" in raw_choice
                    or "error" in raw_choice
                )
            ):
                if self._templates:
                    self._templates -= 1
                    self._template, self._template_choice = find_template(data, text, _TEXT), choice
                choice.text.write(text)
                return [TextDelta(text, choice.index)]
        except _OTHER_SHAPE:
            pass
        self._template = None  # what follows may finish the choice, for example
        return self._decode(payload, data, event)

    def feed_uniform(self, payloads: list[bytes], at: int) -> list[TextDelta] | None:
        """Decode the payloads from an index on, as long as they have the form of the last one."""
        if self._template is None:
            return None
        choice = self._template_choice
        texts = self._template.read_run(payloads, at)
        if len(texts) > MAX_TEMPLATES:
            self._templates = MAX_TEMPLATES
        choice.text.write("".join(texts))
        return text_deltas(texts, choice.index)

    def _read(self, payload: Any, data: bytes, event: str, events: list[Event]) -> None:
        if not isinstance(payload, dict):
            raise wrong_dialect_error("openai-chat", payload, quote_payload(data))
        choices = payload.get("choices")
        if not choices or event == "error" or payload.get("error"):
            self._read_error(payload, data, event)
        for raw_choice in choices or ():
            self._choice(raw_choice, events)
        if usage := payload.get("usage"):
            self._add_usage(usage, events)
        # Not before the first output: a chunk that only has the role must not prevent a retry.
        if events and (self._metadata is None or usage):
            self._add_metadata(_read_metadata(payload), events)

    def _read_error(self, payload: dict[str, Any], data: bytes, event: str) -> None:
        """Record the error of a payload that has no choices, or has an error object beside them."""
        if not payload.get("choices") and (payload.get("object") == "error" or {"code", "message"} <= payload.keys()):
            payload = {name: value for name, value in payload.items() if name != "choices"}
        if failure := _failure(payload, data, is_error_event=event == "error"):
            self._record_error(failure, data)
        if self.error is None and "choices" not in payload and detect_dialect(payload):
            raise wrong_dialect_error("openai-chat", payload, quote_payload(data))

    def _ends_without_reason(self, choice: ChoiceState) -> bool:
        """Return whether the choice is a whole message, or the whole text of a completion."""
        return choice.has_whole_messages or choice.has_whole_text

    def _add_usage(self, usage: Mapping[str, Any], events: list[Event]) -> None:
        """Add the usage. After a finish reason it confirms the reason, unless every chunk has a usage."""
        counted = _usage(usage)
        is_alone = not has_output(events)
        events.append(counted)
        if is_alone and not self._has_usage:
            self.confirm(events)
        self._has_usage = True
        self._usage_ends_response = is_alone and self.is_finished and counted.total > 0

    def _add_metadata(self, metadata: ResponseMetadata, events: list[Event]) -> None:
        if self._metadata is None:
            self._metadata = metadata
            events.insert(0, metadata)
        elif metadata.fingerprint and metadata.fingerprint != self._metadata.fingerprint:
            self._metadata = metadata  # vLLM sends the fingerprint with the usage only
            events.append(metadata)

    def _choice(self, raw_choice: dict[str, Any], events: list[Event]) -> None:
        index = raw_choice.get("index") or 0
        choice = self._choices.get(index)
        delta = raw_choice.get("delta")
        if choice is None:
            choice = self._get_choice(read_index(index))
            if delta is not None:
                choice.expect_pieces()
        if choice.reason and _has_content(raw_choice):
            self.reopen(choice)
        if delta:
            _read_fields(delta, choice, events)
        if (
            raw_choice.get("finish_reason")
            or raw_choice.get("logprobs")
            or "message" in raw_choice
            or "error" in raw_choice
            or delta is None
        ):
            self._read_choice_fields(raw_choice, choice, events)

    def _read_choice_fields(self, raw_choice: dict[str, Any], choice: ChoiceState, events: list[Event]) -> None:
        """Read the fields beside `delta`: text, message, log probabilities, error, finish reason."""
        if text := raw_choice.get("text"):
            choice.add_text(text, events)
            choice.has_whole_text = bool(raw_choice.get("finish_reason", "stop"))
        if message := raw_choice.get("message"):
            _read_message(message, choice, events, is_beside="delta" in raw_choice)
        if logprobs := raw_choice.get("logprobs"):
            events.append(Logprobs(_json.check_depth(_logprobs(logprobs)), choice.index))
        if is_error(error := raw_choice.get("error")):
            raise error_in_choice(error, raw_choice)
        if reason := raw_choice.get("finish_reason"):
            if failure := finish_reason_failure(reason, raw_choice):
                raise failure
            self._take_reason(choice, reason, events)


def _has_content(raw_choice: dict[str, Any]) -> bool:
    """Return whether a chunk has output, and not only a finish reason."""
    delta = raw_choice.get("delta") or {}
    fields = (value for name, value in delta.items() if name in _FIELDS and name not in MEDIA)
    outputs = [raw_choice.get("text"), *fields]
    return any(value.strip() if isinstance(value, str) else value for value in outputs)


def _read_fields(delta: dict[str, Any], choice: ChoiceState, events: list[Event]) -> None:
    for name, value in delta.items():
        if value and (read := _FIELDS.get(name)):
            read(value, choice, events, delta)


def _read_message(message: dict[str, Any], choice: ChoiceState, events: list[Event], *, is_beside: bool) -> None:
    """Read a message in place of a delta: the whole response, its next piece, or all that was streamed before."""
    content, size = message.get("content"), choice.text.tell() if choice.has_whole_messages else 0
    grows = isinstance(content, str) and 0 < size <= len(content) and content.startswith(choice.text.getvalue())
    if choice.has_output and (grows or is_beside or not choice.has_whole_messages):
        read_full_message(message, choice, events)
    else:
        choice.has_whole_messages = True
        _read_fields(message, choice, events)


def _text(value: Any, choice: ChoiceState, events: list[Event], _: Mapping[str, Any]) -> None:
    if isinstance(value, str):
        choice.text.write(value)
        events.append(TextDelta(value, choice.index))
    else:
        read_content(value, choice, events)  # some gateways send a list of parts


def _reasoning(value: Any, choice: ChoiceState, events: list[Event], _: Mapping[str, Any]) -> None:
    choice.reasoning.write(require_text(value))
    events.append(ReasoningDelta(value, choice.index))


def _reasoning_once(value: Any, choice: ChoiceState, events: list[Event], delta: Mapping[str, Any]) -> None:
    if not delta.get("reasoning_content"):  # vLLM 0.11 to 0.13 sends the same text under both names
        choice.add_reasoning(value, events)


def _refusal(value: Any, choice: ChoiceState, events: list[Event], _: Mapping[str, Any]) -> None:
    choice.add_refusal(value, events)


def _tool_calls(value: Any, choice: ChoiceState, events: list[Event], _: Mapping[str, Any]) -> None:
    choice.add_calls(value, events)


def _function_call(value: Any, choice: ChoiceState, events: list[Event], delta: Mapping[str, Any]) -> None:
    if not delta.get("tool_calls"):  # llama-cpp-python sends the legacy field beside the new one
        choice.add_calls([value], events)


def _error(value: Any, choice: ChoiceState, events: list[Event], delta: Mapping[str, Any]) -> None:
    if is_error(value):
        raise error_in_choice(value, delta)


def _media(name: str) -> Callable[[Any, ChoiceState, list[Event], Mapping[str, Any]], None]:
    def read(value: Any, choice: ChoiceState, events: list[Event], _: Mapping[str, Any]) -> None:
        choice.add_media(name, value, events)

    return read


_FIELDS: dict[str, Callable[[Any, ChoiceState, list[Event], Mapping[str, Any]], None]] = {
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
        columns = (_json_list(value.get(name)) for name in ("tokens", "token_logprobs", "top_logprobs"))
        return [_token(*column) for column in zip_longest(*columns)]
    return [entry for entry in _json_list(value.get("content")) if isinstance(entry, dict)]


def _json_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _token(token: Any, logprob: Any, top: Any) -> dict[str, Any]:
    top = top if isinstance(top, dict) else {}
    others = [{"token": other, "logprob": value} for other, value in top.items()]
    return {"token": token, "logprob": logprob, **({"top_logprobs": others} if others else {})}


def _usage(value: Mapping[str, Any]) -> Usage:
    prompt = read_count(value.get("prompt_tokens")) or 0
    completion = read_count(value.get("completion_tokens")) or 0
    prompt_details = value.get("prompt_tokens_details") or _NO_DETAILS
    completion_details = value.get("completion_tokens_details") or _NO_DETAILS
    return new_usage(
        prompt,
        completion,
        read_count(value.get("total_tokens")) or prompt + completion,
        read_count(prompt_details.get("cached_tokens")),
        read_count(completion_details.get("reasoning_tokens", value.get("reasoning_tokens"))),
        read_count(prompt_details.get("audio_tokens")),
        read_count(completion_details.get("audio_tokens")),
    )


_NO_DETAILS: dict[str, Any] = {}


def _read_metadata(payload: Mapping[str, Any]) -> ResponseMetadata:
    model, id, fingerprint = payload.get("model"), payload.get("id"), payload.get("system_fingerprint")
    return new_metadata(
        model if type(model) is str else None,
        id if type(id) is str else None,
        fingerprint if type(fingerprint) is str else None,
        {},
    )


def _failure(payload: dict[str, Any], data: bytes, *, is_error_event: bool) -> StreamFailure | None:
    """Return the failure that a payload reports, if any.

    Args:
        payload: The parsed payload.
        data: Its bytes.
        is_error_event: Whether the frame has the event name `error`.
    """
    error_body = parse_error_object(payload)
    if error_body is None:
        if not is_error_event and payload.get("object") != "error":
            return None
        error_body = ErrorBody(quote_payload(data))
    return build_stream_failure(error_body, quote_payload(data, 2000))
