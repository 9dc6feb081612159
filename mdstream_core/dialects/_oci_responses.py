"""Base decoder of OCI Generative AI's formats.

Sources: `oci` SDK 2.189 (`generative_ai_inference/models`), and observed responses: cohere-ai/cohere-python#756 (the
connection stays open after the finish event), BerriAI/litellm#39507 (`[DONE]` of some models), #40040 (Llama returns
`stop` after tool calls), #30947 (Cohere returns `COMPLETE` after tool calls), oracle/langchain-oracle (`providers/`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core.dialects._choice_decoder import (
    ChoiceDecoder,
    ChoiceState,
    build_stream_failure,
    has_output,
    is_error,
    read_index,
)
from mdstream_core.dialects._finish_reasons import FAILURE_REASONS, read_finish_reason
from mdstream_core.dialects._limits import read_count
from mdstream_core.dialects._text_template import TemplateMixin, has_nothing_else
from mdstream_core.dialects._tool_calls import ToolCallReader
from mdstream_core.errors import ErrorBody, MalformedStream, StreamFailure, parse_error_object, quote_payload
from mdstream_core.events import Event, Logprobs, ProviderData, ResponseMetadata, ToolCallDelta, Usage

#: Finish reasons that report a failure, and whether the request is retryable.
_FAILURE_REASONS = {
    **dict.fromkeys(FAILURE_REASONS, True),
    "error_toxic": False,
    "error_limit": False,
    "user_cancel": False,
}

#: Dialects by the `apiFormat` or `object` of a payload.
_DIALECTS_BY_FORMAT = {
    "GENERIC": "oci-generic",
    "COHERE": "oci-cohere",
    "COHEREV2": "oci-cohere-v2",
    "chat.completion": "openai-chat",
    "chat.completion.chunk": "openai-chat",
    "text_completion": "openai-completions",
}
#: Envelopes of whole responses; the events of a stream have none.
_DOCUMENT_FIELDS = frozenset({"chatResponse", "inferenceResponse"})

#: Dialects by the `runtimeType` of a payload.
_DIALECTS_BY_RUNTIME = {"COHERE": "oci-generate-text-cohere", "LLAMA": "oci-generate-text-llama"}

#: How many equal characters at the start show that a text repeats the output.
_MIN_OVERLAP = 8

#: How many characters are searched for the first ones that are not whitespace.
_MAX_LEADING_WHITESPACE = 64

#: How many consecutive characters may have been replaced by U+FFFD.
_MAX_DAMAGED = 4


class PositionalToolCalls(ToolCallReader):
    """Reader for tool calls without an index, which only have a position in their payload.

    A known id continues that call. A new id starts a new call, even at a position that another call had (GPT and Grok
    send calls one after the other at position 0), unless it has no name and the call at that position still expects
    arguments. An entry without an id continues the last call at its position (GPT, Llama), unless `ToolCallReader`
    starts a new call for it (Gemini has no ids at all).
    """

    has_named_pieces: ClassVar[bool] = False

    def __init__(self, choice: int) -> None:
        super().__init__(choice)
        self._slot_of_id: dict[str, int] = {}
        self._slot_at: dict[int, int] = {}
        self._slots = 0

    def read(self, entries: Sequence[Mapping[str, Any]]) -> Iterator[ToolCallDelta]:
        """Yield the deltas of the `toolCalls` of one payload. Raises at the first entry that cannot be read."""
        for at, entry in enumerate(entries):
            if entry is not None:
                yield from super().read([self._with_index(at, entry)])

    def _with_index(self, at: int, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the entry with the index of its call."""
        id = str(entry.get("id") or "")
        slot = self._slot_of_id.get(id) if id else self._slot_at.get(at)
        if slot is None and not entry.get("name") and self.is_open(self._slot_at.get(at)):
            slot = self._slot_at[at]
        if slot is None:
            slot = self._slots
            self._slots += 1
        if id:
            self._slot_of_id[id] = slot
        self._slot_at[at] = slot
        return {**entry, "index": slot}


class OCIChoice(ChoiceState):
    """State of one choice, whose last event may repeat the whole output."""

    __slots__ = ("_cached_text",)

    calls_class: ClassVar[type[ToolCallReader]] = PositionalToolCalls

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self._cached_text: tuple[int, str, str, int] | None = None

    def remaining_text(self, text: str) -> str:
        """Return the part of the last event's text that is new: Cohere repeats the whole output there.

        A text that starts differently from the output is its next piece. A text that starts like the output and then
        differs is neither a piece nor a repetition.

        Raises:
            MalformedStream: The text repeats another output than the one that was received.
        """
        repeated = text.strip()
        if not self._may_repeat(repeated):
            return text
        output, core, damaged = self._received_text()
        if text.startswith(output):
            return text[len(output) :]
        if repeated.startswith(core):
            return repeated[len(core) :]
        if damaged and len(repeated) + damaged >= len(core) and (end := _find_end(core, repeated)) is not None:
            return repeated[end:]
        if repeated[:_MIN_OVERLAP] != core[:_MIN_OVERLAP]:
            return text
        if core.startswith(repeated):
            return ""
        raise MalformedStream(
            f"the last event repeats another output than the one that was received: {text[-300:]!r}", raw=text[:2000]
        )

    def _may_repeat(self, text: str) -> bool:
        """Return whether a text starts like the output. Reads only the start of both."""
        end = self.text.tell()
        self.text.seek(0)
        start = self.text.read(_MAX_LEADING_WHITESPACE).lstrip()[:_MIN_OVERLAP]
        self.text.seek(end)
        return end <= _MAX_LEADING_WHITESPACE or not start.isascii() or (bool(start) and text.startswith(start))

    def _received_text(self) -> tuple[str, str, int]:
        """Return the text so far, the same without surrounding whitespace, and its number of U+FFFD characters."""
        if self._cached_text is None or self._cached_text[0] != self.text.tell():
            text = str(_json.replace_lone_surrogates(self.text.getvalue()))
            core = text.strip()
            self._cached_text = self.text.tell(), text, core, core.count("\ufffd")
        return self._cached_text[1:]


