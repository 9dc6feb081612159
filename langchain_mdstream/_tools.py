"""Tools of LangChain → the OpenAI shape.

LangChain core's own conversion rebuilds the class of a tool's arguments from their types and descriptions alone: what a
field adds to its schema (`json_schema_extra`, `examples`) is lost there and is put back here.
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


def openai_tool(tool: Tool, *, strict: bool | None = None) -> dict[str, Any]:
    """A tool in the shape of OpenAI's chat completions.

    Args:
        tool: A tool, a function, a Pydantic class, a TypedDict, or a dictionary in the shape of any provider.
        strict: Whether the server must hold the arguments to the schema, which is closed for it in all its objects.

    Raises:
        InvalidRequest: A tool that a provider runs itself, such as `{"type": "web_search"}`; the message names it.
        ValueError: The tool says of itself the opposite of `strict`.
    """
    with map_errors():
        wire = function_tool(tool if isinstance(tool, Mapping) else convert_to_openai_tool(tool))
    if isinstance(tool, BaseTool):
        wire = deepcopy(wire)  # core keeps the schemas that it has made
        _restore_keywords(tool, wire["function"].get("parameters") or {})
    if strict is None:
        return wire
    own = wire["function"].get("strict")
    if own is not None and own != strict:
        raise ValueError(f"the tool {wire['function']['name']!r} has strict={own} of its own, not {strict}")
    if strict:
        with map_errors():
            return with_strict(wire, nullable=not _is_class(tool))
    return {**wire, "function": {**wire["function"], "strict": False}}


def _is_class(tool: Tool) -> bool:
    """Whether Pydantic reads the arguments, which then says itself where `None` is allowed."""
    if isinstance(tool, BaseTool):
        return not isinstance(tool.args_schema, dict)
    return not isinstance(tool, Mapping) and not (isinstance(tool, type) and not is_basemodel_subclass(tool))


def _restore_keywords(tool: BaseTool, parameters: dict[str, Any]) -> None:
    """Put back what the fields add to their schemas. Only arguments that the model is to give are looked at."""
    if isinstance(tool.args_schema, dict):
        return
    model = tool.get_input_schema()
    for name, sent in (parameters.get("properties") or {}).items():
        for field in (*_fields_of_class(model, name), *_default_of_argument(tool, name)):
            _extend(sent, field)


def _fields_of_class(model: Any, name: str) -> Iterator[Any]:
    """All that a class of arguments, of Pydantic 1 too, says of a field: as its field, and in its `Annotated` type."""
    if issubclass(model, BaseModel):
        yield model.model_fields.get(name)
    else:
        yield getattr(model.__fields__.get(name), "field_info", None)
    for kind in model.__mro__:
        said = get_args(inspect.get_annotations(kind).get(name))
        yield from (one for one in said if isinstance(one, FieldInfo))


def _default_of_argument(tool: BaseTool, name: str) -> Iterator[FieldInfo]:
    """A `Field(…)` that is the default of the function's argument."""
    function = getattr(tool, "func", None) or getattr(tool, "coroutine", None)
    argument = inspect.signature(function).parameters.get(name) if function else None
    if argument is not None and isinstance(argument.default, FieldInfo):
        yield argument.default


def _extend(sent: dict[str, Any], field: Any) -> None:
    if examples := getattr(field, "examples", None):
        sent.setdefault("examples", to_jsonable_python(examples))
    extra = getattr(field, "json_schema_extra", None) or getattr(field, "extra", None)
    if callable(extra):
        extra(sent)
    elif isinstance(extra, Mapping):
        sent.update(to_jsonable_python(dict(extra)))
