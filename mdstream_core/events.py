"""What a model says, one small frozen value for each thing it can say; and `ModelResponse`, their sum.

Every dialect is read into these and both framework packages translate from these alone.
`choice` tells the answers of one question apart where several were asked for (`n > 1`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from io import StringIO
from typing import Any

from mdstream_core import _event_fields as fields
from mdstream_core import _json


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer's text."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next piece of what the model thinks before it answers."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    """The next piece of the reason why the model does not answer."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of a tool call.

    `index` is unique and stable within a choice, whatever the server sent. The first delta of a call has `id` and
    `name`; later ones go on with `arguments`, a piece of JSON text, and have no `id`. A later `name` is a further piece
    of the name: a few servers send it in two halves before the arguments.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Log probabilities of the tokens just said, as the server wrote them."""

    content: list[dict[str, Any]]
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens counted by the server, for the whole answer so far. The last one is right; they are not to be added.

    `cached`, `reasoning` and the rest are parts of `input` or `output`; `None` where the server does not say.
    """

    input: int = 0
    output: int = 0
    total: int = 0
    cached: int | None = None
    reasoning: int | None = None
    input_audio: int | None = None
    output_audio: int | None = None


@dataclass(frozen=True, slots=True)
class ResponseMetadata:
    """Who answered: the model's name as the server gives it, its id of the answer, its fingerprint."""

    model: str | None = None
    id: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The model said that it is done, and why: `stop`, `length`, `tool_calls`, `content_filter` …"""

    reason: str
    choice: int = 0


#: Finish reasons of an answer that is not whole, in the words of several APIs, and what they mean.
_TRUNCATED_REASONS = (
    "length max_tokens max_output_tokens max_new_tokens max_completion_tokens max_length model_length "
    "length_limit output_limit token_limit token_limit_reached max_tokens_reached"
)
_OVERFLOW_REASONS = (
    "context_length context_limit context_length_exceeded context_window_exceeded "
    "model_context_length_exceeded model_context_window_exceeded max_context_length_exceeded"
)
_FILTERED_REASONS = (
    "content_filter content_filtered guardrail_intervened sensitive safety recitation prohibited_content blocklist spii"
)
_INCOMPLETE_REASONS = {
    **dict.fromkeys(_TRUNCATED_REASONS.split(), "cut off by max_tokens"),
    **dict.fromkeys(_OVERFLOW_REASONS.split(), "cut off at the end of the model's context"),
    **dict.fromkeys(_FILTERED_REASONS.split(), "stopped by a content filter"),
}


def describe_incomplete(finish_reason: str | None) -> str:
    """Why a response with this finish reason is not whole; empty if the reason does not say so.

    A text may end anywhere. Output in a given shape may not: it has no meaning without its end.

    >>> describe_incomplete("length"), describe_incomplete("stop")
    ('cut off by max_tokens', '')
    """
    return _INCOMPLETE_REASONS.get(str(finish_reason).lower(), "")


@dataclass(frozen=True, slots=True)
class ProviderData:
    """What a service says beside its answer, as plain JSON values: `citations`, `documents`, `groundingMetadata` …"""

    name: str
    value: Any
    choice: int = 0


@dataclass(frozen=True, slots=True)
class StreamResumed:
    """Here the stream broke, and the answer was gone on with.

    `at` is how many characters of text stand before the joint; the rest says how the first half ended.
    """

    at: int
    error: str
    code: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Embedding:
    """The vector of one input; `index` is the input's place in the question."""

    vector: list[float]
    index: int


@dataclass(frozen=True, slots=True)
class RerankScore:
    """How well one document fits a query; `index` is the document's place in the question. Higher is better."""

    score: float
    index: int


