"""`ModelResponse`: a response accumulated from events."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from io import StringIO
from typing import Any

from mdstream_core import _frozen, _json
from mdstream_core.events import _fields as fields
from mdstream_core.events.event import (
    BlockStart,
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


_new_choice = _frozen.fast_constructor(Choice)
_new_response = _frozen.fast_constructor(ModelResponse)


class _ChoiceBuffer:
    """Buffers of one choice while it is received; appending a token costs a few bytes."""

    __slots__ = ("calls", "finish_reason", "logprobs", "provider_data", "reasoning", "refusal", "text")

    def __init__(self) -> None:
        self.text = StringIO()
        self.reasoning: StringIO | None = None  # created when needed, because most responses have none
        self.refusal: StringIO | None = None
        self.logprobs: list[dict[str, Any]] = []
        self.calls: dict[int, tuple[str, str, StringIO]] = {}
        self.finish_reason: str | None = None
        self.provider_data: dict[str, Any] = {}

    def add_reasoning(self, text: str) -> None:
        if self.reasoning is None:
            self.reasoning = StringIO()
        self.reasoning.write(text)

    def add_refusal(self, text: str) -> None:
        if self.refusal is None:
            self.refusal = StringIO()
        self.refusal.write(text)

    def add_call(self, delta: ToolCallDelta) -> None:
        id, name, arguments = self.calls.get(delta.index) or ("", "", StringIO())
        name += delta.name or ""
        arguments.write(delta.arguments)
        self.calls[delta.index] = (id or delta.id or "", name, arguments)

    def build(self) -> Choice:
        calls = [
            ToolCall(fields.to_plain_text(id), fields.to_plain_text(name), fields.to_plain_text(parts.getvalue()))
            for id, name, parts in self.calls.values()
        ]
        data = {fields.to_plain_text(name): value for name, value in self.provider_data.items()}
        return _new_choice(
            fields.to_plain_text(self.text.getvalue()),
            "" if self.reasoning is None else fields.to_plain_text(self.reasoning.getvalue()),
            "" if self.refusal is None else fields.to_plain_text(self.refusal.getvalue()),
            tuple(calls),
            tuple(self.logprobs),
            fields.to_optional_text(self.finish_reason),
            data,
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
        self._metadata: ResponseMetadata | None = None

    def add(self, event: Event) -> None:
        """Add one event. It never raises: a field of an unexpected type is converted to text."""
        add = _ADDERS.get(type(event)) or _find_adder(event)
        try:
            add(self, event)
        except fields.TYPE_ERRORS:
            add(self, fields.coerce(event))

    def extend(self, events: Iterable[Event]) -> None:
        """Add events; their text is written in one operation."""
        text: list[str] = []
        reasoning: list[str] = []
        for event in events:
            if type(event) is TextDelta and event.choice == 0:
                text.append(event.text)
            elif type(event) is ReasoningDelta and event.choice == 0:
                reasoning.append(event.text)
            else:
                self.add(event)
        if text:
            self._buffer(0).text.write(fields.join_texts(text))
        if reasoning:
            self._buffer(0).add_reasoning(fields.join_texts(reasoning))

    def response(self) -> ModelResponse:
        """Return the response so far."""
        indices = self._choices if len(self._choices) < 2 else sorted(self._choices, key=fields.to_index)
        choices = tuple([self._choices[index].build() for index in indices])
        vectors, ranking = tuple(self._embeddings), tuple(self._ranking)
        usage, metadata = fields.coerce_usage(self._usage), fields.coerce_metadata(self.metadata)
        return _new_response(choices or (Choice(),), usage, metadata, vectors, ranking, tuple(self._resumptions))

    @property
    def metadata(self) -> ResponseMetadata:
        """The last `ResponseMetadata`; an empty one if there was none."""
        return ResponseMetadata() if self._metadata is None else self._metadata

    def __bool__(self) -> bool:
        return bool(self._choices) or self._usage is not None

    def _buffer(self, choice: int) -> _ChoiceBuffer:
        parts = self._choices.get(choice)
        if parts is None:
            parts = self._choices[choice] = _ChoiceBuffer()
        return parts

    # One method for each type of event.

    def _add_text(self, event: TextDelta) -> None:
        self._buffer(event.choice).text.write(event.text)

    def _add_reasoning(self, event: ReasoningDelta) -> None:
        self._buffer(event.choice).add_reasoning(event.text)

    def _add_refusal(self, event: RefusalDelta) -> None:
        self._buffer(event.choice).add_refusal(event.text)

    def _add_call(self, event: ToolCallDelta) -> None:
        self._buffer(event.choice).add_call(event)

    def _add_logprobs(self, event: Logprobs) -> None:
        self._buffer(event.choice).logprobs.extend(fields.to_entries(event.content))

    def _add_finish(self, event: Finish) -> None:
        self._buffer(event.choice).finish_reason = event.reason

    def _add_usage(self, event: Usage) -> None:
        self._usage = event

    def _add_metadata(self, event: ResponseMetadata) -> None:
        self._metadata = event

    def _add_provider_data(self, event: ProviderData) -> None:
        self._buffer(event.choice).provider_data[event.name] = event.value

    def _add_resumption(self, event: StreamResumed) -> None:
        self._resumptions.append(event)

    def _add_embedding(self, event: Embedding) -> None:
        self._embeddings.append(event)

    def _add_score(self, event: RerankScore) -> None:
        self._ranking.append(event)

    def _ignore(self, event: Any) -> None:
        """Add nothing: the response does not have this event."""


_ADDERS: dict[type[Any], Callable[[ResponseAccumulator, Any], None]] = {
    TextDelta: ResponseAccumulator._add_text,
    ReasoningDelta: ResponseAccumulator._add_reasoning,
    RefusalDelta: ResponseAccumulator._add_refusal,
    ToolCallDelta: ResponseAccumulator._add_call,
    Logprobs: ResponseAccumulator._add_logprobs,
    Finish: ResponseAccumulator._add_finish,
    Usage: ResponseAccumulator._add_usage,
    ResponseMetadata: ResponseAccumulator._add_metadata,
    ProviderData: ResponseAccumulator._add_provider_data,
    StreamResumed: ResponseAccumulator._add_resumption,
    Embedding: ResponseAccumulator._add_embedding,
    RerankScore: ResponseAccumulator._add_score,
    BlockStart: ResponseAccumulator._ignore,
}


def _find_adder(event: Any) -> Callable[[ResponseAccumulator, Any], None]:
    """Return the method for an event of a subclass; for other events the one that ignores them."""
    return next((_ADDERS[base] for base in type(event).__mro__ if base in _ADDERS), ResponseAccumulator._ignore)
