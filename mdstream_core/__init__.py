"""Framework-neutral core of mdstream: clients that stream from hosted models as typed events.

`langchain_mdstream` and `llamaindex_mdstream` translate these events into the types of their framework.
"""

from typing import TYPE_CHECKING

from mdstream_core._lazy import lazy_exports
from mdstream_core._version import __version__

if TYPE_CHECKING:
    from mdstream_core import errors
    from mdstream_core._images import MAX_IMAGE_BYTES, Image, ImageURIs, data_uri
    from mdstream_core._json import is_unfinished
    from mdstream_core._progress import progress_bar
    from mdstream_core.call import Call
    from mdstream_core.client import AsyncClient, Client
    from mdstream_core.dialects import (
        Dialect,
        ListDialect,
        OpenAIChat,
        OpenAICompletions,
        OpenAIResponses,
        ReasoningHistory,
        SendReasoning,
        TextParsingDialect,
        dialect,
        embedding_dialect,
        function_tool,
        generation_dialect,
        has_assistant_messages,
        oci_dialect_name,
        rerank_dialect,
        restore_texts,
        strict_schema,
        with_strict,
    )
    from mdstream_core.dialects.content_handler import (
        ContentHandlerDialect,
        ContentHandlerEmbeddingDialect,
        ContentHandlerProtocol,
        HandlerBody,
        HandlerDecoder,
    )
    from mdstream_core.dialects.tool_call_recovery import recover_tool_calls
    from mdstream_core.errors import GuardrailViolation, MDStreamError, MissingExtra
    from mdstream_core.events import (
        BlockStart,
        Choice,
        Embedding,
        Event,
        Finish,
        GuardrailResults,
        Logprobs,
        ModelResponse,
        ProviderData,
        ReasoningDelta,
        RefusalDelta,
        RerankScore,
        ResponseMetadata,
        StreamResumed,
        TextDelta,
        ToolCall,
        ToolCallDelta,
        Usage,
        describe_incomplete,
    )
    from mdstream_core.guardrails import GuardrailChecks, GuardrailPolicy, Guardrails
    from mdstream_core.http import Timeout
    from mdstream_core.platforms import ModelArts, OCIGenerativeAI, OCIModelDeployment, Platform, SageMaker
    from mdstream_core.platforms._sagemaker_async import AsyncInference
    from mdstream_core.platforms._sagemaker_headers import SAGEMAKER_ARGUMENTS, sagemaker_headers
    from mdstream_core.platforms._sagemaker_notifications import (
        InferenceJob,
        InferenceNotification,
        JobNotifications,
    )
    from mdstream_core.rate_limit import RateLimit
    from mdstream_core.retry import Retry, RetryBudget
    from mdstream_core.service import Service
    from mdstream_core.transport._task_reader import read_in_task
    from mdstream_core.transport._thread_reader import read_in_thread

__all__ = [
    "MAX_IMAGE_BYTES",
    "SAGEMAKER_ARGUMENTS",
    "AsyncClient",
    "AsyncInference",
    "BlockStart",
    "Call",
    "Choice",
    "Client",
    "ContentHandlerDialect",
    "ContentHandlerEmbeddingDialect",
    "ContentHandlerProtocol",
    "Dialect",
    "Embedding",
    "Event",
    "Finish",
    "GuardrailChecks",
    "GuardrailPolicy",
    "GuardrailResults",
    "GuardrailViolation",
    "Guardrails",
    "HandlerBody",
    "HandlerDecoder",
    "Image",
    "ImageURIs",
    "InferenceJob",
    "InferenceNotification",
    "JobNotifications",
    "ListDialect",
    "Logprobs",
    "MDStreamError",
    "MissingExtra",
    "ModelArts",
    "ModelResponse",
    "OCIGenerativeAI",
    "OCIModelDeployment",
    "OpenAIChat",
    "OpenAICompletions",
    "OpenAIResponses",
    "Platform",
    "ProviderData",
    "RateLimit",
    "ReasoningDelta",
    "ReasoningHistory",
    "RefusalDelta",
    "RerankScore",
    "ResponseMetadata",
    "Retry",
    "RetryBudget",
    "SageMaker",
    "SendReasoning",
    "Service",
    "StreamResumed",
    "TextDelta",
    "TextParsingDialect",
    "Timeout",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
    "__version__",
    "data_uri",
    "describe_incomplete",
    "dialect",
    "embedding_dialect",
    "errors",
    "function_tool",
    "generation_dialect",
    "has_assistant_messages",
    "is_unfinished",
    "oci_dialect_name",
    "progress_bar",
    "read_in_task",
    "read_in_thread",
    "recover_tool_calls",
    "rerank_dialect",
    "restore_texts",
    "sagemaker_headers",
    "strict_schema",
    "with_strict",
]

#: Exported names by module. A module is imported when one of its names is first read.
_NAMES = {
    "": ("errors",),  # a module itself
    "_images": ("MAX_IMAGE_BYTES", "Image", "ImageURIs", "data_uri"),
    "_json": ("is_unfinished",),
    "_progress": ("progress_bar",),
    "call": ("Call",),
    "client": ("AsyncClient", "Client"),
    "dialects": (
        "Dialect",
        "ListDialect",
        "OpenAIChat",
        "OpenAICompletions",
        "OpenAIResponses",
        "ReasoningHistory",
        "SendReasoning",
        "TextParsingDialect",
        "dialect",
        "embedding_dialect",
        "function_tool",
        "generation_dialect",
        "has_assistant_messages",
        "oci_dialect_name",
        "rerank_dialect",
        "restore_texts",
        "strict_schema",
        "with_strict",
    ),
    "dialects.content_handler": (
        "ContentHandlerDialect",
        "ContentHandlerEmbeddingDialect",
        "ContentHandlerProtocol",
        "HandlerBody",
        "HandlerDecoder",
    ),
    "dialects.tool_call_recovery": ("recover_tool_calls",),
    "errors": ("GuardrailViolation", "MDStreamError", "MissingExtra"),
    "events": (
        "BlockStart",
        "Choice",
        "Embedding",
        "Event",
        "Finish",
        "GuardrailResults",
        "Logprobs",
        "ModelResponse",
        "ProviderData",
        "ReasoningDelta",
        "RefusalDelta",
        "RerankScore",
        "ResponseMetadata",
        "StreamResumed",
        "TextDelta",
        "ToolCall",
        "ToolCallDelta",
        "Usage",
        "describe_incomplete",
    ),
    "guardrails": ("GuardrailChecks", "GuardrailPolicy", "Guardrails"),
    "http": ("Timeout",),
    "platforms": ("ModelArts", "OCIGenerativeAI", "OCIModelDeployment", "Platform", "SageMaker"),
    "platforms._sagemaker_async": ("AsyncInference",),
    "platforms._sagemaker_notifications": ("InferenceJob", "InferenceNotification", "JobNotifications"),
    "platforms._sagemaker_headers": ("SAGEMAKER_ARGUMENTS", "sagemaker_headers"),
    "rate_limit": ("RateLimit",),
    "retry": ("Retry", "RetryBudget"),
    "service": ("Service",),
    "transport._task_reader": ("read_in_task",),
    "transport._thread_reader": ("read_in_thread",),
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__, __dir__ = lazy_exports(__name__, {name: module for module, names in _NAMES.items() for name in names})
