"""Common parts of the requests of OCI Generative AI's formats."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._function_tools import function_tool
from mdstream_core.errors import InvalidRequest

Json = dict[str, Any]
ParameterRule = Callable[[Any], Json]

#: Text of assistant messages with tool calls only: a backend fails without text (oracle/langchain-oracle sends it too).
PLACEHOLDER_TEXT = "."

PARALLEL_CALLS_UNSUPPORTED = "Cohere's formats cannot prevent parallel tool calls"


def rename_to(name: str) -> ParameterRule:
    """Create a rule that renames the parameter."""
    return lambda value: {name: value}


def uppercase_as(name: str) -> ParameterRule:
    """Create a rule that renames the parameter and converts its value to upper case, as OCI spells enumerations."""
    return lambda value: {name: str(value).upper()}


def list_as(name: str) -> ParameterRule:
    """Create a rule that renames the parameter and converts a single value to a list."""
    return lambda value: {name: [value] if isinstance(value, str) else list(value)}


def drop(_: Any) -> Json:
    """Rule that drops a parameter: the format does not need it, or it is translated elsewhere."""
    return {}


def reject(name: str, is_default: Callable[[Any], bool], reason: str) -> ParameterRule:
    """Create a rule that raises `InvalidRequest` for an unsupported parameter that must not be dropped.

    Args:
        name: The name of the parameter.
        is_default: Whether a value equals the default, so that the parameter can be dropped.
        reason: For the error message.
    """

    def apply(value: Any) -> Json:
        if not is_default(value):
            raise InvalidRequest(f"{name}={value!r}: {reason}", code="InvalidParameter")
        return {}

    return apply


def drop_with_warning(name: str, is_default: Callable[[Any], bool], reason: str) -> ParameterRule:
    """Create a rule that drops an unsupported parameter, with a warning unless its value is the default."""

    def apply(value: Any) -> Json:
        if not is_default(value):
            warnings.warn(f"{name}={value!r}: {reason}", RuntimeWarning, stacklevel=2)
        return {}

    return apply


#: Parameters that all formats share, including `generateText`.
COMMON_PARAMETERS: dict[str, ParameterRule] = {
    "temperature": rename_to("temperature"),
    "top_p": rename_to("topP"),
    "top_k": rename_to("topK"),
    "frequency_penalty": rename_to("frequencyPenalty"),
    "presence_penalty": rename_to("presencePenalty"),
    "stream": drop,
    "stream_options": drop,
}


def translate_params(params: Mapping[str, Any], rules: Mapping[str, ParameterRule]) -> Json:
    """Translate request parameters by the rules of a format; others are converted to camel case and passed through."""
    payload: Json = {}
    for name, value in params.items():
        if value is not None:
            value = to_json(value)
            payload |= rules[name](value) if name in rules else {to_camel_case(name): value}
    return payload


def to_camel_case(name: str) -> str:
    """Return the JSON name of a field by its name in the `oci` SDK for Python.

    >>> to_camel_case("is_force_single_step"), to_camel_case("isEcho")
    ('isForceSingleStep', 'isEcho')
    """
    first, *more = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in more) if first else name


def to_json(value: Any) -> Any:
    """Convert a model object of the `oci` SDK to JSON; return any other value unchanged."""
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if not isinstance(names := getattr(value, "attribute_map", None), Mapping):
        return value
    fields = {wire: to_json(getattr(value, name, None)) for name, wire in names.items()}
    return {wire: field for wire, field in fields.items() if field is not None}


_INCLUDE_USAGE = ("include_usage", "is_include_usage", "isIncludeUsage")


def stream_options(params: Mapping[str, Any], *, stream: bool) -> Json:
    """Build the fields that request a stream, and its usage unless `stream_options` disables it."""
    if not stream:
        return {}
    if params.get("stream_options", ()) is None:  # an explicit `None` means that none are sent
        return {"isStream": True}
    options = to_json(params.get("stream_options") or {})
    include_usage = next((options[name] for name in _INCLUDE_USAGE if name in options), True)
    return {"isStream": True, "streamOptions": {"isIncludeUsage": bool(include_usage)}}


def content_text(content: Any) -> str:
    """Return the text of a message's content, a string or a list of parts. Raises `InvalidRequest` for other parts."""
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for part in content:
        text = part if isinstance(part, str) else part.get("text", part.get("refusal"))
        if not isinstance(text, str):
            raise unsupported_part_error(part, "text only")
        texts.append(text)
    return "".join(texts)


def map_role(message: Mapping[str, Any], roles: Mapping[str, str]) -> str:
    """Return the format's name for the role of a message."""
    role = str(message.get("role"))
    if role not in roles:
        hint = f"use one of {', '.join(roles)}"
        raise InvalidRequest(f"the role {role!r} of a message is unknown (hint: {hint})", code="InvalidParameter")
    return roles[role]


def unsupported_part_error(part: Any, supported: str) -> InvalidRequest:
    """Build the error for a content part that the format does not support."""
    kind = part.get("type") if isinstance(part, dict) else part
    return InvalidRequest(
        f"a message has a part of type {kind!r}; this format supports {supported} (hint: remove the part)",
        code="InvalidParameter",
    )


def parse_arguments(call: Mapping[str, Any]) -> Json:
    """Parse the arguments of a tool call. Arguments that are not a JSON object are sent as `{"arguments": …}`."""
    arguments = call["function"].get("arguments") or {}
    if not isinstance(arguments, str):
        return dict(arguments)
    try:
        value = _json.loads(arguments) if arguments.strip() else {}
    except ValueError:
        value = arguments
    return value if isinstance(value, dict) else {"arguments": value}


def serialize_arguments(call: Mapping[str, Any]) -> str:
    """Return the arguments of a tool call as JSON text."""
    arguments = call["function"].get("arguments")
    return arguments if isinstance(arguments, str) and arguments.strip() else _json.dumps(arguments or {}).decode()


def tool_function(tool: Any) -> Mapping[str, Any]:
    """Return the function definition of a tool. Raises `InvalidRequest` if the tool is not a function."""
    function: Mapping[str, Any] = function_tool(tool)["function"]
    return function


def resolve_tool_choice(params: Mapping[str, Any]) -> tuple[str, list[Json]]:
    """Return the mode of `tool_choice` and the tools to send. A choice by name keeps only that tool, as `required`."""
    tools = list(params.get("tools") or ())
    choice = params.get("tool_choice") or "auto"
    if isinstance(choice, dict):
        name = (choice.get("function") or choice).get("name")
        return "required", [tool for tool in tools if tool_function(tool)["name"] == name]
    return {"any": "required"}.get(str(choice), str(choice)), tools


def response_schema(response_format: Mapping[str, Any]) -> Any:
    """Return the JSON Schema of OpenAI's `response_format`, if it has one."""
    return (response_format.get("json_schema") or {}).get("schema")
