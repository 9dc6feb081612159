"""`with_structured_output`: the server's JSON schema, a forced tool call, JSON mode, or vLLM's own guided decoding."""

from operator import itemgetter
from typing import Any, Literal

from langchain_core import exceptions
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import (
    BaseOutputParser,
    JsonOutputKeyToolsParser,
    JsonOutputParser,
    PydanticOutputParser,
    PydanticToolsParser,
)
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_mdstream._tools import openai_tool
from mdstream_core import is_unfinished

Method = Literal["json_schema", "function_calling", "json_mode", "guided_decoding"]


def structured(
    model: Any, schema: Any, *, method: Method, include_raw: bool, strict: bool | None, **kwargs: Any
) -> Runnable[Any, Any]:
    """The model bound to a schema, and the parser behind it."""
    if method not in _METHODS:
        raise ValueError(f"method={method!r} is unknown; there are: {', '.join(_METHODS)}")
    if schema is None and method != "json_mode":
        raise ValueError(f"schema is needed for method={method!r}; only 'json_mode' goes without")
    if strict is not None and method == "json_mode":
        raise ValueError("strict has no meaning for method='json_mode': it has no schema")
    if strict is False and method == "guided_decoding":
        raise ValueError("strict=False has no meaning for method='guided_decoding', which follows the schema always")
    bound = _METHODS[method](model, schema, strict, kwargs)
    parser = _parser(schema, method)
    if method != "function_calling":
        parser = RunnableLambda(_whole) | parser
    if not include_raw:
        return bound | parser  # type: ignore[no-any-return]
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def json_schema_format(schema: Any, strict: bool | None) -> dict[str, Any]:
    """OpenAI's `response_format` for a Pydantic class, a TypedDict, a JSON schema or a tool."""
    function = openai_tool(schema, strict=strict)["function"]
    described = {"name": function["name"], "schema": function.get("parameters", {"type": "object"})}
    if text := function.get("description"):
        described["description"] = text
    if strict is not None:
        described["strict"] = strict
    return {"type": "json_schema", "json_schema": described}


def _whole(message: AIMessage) -> AIMessage:
    """Half an object is no answer, and the parsers would mend it into one; a refusal is none either, and said so."""
    if refusal := message.additional_kwargs.get("refusal"):
        if hasattr(exceptions, "ModelRefusalError"):
            return message  # the parsers of newer cores raise it
        raise OutputParserException(f"the model refused: {refusal}", llm_output=str(refusal))
    if message.response_metadata.get("finish_reason") == "content_filter":
        raise OutputParserException("the answer was stopped by a content filter", llm_output=message.text)
    cut = message.response_metadata.get("finish_reason") == "length"
    if cut or is_unfinished(message.text):
        raise OutputParserException(
            f"the answer was cut off{' by max_tokens' if cut else ''}: {message.text[-80:]!r} is the end of what came",
            llm_output=message.text,
        )
    return message


def _by_schema(model: Any, schema: Any, strict: bool | None, kwargs: dict[str, Any]) -> Any:
    return model.bind(
        response_format=json_schema_format(schema, strict),
        **_traced("json_schema", strict, convert_to_openai_tool(schema)),
        **kwargs,
    )


def _by_guide(model: Any, schema: Any, strict: bool | None, kwargs: dict[str, Any]) -> Any:
    """`guided_json` until vLLM 0.11, `structured_outputs` from then on; each version passes over the other's name."""
    form = json_schema_format(schema, None)["json_schema"]["schema"]
    traced = _traced("guided_decoding", strict, convert_to_openai_tool(schema))
    return model.bind(structured_outputs={"json": form}, guided_json=form, **traced, **kwargs)


def _by_tool(model: Any, schema: Any, strict: bool | None, kwargs: dict[str, Any]) -> Any:
    tool = convert_to_openai_tool(schema)
    name = tool["function"]["name"]
    traced = _traced("function_calling", strict, tool)
    options = {"parallel_tool_calls": False, **kwargs}
    return model.bind_tools([schema], tool_choice=name, strict=strict, **traced, **options)


def _by_mode(model: Any, schema: Any, _strict: bool | None, kwargs: dict[str, Any]) -> Any:
    described = convert_to_openai_tool(schema) if schema is not None else None
    return model.bind(response_format={"type": "json_object"}, **_traced("json_mode", None, described), **kwargs)


_METHODS = {
    "json_schema": _by_schema,
    "function_calling": _by_tool,
    "json_mode": _by_mode,
    "guided_decoding": _by_guide,
}


def _traced(method: str, strict: bool | None, schema: Any) -> dict[str, Any]:
    return {"ls_structured_output_format": {"kwargs": {"method": method, "strict": strict}, "schema": schema}}


def _parser(schema: Any, method: Method) -> BaseOutputParser[Any] | Any:
    is_class = isinstance(schema, type) and is_basemodel_subclass(schema)
    if method == "function_calling":
        if is_class:
            return PydanticToolsParser(tools=[schema], first_tool_only=True)
        name = convert_to_openai_tool(schema)["function"]["name"]
        return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
    return PydanticOutputParser(pydantic_object=schema) if is_class else JsonOutputParser()
