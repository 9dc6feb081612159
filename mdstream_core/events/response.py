"""`ModelResponse`: a response accumulated from events."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from io import StringIO
from typing import Any

from mdstream_core import _json
from mdstream_core.events import _fields as fields
from mdstream_core.events.event import (
    Embedding,
    Event,
    Finish,
    Logprobs,
    ProviderData,
    ReasoningDelta,
    RefusalDelta,
    RerankScore,
    ResponseMetadata,
    StreamResumed,
    TextDelta,
    ToolCallDelta,
    Usage,
)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that the model requests."""

    id: str
    """Id of the call; the tool's result refers to it."""
    name: str
    """Name of the tool."""
    arguments: str = ""
    """The arguments as JSON text, as received."""

    def parse_arguments(self) -> dict[str, Any]:
        """Parse the arguments; an empty dictionary if there are none.

        Raises:
            ValueError: The arguments are not a JSON object.
        """
        value = _json.loads_lenient(self.arguments) if self.arguments.strip() else {}
        if not isinstance(value, dict):
            raise ValueError(f"the arguments of {self.name!r} are not a JSON object: {self.arguments!r}")
        return value

    @property
    def is_truncated(self) -> bool:
        """Whether the arguments are truncated JSON."""
        return bool(self.arguments.strip()) and _json.is_unfinished(self.arguments)

    @property
    def trailing_text(self) -> str:
        """Text after the JSON object of the arguments. A call with such text must not be executed."""
        return _json.text_after_object(self.arguments)


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a response, complete or as far as it was received."""

    text: str = ""
    """The generated text."""
    reasoning: str = ""
    """The model's reasoning."""
    refusal: str = ""
    """The model's refusal."""
    tool_calls: tuple[ToolCall, ...] = ()
    """The tool calls, in the order of their first deltas."""
    logprobs: tuple[dict[str, Any], ...] = ()
    """Log probabilities, one object per token."""
    finish_reason: str | None = None
    """Why the choice finished; `None` if it did not."""
    provider_data: Mapping[str, Any] = field(default_factory=dict)
    """Values of the `ProviderData` events by name."""


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """A response accumulated from events: the complete one, or the partial response of an error.

    >>> ModelResponse.from_events([TextDelta("Par"), TextDelta("is"), Finish("stop")]).text
    'Paris'
    """

    choices: tuple[Choice, ...] = (Choice(),)
    """The choices in the order of their indices; at least one, which may be empty."""
    usage: Usage | None = None
    """Token counts; `None` if the server sent none."""
    metadata: ResponseMetadata = field(default_factory=ResponseMetadata)
    """Identification of the model and of the response."""
    embeddings: tuple[Embedding, ...] = ()
    """Embeddings, of an embedding request."""
    ranking: tuple[RerankScore, ...] = ()
    """Scores, of a rerank request."""
    resumptions: tuple[StreamResumed, ...] = ()
    """Where the stream was interrupted and resumed."""

    @classmethod
    def from_events(cls, events: Iterable[Event]) -> "ModelResponse":
        """Accumulate events."""
        accumulator = ResponseAccumulator()
        accumulator.extend(events)
        return accumulator.response()

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain JSON values; only the first choice if there are several."""
        choice = self.first
        return {
            "text": choice.text,
            "reasoning": choice.reasoning,
            "refusal": choice.refusal,
            "tool_calls": [asdict(call) for call in choice.tool_calls],
            "finish_reason": choice.finish_reason,
            "extras": dict(choice.provider_data),
            "usage": asdict(self.usage) if self.usage else None,
            **({"service": dict(self.metadata.service)} if self.metadata.service else {}),
            **({"resumed": [asdict(resume_point) for resume_point in self.resumptions]} if self.resumptions else {}),
        }

    @property
    def first(self) -> Choice:
        """The first choice; an empty one if there is none."""
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
        """Why the first choice finished; `None` if it did not."""
        return self.first.finish_reason


class _ChoiceBuffer:
    """Buffers of one choice while it is received; appending a token costs a few bytes."""

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
    """Accumulate events while they are received; `response()` returns the response so far."""

    __slots__ = ("_choices", "_embeddings", "_metadata", "_ranking", "_resumptions", "_usage")

    def __init__(self) -> None:
        self._choices: dict[int, _ChoiceBuffer] = {}
        self._embeddings: list[Embedding] = []
        self._ranking: list[RerankScore] = []
        self._resumptions: list[StreamResumed] = []
        self._usage: Usage | None = None
        self._metadata = ResponseMetadata()

    def add(self, event: Event) -> None:
        """Add one event. It never raises: a field of an unexpected type is converted to text."""
        try:
            self._add(event)
        except fields.TYPE_ERRORS:
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
        """Add events; their text is written in one operation."""
        text: list[str] = []
        for event in events:
            if type(event) is TextDelta and event.choice == 0:
                text.append(event.text)
            else:
                self.add(event)
        if text:
            self._buffer(0).text.write(fields.join_texts(text))

    def response(self) -> ModelResponse:
        """Return the response so far."""
        choices = tuple(self._choices[index].build() for index in sorted(self._choices, key=fields.to_index))
        vectors, ranking = tuple(self._embeddings), tuple(self._ranking)
        usage, metadata = fields.coerce_usage(self._usage), fields.coerce_metadata(self._metadata)
        return ModelResponse(choices or (Choice(),), usage, metadata, vectors, ranking, tuple(self._resumptions))

    @property
    def metadata(self) -> ResponseMetadata:
        """The last `ResponseMetadata`; an empty one if there was none."""
        return self._metadata

    def __bool__(self) -> bool:
        return bool(self._choices) or self._usage is not None

    def _buffer(self, choice: int) -> _ChoiceBuffer:
        parts = self._choices.get(choice)
        if parts is None:
            parts = self._choices[choice] = _ChoiceBuffer()
        return parts
