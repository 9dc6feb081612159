"""Rules of the models in OCI Generative AI: the requests that each family rejects, with its messages.

Sources: oracle/langchain-oracle (`providers/`, `common/param_compat.py`).
"""

from collections.abc import Iterator
from typing import Any

from mdstream_core import _json
from mdstream_core.emulator._bounds import (
    MAX_DOCUMENTS,
    MAX_MESSAGES,
    MAX_STOPS,
    MAX_TOKENS_PARAMETER,
    MAX_TOOLS,
)
from mdstream_core.emulator.services.oci_genai.requests import Json, RequestRejected, malformed_request
from mdstream_core.emulator.services.oci_genai.responses import model_family

_COMMON_RANGES: dict[str, tuple[float, float]] = {
    "maxTokens": (1, MAX_TOKENS_PARAMETER),
    "topP": (0, 1),
    "topK": (-1, 500),
    "frequencyPenalty": (-2, 2),
    "presencePenalty": (-2, 2),
    "logProbs": (0, 20),
}
#: Minimum and maximum of each field, by format; those in `_INTEGERS` are integers.
RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "GENERIC": _COMMON_RANGES
    | {"temperature": (0, 2), "numGenerations": (1, 5), "maxCompletionTokens": (1, MAX_TOKENS_PARAMETER)},
    "COHERE": _COMMON_RANGES | {"temperature": (0, 5), "numGenerations": (1, 5)},
    "COHEREV2": _COMMON_RANGES | {"temperature": (0, 5)},
}
_INTEGERS = {"maxTokens", "maxCompletionTokens", "topK", "logProbs", "numGenerations", "seed"}
#: Maximum number of entries of each list.
_LENGTHS = {
    "stop": MAX_STOPS,
    "stopSequences": MAX_STOPS,
    "documents": MAX_DOCUMENTS,
    "tools": MAX_TOOLS,
    "toolResults": MAX_MESSAGES,
    "messages": MAX_MESSAGES,
    "chatHistory": MAX_MESSAGES,
}


def check_ranges(request: Json, ranges: dict[str, tuple[float, float]]) -> None:
    """Reject numbers out of range and lists that are too long, with the service's names of the fields."""
    for name, (minimum, maximum) in ranges.items():
        value = request.get(name)
        if value is None:
            continue
        is_number = isinstance(value, int if name in _INTEGERS else int | float) and not isinstance(value, bool)
        if not is_number:
            raise malformed_request(f"{name} must be a{' whole' if name in _INTEGERS else ''} number")
        if not minimum <= value <= maximum:
            raise malformed_request(f"{name} must be between {minimum} and {maximum}, got {value}")
    for name, max_length in _LENGTHS.items():
        value = request.get(name)
        if value is not None and not (isinstance(value, list) and len(value) <= max_length):
            raise malformed_request(f"{name} must be a list of {max_length} entries at most")


def check_model_rules(model: str, request: Json) -> None:
    """Reject a request that the model does not accept."""
    family, api_format = model_family(model), request["apiFormat"]
    if family and not model.startswith("ocid1.") and (family == "cohere.") == (api_format == "GENERIC"):
        raise malformed_request("Please pass in correct format of request.")
    schemas = [tool.get("parameters") or {} for tool in request.get("tools") or () if isinstance(tool, dict)]
    keys = {key for schema in schemas for key in _schema_keys(schema)}
    if "$ref" in keys:
        raise malformed_request("Invalid tool parameters: $ref cannot be resolved")
    if family == "google.":
        _check_gemini(request, keys)
    if model.startswith("openai.gpt-5"):
        _check_gpt5(request)


def _check_gemini(request: Json, keys: set[str]) -> None:
    if unsupported := keys & {"exclusiveMinimum", "exclusiveMaximum"}:
        raise malformed_request(
            f'Invalid JSON payload received. Unknown name "{min(unsupported)}" at tools[0].function_declarations[0]'
        )
    if any(len(message.get("toolCalls") or ()) > 1 for message in request.get("messages") or ()):
        text = "the number of function response parts is equal to the number of function call parts"
        raise malformed_request(f"Please ensure that {text} of the function call turn.")


def _check_gpt5(request: Json) -> None:
    """Reject what GPT-5 rejects: OpenAI's error is a text inside OCI's error."""
    if request.get("maxTokens") is not None:
        text = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        raise _openai_error(text, "max_tokens", "unsupported_parameter")
    for field, param in (("temperature", "temperature"), ("topP", "top_p")):
        if request.get(field) not in {None, 1}:
            text = f"Unsupported value: '{param}' does not support {request[field]} with this model."
            raise _openai_error(f"{text} Only the default (1) value is supported.", param, "unsupported_value")


def _openai_error(message: str, param: str, code: str) -> RequestRejected:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return RequestRejected(400, "400", _json.dumps({"error": error}).decode())


def _schema_keys(schema: Any) -> Iterator[str]:
    """Yield every key of a schema."""
    match schema:
        case dict():
            for key, value in schema.items():
                yield key
                yield from _schema_keys(value)
        case list():
            for item in schema:
                yield from _schema_keys(item)
