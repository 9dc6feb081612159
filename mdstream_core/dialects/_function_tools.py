"""Convert tools given as dictionaries, in the shape of any provider, to OpenAI's function tools.

| shape | provider |
|---|---|
| `{"type": "function", "function": {"name", "parameters", …}}` | OpenAI's chat completions; not changed |
| `{"type": "function", "name", "parameters", …}` | OpenAI's Responses API; with `FUNCTION` OCI's GENERIC |
| `{"name", "description", "parameters"}` | OpenAI's functions |
| `{"name", "description", "input_schema"}`, also with `"type": "custom"` | Anthropic's |
| `{"name", "description", "inputSchema"}` | MCP's `tools/list` |
| `{"toolSpec": {"name", "inputSchema": {"json"}}}` | Bedrock's Converse |
| `{"title", "properties", …}` | a JSON Schema |

Anything else is a tool that a provider runs itself (`web_search`, `code_interpreter`, `google_search` …). Model servers
do not run such tools, so they raise an error by name instead of being sent as functions that nobody implements.
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._strict_schema import strict_schema
from mdstream_core.errors import InvalidRequest

Json = dict[str, Any]

#: The field with the schema of the arguments: OpenAI's, Anthropic's and MCP's name.
_SCHEMA_FIELDS = ("parameters", "input_schema", "inputSchema")

#: The types of a function, which may also have none: OpenAI's, Anthropic's, and that of a JSON Schema.
_TYPES = frozenset({"function", "custom", "object"})


def function_tool(tool: Any) -> Json:
    """Convert a tool to the shape of OpenAI's chat completions.

    Args:
        tool: A mapping in one of the shapes above.

    Raises:
        InvalidRequest: The tool is not a function, or its schema is not an object.

    >>> function_tool({"name": "ping", "inputSchema": {"type": "object"}})["function"]
    {'name': 'ping', 'parameters': {'type': 'object'}}
    """
    if not isinstance(tool, Mapping):
        raise _unsupported_error(f"a tool that is a {type(tool).__name__}")
    if isinstance(inner := tool.get("function"), Mapping) and inner.get("name"):
        if not isinstance(schema := inner.get("parameters"), Mapping | None):
            raise _malformed_error(
                f"the schema of the tool {inner['name']!r} is a {type(schema).__name__}, not an object"
            )
        return {"type": "function", **tool}
    function = _function(tool) if _is_function(tool) else None
    if function is None:
        raise _unsupported_error(_tool_description(tool))
    return {"type": "function", "function": function}


def with_strict(tool: Json, *, nullable: bool = True) -> Json:
    """Return an OpenAI tool in strict mode: its arguments match the schema. A tool with `strict: false` is unchanged.

    Args:
        tool: The tool; it is not changed.
        nullable: Whether optional fields may be `null`; `True` by default. See `strict_schema`.
    """
    function = tool["function"]
    if function.get("strict") is False:
        return tool
    schema = strict_schema(function.get("parameters"), nullable=nullable)
    return {**tool, "function": {**function, "parameters": schema, "strict": True}}


def _is_function(tool: Mapping[str, Any]) -> bool:
    kind = tool.get("type")
    return kind is None or (isinstance(kind, str) and kind.lower() in _TYPES)  # OCI's native form is upper case


def _function(tool: Mapping[str, Any]) -> Json | None:
    if isinstance(spec := tool.get("toolSpec"), Mapping):
        schema = spec.get("inputSchema")
        schema = schema.get("json") if isinstance(schema, Mapping) else schema
        return (
            _tool_with_name({**spec, "inputSchema": schema}, str(spec.get("name") or "")) if spec.get("name") else None
        )
    if name := tool.get("name"):
        return _tool_with_name(tool, str(name))
    if title := tool.get("title"):
        return _tool_from_schema(tool, str(title))
    return None


def _tool_with_name(tool: Mapping[str, Any], name: str) -> Json | None:
    """Convert a tool; return `None` for a custom tool without a schema: OpenAI's custom tools accept free text."""
    schemas = [tool[key] for key in _SCHEMA_FIELDS if tool.get(key) is not None]
    schema = next((schema for schema in schemas if isinstance(schema, Mapping)), None)
    if schema is None and schemas:
        raise _malformed_error(f"the schema of the tool {name!r} is a {type(schemas[0]).__name__}, not an object")
    if schema is None and tool.get("type") == "custom":
        return None
    if schema is None and "properties" in tool:
        return _tool_from_schema(tool, name)
    options = {key: tool[key] for key in ("description", "strict") if tool.get(key) is not None}
    return {"name": name, **options, **({"parameters": dict(schema)} if schema is not None else {})}


def _tool_from_schema(schema: Mapping[str, Any], name: str) -> Json:
    """Convert a JSON Schema to a function with these parameters."""
    description = {"description": schema["description"]} if schema.get("description") else {}
    parameters = {key: value for key, value in schema.items() if key not in {"name", "title", "description"}}
    return {"name": name, **description, **({"parameters": parameters} if "properties" in parameters else {})}


def _tool_description(tool: Mapping[str, Any]) -> str:
    kind = tool.get("type")
    if kind and (not _is_function(tool) or kind == "custom"):
        return f"a tool of type {kind!r}"
    lacks_name = bool(tool.keys() & {"type", "properties", "description", *_SCHEMA_FIELDS}) or not tool
    return "a tool without a name" if lacks_name else f"a tool with the key {next(iter(tool))!r}"


def _malformed_error(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="MalformedTool")


def _unsupported_error(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"{what} is not supported: models of this service call functions only (hint: remove it, or bind a function "
        'that does the same: {"type": "function", "function": {"name": …, "parameters": …}})',
        code="UnsupportedTool",
    )
