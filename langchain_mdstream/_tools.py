"""Convert LangChain tools to OpenAI tools.

LangChain's conversion rebuilds the class of a tool's arguments from their types and descriptions only. What a field
adds to its schema (`json_schema_extra`, `examples`) is restored here.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any, get_args

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from langchain_mdstream._errors import map_errors
from mdstream_core import function_tool, with_strict

Tool = dict[str, Any] | type | Callable[..., Any] | BaseTool


#: The types of tools that are functions, whoever's format they are in.
_FUNCTION_TYPES = ("function", "object")


def openai_tool(tool: Tool, *, strict: bool | None = None, allows_any: bool = False) -> dict[str, Any]:
    """Convert a tool to OpenAI's format.

    Args:
        tool: A tool, a function, a Pydantic class, a TypedDict, or a dict in the format of any provider.
        strict: Whether the server must enforce the schema, whose objects are closed for it.
        allows_any: Whether tools that a provider runs itself are returned unchanged.

    Raises:
        InvalidRequest: A provider runs the tool itself, such as `{"type": "web_search"}`; the message names it.
        ValueError: The tool has the opposite `strict` of its own.
    """
    if allows_any and isinstance(tool, Mapping) and _is_provider_tool(tool):
        return dict(tool)
    with map_errors():
        converted = function_tool(tool if isinstance(tool, Mapping) else convert_to_openai_tool(tool))
    if isinstance(tool, BaseTool):
        converted = deepcopy(converted)  # langchain-core caches the schemas
        _restore_keywords(tool, converted["function"].get("parameters") or {})
    if strict is None:
        return converted
    own = converted["function"].get("strict")
    if own is not None and own != strict:
        raise ValueError(
            f"the tool {converted['function']['name']!r} sets strict={own}, not {strict} (hint: remove one of them)"
        )
    if strict:
        with map_errors():
            return with_strict(converted, nullable=not _is_class(tool))
    return {**converted, "function": {**converted["function"], "strict": False}}


def _is_class(tool: Tool) -> bool:
    """Whether Pydantic validates the arguments, and therefore handles `None` by itself."""
    if isinstance(tool, BaseTool):
        return not isinstance(tool.args_schema, dict)
    return not isinstance(tool, Mapping) and not (isinstance(tool, type) and not is_basemodel_subclass(tool))


def _is_provider_tool(tool: Mapping[str, Any]) -> bool:
    """Whether a provider runs a tool, or the arguments of a tool are free text."""
    if tool.get("type") == "custom":
        return not tool.keys() & {"input_schema", "parameters"}
    return str(tool.get("type") or "function").lower() not in _FUNCTION_TYPES


def _restore_keywords(tool: BaseTool, parameters: dict[str, Any]) -> None:
    """Restore what the fields add to their schemas, for the arguments that the model sets."""
    if isinstance(tool.args_schema, dict):
        return
    model = tool.get_input_schema()
    for name, schema in (parameters.get("properties") or {}).items():
        for field in (*_fields_of_class(model, name), *_default_of_argument(tool, name)):
            _extend(schema, field)


def _fields_of_class(model: Any, name: str) -> Iterator[Any]:
    """Yield the definitions of a field in a class of Pydantic 1 or 2, also those in `Annotated` types."""
    if issubclass(model, BaseModel):
        yield model.model_fields.get(name)
    else:
        yield getattr(model.__fields__.get(name), "field_info", None)
    for kind in model.__mro__:
        arguments = get_args(inspect.get_annotations(kind).get(name))
        yield from (argument for argument in arguments if isinstance(argument, FieldInfo))


def _default_of_argument(tool: BaseTool, name: str) -> Iterator[FieldInfo]:
    """Yield the `Field(…)` that is the default of the function's argument."""
    function = getattr(tool, "func", None) or getattr(tool, "coroutine", None)
    argument = inspect.signature(function).parameters.get(name) if function else None
    if argument is not None and isinstance(argument.default, FieldInfo):
        yield argument.default


def _extend(schema: dict[str, Any], field: Any) -> None:
    if examples := getattr(field, "examples", None):
        schema.setdefault("examples", to_jsonable_python(examples))
    extra = getattr(field, "json_schema_extra", None) or getattr(field, "extra", None)
    if callable(extra):
        extra(schema)
    elif isinstance(extra, Mapping):
        schema.update(to_jsonable_python(dict(extra)))
