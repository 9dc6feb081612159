"""Calls without callback handlers return what LangChain's own path returns, and every handler gets the events."""

import asyncio
import gc
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import MethodType
from typing import Any

import pytest
from _langchain import OUTPUT, REQUEST, chat_at, emulator, get_weather, shared_emulator
from _langchain_platforms import chat_at as platform_chat_at
from _langchain_platforms import each_platform
from _platforms import PlatformCase
from _stream_endings import ENDINGS
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import (
    BaseCallbackHandler,
    BaseCallbackManager,
    CallbackManager,
    get_usage_metadata_callback,
    manager,
)
from langchain_core.callbacks.manager import CallbackManagerForLLMRun
from langchain_core.exceptions import ModelError
from langchain_core.globals import set_debug, set_llm_cache
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.llms import BaseLLM
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.prompt_values import StringPromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.tracers.context import _configure_hooks, register_configure_hook, tracing_v2_callback_var
from pydantic import ValidationError

from langchain_mdstream import ChatOCIModelDeployment, OCIModelDeploymentLLM
from langchain_mdstream._callbacks import OriginalMethods
from langchain_mdstream._chat_calls import LEFT_OUT
from langchain_mdstream._chat_model import ChatModel
from langchain_mdstream.llms._base import CompletionModel
from mdstream_core.emulator import Emulator

__all__ = ["emulator", "shared_emulator"]


class Seen(BaseCallbackHandler):
    """Records the names of the events of models."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Record the event."""
        self.names.append("start")

    on_llm_start = on_chat_model_start

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        """Record the event."""
        self.names.append("end")


