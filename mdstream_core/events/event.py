"""Events of a model's response.

Every dialect decodes into these events, and both framework packages translate from them alone. Each event is a small
frozen dataclass. `choice` is the index of the choice that an event belongs to, if a request has several (`n > 1`).
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import wraps
from itertools import repeat
from typing import Any, TypeVar

from mdstream_core._frozen import fast_constructor

E = TypeVar("E")


def _fast_init(event_class: type[E]) -> type[E]:
    """Replace `__init__` of a frozen dataclass with the fields `text` and `choice`.

    The generated one calls `object.__setattr__`, which looks up each field by its name; this one takes half the time.
    """
    set_text, set_choice = event_class.text.__set__, event_class.choice.__set__  # type: ignore[attr-defined]

    @wraps(event_class.__init__)  # the same signature and annotations
    def __init__(self: E, text: str, choice: int = 0) -> None:  # noqa: N807
        set_text(self, text)
        set_choice(self, choice)

    event_class.__init__ = __init__  # type: ignore[assignment,method-assign]
    return event_class


@_fast_init
@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the generated text."""

    text: str
    """The piece; usually one token."""
    choice: int = 0
    """Index of the choice."""


@_fast_init
@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next piece of the model's reasoning, which most models generate before the text."""

    text: str
    """The piece; usually one token."""
    choice: int = 0
    """Index of the choice."""


@_fast_init
@dataclass(frozen=True, slots=True)
class RefusalDelta:
    """The next piece of a model's refusal: its explanation why it does not comply."""

    text: str
    """The piece; usually one token."""
    choice: int = 0
    """Index of the choice."""


_create = TextDelta.__new__
_set_text, _set_choice = TextDelta.text.__set__, TextDelta.choice.__set__  # type: ignore[attr-defined,misc]


def text_deltas(texts: list[str], choice: int) -> list[TextDelta]:
    """Create the deltas of several pieces of a choice's text, without a call of Python code for each.

    >>> text_deltas(["Par", "is"], 0)
    [TextDelta(text='Par', choice=0), TextDelta(text='is', choice=0)]
    """
    deltas = [*map(_create, repeat(TextDelta, len(texts)))]
    deque(map(_set_text, deltas, texts), maxlen=0)
    deque(map(_set_choice, deltas, repeat(choice)), maxlen=0)
    return deltas


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of a tool call. The first piece of a call has `id` and `name`, later ones only `arguments`."""

    index: int
    """Index of the call; unique and stable within a choice, whatever the server sent."""
    id: str | None = None
    """Id of the call, in its first delta; `None` in later ones."""
    name: str | None = None
    """Name of the tool, in the first delta. A later one is a further piece: a few servers split the name in two."""
    arguments: str = ""
    """A piece of the arguments' JSON text."""
    choice: int = 0
    """Index of the choice."""


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Log probabilities of the tokens of the last delta."""

    content: list[dict[str, Any]]
    """One object per token, as the server sent it."""
    choice: int = 0
    """Index of the choice."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of the response so far, from the server. Later events replace earlier ones: do not add them up."""

    input: int = 0
    """Tokens of the prompt."""
    output: int = 0
    """Generated tokens, reasoning included."""
    total: int = 0
    """Tokens of prompt and output."""
    cached: int | None = None
    """Prompt tokens read from the cache; part of `input`. `None` if the server does not report them."""
    reasoning: int | None = None
    """Reasoning tokens; part of `output`. `None` if the server does not report them."""
    input_audio: int | None = None
    """Audio tokens of the prompt; part of `input`. `None` if the server does not report them."""
    output_audio: int | None = None
    """Generated audio tokens; part of `output`. `None` if the server does not report them."""


@dataclass(frozen=True, slots=True)
class ResponseMetadata:
    """Identification of the model and of the response."""

    model: str | None = None
    """Name of the model, as the server reports it."""
    id: str | None = None
    """The server's id of the response, such as `chatcmpl-123`."""
    fingerprint: str | None = None
    """The server's `system_fingerprint`, which identifies its configuration."""
    service: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What the service reports beside the model's output, under the names of its API: SageMaker's
    `InvokedProductionVariant`, `CustomAttributes`, `ContentType`, `NewSessionId` and `ClosedSessionId`."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The model finished a choice."""

    reason: str
    """Why: `stop`, `length`, `tool_calls`, `content_filter` …"""
    choice: int = 0
    """Index of the choice."""


#: Finish reasons of incomplete output, of several APIs, and their meaning.
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
    """Describe why a response with this finish reason is incomplete; an empty string for other reasons.

    A truncated text is still useful; truncated structured output is not.

    >>> describe_incomplete("length"), describe_incomplete("stop")
    ('cut off by max_tokens', '')
    """
    return _INCOMPLETE_REASONS.get(str(finish_reason).lower(), "")


@dataclass(frozen=True, slots=True)
class ProviderData:
    """Further data of the response that only some services send."""

    name: str
    """Name of the field: `citations`, `documents`, `groundingMetadata` …"""
    value: Any
    """Its value, as plain JSON values."""
    choice: int = 0
    """Index of the choice."""


@dataclass(frozen=True, slots=True)
class BlockStart:
    """The next deltas belong to another block of the output. Only OpenAI's Responses API reports blocks.

    A tool that the service ran has no deltas: its block is the whole item. Tool calls of the user's tools have none
    unless their arguments are free text: their position is that of their first delta.
    """

    kind: str
    """`text`, `refusal` or `reasoning`, or the type of the item: `web_search_call`, `mcp_call` …"""
    item: int
    """Index of the item in the value of `ProviderData("output_items", …)`."""
    part: int = 0
    """Index of the block within its item."""
    id: str | None = None
    """The service's id of the item, if it is known already."""
    content: Mapping[str, Any] | None = field(default=None, hash=False)
    """The whole item, if it has no deltas."""
    choice: int = 0
    """Index of the choice."""


@dataclass(frozen=True, slots=True)
class StreamResumed:
    """The stream was interrupted, and a second request continues the text from here."""

    at: int
    """Number of characters of text before the resume point."""
    error: str
    """Message of the error that interrupted the stream."""
    code: str | None = None
    """Error code of the service, if it sent one."""
    request_id: str | None = None
    """Request id of the interrupted request, if it is known."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """The embedding of one input."""

    vector: list[float]
    """The vector."""
    index: int
    """Index of the input in the request."""


@dataclass(frozen=True, slots=True)
class RerankScore:
    """The relevance of one document for a query."""

    score: float
    """Relevance; higher is better. The range depends on the model."""
    index: int
    """Index of the document in the request."""


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
    | BlockStart
    | StreamResumed
    | Embedding
    | RerankScore
)

#: Constructors for the hot path. They take all fields, in their order.
new_usage = fast_constructor(Usage)
new_metadata = fast_constructor(ResponseMetadata)
new_finish = fast_constructor(Finish)
