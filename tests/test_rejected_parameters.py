"""Parameters that a server rejects: left out once, with a warning, and remembered; in every dialect and both frameworks."""

import json
import threading
import warnings
from typing import Any

import pytest
from _both_frameworks import HI, METHODS, PLATFORMS, completion, langchain, llamaindex, response, scripted
from _raw_server import RawServer, Script, serving
from langchain_core.tools import tool
from llama_index.core.tools import FunctionTool

from mdstream_core import OCIModelDeployment, Retry, Service
from mdstream_core.dialects import LMI, TGI, Auto, OpenAIChat, OpenAICompletions, TextParsingDialect, dialect
from mdstream_core.dialects._openai_families import find_family
from mdstream_core.errors import (
    ContentFiltered,
    ContextOverflow,
    InvalidRequest,
    MDStreamError,
    ServerError,
    StreamFailure,
)

BODY: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Hi"}], "model": "m", "temperature": 0.1, "top_p": 0.5, "max_tokens": 5,
    "parallel_tool_calls": False, "tool_choice": "auto", "tools": [{"type": "function"}], "logprobs": True,
    "top_logprobs": 2, "seed": 7, "user": "u", "n": 1, "stop": ["x"], "response_format": {"type": "json_object"},
    "stream": True, "stream_options": {"include_usage": True},
}  # fmt: skip


def openai(message: str, param: str | None = None, code: Any = "unsupported_parameter") -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def forbidden(*names: str) -> list[dict[str, Any]]:
    return [
        {"type": "extra_forbidden", "loc": ["body", *names], "msg": "Extra inputs are not permitted", "input": True}
    ]


VLLM = "1 validation error:\n  {'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not permitted', 'input': 7}"  # fmt: skip

#: name: (the refusal's body, what is left out)
REFUSED: dict[str, tuple[Any, set[str]]] = {
    "OpenAI": (openai("Unsupported parameter: 'parallel_tool_calls' is not supported with this model.", "parallel_tool_calls"), {"parallel_tool_calls"}),
    "OpenAI, a value": (openai("Unsupported value: 'temperature' does not support 0.1 with this model. Only the default (1) value is supported.", "temperature", "unsupported_value"), {"temperature"}),
    "without param": (openai("Unsupported parameter: 'top_p' is not supported with this model."), {"top_p"}),
    "Azure": (openai("Unrecognized request argument supplied: parallel_tool_calls", None, None), {"parallel_tool_calls"}),
    "OpenAI, unknown": (openai("Unknown parameter: 'seed'.", "seed", "unknown_parameter"), {"seed"}),
    "below": (openai("Unknown parameter: 'stream_options.include_usage'.", "stream_options.include_usage", "unknown_parameter"), {"stream_options"}),
    "FastAPI": ({"detail": forbidden("parallel_tool_calls")}, {"parallel_tool_calls"}),
    "vLLM": ({"object": "error", "message": str(forbidden("seed")), "type": "BadRequestError", "param": None, "code": 400}, {"seed"}),
    "vLLM 0.32": ({"error": {"message": VLLM, "type": "Bad Request", "param": "body.seed", "code": 400}}, {"seed"}),
    "pydantic 1": ({"detail": "body -> top_p\n  extra fields not permitted (type=value_error.extra)"}, {"top_p"}),
    "serde": ({"error": "unknown field `parallel_tool_calls`, expected one of `model`, `messages`, `temperature`", "error_type": "validation"}, {"parallel_tool_calls"}),
    "Go": ({"error": 'json: unknown field "seed"'}, {"seed"}),
    "LiteLLM": (openai("litellm.UnsupportedParamsError: openai does not support parameters: ['parallel_tool_calls'], for model=o3", None, "400"), {"parallel_tool_calls"}),
    "LiteLLM, a value": (openai("gpt-5 models don't support temperature=0.1. Only temperature=1 is supported.", None, None), {"temperature"}),
    "logprobs, and what goes with them": (openai("logprobs is not supported with this model", "logprobs"), {"logprobs", "top_logprobs"}),
    "of tools": (openai("'tool_choice' is not supported with this model.", "tool_choice"), {"tool_choice"}),
    "one answer": (openai("n is not supported", "n"), {"n"}),
    "a user": (openai("Extra inputs are not permitted, field: 'user'"), {"user"}),
    "text": ("parallel_tool_calls is not supported", {"parallel_tool_calls"}),
    "through OCI": ({"code": "400", "message": json.dumps(openai("no", "temperature", "unsupported_value"))}, {"temperature"}),
    "through ModelArts": ({"error_code": "ModelArts.81001", "error_msg": json.dumps({"detail": forbidden("top_p")})}, {"top_p"}),
    "through SageMaker": ({"Message": "x", "OriginalStatusCode": 400, "OriginalMessage": json.dumps(openai("Unknown parameter: 'seed'.", "seed"))}, {"seed"}),
}  # fmt: skip


