"""Events of a model's response, and `ModelResponse`, which accumulates them."""

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
    describe_incomplete,
)
from mdstream_core.events.guardrail_pieces import merge_results
from mdstream_core.events.guardrails import (
    CategoryScore,
    ContentModeration,
    GuardrailResults,
    PIIEntity,
    PromptInjection,
)
from mdstream_core.events.response import Choice, ModelResponse, ResponseAccumulator, ToolCall

__all__ = [
    "BlockStart",
    "CategoryScore",
    "Choice",
    "ContentModeration",
    "Embedding",
    "Event",
    "Finish",
    "GuardrailResults",
    "Logprobs",
    "ModelResponse",
    "PIIEntity",
    "PromptInjection",
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
    "merge_results",
]
