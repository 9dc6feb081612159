"""Wrap the headers of a call, because LangChain passes the arguments of calls to tracers, caches and bindings.

Headers become `SecretHeaders` before LangChain receives them: copies, dumps, logs and pickles have their names only.
The model alone reads the values.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_core.runnables import RunnableConfig

from langchain_mdstream._call_arguments import CONNECTION_OPTIONS, reject_connection_options
from langchain_mdstream._errors import InvalidRequest
from mdstream_core._lazy import LazyModule
from mdstream_core.http import SecretHeaders

if TYPE_CHECKING:
    from langchain_mdstream import _header_binding
    from langchain_mdstream._header_binding import HidingBinding
else:
    _header_binding = LazyModule("langchain_mdstream._header_binding")

T = TypeVar("T", bound=type)

#: The argument of a call that holds headers.
NAME = "extra_headers"

#: Arguments of a call that are rejected or wrapped. Most calls have none of them.
_HANDLED = CONNECTION_OPTIONS | {NAME}

#: Methods of LangChain's base classes that pass on the arguments of a call.
_METHODS = (
    "invoke ainvoke stream astream generate agenerate generate_prompt agenerate_prompt batch abatch "
    "stream_events astream_events transform atransform batch_as_completed abatch_as_completed astream_log"
).split()


def hide_headers(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Wrap the headers among the arguments of a call.

    Raises:
        InvalidRequest: The headers are not a mapping.
    """
    headers = kwargs.get(NAME)
    if headers is None or isinstance(headers, SecretHeaders):
        return dict(kwargs)
    if not isinstance(headers, Mapping):
        raise InvalidRequest(f"{NAME} must be a mapping of names to values, not {type(headers).__name__}")
    return {**kwargs, NAME: SecretHeaders(headers)}


def hide_call_headers(kind: T) -> T:
    """Decorate a model class: the methods inherited from LangChain wrap the headers of their calls."""
    for name in _METHODS:
        wrap = _wrap_async if inspect.iscoroutinefunction(getattr(kind, name)) else _wrap_sync
        setattr(kind, name, wrap(kind, name))
    for binding in (bind, with_config):  # not in the class, so that type checkers use LangChain's overloads
        setattr(kind, binding.__name__, binding)
    return kind


# The inherited method is looked up in each call, because packages that trace calls may replace it later.


def _wrap_sync(kind: type, name: str) -> Callable[..., Any]:
    @functools.wraps(getattr(kind, name))
    def call(model: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not _HANDLED.isdisjoint(kwargs):
            reject_connection_options(kwargs)  # before a tracer receives them
            kwargs = hide_headers(kwargs)  # rebinding removes the plain headers from this frame
        return getattr(super(kind, model), name)(*args, **kwargs)

    return call


def _wrap_async(kind: type, name: str) -> Callable[..., Any]:
    @functools.wraps(getattr(kind, name))
    async def call(model: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not _HANDLED.isdisjoint(kwargs):
            reject_connection_options(kwargs)  # before a tracer receives them
            kwargs = hide_headers(kwargs)  # rebinding removes the plain headers from this frame
        return await getattr(super(kind, model), name)(*args, **kwargs)

    return call


def bind(self: Any, /, **kwargs: Any) -> "HidingBinding":
    """Bind arguments of calls as LangChain's method does; the values of `extra_headers` are hidden."""
    return _header_binding.HidingBinding(bound=self, kwargs=hide_headers(kwargs), config={})


def with_config(self: Any, config: RunnableConfig | None = None, **kwargs: Any) -> "HidingBinding":
    """Bind a configuration as LangChain's method does."""
    return _header_binding.HidingBinding(
        bound=self, kwargs={}, config=cast(RunnableConfig, {**(config or {}), **kwargs})
    )