def refusal(body: Any, kind: type[MDStreamError] = InvalidRequest, **facts: Any) -> MDStreamError:
    raw = body if isinstance(body, str) else json.dumps(body)
    return kind(f"400: {raw}", **{"status": 400, "raw": raw, **facts})


@pytest.mark.parametrize("uses", [OpenAIChat(), Auto(), TextParsingDialect(OpenAIChat(), tool_calls="hermes")], ids=["chat", "auto", "markup"])  # fmt: skip
@pytest.mark.parametrize(("body", "gone"), REFUSED.values(), ids=REFUSED)
def test_a_rejected_parameter_is_dropped_with_a_warning(uses: Any, body: Any, gone: set[str]) -> None:
    """
    However the server names it, and whatever envelope its words come in.
    """
    with pytest.warns(RuntimeWarning, match="the model rejects"):
        simpler = uses.relax_payload(BODY, refusal(body))

    assert gone == BODY.keys() - simpler.keys()
    assert simpler == {name: value for name, value in BODY.items() if name not in gone}


RENAMED = {
    "OpenAI": openai("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "max_tokens"),
    "without param": openai("Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."),
    "FastAPI": {"detail": forbidden("max_tokens")},
    "plain": openai("max_tokens is not supported; use max_completion_tokens, the maximum number of tokens", None, None),
}  # fmt: skip


@pytest.mark.parametrize("body", RENAMED.values(), ids=RENAMED)
def test_a_token_limit_is_renamed(body: Any) -> None:
    """
    It is never left out: each token is paid. Old servers know only the old name.
    """
    with pytest.warns(RuntimeWarning, match="max_completion_tokens"):
        simpler = OpenAIChat().relax_payload(BODY, refusal(body))
    assert simpler is not None
    assert (5, False) == (simpler["max_completion_tokens"], "max_tokens" in simpler)
    with pytest.warns(RuntimeWarning, match="max_tokens"):
        old = OpenAIChat().relax_payload(dict(simpler), refusal({"detail": forbidden("max_completion_tokens")}))
    assert old is not None
    assert (5, False) == (old["max_tokens"], "max_completion_tokens" in old)
    assert OpenAIChat().relax_payload(simpler, refusal({"detail": forbidden("max_completion_tokens")})) is None


KEPT: dict[str, tuple[dict[str, Any], MDStreamError]] = {
    "a schema": ({}, refusal(openai("'response_format' is not supported", "response_format"))),
    "tools": ({}, refusal(openai("tools is not supported", "tools"))),
    "stop": ({}, refusal(openai("'stop' is not supported with this model", "stop"))),
    "messages": ({}, refusal({"detail": forbidden("messages")})),
    "a forced tool": ({"tool_choice": "required"}, refusal(openai("tool_choice is not supported", "tool_choice"))),
    "a named tool": ({"tool_choice": {"type": "function"}}, refusal(openai("tool_choice is not supported", "tool_choice"))),
    "no tool": ({"tool_choice": "none"}, refusal(openai("tool_choice is not supported", "tool_choice"))),
    "several answers": ({"n": 3}, refusal(openai("n is not supported", "n"))),
    "a number out of range": ({}, refusal(openai("temperature must be non-negative, got -1.0", "temperature", 400))),
    "a parameter that was not sent": ({}, refusal(openai("Unknown parameter: 'min_p'", "min_p"))),
    "a name of nobody's": ({}, refusal({"error": "unknown field `colour`, expected one of `temperature`, `top_p`"})),
    "a word of the message": ({}, refusal(openai("unknown user, and the seed of doubt", None, "unknown"))),
    "too long": ({}, refusal(openai("temperature is not supported", "temperature"), ContextOverflow)),
    "not decent": ({}, refusal(openai("temperature is not supported", "temperature"), ContentFiltered)),
    "a failure": ({}, refusal(openai("temperature is not supported", "temperature"), ServerError, status=500)),
    "a missing field, and all that was sent": ({}, refusal({"detail": [{"type": "missing", "loc": ["body", "x"], "msg": "Field required", "input": BODY}]})),
    "our own advice": ({}, InvalidRequest("400: temperature? (a field is unknown or misspelled)", raw=json.dumps({"code": "CannotParseRequest", "message": "temperature?"}))),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "error"), KEPT.values(), ids=KEPT)
