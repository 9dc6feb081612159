"""Span and metric attributes of calls, with the names of the conventions."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from mdstream_core.errors import (
    AuthenticationError,
    InvalidRequest,
    MalformedStream,
    MDStreamError,
    PermissionDenied,
    StreamInterrupted,
)
from mdstream_core.events import ModelResponse
from mdstream_core.hooks import CallInfo
from mdstream_core.http import Request

Value = str | int | float | bool | list[str]
Attributes = dict[str, Value]

#: Operation names, by the parameter that identifies them; the first that is present counts. `rerank` is not in the
#: conventions.
_OPERATIONS = (("messages", "chat"), ("prompt", "text_completion"), ("documents", "rerank"), ("input", "embeddings"))

#: Dialects of requests without a model call.
_UNTRACED = frozenset({"models", "tokenize"})

#: Provider names. The conventions do not list these services; the names follow `aws.bedrock` and `ibm.watsonx.ai`.
_PROVIDERS = {
    "oci-model-deployment": "oci.model_deployment",
    "oci-genai": "oci.generative_ai",
    "sagemaker": "aws.sagemaker",
    "modelarts": "huawei.modelarts",
}


#: Integer attributes have 64 bits.
_MAX_INT = 2**63


def _to_int(value: Any) -> Value | None:
    return value if isinstance(value, int) and abs(value) < _MAX_INT else None


def _to_float(value: Any) -> Value | None:
    return float(value) if isinstance(value, int | float) and abs(value) < _MAX_INT else None


def _to_texts(value: Any) -> Value | None:
    values = [value] if isinstance(value, str) else value
    return [str(text) for text in values] if isinstance(values, list | tuple) else None


def _if_several(value: Any) -> Value | None:
    return value if isinstance(value, int) and value > 1 else None


def _to_json(value: Any) -> Value | None:
    return "json" if isinstance(value, Mapping) and "json" in str(value.get("type")) else None


def _to_id(value: Any) -> Value | None:
    """Return the id of a conversation of OpenAI's Responses API, which is a text or an object with the id."""
    id = value.get("id") if isinstance(value, Mapping) else value
    return id if isinstance(id, str) else None


_REQUEST: dict[str, tuple[str, Callable[[Any], Value | None]]] = {
    "temperature": ("gen_ai.request.temperature", _to_float),
    "top_p": ("gen_ai.request.top_p", _to_float),
    "top_k": ("gen_ai.request.top_k", _to_float),
    "max_tokens": ("gen_ai.request.max_tokens", _to_int),
    "max_completion_tokens": ("gen_ai.request.max_tokens", _to_int),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", _to_float),
    "presence_penalty": ("gen_ai.request.presence_penalty", _to_float),
    "stop": ("gen_ai.request.stop_sequences", _to_texts),
    "seed": ("gen_ai.request.seed", _to_int),
    "n": ("gen_ai.request.choice.count", _if_several),
    "response_format": ("gen_ai.output.type", _to_json),
    "conversation": ("gen_ai.conversation.id", _to_id),
}

_USAGE = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cached": "gen_ai.usage.cache_read.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "input_audio": "gen_ai.usage.audio.input_tokens",
    "output_audio": "gen_ai.usage.audio.output_tokens",
}

_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}

#: Errors whose message may quote the request, or the response that could not be parsed. So may `StreamInterrupted` with
#: a truncated payload in `raw`.
_ERRORS_QUOTING_CONTENT = (InvalidRequest, MalformedStream)

#: Errors whose message may quote a credential, or the string that was signed with it.
_ERRORS_REVEALING_SECRETS = (AuthenticationError, PermissionDenied)

#: Maximum length of an error description, in characters.
_MAX_MESSAGE_LENGTH = 1000


def operation_name(info: CallInfo) -> str | None:
    """Return the operation name of a call; `None` for requests without a model call.

    >>> operation_name(CallInfo("sagemaker", "tgi", True, {"prompt": "Hello"}))
    'text_completion'
    """
    if info.dialect in _UNTRACED:
        return None
    return next((name for field, name in _OPERATIONS if field in info.params), None)