class OCIDecoder(TemplateMixin, ChoiceDecoder[OCIChoice]):
    """Base class of decoders for one response, streamed or whole. Subclasses decode the payloads of one format."""

    #: The value of `apiFormat` or `runtimeType` in payloads of the format.
    api_format: ClassVar[str] = ""
    #: Whether the usage is an event of its own, after the finish event.
    usage_follows: ClassVar[bool] = False

    decode_payload = ChoiceDecoder.feed
    ignored_names: ClassVar[tuple[bytes, ...]] = (b'"pad"',)
    choice_class: ClassVar[type[Any]] = OCIChoice
    reason_name: ClassVar[str] = "finishReason"

    def __init__(self) -> None:
        super().__init__()
        self._provider_data: dict[tuple[str, int], Any] = {}  # keys: name of the field, index of the choice
        self._is_whole = False
        self._current: OCIChoice | None = None  # the first choice that has not finished
        self._metadata: ResponseMetadata | None = None
        self._has_usage = False

    @property
    def is_complete(self) -> bool:
        """Whether the response is complete. Stop reading here: the service may keep the connection open."""
        return self.is_finished and (self._has_usage or self._done or not self.usage_follows)

    def _read(self, payload: Any, data: bytes, event: str, events: list[Event]) -> None:
        if not isinstance(payload, dict):
            raise MalformedStream(
                f"a payload that is not a JSON object: {quote_payload(data)}", raw=quote_payload(data)
            )
        if not self._choices:
            self._check(payload, data)
            self._is_whole = not _DOCUMENT_FIELDS.isdisjoint(payload)
        if "error" in payload or "code" in payload or event == "error":
            failure = _failure(payload, data, is_error_event=event == "error")
            if failure:
                self._record_error(failure, data)
        self.read_payload(payload, events)

    def read_payload(self, payload: dict[str, Any], events: list[Event]) -> None:
        """Append the events of a payload to `events`."""
        raise NotImplementedError

    def has_only_text(self, payload: dict[str, Any]) -> bool:
        """Return whether all other fields of a payload with a piece of text are empty, ignored or without effect."""
        if "text" in payload:
            return has_nothing_else(payload, "apiFormat", "id", "text", "pad")
        match payload:
            case {"message": {"content": [{"type": "TEXT", "text": str()} as part]} as message}:
                return (
                    has_nothing_else(payload, "apiFormat", "index", "message", "pad")
                    and has_nothing_else(message, "role", "content")
                    and has_nothing_else(part, "type", "text")
                )
        return False

    def accepts_text(self, choice: int) -> bool:
        """Return whether a payload that has only text adds it to this choice, and does nothing else."""
        is_only = len(self._choices) == 1  # a payload without an index belongs to the first that has not finished
        return is_only and not (self.error or self._joiner or self._choices[choice].reason)

    def write_texts(self, texts: list[str], choice: int) -> None:
        """Add pieces of text to a choice."""
        self._choices[choice].text.write("".join(texts))

    def _ends_without_reason(self, choice: OCIChoice) -> bool:
        """Return whether the response is whole: only whole responses have an envelope."""
        return self._is_whole

    def choice(self, index: Any) -> OCIChoice:
        """Return the choice of this index; without an index, the first choice that has not finished."""
        if index is None:
            if self._current is None or self._current.is_finished:
                self._current = next((choice for choice in self._choices.values() if not choice.is_finished), None)
            index = self._current.index if self._current else 0
        choice = self._choices.get(index)
        return choice if choice is not None else self._get_choice(read_index(index))

    def finish_choice(
        self, choice: OCIChoice, reason: Any, events: list[Event], provider_data: Mapping[str, Any]
    ) -> None:
        """Set the finish reason of a choice.

        Args:
            choice: The choice.
            reason: The finish reason; the value may mean "not finished yet".
            events: The list to append to.
            provider_data: The payload or choice that has the reason; it may have an error message, too.

        Raises:
            StreamFailure: The reason or the error message reports a failure.
        """
        if (failure := _finish_failure(reason, provider_data)) or (failure := _reported_failure(provider_data)):
            raise failure
        self._take_reason(choice, reason, events)

    def add_usage(self, usage: Mapping[str, Any] | None, events: list[Event]) -> None:
        """Append the usage, if there is one. After a finish reason it confirms the reason."""
        if usage:
            if not self._has_usage and not has_output(events):
                self.confirm(events)
            self._has_usage = True
            events.append(_usage(usage))

    def add_metadata(self, events: list[Event], model: Any = None, id: Any = None) -> None:
        """Insert the metadata before the first events, once."""
        if self._metadata is None and events and (model or id):
            self._metadata = ResponseMetadata(_name(model), _name(id))
            events.insert(0, self._metadata)

    def add_provider_data(
        self, payload: Mapping[str, Any], names: frozenset[str], events: list[Event], choice: int = 0
    ) -> None:
        """Append fields that are passed through as `ProviderData`; again only if they have changed."""
        if names.isdisjoint(payload):
            return
        for name, value in payload.items():
            if value and name in names and self._provider_data.get((name, choice)) != value:
                self._provider_data[name, choice] = _json.check_depth(value)
                events.append(ProviderData(name, value, choice))

    def _check(self, payload: Mapping[str, Any], data: bytes) -> None:
        """Raise `MalformedStream` if the first payload has another format."""
        inner = payload.get("chatResponse") or payload.get("inferenceResponse") or payload
        if not isinstance(inner, dict):
            return
        api_format = inner.get("apiFormat") or inner.get("runtimeType") or inner.get("object")
        if api_format is None or api_format == self.api_format:
            return
        dialects = _DIALECTS_BY_RUNTIME if "runtimeType" in inner else _DIALECTS_BY_FORMAT
        if name := dialects.get(str(api_format)):
            mismatch = f"the response has the format {api_format}, not {self.api_format}"
            raise MalformedStream(f"{mismatch} (hint: set dialect={name!r})", raw=quote_payload(data))


