"""Our facts in the names of the conventions: tables, and what reads them."""

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

#: What a question with such a field asks for; the first that is there counts. The conventions have no name for the
#: ranking of documents.
_OPERATIONS = (("messages", "chat"), ("prompt", "text_completion"), ("documents", "rerank"), ("input", "embeddings"))

#: Dialects in which a server is asked about itself: no model works.
_UNTRACED = frozenset({"models", "tokenize"})

#: Services that the conventions do not list, named as they name others (`aws.bedrock`, `ibm.watsonx.ai`).
_PROVIDERS = {
    "oci-model-deployment": "oci.model_deployment",
    "oci-genai": "oci.generative_ai",
    "sagemaker": "aws.sagemaker",
    "modelarts": "huawei.modelarts",
}


#: Attributes are 64-bit numbers.
_LARGEST = 2**63


def _to_int(value: Any) -> Value | None:
    return value if isinstance(value, int) and abs(value) < _LARGEST else None


def _to_float(value: Any) -> Value | None:
    return float(value) if isinstance(value, int | float) and abs(value) < _LARGEST else None


def _to_texts(value: Any) -> Value | None:
    listed = [value] if isinstance(value, str) else value
    return [str(one) for one in listed] if isinstance(listed, list | tuple) else None


def _if_several(value: Any) -> Value | None:
    return value if isinstance(value, int) and value > 1 else None


def _to_json(value: Any) -> Value | None:
    return "json" if isinstance(value, Mapping) and "json" in str(value.get("type")) else None


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

#: Errors whose words may quote the question, or the answer that could not be read; so may those of an interruption that
#: has something in `raw`: a piece that was cut.
_ERRORS_QUOTING_CONTENT = (InvalidRequest, MalformedStream)

#: Errors whose words may quote a credential, or the string that was signed with it.
_ERRORS_REVEALING_SECRETS = (AuthenticationError, PermissionDenied)

#: The longest description of a failure, in characters.
_MAX_MESSAGE_LENGTH = 1000


def operation_name(question: CallInfo) -> str | None:
    """What is asked for, in the conventions' words; `None` where it is no work of a model.

    >>> operation_name(CallInfo("sagemaker", "tgi", True, {"prompt": "Hello"}))
    'text_completion'
    """
    if question.dialect in _UNTRACED:
        return None
    return next((name for field, name in _OPERATIONS if field in question.params), None)


def identity_attributes(question: CallInfo) -> Attributes:
    """What spans and measurements have in common: who is asked for what."""
    named: dict[str, Value | None] = {
        "gen_ai.operation.name": operation_name(question),
        "gen_ai.provider.name": _PROVIDERS.get(question.platform, question.platform),
        "gen_ai.request.model": str(question.params.get("model") or "") or None,
    }
    return _without_none(named)


def server_attributes(request: Request) -> Attributes:
    """Where the request goes. Nothing where the address is none: what is wrong with it others say."""
    try:
        url = urlsplit(request.url)
        port = url.port or _PORTS.get(url.scheme)
    except ValueError:
        return {}
    return _without_none({"server.address": url.hostname, "server.port": port})


def url_without_secrets(request: Request) -> str:
    """The address without what may be a credential: its query, a name and a password.

    >>> url_without_secrets(Request("POST", "https://me:secret@host/v1/chat?key=secret"))
    'https://host/v1/chat'
    """
    return re.sub("//[^/]*@", "//", request.url.partition("?")[0])


def request_attributes(question: CallInfo) -> Attributes:
    """With what it is asked."""
    rows = ((*_REQUEST[name], value) for name, value in question.params.items() if name in _REQUEST)
    asked = {name: read(value) for name, read, value in rows if value is not None}
    inputs = question.params.get("documents") or question.params.get("input")
    several = {"mdstream.input.count": len(inputs)} if isinstance(inputs, list | tuple) else {}
    return _without_none({"gen_ai.request.stream": question.stream or None, **asked, **several})


def response_attributes(response: ModelResponse) -> Attributes:
    """What came."""
    reasons = [choice.finish_reason for choice in response.choices if choice.finish_reason]
    told: dict[str, Value | None] = {
        "gen_ai.response.id": str(response.metadata.id or "") or None,
        "gen_ai.response.model": str(response.metadata.model or "") or None,
        "gen_ai.response.finish_reasons": reasons or None,
        "gen_ai.embeddings.dimension.count": len(response.embeddings[0].vector) if response.embeddings else None,
        "mdstream.resumed": len(response.resumptions) or None,
    }
    counts = {name: getattr(response.usage, field) for field, name in _USAGE.items()} if response.usage else {}
    return _without_none({**told, **counts})


def partial_attributes(response: ModelResponse | None) -> Attributes:
    """How much had come of an answer that is not whole."""
    if response is None:
        return {}
    texts = [text for one in response.choices for text in (one.text, one.reasoning, one.refusal)]
    calls = [call.arguments for one in response.choices for call in one.tool_calls]
    return {**response_attributes(response), "mdstream.partial.characters": sum(map(len, [*texts, *calls]))}


def error_attributes(error: MDStreamError) -> Attributes:
    """What went wrong, without words."""
    named = {
        "error.type": type(error).__qualname__,
        "mdstream.error.code": error.code,
        "mdstream.request_id": error.request_id,
    }
    return _without_none(named)


def error_description(error: MDStreamError, *, content: bool) -> str:
    """What went wrong, for people: the message, or where that may quote what is not to be shown, what kind it is.

    >>> error_description(InvalidRequest("'Tell me a secret' is no messages array", status=422), content=False)
    'InvalidRequest 422'
    """
    quotes = isinstance(error, _ERRORS_QUOTING_CONTENT) or (isinstance(error, StreamInterrupted) and error.raw)
    if isinstance(error, _ERRORS_REVEALING_SECRETS) or (quotes and not content):
        return " ".join(str(one) for one in (type(error).__qualname__, error.status, error.code) if one)
    return str(error)[:_MAX_MESSAGE_LENGTH]


def _without_none(attributes: Mapping[str, Value | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}
