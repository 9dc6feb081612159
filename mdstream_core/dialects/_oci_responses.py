"""What the formats of OCI Generative AI have in common when an answer is read.

Sources: `oci` SDK 2.189 (`generative_ai_inference/models`), and what was seen on the wire: cohere-ai/cohere-python#756
(the connection stays open after the finish event), BerriAI/litellm#39507 (`[DONE]` of some models), #40040 (Llama says
`stop` after tool calls), #30947 (Cohere says `COMPLETE` after tool calls), oracle/langchain-oracle (`providers/`).
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
from mdstream_core.dialects._tool_calls import ToolCallReader
from mdstream_core.errors import ErrorBody, MalformedStream, StreamFailure, parse_error_object, quote_payload
from mdstream_core.events import Event, Logprobs, ProviderData, ResponseMetadata, ToolCallDelta, Usage

#: Words for an end that is none, and whether asking again may help.
_FAILURE_REASONS = {
    **dict.fromkeys(FAILURE_REASONS, True),
    "error_toxic": False,
    "error_limit": False,
    "user_cancel": False,
}

#: What a payload says of itself, and the dialect that reads it.
_DIALECTS_BY_FORMAT = {
    "GENERIC": "oci-generic",
    "COHERE": "oci-cohere",
    "COHEREV2": "oci-cohere-v2",
    "chat.completion": "openai-chat",
    "chat.completion.chunk": "openai-chat",
    "text_completion": "openai-completions",
}
#: What a whole answer stands in; pieces of one have no envelope.
_DOCUMENT_FIELDS = frozenset({"chatResponse", "inferenceResponse"})

_RUNTIMES = {"COHERE": "oci-generate-text-cohere", "LLAMA": "oci-generate-text-llama"}

#: How many characters of an answer show that another text is the same answer again.
_MIN_OVERLAP = 8

#: Up to where an answer's first characters that are no blanks are looked for.
_BEGINNING = 64

#: How many characters may have been cut in one place.
_MAX_DAMAGED = 4


class PositionalToolCalls(ToolCallReader):
    """Tool calls that have no index, only their position in a payload.

    A known id is that call. A new id is a new call, even at a position that another one had (GPT and Grok send one
    after the other at position 0), unless it has no name and the call there waits for arguments. An
    entry without an id goes on with the call that was last at its position (GPT, Llama); whether it is one of its own
    (Gemini has no ids at all) is `ToolCallReader`' to say.
    """

    has_named_pieces: ClassVar[bool] = False

    def __init__(self, choice: int) -> None:
        super().__init__(choice)
        self._slot_of_id: dict[str, int] = {}
        self._slot_at: dict[int, int] = {}
        self._slots = 0

    def read(self, entries: Sequence[Mapping[str, Any]]) -> Iterator[ToolCallDelta]:
        """The deltas of one payload's `toolCalls`, those before an entry that cannot be read first."""
        for at, entry in enumerate(entries):
            if entry is not None:
                yield from super().read([self._with_index(at, entry)])

    def _with_index(self, at: int, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """The entry with the index of its call."""
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
    """One choice, whose last event may repeat the whole answer."""

    __slots__ = ("_said",)

    calls_class: ClassVar[type[ToolCallReader]] = PositionalToolCalls

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self._said: tuple[int, str, str, int] | None = None

    def remaining_text(self, text: str) -> str:
        """What of a last event's text was not said yet: Cohere repeats the whole answer there.

        A text that opens otherwise is the answer's next piece and is said. One that opens like the answer and then
        differs is neither a piece nor a repetition: `MalformedStream`, because either of the two lacks something.
        """
        again = text.strip()
        if not self._may_repeat(again):
            return text
        said, core, cut = self._so_far()
        if text.startswith(said):
            return text[len(said) :]
        if again.startswith(core):
            return again[len(core) :]
        if cut and len(again) + cut >= len(core) and (end := _end_of_repetition(core, again)) is not None:
            return again[end:]
        if again[:_MIN_OVERLAP] != core[:_MIN_OVERLAP]:
            return text
        if core.startswith(again):
            return ""
        raise MalformedStream(
            f"the last event repeats another answer than the one that was said: {text[-300:]!r}", raw=text[:2000]
        )

    def _may_repeat(self, again: str) -> bool:
        """Whether a text opens as the answer did, as far as that can be seen without the whole of either."""
        end = self.text.tell()
        self.text.seek(0)
        opening = self.text.read(_BEGINNING).lstrip()[:_MIN_OVERLAP]
        self.text.seek(end)
        return end <= _BEGINNING or not opening.isascii() or (bool(opening) and again.startswith(opening))

    def _so_far(self) -> tuple[str, str, int]:
        """The text so far, the same without blanks around it, and how many characters of it were cut in half."""
        if self._said is None or self._said[0] != self.text.tell():
            said = str(_json.replace_lone_surrogates(self.text.getvalue()))
            core = said.strip()
            self._said = self.text.tell(), said, core, core.count("\ufffd")
        return self._said[1:]


class OCIDecoder(ChoiceDecoder[OCIChoice]):
    """Reads one answer, streamed or whole. A format says how one of its payloads is read."""

    #: The format's name, as payloads name it.
    api_format: ClassVar[str] = ""
    #: Whether the tokens are counted in an event of their own, after the one that finishes the answer.
    usage_follows: ClassVar[bool] = False

    choice_class: ClassVar[type[Any]] = OCIChoice
    reason_name: ClassVar[str] = "finishReason"

    def __init__(self) -> None:
        super().__init__()
        self._provider_data: dict[tuple[str, int], Any] = {}  # the extras of each choice by name
        self._is_whole = False
        self._current: OCIChoice | None = None  # the first that has not finished
        self._metadata: ResponseMetadata | None = None
        self._usage = False

    @property
    def is_complete(self) -> bool:
        """Whether nothing more is to come. The service may keep the connection open, so this is where to stop."""
        return self.is_finished and (self._usage or self._done or not self.usage_follows)

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
        """Add the events of a payload."""
        raise NotImplementedError

    def _ends_without_reason(self, choice: OCIChoice) -> bool:
        """A whole answer stands in an envelope."""
        return self._is_whole

    def choice(self, index: Any) -> OCIChoice:
        """The choice of this index; without one the first that has not finished."""
        if index is None:
            if self._current is None or self._current.is_finished:
                self._current = next((known for known in self._choices.values() if not known.is_finished), None)
            index = self._current.index if self._current else 0
        choice = self._choices.get(index)
        return choice if choice is not None else self._get_choice(read_index(index))

    def reopen(self, choice: OCIChoice) -> None:
        """There is more behind a finish reason, so it was no ending."""
        self._reopen(choice)

    def finish_choice(
        self, choice: OCIChoice, reason: Any, events: list[Event], provider_data: Mapping[str, Any]
    ) -> None:
        """Take the reason why the model is done.

        Args:
            choice: Whose.
            reason: As it was written; it may say "not yet".
            events: Where the end is told.
            provider_data: The payload or choice in which the reason stands, and an error's words may.
        """
        if (failure := _finish_failure(reason, provider_data)) or (failure := _reported_failure(provider_data)):
            raise failure
        self._take_reason(choice, reason, events)

    def confirm(self, events: list[Event]) -> None:
        """Take what says that the answer is over, behind a reason that nobody knows."""
        self._confirm(events)

    def add_usage(self, usage: Mapping[str, Any] | None, events: list[Event]) -> None:
        """Tokens were counted, if they were."""
        if usage:
            if not self._usage and not has_output(events):
                self.confirm(events)
            self._usage = True
            events.append(_usage(usage))

    def add_metadata(self, events: list[Event], model: Any = None, id: Any = None) -> None:
        """Say who answers, once, before the first news."""
        if self._metadata is None and events and (model or id):
            self._metadata = ResponseMetadata(_name(model), _name(id))
            events.insert(0, self._metadata)

    def add_provider_data(
        self, payload: Mapping[str, Any], names: frozenset[str], events: list[Event], choice: int = 0
    ) -> None:
        """Say what is said beside the answer; again only if it has changed."""
        if names.isdisjoint(payload):
            return
        for name, value in payload.items():
            if value and name in names and self._provider_data.get((name, choice)) != value:
                self._provider_data[name, choice] = _json.check_depth(value)
                events.append(ProviderData(name, value, choice))

    def _check(self, payload: Mapping[str, Any], data: bytes) -> None:
        """Say so when the answer speaks another format."""
        inner = payload.get("chatResponse") or payload.get("inferenceResponse") or payload
        if not isinstance(inner, dict):
            return
        spoken = inner.get("apiFormat") or inner.get("runtimeType") or inner.get("object")
        if spoken is None or spoken == self.api_format:
            return
        fitting = (_RUNTIMES if "runtimeType" in inner else _DIALECTS_BY_FORMAT).get(str(spoken))
        if fitting:
            sentence = f"the answer speaks {spoken}, and the dialect reads {self.api_format}"
            raise MalformedStream(f"{sentence}: dialect={fitting!r} would fit", raw=quote_payload(data))


def _end_of_repetition(said: str, again: str) -> int | None:
    """Where `said` ends in its repetition, if it differs only in characters that were cut between two events."""
    end = 0
    for number, piece in enumerate(re.split("\ufffd+", said)):
        at = again.find(piece, end, end + (_MAX_DAMAGED if number else 0) + len(piece))
        if at < 0:
            return None
        end = at + len(piece)
    return end


def logprobs_event(value: Any, choice: ChoiceState, events: list[Event]) -> None:
    """`{tokens, tokenLogprobs, topLogprobs}` of GENERIC and of the Llama runtime: parallel arrays."""
    if isinstance(value, dict) and isinstance(value.get("tokens"), list):
        logprobs = value.get("tokenLogprobs")
        columns = zip(value["tokens"], logprobs if isinstance(logprobs, list) else (), strict=False)
        entries = [{"token": token, "logprob": logprob} for token, logprob in columns]
        events.append(Logprobs(_json.check_depth(entries), choice.index))


def _failure(payload: dict[str, Any], data: bytes, *, is_error_event: bool) -> StreamFailure | None:
    """The failure that a payload spells. No shape is documented; `message` of a healthy event is an object."""
    error = payload.get("error")
    if error is None and not is_error_event and not isinstance(payload.get("message"), str):
        return None
    said = parse_error_object(payload) or ErrorBody(quote_payload(data))
    return build_stream_failure(said, quote_payload(data, 2000))


def _finish_failure(reason: Any, provider_data: Mapping[str, Any]) -> StreamFailure | None:
    """The failure where a finish reason is an end that is none."""
    word = read_finish_reason(reason)
    retryable = _FAILURE_REASONS.get(word.lower())
    if retryable is None:
        return None
    message = _json.to_text(provider_data.get("errorMessage")) or _error_text(provider_data.get("error"))
    is_error_event = f": {message}" if message else ""
    return StreamFailure(
        f"the model gave up, finishReason is {word!r}{is_error_event}",
        code=word,
        retryable=retryable,
        raw=message or None,
    )


def _reported_failure(provider_data: Mapping[str, Any]) -> StreamFailure | None:
    """The failure where a good reason has an error's message beside it."""
    message = provider_data.get("errorMessage")
    return (
        build_stream_failure(ErrorBody(_json.to_text(message)), _json.to_text(message)) if is_error(message) else None
    )


def _error_text(error: Any) -> str:
    said = parse_error_object({"error": error}) if error else None
    return said.message if said else ""


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
