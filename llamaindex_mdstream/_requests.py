"""What is asked, in the OpenAI shape: a model's fields, its `additional_kwargs`, and what one call brings."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from llamaindex_mdstream import _structured_methods, _tools
from llamaindex_mdstream._errors import map_value_errors
from mdstream_core.http import SecretHeaders

# Headers among the options of a call: sent as headers, and shown to nobody.

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


def merge_headers(*options: Mapping[str, Any]) -> SecretHeaders:
    """The headers that options name, as `headers` or `extra_headers`; later ones count more.

    >>> merge_headers({"headers": {"x-a": "1"}}, {"extra_headers": {"x-a": "2"}, "seed": 1}).get_secret_values()["x-a"]
    '2'
    """
    found = [SecretHeaders(option.get(name) or {}) for option in options for name in _NAMES]
    return functools.reduce(lambda before, after: before | after, found)


def hide_headers(options: Mapping[str, Any]) -> dict[str, Any]:
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
        setattr(kind, name, _hiding(getattr(kind, name), hide_headers))
    for name in _PREDICTING:
        setattr(kind, name, _hiding(getattr(kind, name), _within))
    return kind


def _within(options: Mapping[str, Any]) -> dict[str, Any]:
    inner = options.get("llm_kwargs")
    return {**options, "llm_kwargs": hide_headers(inner)} if inner else dict(options)


def _hiding(method: Callable[..., Any], hide: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    hiding = _awaited if inspect.iscoroutinefunction(method) else _plain
    return hiding(method, hide)


def _plain(method: Callable[..., Any], hide: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(llm: Any, /, *args: Any, **kwargs: Any) -> Any:
        with map_value_errors():
            args, kwargs = _positional(args), hide(kwargs)  # the plain ones are in no frame of ours any more
        return method(llm, *args, **kwargs)

    return call


def _awaited(method: Callable[..., Any], hide: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(llm: Any, /, *args: Any, **kwargs: Any) -> Any:
        with map_value_errors():
            args, kwargs = _positional(args), hide(kwargs)  # the plain ones are in no frame of ours any more
        return await method(llm, *args, **kwargs)

    return call


def _positional(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """`llm_kwargs` may be given without its name."""
    return tuple(hide_headers(one) if isinstance(one, dict) else one for one in args) if len(args) > 1 else args


#: Words that LlamaIndex says to LLMs and that no server knows.
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
    given: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    strict: bool = False,
) -> dict[str, Any]:
    """The question. What stands further right counts more; `extra_body` counts most, and is sent as it is.

    Args:
        fields: What the model object says; what is empty there is not sent.
        additional: Its `additional_kwargs`.
        given: The keyword arguments of this call.
        inputs: `messages` or `prompt`.
        strict: Whether the server shall hold tool calls and schemas to the letter.
    """
    said = {name: value for name, value in fields.items() if value not in (None, "", [])}
    merged = {**said, **additional, **_drop_suppressed(given, additional)}
    body = {name: value for name, value in merged.items() if name not in _INTERNAL}
    if "allow_parallel_tool_calls" in merged and body.get("tools"):
        body.setdefault("parallel_tool_calls", merged["allow_parallel_tool_calls"])
    if body.get("tools"):
        body["tools"] = _tools.wire_tools(body["tools"], strict=strict)
        body["tool_choice"] = _tools.tool_choice(body.get("tool_choice"), required=bool(given.get("tool_required")))
        if body["tool_choice"] == "auto" and additional.get("tool_choice", "") is None:
            del body["tool_choice"]
    else:
        body = {name: value for name, value in body.items() if name not in {"tools", "tool_choice"}}
    if isinstance(body.get("response_format"), type):
        body["response_format"] = _structured_methods.response_format(body["response_format"], strict=strict)
    return {**body, **inputs, **(merged.get("extra_body") or {})}


#: Whether several tools may be called at once: what LlamaIndex's agents say of it in each call, under two names.
_PARALLEL = ("allow_parallel_tool_calls", "parallel_tool_calls")


def _drop_suppressed(given: Mapping[str, Any], additional: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call, without what agents say in each though `additional_kwargs` wants it unsaid (`None`)."""
    if additional.get("parallel_tool_calls", "") is not None:
        return dict(given)
    return {name: value for name, value in given.items() if name not in _PARALLEL}


def is_parallel(params: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether the model may call several tools at once: as is sent, or else as the caller says."""
    wishes = (
        params.get("parallel_tool_calls"),
        given.get("parallel_tool_calls"),
        given.get("allow_parallel_tool_calls"),
    )
    return next((wish for wish in wishes if wish is not None), None) is not False