Event = (
    TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ToolCallDelta
    | Logprobs
    | Usage
    | ResponseMetadata
    | Finish
    | ProviderData
    | StreamResumed
    | Embedding
    | RerankScore
)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for. `arguments` is the JSON text as it was received."""

    id: str
    name: str
    arguments: str = ""

    def parse_arguments(self) -> dict[str, Any]:
        """The arguments as a dictionary, empty where there are none. `ValueError` when they are no JSON object."""
        value = _json.loads_lenient(self.arguments) if self.arguments.strip() else {}
        if not isinstance(value, dict):
            raise ValueError(f"the arguments of {self.name!r} are not a JSON object: {self.arguments!r}")
        return value

    @property
    def is_truncated(self) -> bool:
        """Whether the arguments stop in the middle."""
        return bool(self.arguments.strip()) and _json.is_unfinished(self.arguments)

    @property
    def trailing_text(self) -> str:
        """What stands behind the object of the arguments: another object, or text. Such a call must not be executed."""
        return _json.text_after_object(self.arguments)


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer, whole or as far as it came."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[dict[str, Any], ...] = ()
    finish_reason: str | None = None
    provider_data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """The sum of a stream's events: the whole answer, or the partial one that an error carries.

    >>> ModelResponse.from_events([TextDelta("Par"), TextDelta("is"), Finish("stop")]).text
    'Paris'
    """

    choices: tuple[Choice, ...] = (Choice(),)
    usage: Usage | None = None
    metadata: ResponseMetadata = field(default_factory=ResponseMetadata)
    embeddings: tuple[Embedding, ...] = ()
    ranking: tuple[RerankScore, ...] = ()
    resumptions: tuple[StreamResumed, ...] = ()

    @classmethod
    def from_events(cls, events: Iterable[Event]) -> "ModelResponse":
        """Add events up."""
        total = ResponseAccumulator()
        total.extend(events)
        return total.response()

    def to_dict(self) -> dict[str, Any]:
        """What was said, as plain JSON values; the first choice's where there are several."""
        choice = self.first
        return {
            "text": choice.text,
            "reasoning": choice.reasoning,
            "refusal": choice.refusal,
            "tool_calls": [asdict(call) for call in choice.tool_calls],
            "finish_reason": choice.finish_reason,
            "extras": dict(choice.provider_data),
            "usage": asdict(self.usage) if self.usage else None,
            **({"resumed": [asdict(resume_point) for resume_point in self.resumptions]} if self.resumptions else {}),
        }

    @property
    def first(self) -> Choice:
        """The first choice; an empty one where there is none."""
        return self.choices[0] if self.choices else Choice()

    @property
    def text(self) -> str:
        """The first choice's text."""
        return self.first.text

    @property
    def reasoning(self) -> str:
        """The first choice's reasoning."""
        return self.first.reasoning

    @property
    def refusal(self) -> str:
        """The first choice's refusal."""
        return self.first.refusal

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The first choice's tool calls."""
        return self.first.tool_calls

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended; `None` when it did not."""
        return self.first.finish_reason


class _ChoiceBuffer:
    """One choice while it comes in: buffers that cost a few bytes a token."""

    __slots__ = ("calls", "finish_reason", "logprobs", "provider_data", "reasoning", "refusal", "text")

    def __init__(self) -> None:
        self.text = StringIO()
        self.reasoning = StringIO()
        self.refusal = StringIO()
        self.logprobs: list[dict[str, Any]] = []
        self.calls: dict[int, tuple[str, str, StringIO]] = {}
        self.finish_reason: str | None = None
        self.provider_data: dict[str, Any] = {}

    def add_call(self, delta: ToolCallDelta) -> None:
        id, name, arguments = self.calls.get(delta.index) or ("", "", StringIO())
        name += delta.name or ""
        arguments.write(delta.arguments)
        self.calls[delta.index] = (id or delta.id or "", name, arguments)

    def build(self) -> Choice:
        calls = (
            (fields.to_plain_text(id), fields.to_plain_text(name), fields.to_plain_text(parts.getvalue()))
            for id, name, parts in self.calls.values()
        )
        return Choice(
            text=fields.to_plain_text(self.text.getvalue()),
            reasoning=fields.to_plain_text(self.reasoning.getvalue()),
            refusal=fields.to_plain_text(self.refusal.getvalue()),
            tool_calls=tuple(ToolCall(*call) for call in calls),
            logprobs=tuple(self.logprobs),
            finish_reason=fields.to_optional_text(self.finish_reason),
            provider_data={fields.to_plain_text(name): value for name, value in self.provider_data.items()},
        )


class ResponseAccumulator:
    """Adds events up while they come; `response()` says what there is so far."""

    __slots__ = ("_choices", "_embeddings", "_metadata", "_ranking", "_resumptions", "_usage")

    def __init__(self) -> None:
        self._choices: dict[int, _ChoiceBuffer] = {}
        self._embeddings: list[Embedding] = []
        self._ranking: list[RerankScore] = []
        self._resumptions: list[StreamResumed] = []
        self._usage: Usage | None = None
        self._metadata = ResponseMetadata()

    def add(self, event: Event) -> None:
        """Take one event in. It never raises: a field of another type than it should have is taken as text."""
        try:
            self._add(event)
        except fields.UNFIT:
            self._add(fields.coerce(event))

    def _add(self, event: Event) -> None:  # noqa: C901  # a case for each event
        match event:
            case TextDelta(text, choice):
                self._buffer(choice).text.write(text)
            case ToolCallDelta(choice=choice):
                self._buffer(choice).add_call(event)
            case ReasoningDelta(text, choice):
                self._buffer(choice).reasoning.write(text)
            case RefusalDelta(text, choice):
                self._buffer(choice).refusal.write(text)
            case Logprobs(content, choice):
                self._buffer(choice).logprobs.extend(fields.to_entries(content))
            case Finish(reason, choice):
                self._buffer(choice).finish_reason = reason
            case Usage():
                self._usage = event
            case ResponseMetadata():
                self._metadata = event
            case ProviderData(name, value, choice):
                self._buffer(choice).provider_data[name] = value
            case StreamResumed():
                self._resumptions.append(event)
            case Embedding():
                self._embeddings.append(event)
            case RerankScore():
                self._ranking.append(event)

    def extend(self, events: Iterable[Event]) -> None:
        """Take many events in; the text among them is written at once."""
        text: list[str] = []
        for event in events:
            if type(event) is TextDelta and event.choice == 0:
                text.append(event.text)
            else:
                self.add(event)
        if text:
            self._buffer(0).text.write(fields.join_texts(text))

    def response(self) -> ModelResponse:
        """The sum so far."""
        choices = tuple(self._choices[index].build() for index in sorted(self._choices, key=fields.to_index))
        vectors, ranking = tuple(self._embeddings), tuple(self._ranking)
        usage, metadata = fields.coerce_usage(self._usage), fields.coerce_served(self._metadata)
        return ModelResponse(choices or (Choice(),), usage, metadata, vectors, ranking, tuple(self._resumptions))

    def __bool__(self) -> bool:
        return bool(self._choices) or self._usage is not None

    def _buffer(self, choice: int) -> _ChoiceBuffer:
        parts = self._choices.get(choice)
        if parts is None:
            parts = self._choices[choice] = _ChoiceBuffer()
        return parts