async def _alist(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


#: All four methods; each returns a list of messages, chunks or texts.
METHODS: dict[str, Callable[..., list[Any]]] = {
    "invoke": lambda model, *args, **kwargs: [model.invoke(*args, **kwargs)],
    "ainvoke": lambda model, *args, **kwargs: [asyncio.run(model.ainvoke(*args, **kwargs))],
    "stream": lambda model, *args, **kwargs: [*model.stream(*args, **kwargs)],
    "astream": lambda model, *args, **kwargs: asyncio.run(_alist(model.astream(*args, **kwargs))),
}

each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def llm_at(emulator: Emulator, **options: Any) -> OCIModelDeploymentLLM:
    return OCIModelDeploymentLLM(**{"endpoint": emulator.endpoint, "auth_type": "none", **options})


MODELS: dict[str, Any] = {"chat": chat_at, "completion": llm_at}

each_model = pytest.mark.parametrize("model_at", MODELS.values(), ids=MODELS)


#: Ids that the server creates for each response.
_SERVER_IDS = re.compile(r"\b(resp|msg|rs|fc|call|chatcmpl)[-_]\w+")


def _state(message: Any) -> Any:
    """All that a message consists of, with the order of its fields; but not the server's ids."""
    if not isinstance(message, BaseMessage):
        return message
    fields = _SERVER_IDS.sub("", repr(message.__dict__))
    return type(message), fields, message.__pydantic_fields_set__, message.__pydantic_extra__


def _states(messages: list[Any]) -> list[Any]:
    return [_state(message) for message in messages]


def _both(method: Callable[..., list[Any]], model: Any, prompt: Any = REQUEST, **kwargs: Any) -> tuple[Any, Any]:
    """Return the results of the same call without and with a handler, once the server has cached the prompt."""
    seen, config = Seen(), {"run_id": uuid.uuid4()}
    method(model, prompt, config, **kwargs)
    shorter = method(model, prompt, config, **kwargs)
    full = method(model, prompt, {**config, "callbacks": [seen]}, **kwargs)

    assert ["start", "end"] == seen.names
    return shorter, full


@each_platform
@each_method
def test_messages_are_those_of_calls_with_a_handler(
    method: Callable[..., list[Any]], platform_case: PlatformCase, emulator: Emulator
) -> None:
    """
    With the same run, all fields are equal, also the id and the order.
    """
    shorter, full = _both(method, platform_chat_at(platform_case, emulator))

    assert _states(full) == _states(shorter)
    assert "".join(message.text for message in shorter) == OUTPUT


#: Further calls: prompt, fields of the model, arguments.
CALLS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "messages": ([("system", "Be short."), ("user", REQUEST)], {}, {}),
    "image": ([("user", [{"type": "image", "url": "https://example.com/a.png"}, {"type": "text", "text": "?"}])], {}, {}),
    "message": ([HumanMessage(REQUEST, id="1", name="me")], {}, {}),
    "text prompt": (StringPromptValue(text=REQUEST), {}, {}),
    "chat prompt": (ChatPromptTemplate([("system", "Be {how}."), ("user", REQUEST)]).invoke({"how": "short"}), {}, {}),
    "audio of OpenAI's format": (
        [("user", [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}])], {}, {}
    ),
    "stop": (REQUEST, {}, {"stop": ["Danube"]}),
    "tools": (REQUEST, {}, {"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {}}}]}),
    "choices": (REQUEST, {"n": 2}, {}),
    "log probabilities": (REQUEST, {}, {"logprobs": True}),
    "no usage": (REQUEST, {"stream_usage": False}, {}),
    "traced format": (REQUEST, {}, {"ls_structured_output_format": {"kwargs": {"method": "json_schema"}, "schema": {}}}),
    "streaming": (REQUEST, {"streaming": True}, {}),
    "streaming disabled": (REQUEST, {"disable_streaming": True}, {}),
    "version 1 of contents": (REQUEST, {"output_version": "v1"}, {}),
}  # fmt: skip


@pytest.mark.parametrize(("prompt", "fields", "arguments"), CALLS.values(), ids=CALLS)
@each_method
def test_all_kinds_of_calls_are_those_with_a_handler(
    method: Callable[..., list[Any]], prompt: Any, fields: Any, arguments: Any, emulator: Emulator
) -> None:
    """
    Messages and requests are the same.
    """
    shorter, full = _both(method, chat_at(emulator, **fields), prompt, **arguments)
    _, first, second = (request.body for request in emulator.requests)

    assert _states(full) == _states(shorter)
    assert first == second


@each_method
def test_completions_are_those_of_calls_with_a_handler(method: Callable[..., list[Any]], emulator: Emulator) -> None:
    """
    Completion models return the same texts.
    """
    shorter, full = _both(method, llm_at(emulator))

    assert full == shorter
    assert "".join(shorter) == OUTPUT


@each_model
@each_method
def test_runs_have_an_id(method: Callable[..., list[Any]], model_at: Any, emulator: Emulator) -> None:
    """
    Without one in the configuration, each call has an id of its own.
    """
    model = model_at(emulator)
    ids = [{getattr(message, "id", None) for message in method(model, REQUEST)} for _ in range(2)]

    if model_at is chat_at:
        ((first,), (second,)) = ids
        assert first != second
        assert first.startswith("lc_run--")
        assert uuid.UUID(first[8:44])


@each_model
@each_method
@pytest.mark.parametrize("ending", ["cut", "error event of vllm", "no finish reason"])
def test_failures_are_those_of_calls_with_a_handler(
    ending: str, method: Callable[..., list[Any]], model_at: Any, emulator: Emulator
) -> None:
    """
    The error has the same class, message and partial response.
    """
    model = model_at(emulator, max_retries=0, streaming=True)
    errors = []
    for config in ({}, {"callbacks": [Seen()]}):
        emulator.script(ENDINGS[ending].fault)
        with pytest.raises(ModelError) as caught:
            method(model, REQUEST, config)
        errors.append(caught.value)
    first, second = errors

    assert type(first) is type(second)
    assert str(first) == str(second)
    assert first.partial.text == second.partial.text


@each_model
@each_method
def test_no_run_is_started(
    method: Callable[..., list[Any]], model_at: Any, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    LangChain's path is really left out with the installed version.
    """

    _forbid_langchain(monkeypatch)

    assert method(model_at(emulator), REQUEST)


def _forbid_langchain(monkeypatch: pytest.MonkeyPatch) -> None:
    """LangChain's own path asks for these parameters in each call."""

    def fail(*_: Any, **__: Any) -> None:
        pytest.fail("LangChain's own path was taken")

    for kind in (ChatModel, CompletionModel):
        monkeypatch.setattr(kind, "_get_ls_params", fail)


def test_a_stream_keeps_no_chunks(emulator: Emulator) -> None:
    """
    The memory of a stream does not grow with its length.
    """

    def count_chunks() -> int:
        return sum(type(found) is AIMessageChunk for found in gc.get_objects())

    gc.collect()
    before, most = count_chunks(), 0
    with Emulator(model=lambda _: "word " * 500) as long_output:
        for count, _ in enumerate(chat_at(long_output).stream(REQUEST)):
            if count % 100 == 99:
                most = max(most, count_chunks())

    assert count >= 500
    assert most - before < 50


_HOOK: ContextVar[Any] = ContextVar("hook", default=None)


@contextmanager
def _hook(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A handler that LangChain finds in a context variable."""
    monkeypatch.setattr("langchain_core.tracers.context._configure_hooks", [*_configure_hooks])
    register_configure_hook(_HOOK, inheritable=True)
    token = _HOOK.set(seen)
    yield {}
    _HOOK.reset(token)


@contextmanager
def _tracer(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A tracer of the surrounding code, as of `tracing_v2_enabled()`."""
    token = tracing_v2_callback_var.set(seen)  # type: ignore[arg-type]  # any handler
    yield {}
    tracing_v2_callback_var.reset(token)


@contextmanager
def _every_manager(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A package that adds its handler to each manager, as those of telemetry do."""
    construct = BaseCallbackManager.__init__

    def replaced(self: Any, *args: Any, **kwargs: Any) -> None:
        construct(self, *args, **kwargs)
        self.add_handler(seen, inherit=True)

    monkeypatch.setattr(BaseCallbackManager, "__init__", replaced)
    yield {}


@contextmanager
def _in_configure(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A package that adds its handler where LangChain configures managers."""
    configure = manager._configure

    def replaced(*args: Any, **kwargs: Any) -> Any:
        configured = configure(*args, **kwargs)
        configured.add_handler(seen)
        return configured

    monkeypatch.setattr(manager, "_configure", replaced)
    yield {}


@contextmanager
def _in_the_call(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    yield {"config": {"callbacks": [seen]}}


@contextmanager
def _in_a_manager(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    yield {"config": {"callbacks": CallbackManager([seen])}}


@contextmanager
def _of_the_model(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    yield {"fields": {"callbacks": [seen]}}


INSTALLATIONS = [_in_the_call, _in_a_manager, _of_the_model, _hook, _tracer, _every_manager, _in_configure]


@each_model
@each_method
@pytest.mark.parametrize("install", INSTALLATIONS)
def test_handlers_get_the_events(
    install: Any,
    method: Callable[..., list[Any]],
    model_at: Any,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    Wherever a handler comes from, it receives the events.
    """
    seen = Seen()
    with install(seen, monkeypatch) as given:
        method(model_at(emulator, **given.get("fields", {})), REQUEST, given.get("config"))

    assert ["start", "end"] == seen.names


@each_method
def test_the_context_of_token_usage_counts(method: Callable[..., list[Any]], emulator: Emulator) -> None:
    """
    LangChain's counter of tokens sees each call.
    """
    with get_usage_metadata_callback() as counter:
        method(chat_at(emulator), REQUEST)

    ((usage),) = counter.usage_metadata.values()
    assert usage["output_tokens"] > 0


def test_the_handlers_of_a_stream_are_found_when_it_starts(emulator: Emulator) -> None:
    """
    As with LangChain's own method, a handler counts that is there when the stream starts.
    """
    stream = chat_at(emulator).stream(REQUEST)
    with get_usage_metadata_callback() as counter:
        assert [*stream]

    assert counter.usage_metadata


@each_method
def test_debug_mode_prints(
    method: Callable[..., list[Any]], emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    LangChain's debug mode shows the run.
    """
    set_debug(True)
    try:
        method(chat_at(emulator), REQUEST)
    finally:
        set_debug(False)

    assert REQUEST in capsys.readouterr().out


@each_model
@pytest.mark.parametrize("method", [METHODS["invoke"], METHODS["ainvoke"]], ids=["invoke", "ainvoke"])
@pytest.mark.parametrize("scope", ["global", "model"])
def test_responses_are_cached(scope: str, method: Callable[..., list[Any]], model_at: Any, emulator: Emulator) -> None:
    """
    A second call sends no request.
    """
    cache = InMemoryCache()
    model = model_at(emulator, **({"cache": cache} if scope == "model" else {}))
    set_llm_cache(cache if scope == "global" else None)
    try:
        first, second = (method(model, REQUEST) for _ in range(2))
    finally:
        set_llm_cache(None)

    assert 1 == len(emulator.requests)
    assert [getattr(one, "text", one) for one in first] == [getattr(one, "text", one) for one in second]


@each_method
def test_rate_limits_are_kept(method: Callable[..., list[Any]], emulator: Emulator) -> None:
    """
    The limiter of a model is asked once for each call.
    """

    class Limiter(BaseRateLimiter):
        count = 0

        def acquire(self, *, blocking: bool = True) -> bool:
            self.count += 1
            return True

        async def aacquire(self, *, blocking: bool = True) -> bool:
            return self.acquire()

    limiter = Limiter()
    method(chat_at(emulator, rate_limiter=limiter), REQUEST)

    assert 1 == limiter.count


REPLACED = {
    "invoke": ("invoke", "generate", "_generate_with_cache", "generate_prompt", "_convert_input"),
    "ainvoke": ("ainvoke", "agenerate", "_agenerate_with_cache", "agenerate_prompt", "_convert_input"),
    "stream": ("stream", "_convert_input"),
    "astream": ("astream", "_convert_input"),
}

each_replaced = pytest.mark.parametrize(
    ("name", "replaced"), [(name, replaced) for name, names in REPLACED.items() for replaced in names]
)


class Wrapper:
    """Wraps a function as `wrapt` does: it has the attributes of the function."""

    def __init__(self, function: Any, calls: list[Any]) -> None:
        self._function, self._calls = function, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._calls.append(self._function.__name__)
        return self._function(*args, **kwargs)


def _wrap_function(function: Any, calls: list[Any]) -> Any:
    def method(*args: Any, **kwargs: Any) -> Any:
        calls.append(function.__name__)
        return function(*args, **kwargs)

    method.__wrapped__ = function  # type: ignore[attr-defined]
    return method


@each_model
@each_replaced
@pytest.mark.parametrize("wrap", [_wrap_function, Wrapper])
def test_a_replaced_method_is_called(
    wrap: Any, name: str, replaced: str, model_at: Any, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Packages trace calls in methods of LangChain's classes, which they replace.
    """
    base: Any = BaseChatModel if model_at is chat_at else BaseLLM
    replaced = replaced if model_at is chat_at else replaced.replace("_with_cache", "_helper")
    calls: list[Any] = []
    monkeypatch.setattr(base, replaced, wrap(vars(base)[replaced], calls))
    METHODS[name](model_at(emulator), REQUEST)

    assert [replaced] == calls


@pytest.mark.parametrize("wrap", [_wrap_function, Wrapper])
def test_a_method_that_was_replaced_before_is_noticed(wrap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A package may replace methods before this one is imported.
    """
    monkeypatch.setattr(BaseChatModel, "generate", wrap(vars(BaseChatModel)["generate"], []))
    methods = OriginalMethods(ChatModel, BaseChatModel, LEFT_OUT)

    assert not methods.are_used("invoke", ChatModel)
    assert methods.are_used("stream", ChatModel)


@pytest.mark.parametrize(
    "missing",
    ["BaseChatModel._generate_with_cache", "CallbackManagerForLLMRun.on_llm_end", "_normalize_messages"],
)
def test_another_version_of_langchain_may_lack_what_is_left_out(missing: str) -> None:
    """
    The package can be imported, and LangChain's own path is used.
    """
    owner, _, name = missing.rpartition(".")
    code = f"""
from langchain_core.callbacks.manager import CallbackManagerForLLMRun
from langchain_core.language_models import chat_models
from langchain_core.language_models.chat_models import BaseChatModel

delattr({owner or "chat_models"}, {name!r})
from langchain_mdstream import ChatOCIModelDeployment

chat = ChatOCIModelDeployment(endpoint="http://127.0.0.1/predict", auth_type="none")
print(chat._find_run_id("invoke", None, {{}}))
"""
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "None" == completed.stdout.strip()


@each_model
@each_replaced
def test_a_replaced_method_of_the_base_class_is_called(
    name: str, replaced: str, model_at: Any, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The same for the base classes of this package.
    """
    kind: Any = ChatModel if model_at is chat_at else CompletionModel
    replaced = replaced if model_at is chat_at else replaced.replace("_with_cache", "_helper")
    calls: list[Any] = []
    monkeypatch.setattr(kind, replaced, _wrap_function(getattr(kind, replaced), calls))
    METHODS[name](model_at(emulator), REQUEST)

    assert [replaced] == calls


@pytest.mark.parametrize("name", ["on_chat_model_start", "on_llm_end", "on_llm_new_token"])
def test_replaced_methods_of_managers_are_called(
    name: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A package may replace what reports to handlers.
    """
    kind: Any = CallbackManager if name == "on_chat_model_start" else CallbackManagerForLLMRun
    calls: list[Any] = []
    monkeypatch.setattr(kind, name, _wrap_function(vars(kind)[name], calls))
    assert [*chat_at(emulator).stream(REQUEST)]

    assert name in calls


#: Methods that a subclass overrides, for each call.
OVERRIDDEN = [
    *((name, one) for name, names in REPLACED.items() for one in names if one != name),
    *(("invoke", "_generate"), ("ainvoke", "_agenerate"), ("stream", "_stream"), ("astream", "_astream")),
]


@each_model
@pytest.mark.parametrize(("name", "overridden"), OVERRIDDEN)
def test_an_overridden_method_is_called(name: str, overridden: str, model_at: Any, emulator: Emulator) -> None:
    """
    Subclasses may override any of LangChain's methods; LangChain passes a run manager to `_generate`.
    """
    calls: list[Any] = []
    overridden = overridden if model_at is chat_at else overridden.replace("_with_cache", "_helper")

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs)
        return getattr(super(kind, self), overridden)(*args, **kwargs)

    def _generate(self: Any, *args: Any, run_manager: Any = None, **kwargs: Any) -> Any:
        assert run_manager is not None
        return method(self, *args, run_manager=run_manager, **kwargs)

    parent: Any = ChatOCIModelDeployment if model_at is chat_at else OCIModelDeploymentLLM
    function = _generate if overridden in {"_generate", "_agenerate"} else method
    kind = type("Mine", (parent,), {overridden: function, "__module__": __name__})
    METHODS[name](kind(endpoint=emulator.endpoint, auth_type="none"), REQUEST)

    assert 1 == len(calls)


@pytest.mark.parametrize(("name", "mixed"), [("stream", "stream"), ("invoke", "generate"), ("invoke", "invoke")])
def test_a_mixin_behind_the_model_is_called(name: str, mixed: str, emulator: Emulator) -> None:
    """
    `super()` of the model class finds it.
    """
    calls: list[Any] = []
    method = _wrap_function(vars(BaseChatModel)[mixed], calls)
    mixin = type("Mixin", (BaseChatModel,), {mixed: method, "__module__": __name__})
    kind = type("Mine", (ChatOCIModelDeployment, mixin), {"__module__": __name__})
    METHODS[name](kind(endpoint=emulator.endpoint, auth_type="none"), REQUEST)

    assert [mixed] == calls


@each_model
@each_method
@pytest.mark.parametrize(
    "arguments", [{"metadata": {"a": "b"}}, {"tags": ["a"]}, {"run_name": "a"}, {"run_id": "a"}, {"callbacks": []}]
)
def test_arguments_of_langchain_are_treated_as_with_a_handler(
    arguments: Any, method: Callable[..., list[Any]], model_at: Any, emulator: Emulator
) -> None:
    """
    LangChain rejects them in `invoke`, where they belong into the configuration.
    """
    outcomes = []
    for config in ({}, {"callbacks": [Seen()]}):
        try:
            method(model_at(emulator), REQUEST, config, **arguments)
        except TypeError as error:
            outcomes.append(str(error))
        else:
            outcomes.append("")

    assert outcomes[0] == outcomes[1]
    assert bool(outcomes[0]) == (method in {METHODS["invoke"], METHODS["ainvoke"]}) or "callbacks" in arguments


@pytest.mark.parametrize("method", [METHODS["invoke"], METHODS["ainvoke"]], ids=["invoke", "ainvoke"])
def test_a_run_id_of_another_type_is_rejected_as_by_langchain(
    method: Callable[..., list[Any]], emulator: Emulator
) -> None:
    """
    An id is a `UUID`.
    """
    with pytest.raises(ValidationError):
        method(chat_at(emulator), REQUEST, {"run_id": "abc"})


@each_method
def test_verbose_models_print(
    method: Callable[..., list[Any]], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A verbose model has LangChain's handler for the terminal.
    """
    seen = Seen()
    monkeypatch.setattr(manager, "StdOutCallbackHandler", lambda: seen)
    method(chat_at(emulator, verbose=True), REQUEST)

    assert ["start", "end"] == seen.names


@each_model
@pytest.mark.parametrize("method", [METHODS["invoke"], METHODS["ainvoke"]], ids=["invoke", "ainvoke"])
def test_a_cache_that_does_not_exist_is_an_error(
    method: Callable[..., list[Any]], model_at: Any, emulator: Emulator
) -> None:
    """
    `cache=True` requires LangChain's global cache.
    """
    with pytest.raises(ValueError, match="cache"):
        method(model_at(emulator, cache=True), REQUEST)


@each_method
@pytest.mark.parametrize("wrong", [None, 1, {"a": 1}, [1], [("user",)], [("nobody", "a")]], ids=repr)
def test_inputs_are_rejected_as_with_a_handler(
    wrong: Any, method: Callable[..., list[Any]], emulator: Emulator
) -> None:
    """
    The error is LangChain's.
    """
    errors = []
    for callbacks in ([], [Seen()]):
        with pytest.raises((ValueError, NotImplementedError)) as caught:
            method(chat_at(emulator), wrong, {"callbacks": callbacks})
        errors.append((type(caught.value), str(caught.value)))

    assert errors[0] == errors[1]


def test_bound_tools_and_schemas_are_short_as_well(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A model with bound tools, as in agents, has no handler either.
    """
    _forbid_langchain(monkeypatch)
    message = chat_at(emulator).bind_tools([get_weather]).invoke(REQUEST)

    assert isinstance(message, AIMessage)
    assert message.tool_calls or message.text