def _find_end(output: str, repeated: str) -> int | None:
    """Return where `output` ends in `repeated`, if both differ only in characters that became U+FFFD in `output`."""
    end = 0
    for number, piece in enumerate(re.split("\ufffd+", output)):
        at = repeated.find(piece, end, end + (_MAX_DAMAGED if number else 0) + len(piece))
        if at < 0:
            return None
        end = at + len(piece)
    return end


def logprobs_event(value: Any, choice: ChoiceState, events: list[Event]) -> None:
    """Append the log probabilities of GENERIC or the Llama runtime: `{tokens, tokenLogprobs, topLogprobs}`."""
    if isinstance(value, dict) and isinstance(value.get("tokens"), list):
        logprobs = value.get("tokenLogprobs")
        columns = zip(value["tokens"], logprobs if isinstance(logprobs, list) else (), strict=False)
        entries = [{"token": token, "logprob": logprob} for token, logprob in columns]
        events.append(Logprobs(_json.check_depth(entries), choice.index))


def _failure(payload: dict[str, Any], data: bytes, *, is_error_event: bool) -> StreamFailure | None:
    """Return the failure that a payload reports, if any.

    The shape of errors is not documented. The `message` of an event without an error is an object.
    """
    error = payload.get("error")
    if error is None and not is_error_event and not isinstance(payload.get("message"), str):
        return None
    error_body = parse_error_object(payload) or ErrorBody(quote_payload(data))
    return build_stream_failure(error_body, quote_payload(data, 2000))


def _finish_failure(reason: Any, provider_data: Mapping[str, Any]) -> StreamFailure | None:
    """Return the failure if a finish reason reports one, else `None`."""
    word = read_finish_reason(reason)
    retryable = _FAILURE_REASONS.get(word.lower())
    if retryable is None:
        return None
    message = _json.to_text(provider_data.get("errorMessage")) or _error_text(provider_data.get("error"))
    suffix = f": {message}" if message else ""
    return StreamFailure(
        f"the model failed: finishReason is {word!r}{suffix}",
        code=word,
        retryable=retryable,
        raw=message or None,
    )


def _reported_failure(provider_data: Mapping[str, Any]) -> StreamFailure | None:
    """Return the failure if a finish reason has an error message beside it, else `None`."""
    message = provider_data.get("errorMessage")
    return (
        build_stream_failure(ErrorBody(_json.to_text(message)), _json.to_text(message)) if is_error(message) else None
    )


def _error_text(error: Any) -> str:
    error_body = parse_error_object({"error": error}) if error else None
    return error_body.message if error_body else ""


def _usage(value: Mapping[str, Any]) -> Usage:
    prompt, completion = (read_count(value.get(name)) or 0 for name in ("promptTokens", "completionTokens"))
    return Usage(
        input=prompt,
        output=completion,
        total=read_count(value.get("totalTokens")) or prompt + completion,
        cached=_part(value.get("promptTokensDetails"), "cachedTokens"),
        reasoning=_part(value.get("completionTokensDetails"), "reasoningTokens"),
    )


def _part(details: Mapping[str, Any] | None, name: str) -> int | None:
    return read_count((details or {}).get(name))


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) else None
