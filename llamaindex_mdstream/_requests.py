"""Request parameters in the OpenAI format, from the fields of a model and the arguments of a call."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from llamaindex_mdstream._errors import map_value_errors
from mdstream_core._lazy import LazyModule
from mdstream_core.http import SecretHeaders

if TYPE_CHECKING:
    from llamaindex_mdstream import _structured_methods, _tools
else:
    _structured_methods = LazyModule("llamaindex_mdstream._structured_methods")
    _tools = LazyModule("llamaindex_mdstream._tools")

T = TypeVar("T", bound=type)

#: Options that hold HTTP headers. Their values must not appear in traces.
_HEADER_OPTIONS = ("headers", "extra_headers")

#: Methods whose keyword arguments are options of a call.
_METHODS = (
    "chat complete stream_chat stream_complete achat acomplete astream_chat astream_complete chat_with_tools "
    "achat_with_tools stream_chat_with_tools astream_chat_with_tools predict_and_call apredict_and_call"
).split()

#: Methods whose keyword arguments are variables of a prompt; the options of the call are in `llm_kwargs`.
_PREDICT_METHODS = (
    "structured_predict astructured_predict stream_structured_predict astream_structured_predict"
).split()


_NO_HEADERS = SecretHeaders({})


def merge_headers(*options: Mapping[str, Any]) -> SecretHeaders:
    """Merge the headers of options, from `headers` and `extra_headers`. Later ones override earlier ones.

    >>> merge_headers({"headers": {"x-a": "1"}}, {"extra_headers": {"x-a": "2"}, "seed": 1}).get_secret_values()["x-a"]
    '2'
    """
    merged = _NO_HEADERS
    for option in options:
        for name in _HEADER_OPTIONS:
            if headers := option.get(name):
                merged = merged | headers  # not in place: the headers are immutable
    return merged


def hide_headers(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the options whose headers are wrapped in `SecretHeaders`.

    Raises:
        ValueError: The headers are not a mapping.
    """
    return {
        name: _wrap_headers(name, value) if name in _HEADER_OPTIONS and value else value
        for name, value in options.items()
    }


def _wrap_headers(name: str, headers: Any) -> SecretHeaders:
    if not isinstance(headers, Mapping):
        raise ValueError(f"{name} must be a mapping of names to values, not {type(headers).__name__}")
    return SecretHeaders(headers)


def with_hidden_headers(cls: T) -> T:
    """Decorate an LLM class, so that LlamaIndex's spans receive the arguments of its methods with wrapped headers."""
    for name in _METHODS:
        setattr(cls, name, _wrap_method(_find_method(cls, name), hide_headers))
    for name in _PREDICT_METHODS:
        setattr(cls, name, _wrap_method(_find_method(cls, name), _hide_llm_kwargs_headers))
    return cls


def _find_method(cls: type, name: str) -> Any:
    """Return a method as its class has it. A wrapper of LlamaIndex's is slow if it is not bound to the object."""
    return next(vars(base)[name] for base in cls.__mro__ if name in vars(base))


def _hide_llm_kwargs_headers(options: Mapping[str, Any]) -> dict[str, Any]:
    inner = options.get("llm_kwargs")
    return {**options, "llm_kwargs": hide_headers(inner)} if inner else dict(options)


def _wrap_method(method: Callable[..., Any], hide: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    wrap = _wrap_async if inspect.iscoroutinefunction(method) else _wrap_sync
    return wrap(method, hide)


def _wrap_sync(method: Callable[..., Any], hide: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(llm: Any, /, *args: Any, **kwargs: Any) -> Any:
        with map_value_errors:
            args, kwargs = _hide_positional(args), hide(kwargs)  # no frame keeps the originals
        return method.__get__(llm, type(llm))(*args, **kwargs)

    return call


def _wrap_async(method: Callable[..., Any], hide: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(llm: Any, /, *args: Any, **kwargs: Any) -> Any:
        with map_value_errors:
            args, kwargs = _hide_positional(args), hide(kwargs)  # no frame keeps the originals
        return await method.__get__(llm, type(llm))(*args, **kwargs)

    return call


def _hide_positional(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Wrap headers in dictionaries among the positional arguments: `llm_kwargs` may be one."""
    return tuple(hide_headers(arg) if isinstance(arg, dict) else arg for arg in args) if len(args) > 1 else args


#: Options that LlamaIndex passes to LLMs and that servers do not accept.
_INTERNAL = frozenset(
    {
        "allow_parallel_tool_calls",
        "chat_history",
        "error_on_no_tool_call",
        "error_on_tool_error",
        "extra_body",
        "extra_headers",
        "formatted",
        "headers",
        "stream",
        "tool_required",
        "user_msg",
        "verbose",
    }
)


def build_params(
    fields: Mapping[str, Any],
    additional: Mapping[str, Any],
    options: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    strict: bool = False,
    allows_any_tool: bool = False,
) -> dict[str, Any]:
    """Build the parameters of a request. Later arguments override earlier ones, and `extra_body` overrides all.

    Args:
        fields: Fields of the model. Empty values are not sent.
        additional: Its `additional_kwargs`.
        options: Keyword arguments of the call.
        inputs: `messages` or `prompt`.
        strict: Whether the server must follow the schemas of tools and of structured output exactly.
        allows_any_tool: Whether the service runs tools itself.
    """
    defaults = {name: value for name, value in fields.items() if value not in (None, "", [])}
    merged = {**defaults, **additional, **_drop_suppressed(options, additional)}
    params = {name: value for name, value in merged.items() if name not in _INTERNAL}
    if "allow_parallel_tool_calls" in merged and params.get("tools"):
        params.setdefault("parallel_tool_calls", merged["allow_parallel_tool_calls"])
    if params.get("tools"):
        params["tools"] = _tools.wire_tools(params["tools"], strict=strict, allows_any=allows_any_tool)
        params["tool_choice"] = _tools.tool_choice(
            params.get("tool_choice"), required=bool(options.get("tool_required"))
        )
        if params["tool_choice"] == "auto" and additional.get("tool_choice", "") is None:
            del params["tool_choice"]
    else:
        params.pop("tools", None)
        params.pop("tool_choice", None)
    if isinstance(params.get("response_format"), type):
        params["response_format"] = _structured_methods.response_format(params["response_format"], strict=strict)
    return {**params, **inputs, **(merged.get("extra_body") or {})}


#: Options with which LlamaIndex's agents allow parallel tool calls, in each call.
_PARALLEL = ("allow_parallel_tool_calls", "parallel_tool_calls")


def _drop_suppressed(options: Mapping[str, Any], additional: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the options for parallel tool calls if `additional_kwargs` suppresses them with `None`."""
    if additional.get("parallel_tool_calls", "") is not None:
        return dict(options)
    return {name: value for name, value in options.items() if name not in _PARALLEL}


def is_parallel(params: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Return whether the model may call several tools at once, by the parameters sent or else by the options."""
    parallel = params.get("parallel_tool_calls")
    for name in _PARALLEL[::-1]:
        parallel = options.get(name) if parallel is None else parallel
    return parallel is not False
