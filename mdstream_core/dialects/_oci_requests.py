"""What the formats of OCI Generative AI have in common when a question is asked."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._function_tools import function_tool
from mdstream_core.errors import InvalidRequest

Json = dict[str, Any]
Row = Callable[[Any], Json]

#: A backend fails on an assistant's message that has tool calls and no text (oracle/langchain-oracle sends this too).
PLACEHOLDER_TEXT = "."

PARALLEL_CALLS_UNSUPPORTED = "Cohere's formats cannot keep the model from calling several tools at once"


def rename_to(name: str) -> Row:
    """The value under another name."""
    return lambda value: {name: value}


def uppercase_as(name: str) -> Row:
    """The value in capital letters, as OCI spells its enumerations."""
    return lambda value: {name: str(value).upper()}


def list_as(name: str) -> Row:
    """One or several, as a list."""
    return lambda value: {name: [value] if isinstance(value, str) else list(value)}


def drop(value: Any) -> Json:
    """What the format has no place for and does not miss, or what is written elsewhere."""
    return {}


def reject(name: str, is_harmless: Callable[[Any], bool], sentence: str) -> Row:
    """What would be another question if it were left out. `is_harmless` tells the values that change nothing."""

    def row(value: Any) -> Json:
        if not is_harmless(value):
            raise InvalidRequest(f"{name}={value!r}: {sentence}", code="InvalidParameter")
        return {}

    return row


def drop_with_warning(name: str, is_harmless: Callable[[Any], bool], sentence: str) -> Row:
    """What the format has no place for, though the answer may be right without it."""

    def row(value: Any) -> Json:
        if not is_harmless(value):
            warnings.warn(f"{name}={value!r}: {sentence}", RuntimeWarning, stacklevel=2)
        return {}

    return row


#: Names that all formats share, `generateText` included.
NAMES: dict[str, Row] = {
    "temperature": rename_to("temperature"),
    "top_p": rename_to("topP"),
    "top_k": rename_to("topK"),
    "frequency_penalty": rename_to("frequencyPenalty"),
    "presence_penalty": rename_to("presencePenalty"),
    "stream": drop,
    "stream_options": drop,
}


def translate_params(params: Mapping[str, Any], rows: Mapping[str, Row]) -> Json:
    """The question's fields under the format's names. What has no row is native, in the spelling of the SDK or not."""
    body: Json = {}
    for name, value in params.items():
        if value is not None:
            value = to_json(value)
            body |= rows[name](value) if name in rows else {to_camel_case(name): value}
    return body


def to_camel_case(name: str) -> str:
    """The name on the wire of what the `oci` SDK for Python calls `name`.

    >>> to_camel_case("is_force_single_step"), to_camel_case("isEcho")
    ('isForceSingleStep', 'isEcho')
    """
    first, *more = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in more) if first else name


def to_json(value: Any) -> Any:
    """A model of the `oci` SDK as the JSON that it stands for; anything else as it is."""
    if isinstance(value, list | tuple):
        return [to_json(one) for one in value]
    if not isinstance(names := getattr(value, "attribute_map", None), Mapping):
        return value
    said = {wire: to_json(getattr(value, name, None)) for name, wire in names.items()}
    return {wire: one for wire, one in said.items() if one is not None}


_INCLUDE = ("include_usage", "is_include_usage", "isIncludeUsage")


def stream_options(params: Mapping[str, Any], *, stream: bool) -> Json:
    """The wish for a stream, and for its usage unless the question says otherwise."""
    if not stream:
        return {}
    if params.get("stream_options", ()) is None:  # a wish, not to send any
        return {"isStream": True}
    options = to_json(params.get("stream_options") or {})
    wanted = next((options[name] for name in _INCLUDE if name in options), True)
    return {"isStream": True, "streamOptions": {"isIncludeUsage": bool(wanted)}}


def content_text(content: Any) -> str:
    """The text of a message's content, a string or a list of parts. Raises for what is no text."""
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for part in content:
        text = part if isinstance(part, str) else part.get("text", part.get("refusal"))
        if not isinstance(text, str):
            raise unsupported_part(part, "only text")
        texts.append(text)
    return "".join(texts)


def map_role(message: Mapping[str, Any], roles: Mapping[str, str]) -> str:
    """The format's name of a message's role."""
    role = str(message.get("role"))
    if role not in roles:
        raise InvalidRequest(f"a message has the role {role!r}; there are: {', '.join(roles)}", code="InvalidParameter")
    return roles[role]


def unsupported_part(part: Any, takes: str) -> InvalidRequest:
    """A part of a message that the format has no place for."""
    kind = part.get("type") if isinstance(part, dict) else part
    return InvalidRequest(
        f"a message has a part of type {kind!r}, and this format takes {takes}: leave it out, or ask another model",
        code="InvalidParameter",
    )


def parse_arguments(call: Mapping[str, Any]) -> Json:
    """A call's arguments as an object. What is no JSON (it was told so before) goes as a text."""
    given = call["function"].get("arguments") or {}
    if not isinstance(given, str):
        return dict(given)
    try:
        value = _json.loads(given) if given.strip() else {}
    except ValueError:
        value = given
    return value if isinstance(value, dict) else {"arguments": value}


def serialize_arguments(call: Mapping[str, Any]) -> str:
    """A call's arguments as JSON text."""
    given = call["function"].get("arguments")
    return given if isinstance(given, str) and given.strip() else _json.dumps(given or {}).decode()


def tool_function(tool: Any) -> Mapping[str, Any]:
    """The function that a tool is. Raises `InvalidRequest` for what is none, by its name."""
    function: Mapping[str, Any] = function_tool(tool)["function"]
    return function


def resolve_tool_choice(params: Mapping[str, Any]) -> tuple[str, list[Json]]:
    """The word of `tool_choice` and the tools that it leaves; a named tool is the only one, and `required`."""
    tools = list(params.get("tools") or ())
    choice = params.get("tool_choice") or "auto"
    if isinstance(choice, dict):
        name = (choice.get("function") or choice).get("name")
        return "required", [tool for tool in tools if tool_function(tool)["name"] == name]
    return {"any": "required"}.get(str(choice), str(choice)), tools


def response_schema(response_format: Mapping[str, Any]) -> Any:
    """The JSON Schema in OpenAI's `response_format`, if it has one."""
    return (response_format.get("json_schema") or {}).get("schema")
