"""What the models behind OCI Generative AI refuse, each family in its own words.

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

_SHARED: dict[str, tuple[float, float]] = {
    "maxTokens": (1, MAX_TOKENS_PARAMETER),
    "topP": (0, 1),
    "topK": (-1, 500),
    "frequencyPenalty": (-2, 2),
    "presencePenalty": (-2, 2),
    "logProbs": (0, 20),
}
#: The least and the most of each field, by format; those of `_WHOLE` are whole numbers.
RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "GENERIC": _SHARED
    | {"temperature": (0, 2), "numGenerations": (1, 5), "maxCompletionTokens": (1, MAX_TOKENS_PARAMETER)},
    "COHERE": _SHARED | {"temperature": (0, 5), "numGenerations": (1, 5)},
    "COHEREV2": _SHARED | {"temperature": (0, 5)},
}
_WHOLE = {"maxTokens", "maxCompletionTokens", "topK", "logProbs", "numGenerations", "seed"}
#: How many entries a list may have.
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
    """Refuse numbers outside of their ranges and lists that are too long, in the service's names."""
    for name, (least, most) in ranges.items():
        value = request.get(name)
        if value is None:
            continue
        is_number = isinstance(value, int if name in _WHOLE else int | float) and not isinstance(value, bool)
        if not is_number:
            raise malformed_request(f"{name} must be a{' whole' if name in _WHOLE else ''} number")
        if not least <= value <= most:
            raise malformed_request(f"{name} must be between {least} and {most}, got {value}")
    for name, longest in _LENGTHS.items():
        value = request.get(name)
        if value is not None and not (isinstance(value, list) and len(value) <= longest):
            raise malformed_request(f"{name} must be a list of {longest} entries at most")


def check_model_rules(model: str, request: Json) -> None:
    """Refuse what this model does not take."""
    whose, api_format = model_family(model), request["apiFormat"]
    if whose and not model.startswith("ocid1.") and (whose == "cohere.") == (api_format == "GENERIC"):
        raise malformed_request("Please pass in correct format of request.")
    schemas = [tool.get("parameters") or {} for tool in request.get("tools") or () if isinstance(tool, dict)]
    words = {word for schema in schemas for word in _words(schema)}
    if "$ref" in words:
        raise malformed_request("Invalid tool parameters: $ref cannot be resolved")
    if whose == "google.":
        _gemini(request, words)
    if model.startswith("openai.gpt-5"):
        _gpt5(request)


def _gemini(request: Json, words: set[str]) -> None:
    if bad := words & {"exclusiveMinimum", "exclusiveMaximum"}:
        raise malformed_request(
            f'Invalid JSON payload received. Unknown name "{min(bad)}" at tools[0].function_declarations[0]'
        )
    if any(len(message.get("toolCalls") or ()) > 1 for message in request.get("messages") or ()):
        text = "the number of function response parts is equal to the number of function call parts"
        raise malformed_request(f"Please ensure that {text} of the function call turn.")


def _gpt5(request: Json) -> None:
    """OpenAI's own errors come through as a text inside of OCI's."""
    if request.get("maxTokens") is not None:
        text = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        raise _nested(text, "max_tokens", "unsupported_parameter")
    for field, param in (("temperature", "temperature"), ("topP", "top_p")):
        if request.get(field) not in {None, 1}:
            text = f"Unsupported value: '{param}' does not support {request[field]} with this model."
            raise _nested(f"{text} Only the default (1) value is supported.", param, "unsupported_value")


def _nested(message: str, param: str, code: str) -> RequestRejected:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return RequestRejected(400, "400", _json.dumps({"error": error}).decode())


def _words(schema: Any) -> Iterator[str]:
    """Every word of a schema."""
    match schema:
        case dict():
            for word, value in schema.items():
                yield word
                yield from _words(value)
        case list():
            for one in schema:
                yield from _words(one)
