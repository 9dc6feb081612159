"""Tools given as dictionaries, in the shape of any provider, as OpenAI's function tools.

| shape | whose |
|---|---|
| `{"type": "function", "function": {"name", "parameters", …}}` | OpenAI's chat completions; kept as it is |
| `{"type": "function", "name", "parameters", …}` | OpenAI's Responses API; with `FUNCTION` OCI's GENERIC |
| `{"name", "description", "parameters"}` | OpenAI's functions |
| `{"name", "description", "input_schema"}`, also with `"type": "custom"` | Anthropic's |
| `{"name", "description", "inputSchema"}` | MCP's `tools/list` |
| `{"toolSpec": {"name", "inputSchema": {"json"}}}` | Bedrock's Converse |
| `{"title", "properties", …}` | a JSON Schema |

Anything else is a tool that a provider runs itself (`web_search`, `code_interpreter`, `google_search` …). No model
server runs these for its caller, so they are refused by name and not sent as functions that nobody implements.
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._strict_schema import strict_schema
from mdstream_core.errors import InvalidRequest

Json = dict[str, Any]

#: Where the schema of the arguments is: OpenAI's name for it, Anthropic's, MCP's.
_SCHEMAS = ("parameters", "input_schema", "inputSchema")

#: Types that a function may have beside none: OpenAI's, Anthropic's, and that of a JSON Schema.
_TYPES = frozenset({"function", "custom", "object"})


def function_tool(tool: Any) -> Json:
    """The tool in the shape of OpenAI's chat completions.

    Raises:
        InvalidRequest: It is no function, or its schema is no object; the message names it.

    >>> function_tool({"name": "ping", "inputSchema": {"type": "object"}})["function"]
    {'name': 'ping', 'parameters': {'type': 'object'}}
    """
    if not isinstance(tool, Mapping):
        raise _unsupported_error(f"a tool that is a {type(tool).__name__}")
    if isinstance(inner := tool.get("function"), Mapping) and inner.get("name"):
        if not isinstance(schema := inner.get("parameters"), Mapping | None):
            raise _malformed_error(
                f"the schema of the tool {inner['name']!r} is a {type(schema).__name__}, and not an object"
            )
        return {"type": "function", **tool}
    function = _function(tool) if _is_function(tool) else None
    if function is None:
        raise _unsupported_error(_tool_description(tool))
    return {"type": "function", "function": function}


def with_strict(wire: Json, *, nullable: bool = True) -> Json:
    """An OpenAI tool whose arguments the server holds to the schema. A tool that says `strict` itself decides.

    Args:
        wire: The tool; it is not changed.
        nullable: See `strict_schema`.
    """
    function = wire["function"]
    if function.get("strict") is False:
        return wire
    schema = strict_schema(function.get("parameters"), nullable=nullable)
    return {**wire, "function": {**function, "parameters": schema, "strict": True}}


def _is_function(tool: Mapping[str, Any]) -> bool:
    kind = tool.get("type")
    return kind is None or (isinstance(kind, str) and kind.lower() in _TYPES)  # OCI's native form has capital letters


def _function(tool: Mapping[str, Any]) -> Json | None:
    if isinstance(spec := tool.get("toolSpec"), Mapping):
        given = spec.get("inputSchema")
        schema = given.get("json") if isinstance(given, Mapping) else given
        return (
            _tool_with_name({**spec, "inputSchema": schema}, str(spec.get("name") or "")) if spec.get("name") else None
        )
    if name := tool.get("name"):
        return _tool_with_name(tool, str(name))
    if title := tool.get("title"):
        return _tool_from_schema(tool, str(title))
    return None


def _tool_with_name(tool: Mapping[str, Any], name: str) -> Json | None:
    """`None` for a tool of a type that needs a schema and has none: OpenAI's custom tools take free text."""
    given = [tool[key] for key in _SCHEMAS if tool.get(key) is not None]
    schema = next((one for one in given if isinstance(one, Mapping)), None)
    if schema is None and given:
        raise _malformed_error(f"the schema of the tool {name!r} is a {type(given[0]).__name__}, and not an object")
    if schema is None and tool.get("type") == "custom":
        return None
    if schema is None and "properties" in tool:
        return _tool_from_schema(tool, name)
    more = {key: tool[key] for key in ("description", "strict") if tool.get(key) is not None}
    return {"name": name, **more, **({"parameters": dict(schema)} if schema is not None else {})}


def _tool_from_schema(schema: Mapping[str, Any], name: str) -> Json:
    """A JSON Schema as the parameters of a function of its name."""
    description = {"description": schema["description"]} if schema.get("description") else {}
    parameters = {key: value for key, value in schema.items() if key not in {"name", "title", "description"}}
    return {"name": name, **description, **({"parameters": parameters} if "properties" in parameters else {})}


def _tool_description(tool: Mapping[str, Any]) -> str:
    kind = tool.get("type")
    if kind and (not _is_function(tool) or kind == "custom"):
        return f"a tool of type {kind!r}"
    described = bool(tool.keys() & {"type", "properties", "description", *_SCHEMAS}) or not tool
    return "a tool without a name" if described else f"a tool with the key {next(iter(tool))!r}"


def _malformed_error(sentence: str) -> InvalidRequest:
    return InvalidRequest(sentence, code="MalformedTool")


def _unsupported_error(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"{what}: this service does not run it, its models call functions only (hint: leave it out, or bind a function "
        'that does the same: {"type": "function", "function": {"name": …, "parameters": …}})',
        code="UnsupportedTool",
    )