def test_required_parameters_are_never_dropped(fields: dict[str, Any], error: MDStreamError) -> None:
    """
    Nor is what was not rejected.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert OpenAIChat().relax_payload({**BODY, **fields}, error) is None


@pytest.mark.parametrize(("kind", "status"), [(ServerError, 424), (StreamFailure, 400), (StreamFailure, 422), (InvalidRequest, 422)])  # fmt: skip
@pytest.mark.filterwarnings("ignore:the model rejects")
def test_a_rejection_may_have_another_error_class(kind: type[MDStreamError], status: int) -> None:
    """DJL returns 424 for everything, and some servers return 200 before they validate."""
    error = refusal(openai("Unknown parameter: 'seed'.", "seed"), kind, status=status)
    simpler = OpenAIChat().relax_payload(BODY, error)

    assert simpler is not None
    assert "seed" not in simpler


@pytest.mark.parametrize("uses", [TGI(), LMI(), Auto()], ids=["tgi", "lmi", "auto"])
def test_parameters_of_native_formats_are_dropped(uses: Any) -> None:
    """They are nested in `parameters`."""
    body = {"inputs": "Hi", "parameters": {"temperature": 0.1, "seed": 7, "max_new_tokens": 5}, "stream": True}
    with pytest.warns(RuntimeWarning, match="seed=7"):
        simpler = uses.relax_payload(body, refusal({"error": "unknown field `seed`, expected `temperature`"}))

    assert {**body, "parameters": {"temperature": 0.1, "max_new_tokens": 5}} == simpler
    assert uses.relax_payload(body, refusal({"error": "unknown field `max_new_tokens`"})) is None


#: model: (the name of its limit, what of BODY it is known to reject)
_SAMPLING = {"temperature", "top_p", "logprobs", "top_logprobs"}
FAMILIES = {
    "o1": ("max_completion_tokens", {*_SAMPLING, "parallel_tool_calls"}),
    "o1-preview": ("max_completion_tokens", {*_SAMPLING, "parallel_tool_calls"}),
    "openai.o3": ("max_completion_tokens", _SAMPLING),
    "openai/o3-mini": ("max_completion_tokens", {*_SAMPLING, "parallel_tool_calls"}),
    "o4-mini-2025-04-16": ("max_completion_tokens", {*_SAMPLING, "parallel_tool_calls"}),
    "openai.gpt-5": ("max_completion_tokens", _SAMPLING),
    "azure/gpt-5-mini": ("max_completion_tokens", _SAMPLING),
    "gpt-5.1": ("max_completion_tokens", set()),
    "gpt-5-chat-latest": ("max_tokens", set()),
    "openai.gpt-oss-120b": ("max_tokens", set()),
    "AIDC-AI/Marco-o1": ("max_tokens", set()),
    "meta.llama-3.3-70b-instruct": ("max_tokens", set()),
    "": ("max_tokens", set()),
}


@pytest.mark.parametrize(("model", "limit", "gone"), [(model, *facts) for model, facts in FAMILIES.items()])
@pytest.mark.filterwarnings("ignore:the model")
def test_known_families_are_not_sent_what_they_reject(model: str, limit: str, gone: set[str]) -> None:
    """
    A model that reasons has no sampling to set, and counts its thoughts among its tokens.
    """
    params = {name: value for name, value in BODY.items() if name != "stream"}
    body = OpenAIChat().build_payload({**params, "model": model}, stream=True)

    assert limit == find_family(model).max_tokens_name
    assert 5 == body[limit]
    assert gone == BODY.keys() - body.keys() - {"max_tokens"}
    assert (
        1 == OpenAIChat().build_payload({"messages": [], "model": model, "temperature": 1}, stream=False)["temperature"]
    )


def test_dropping_a_parameter_for_a_known_family_emits_a_warning() -> None:
    """
    A warning names it; a completion has no families.
    """
    with pytest.warns(RuntimeWarning, match=r"the model o3 does not accept temperature=0\.1: not sent"):
        OpenAIChat().build_payload({"messages": [], "model": "o3", "temperature": 0.1}, stream=False)
    requested = {"prompt": "Hi", "model": "o3", "temperature": 0.1, "max_tokens": 5}
    assert requested == OpenAICompletions().build_payload(requested, stream=False)


def refusing(*names: str) -> Script:
    """A script of a server that rejects these parameters, one at a time, as its envelope has it."""

    def respond(body: dict[str, Any]) -> bytes:
        name = next((name for name in names if name in body), None)
        if name is None:
            return completion(body)
        return response(400, json.dumps(openai(f"Unsupported parameter: '{name}' is not supported.", name)).encode())

    return scripted(respond)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("call_method", METHODS)
@pytest.mark.filterwarnings("ignore:the model rejects", "ignore:this http_client")
def test_a_model_object_remembers_rejected_parameters(platform: str, call_method: str) -> None:
    """Two rejections and a response, then a response at once. Another object of the class starts without memory."""
    model, send_request, _ = METHODS[call_method]
    fields = {"temperature": 0.1, "extra_body": {"seed": 7}}
    with serving(refusing("seed", "temperature")) as server:
        requested = model(platform, server, **fields)
        send_request(requested)
        assert len(server.notes) == 3
        send_request(requested)
        assert len(server.notes) == 4
        send_request(model(platform, server, **fields))
        assert len(server.notes) == 7
    assert not {"seed", "temperature"} & server.notes[3].keys()  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:the model rejects")
def test_another_model_name_starts_without_memory() -> None:
    """One object may use several models, which reject different parameters."""
    with serving(refusing("seed")) as server:
        chat = langchain("oci-model-deployment", server, model="a", model_kwargs={"seed": 7})
        for name in ("a", "a", "b", "b", "a"):
            chat.invoke("Hello", model=name)

    assert ["a", "a", "a", "b", "b", "b", "a"] == [body["model"] for body in server.notes]  # type: ignore[index]


@pytest.mark.filterwarnings("ignore:the model rejects")
def test_threads_share_the_memory() -> None:
    """Each thread may be rejected once at the start; none later."""
    with serving(refusing("seed", "temperature", "parallel_tool_calls")) as server:
        fields = {"temperature": 0.1, "additional_kwargs": {"seed": 7, "parallel_tool_calls": True}}
        llm = llamaindex("oci-model-deployment", server, **fields)
        threads = [threading.Thread(target=llm.chat, args=(HI,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        before = len(server.notes)
        llm.chat(HI)
        assert len(server.notes) == before + 1


@pytest.mark.filterwarnings("ignore:the model rejects")
def test_a_required_value_is_not_dropped_because_another_was() -> None:
    """
    `tool_choice="auto"` is what a server does anyway; a tool that must be called is another request.
    """
    with serving(refusing("tool_choice")) as server:
        service = Service(OCIModelDeployment(f"{server.url}/ocid1.x"), retry=Retry(0), trust_env=False)

        def send_request(**fields: Any) -> None:
            service.client.complete(service.call(OpenAIChat(), {"messages": [], **fields}, stream=False))

        send_request(tool_choice="auto")
        send_request(tool_choice="auto")
        assert len(server.notes) == 3
        with pytest.raises(InvalidRequest):
            send_request(tool_choice="required")
        service.close()
    assert server.notes[-1]["tool_choice"] == "required"  # type: ignore[index]


@pytest.mark.filterwarnings("ignore:the model rejects")
def test_both_names_of_a_token_limit_are_tried_once() -> None:
    """
    There is no way back within one call.
    """
    with serving(refusing("max_tokens", "max_completion_tokens")) as server, pytest.raises(InvalidRequest):
        langchain("oci-model-deployment", server, max_tokens=5).invoke("Hello")
    assert len(server.notes) == 2


@pytest.mark.filterwarnings("ignore:the model rejects")
def test_a_renamed_limit_and_a_nested_parameter_are_remembered() -> None:
    """
    With the value of each call.
    """

    def refuse(body: dict[str, Any]) -> bytes:
        if "max_tokens" in body or "seed" in body.get("parameters", {}):
            name = "max_tokens" if "max_tokens" in body else "seed"
            return response(400, json.dumps({"error": f"unknown field `{name}`"}).encode())
        if "inputs" in body:
            return response(
                200, b'[{"generated_text": "Hi", "details": {"finish_reason": "length", "generated_tokens": 1}}]'
            )
        return completion(body)

    with serving(scripted(refuse)) as server:
        service = Service(OCIModelDeployment(f"{server.url}/ocid1.x"), retry=Retry(0), trust_env=False)
        for limit in (5, 6):
            requested = {"messages": [], "max_tokens": limit}
            service.client.complete(service.call(OpenAIChat(), requested, stream=False))
        for _ in range(2):
            service.client.complete(service.call(TGI(), {"prompt": "Hi", "seed": 7}, stream=False))
        service.close()

    assert [None, 5, 6] == [body.get("max_completion_tokens") for body in server.notes[:3]]  # type: ignore[attr-defined]
    assert [True, False, False] == ["seed" in body["parameters"] for body in server.notes[3:]]  # type: ignore[index]


@pytest.mark.filterwarnings("ignore:the model rejects")
def test_oci_formats_remember_rejected_parameters() -> None:
    """
    GENERIC: the refusal is a text inside of a text.
    """

    def respond(body: dict[str, Any]) -> bytes:
        requested = body["chatRequest"]
        if "isParallelToolCalls" in requested:
            inner = openai("no", "parallel_tool_calls", "unsupported_parameter")
            return response(400, json.dumps({"code": "400", "message": json.dumps(inner)}).encode())
        content = {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": "Hi"}]}
        choice = {"index": 0, "message": content, "finishReason": "stop"}
        whole = {"modelId": "m", "chatResponse": {"apiFormat": "GENERIC", "choices": [choice]}}
        return response(200, json.dumps(whole).encode())

    with serving(scripted(respond)) as server:
        chat = langchain("oci-genai", server, dialect="oci-generic", model_kwargs={"parallel_tool_calls": False})
        chat.invoke("Hello")
        chat.invoke("Hello")
    assert len(server.notes) == 3


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def _bound(server: RawServer, **fields: Any) -> None:
    langchain("oci-model-deployment", server, **fields).bind_tools([add], parallel_tool_calls=False).invoke("2+3?")


def _structured(server: RawServer, **fields: Any) -> None:
    model = langchain("oci-model-deployment", server, **fields)
    schema = {"title": "A", "type": "object", "properties": {}}
    model.with_structured_output(schema, method="function_calling", include_raw=True).invoke("?")  # "Hi" is no call


def _with_tools(server: RawServer, **fields: Any) -> None:
    tools = [FunctionTool.from_defaults(add.func, name="add")]
    llamaindex("oci-model-deployment", server, **fields).chat_with_tools(tools, "2+3?", allow_parallel_tool_calls=False)


#: name: (a call that sets parallel_tool_calls, the fields whose None removes it)
UNSAID: dict[str, tuple[Any, dict[str, Any]]] = {
    "bind_tools, model_kwargs": (_bound, {"model_kwargs": {"parallel_tool_calls": None}}),
    "bind_tools, extra_body": (_bound, {"extra_body": {"parallel_tool_calls": None}}),
    "structured, model_kwargs": (_structured, {"model_kwargs": {"parallel_tool_calls": None}}),
    "structured, extra_body": (_structured, {"extra_body": {"parallel_tool_calls": None}}),
    "chat_with_tools, additional_kwargs": (_with_tools, {"additional_kwargs": {"parallel_tool_calls": None}}),
    "chat_with_tools, extra_body": (_with_tools, {"extra_body": {"parallel_tool_calls": None}}),
}


@pytest.mark.parametrize(("send_request", "fields"), UNSAID.values(), ids=UNSAID)
def test_none_disables_a_parameter(send_request: Any, fields: dict[str, Any]) -> None:
    """Also one that agents and structured output set in each call."""
    with serving(refusing()) as server:
        send_request(server)
        assert server.notes[-1]["parallel_tool_calls"] is False  # type: ignore[index]
        send_request(server, **fields)
    assert "parallel_tool_calls" not in server.notes[-1]  # type: ignore[operator]


def test_none_disables_tool_choice_and_stream_options() -> None:
    """A forced tool choice is sent nevertheless."""
    with serving(refusing()) as server:
        spared = {"additional_kwargs": {"tool_choice": None, "stream_options": None}}
        tools = [FunctionTool.from_defaults(add.func, name="add")]
        llm = llamaindex("oci-model-deployment", server, **spared)
        list(llm.stream_chat_with_tools(tools, "2+3?"))
        llm.chat_with_tools(tools, "2+3?", tool_required=True)
        list(langchain("oci-model-deployment", server, extra_body={"stream_options": None}).stream("Hello"))

    assert ["tool_choice" in body for body in server.notes] == [False, True, False]  # type: ignore[operator]
    assert not any("stream_options" in body for body in server.notes)  # type: ignore[operator]
    assert {"isStream": True} == {
        name: value
        for name, value in dialect("oci-generic")
        .build_payload({"messages": [], "stream_options": None}, stream=True)
        .items()
        if "tream" in name
    }
