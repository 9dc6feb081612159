"""What the models behind OCI Generative AI refuse, each family in its own words.

Sources: oracle/langchain-oracle (`providers/`, `common/param_compat.py`).
"""

from collections.abc import Iterator
from typing import Any

from mdstream_core import _json
from mdstream_core.emulator.services._genai_asked import Json, Refused, wrong
from mdstream_core.emulator.services._genai_said import family


def check(model: str, request: Json) -> None:
    """Refuse what this model does not take."""
    whose, api_format = family(model), request["apiFormat"]
    if whose and not model.startswith("ocid1.") and (whose == "cohere.") == (api_format == "GENERIC"):
        raise wrong("Please pass in correct format of request.")
    schemas = [tool.get("parameters") or {} for tool in request.get("tools") or () if isinstance(tool, dict)]
    words = {word for schema in schemas for word in _words(schema)}
    if "$ref" in words:
        raise wrong("Invalid tool parameters: $ref cannot be resolved")
    if whose == "google.":
        _gemini(request, words)
    if model.startswith("openai.gpt-5"):
        _gpt5(request)


def _gemini(request: Json, words: set[str]) -> None:
    if bad := words & {"exclusiveMinimum", "exclusiveMaximum"}:
        raise wrong(f'Invalid JSON payload received. Unknown name "{min(bad)}" at tools[0].function_declarations[0]')
    if any(len(message.get("toolCalls") or ()) > 1 for message in request.get("messages") or ()):
        text = "the number of function response parts is equal to the number of function call parts"
        raise wrong(f"Please ensure that {text} of the function call turn.")


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


def _nested(message: str, param: str, code: str) -> Refused:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Refused(400, "400", _json.dumps({"error": error}).decode())


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
