"""Headers among the arguments of a call: LangChain hands all arguments to its tracers, caches and bindings.

So headers are wrapped (`SecretHeaders`) before LangChain sees them: what it copies, prints, dumps or pickles has names
only. The model alone takes the values out.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from langchain_core.runnables import RunnableBinding, RunnableConfig

from langchain_mdstream._connection_fields import reject_connection_options
from langchain_mdstream._errors import InvalidRequest
from mdstream_core.http import SecretHeaders

T = TypeVar("T", bound=type)

#: Under which name a call brings headers.
NAME = "extra_headers"

#: Methods of LangChain's base classes that take the arguments of a call and hand them on.
_METHODS = (
    "invoke ainvoke stream astream generate agenerate generate_prompt agenerate_prompt batch abatch "
    "stream_events astream_events transform atransform batch_as_completed abatch_as_completed astream_log"
).split()


def hide_headers(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call with wrapped headers.

    Raises:
        InvalidRequest: They are no mapping.
        ValueError: An option of the model stands there, which may be a credential.
    """
    headers = kwargs.get(NAME)
    if headers is None or isinstance(headers, SecretHeaders):
        return dict(kwargs)
    if not isinstance(headers, Mapping):
        raise InvalidRequest(f"{NAME} must be a mapping of names to values, not a {type(headers).__name__}")
    return {**kwargs, NAME: SecretHeaders(headers)}


def hide_call_headers(kind: T) -> T:
    """Decorate a model class: the methods that it has from LangChain get wrapped headers."""
    for name in _METHODS:
        setattr(kind, name, _with_hidden_headers(getattr(kind, name)))
    for binding in (bind, with_config):  # not in the class, so that checkers see LangChain's own overloads
        setattr(kind, binding.__name__, binding)
    return kind


def _with_hidden_headers(method: Callable[..., Any]) -> Callable[..., Any]:
    hiding = _wrap_async if inspect.iscoroutinefunction(method) else _wrap_sync
    return hiding(method)


def _wrap_sync(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(model: Any, /, *args: Any, **kwargs: Any) -> Any:
        reject_connection_options(kwargs)  # before a tracer is shown them
        kwargs = hide_headers(kwargs)  # the plain ones are in no frame of ours any more
        return method(model, *args, **kwargs)

    return call


def _wrap_async(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(model: Any, /, *args: Any, **kwargs: Any) -> Any:
        reject_connection_options(kwargs)  # before a tracer is shown them
        kwargs = hide_headers(kwargs)  # the plain ones are in no frame of ours any more
        return await method(model, *args, **kwargs)

    return call


class HidingBinding(RunnableBinding[Any, Any]):  # type: ignore[no-redef]  # it has a field `kwargs`
    """A binding whose further bindings hide headers too. Serialized as LangChain's own."""

    @classmethod
    def lc_id(cls) -> list[str]:
        """As LangChain's own class, which loads it."""
        return [*cls.get_lc_namespace(), "RunnableBinding"]

    def bind(self, **kwargs: Any) -> "HidingBinding":
        """Bind more arguments."""
        return cast(HidingBinding, super().bind(**hide_headers(kwargs)))


def bind(self: Any, /, **kwargs: Any) -> HidingBinding:
    """Bind arguments of calls, as LangChain's own method; values of `extra_headers` are neither shown nor dumped."""
    return HidingBinding(bound=self, kwargs=hide_headers(kwargs), config={})


def with_config(self: Any, config: RunnableConfig | None = None, **kwargs: Any) -> HidingBinding:
    """Bind a configuration, as LangChain's own method."""
    return HidingBinding(bound=self, kwargs={}, config=cast(RunnableConfig, {**(config or {}), **kwargs}))
