"""Headers among the options of a call: sent as headers, and shown to nobody.

LlamaIndex hands the arguments of its methods to span handlers and events. So headers are wrapped (`SecretHeaders`)
before it sees them: what it copies, prints, dumps or pickles has names only. The model alone takes the values out.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from llamaindex_mdstream._errors import heeded
from mdstream_core.http import SecretHeaders

T = TypeVar("T", bound=type)

#: Under which names options bring headers.
_NAMES = ("headers", "extra_headers")

#: Methods whose keyword arguments are options of a call …
_METHODS = (
    "chat complete stream_chat stream_complete achat acomplete astream_chat astream_complete chat_with_tools "
    "achat_with_tools stream_chat_with_tools astream_chat_with_tools predict_and_call apredict_and_call"
).split()

#: … and those that have them in `llm_kwargs`, beside variables of a prompt.
_PREDICTING = ("structured_predict astructured_predict stream_structured_predict astream_structured_predict").split()


def named(*options: Mapping[str, Any]) -> SecretHeaders:
    """The headers that options name, as `headers` or `extra_headers`; later ones count more.

    >>> named({"headers": {"x-a": "1"}}, {"extra_headers": {"x-a": "2"}, "seed": 1}).get_secret_values()["x-a"]
    '2'
    """
    found = [SecretHeaders(option.get(name) or {}) for option in options for name in _NAMES]
    return functools.reduce(lambda before, after: before | after, found)


def hidden(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options whose headers are wrapped.

    Raises:
        ValueError: Headers are no mapping.
    """
    return {name: _wrapped(name, value) if name in _NAMES and value else value for name, value in options.items()}


def _wrapped(name: str, headers: Any) -> SecretHeaders:
    if not isinstance(headers, Mapping):
        raise ValueError(f"{name} must be a mapping of names to values, not a {type(headers).__name__}")
    return SecretHeaders(headers)


def hides_headers(kind: T) -> T:
    """Decorate an LLM class: what its methods are given reaches LlamaIndex's spans with wrapped headers."""
    for name in _METHODS:
        setattr(kind, name, _hiding(getattr(kind, name), hidden))
    for name in _PREDICTING:
        setattr(kind, name, _hiding(getattr(kind, name), _within))
    return kind


def _within(options: Mapping[str, Any]) -> dict[str, Any]:
    inner = options.get("llm_kwargs")
    return {**options, "llm_kwargs": hidden(inner)} if inner else dict(options)


def _hiding(method: Callable[..., Any], hide: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    hiding = _awaited if inspect.iscoroutinefunction(method) else _plain
    return hiding(method, hide)


def _plain(method: Callable[..., Any], hide: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(llm: Any, /, *args: Any, **kwargs: Any) -> Any:
        with heeded():
            args, kwargs = _positional(args), hide(kwargs)  # the plain ones are in no frame of ours any more
        return method(llm, *args, **kwargs)

    return call


def _awaited(method: Callable[..., Any], hide: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(llm: Any, /, *args: Any, **kwargs: Any) -> Any:
        with heeded():
            args, kwargs = _positional(args), hide(kwargs)  # the plain ones are in no frame of ours any more
        return await method(llm, *args, **kwargs)

    return call


def _positional(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """`llm_kwargs` may be given without its name."""
    return tuple(hidden(one) if isinstance(one, dict) else one for one in args) if len(args) > 1 else args
