"""Structured output by the server's JSON schema, a forced tool call, JSON mode, or vLLM's guided decoding."""

from collections.abc import Mapping
from typing import Any, Literal

from langchain_core.output_parsers import (
    JsonOutputKeyToolsParser,
    JsonOutputParser,
    PydanticOutputParser,
    PydanticToolsParser,
)
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_mdstream._structured_parser import StrictOutputParser
from langchain_mdstream._tools import openai_tool

Method = Literal["json_schema", "function_calling", "json_mode", "guided_decoding"]


def build_structured_output(
    model: Any, schema: Any, *, method: Method, include_raw: bool, strict: bool | None, **kwargs: Any
) -> Runnable[Any, Any]:
    """Bind a schema to a model and append the parser of its output."""
    if method not in _METHODS:
        raise ValueError(f"method={method!r} is unknown (hint: use one of {', '.join(_METHODS)})")
    if schema is None and method != "json_mode":
        raise ValueError(f"method={method!r} needs a schema (hint: only 'json_mode' works without)")
    if strict is not None and method == "json_mode":
        raise ValueError("strict is not supported for method='json_mode', which has no schema (hint: remove it)")
    if strict is False and method == "guided_decoding":
        raise ValueError(
            "strict=False is not supported for method='guided_decoding', which is strict (hint: remove it)"
        )
    bound = _METHODS[method](model, schema, strict, kwargs)
    parser = _parser(schema, method)
    if not include_raw:
        return bound | parser  # type: ignore[no-any-return]

    def parse(output: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        return {**output, "parsed": parser.invoke(output["raw"], config), "parsing_error": None}

    # Streams fall back before their first chunk only, so this step yields one chunk.
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | RunnableLambda(parse).with_fallbacks([failed], exception_key="parsing_error")


def json_schema_format(schema: Any, strict: bool | None) -> dict[str, Any]:
    """Return OpenAI's `response_format` for a Pydantic class, a TypedDict, a JSON schema or a tool."""
    function = openai_tool(schema, strict=strict)["function"]
    json_schema = {"name": function["name"], "schema": function.get("parameters", {"type": "object"})}
    if text := function.get("description"):
        json_schema["description"] = text
    if strict is not None:
        json_schema["strict"] = strict
    return {"type": "json_schema", "json_schema": json_schema}


def _by_schema(model: Any, schema: Any, strict: bool | None, kwargs: dict[str, Any]) -> Any:
    return model.bind(
        response_format=json_schema_format(schema, strict),
        **_trace_config("json_schema", strict, convert_to_openai_tool(schema)),
        **kwargs,
    )


def _by_guide(model: Any, schema: Any, strict: bool | None, kwargs: dict[str, Any]) -> Any:
    """Bind `guided_json` (up to vLLM 0.11) and `structured_outputs` (later versions); each ignores the other."""
    json_schema = json_schema_format(schema, None)["json_schema"]["schema"]
    traced = _trace_config("guided_decoding", strict, convert_to_openai_tool(schema))
    return model.bind(structured_outputs={"json": json_schema}, guided_json=json_schema, **traced, **kwargs)


def _by_tool(model: Any, schema: Any, strict: bool | None, kwargs: dict[str, Any]) -> Any:
    tool = convert_to_openai_tool(schema)
    name = tool["function"]["name"]
    traced = _trace_config("function_calling", strict, tool)
    options = {"parallel_tool_calls": False, **kwargs}
    return model.bind_tools([schema], tool_choice=name, strict=strict, **traced, **options)


def _by_mode(model: Any, schema: Any, _strict: bool | None, kwargs: dict[str, Any]) -> Any:
    tool = convert_to_openai_tool(schema) if schema is not None else None
    return model.bind(response_format={"type": "json_object"}, **_trace_config("json_mode", None, tool), **kwargs)


_METHODS = {
    "json_schema": _by_schema,
    "function_calling": _by_tool,
    "json_mode": _by_mode,
    "guided_decoding": _by_guide,
}


def _trace_config(method: str, strict: bool | None, schema: Any) -> dict[str, Any]:
    return {"ls_structured_output_format": {"kwargs": {"method": method, "strict": strict}, "schema": schema}}


def _parser(schema: Any, method: Method) -> StrictOutputParser:
    is_class = isinstance(schema, type) and is_basemodel_subclass(schema)
    if method != "function_calling":
        inner = PydanticOutputParser(pydantic_object=schema) if is_class else JsonOutputParser()
        return StrictOutputParser(parser=inner, requires_object=not is_class and _describes_object(schema))
    name = convert_to_openai_tool(schema)["function"]["name"]
    if is_class:
        tools: Any = PydanticToolsParser(tools=[schema], first_tool_only=True)
    else:
        tools = JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
    return StrictOutputParser(parser=tools, tool=name)


def _describes_object(schema: Any) -> bool:
    """Whether the output must be an object: JSON mode may have no schema, and a JSON Schema may have another type."""
    return schema is not None and not (isinstance(schema, Mapping) and schema.get("type") in _OTHER_TYPES)


#: JSON types other than objects; a list, because a schema's `type` may be an unhashable list.
_OTHER_TYPES = ["array", "string", "number", "integer", "boolean", "null"]
