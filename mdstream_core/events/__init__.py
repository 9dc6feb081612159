"""Events of a model's response, and `ModelResponse`, which accumulates them."""

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
    describe_incomplete,
)
from mdstream_core.events.response import Choice, ModelResponse, ResponseAccumulator, ToolCall

__all__ = [
    "Choice",
    "Embedding",
    "Event",
    "Finish",
    "Logprobs",
    "ModelResponse",
    "ProviderData",
    "ReasoningDelta",
    "RefusalDelta",
    "RerankScore",
    "ResponseAccumulator",
    "ResponseMetadata",
    "StreamResumed",
    "TextDelta",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
    "describe_incomplete",
]