def identity_attributes(info: CallInfo) -> Attributes:
    """Return the attributes that spans and metrics share: operation, provider and model."""
    named: dict[str, Value | None] = {
        "gen_ai.operation.name": operation_name(info),
        "gen_ai.provider.name": _PROVIDERS.get(info.platform, info.platform),
        "gen_ai.request.model": str(info.params.get("model") or "") or None,
    }
    return _without_none(named)


def server_attributes(request: Request) -> Attributes:
    """Return the attributes of the server. An invalid URL has none; it is reported elsewhere."""
    try:
        url = urlsplit(request.url)
        port = url.port or _PORTS.get(url.scheme)
    except ValueError:
        return {}
    return _without_none({"server.address": url.hostname, "server.port": port})


def url_without_secrets(request: Request) -> str:
    """Return the URL without parts that may be credentials: query, user name and password.

    >>> url_without_secrets(Request("POST", "https://me:secret@host/v1/chat?key=secret"))
    'https://host/v1/chat'
    """
    return re.sub("//[^/]*@", "//", request.url.partition("?")[0])


def request_attributes(info: CallInfo) -> Attributes:
    """Return the attributes of the request parameters."""
    rows = ((*_REQUEST[name], value) for name, value in info.params.items() if name in _REQUEST)
    converted = {name: read(value) for name, read, value in rows if value is not None}
    inputs = info.params.get("documents") or info.params.get("input")
    count = {"mdstream.input.count": len(inputs)} if isinstance(inputs, list | tuple) else {}
    return _without_none({"gen_ai.request.stream": info.stream or None, **converted, **count})


def response_attributes(response: ModelResponse) -> Attributes:
    """Return the attributes of a response."""
    reasons = [choice.finish_reason for choice in response.choices if choice.finish_reason]
    named: dict[str, Value | None] = {
        "gen_ai.response.id": str(response.metadata.id or "") or None,
        "gen_ai.response.model": str(response.metadata.model or "") or None,
        "gen_ai.response.finish_reasons": reasons or None,
        "gen_ai.embeddings.dimension.count": len(response.embeddings[0].vector) if response.embeddings else None,
        "mdstream.resumed": len(response.resumptions) or None,
    }
    counts = {name: getattr(response.usage, field) for field, name in _USAGE.items()} if response.usage else {}
    return _without_none({**named, **counts})


def partial_attributes(response: ModelResponse | None) -> Attributes:
    """Return the attributes of a partial response, with its size."""
    if response is None:
        return {}
    texts = [text for choice in response.choices for text in (choice.text, choice.reasoning, choice.refusal)]
    calls = [call.arguments for choice in response.choices for call in choice.tool_calls]
    return {**response_attributes(response), "mdstream.partial.characters": sum(map(len, [*texts, *calls]))}


def error_attributes(error: MDStreamError) -> Attributes:
    """Return the attributes of an error, without its message."""
    named = {
        "error.type": type(error).__qualname__,
        "mdstream.error.code": error.code,
        "mdstream.request_id": error.request_id,
    }
    return _without_none(named)


def error_description(error: MDStreamError, *, content: bool) -> str:
    """Describe an error: its message, or class, status and code if the message may quote content or secrets.

    >>> error_description(InvalidRequest("'Tell me a secret' is no messages array", status=422), content=False)
    'InvalidRequest 422'
    """
    quotes = isinstance(error, _ERRORS_QUOTING_CONTENT) or (isinstance(error, StreamInterrupted) and error.raw)
    if isinstance(error, _ERRORS_REVEALING_SECRETS) or (quotes and not content):
        return " ".join(str(fact) for fact in (type(error).__qualname__, error.status, error.code) if fact)
    return str(error)[:_MAX_MESSAGE_LENGTH]


def _without_none(attributes: Mapping[str, Value | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}
