"""Containers that take another form than OpenAI's chat: found out, or named in the error with what to set."""

import json
import warnings
from typing import Any

import pytest
from _json_server import FIELDS, responding
from _langchain_platforms import CHAT
from _platforms import emulator, shared_emulator

import langchain_mdstream as lc
import llamaindex_mdstream as li
from mdstream_core._hints import add_hint
from mdstream_core.dialects import Auto, dialect
from mdstream_core.emulator import Emulator
from mdstream_core.errors import AuthenticationError, ContextOverflow, InvalidRequest, MDStreamError, ServerError

__all__ = ["emulator", "shared_emulator"]  # fixtures

STATES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]

#: How servers report that there is no chat template, and the format of the second request.
TEMPLATES: dict[str, str] = {
    "Template error: template not found": "inputs",
    "Cannot use chat template functions because tokenizer.chat_template is not set and no template argument was passed!": "prompt",
    "Cannot use apply_chat_template() because tokenizer.chat_template is not set": "prompt",
    "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template if the "
    "tokenizer does not define one.": "prompt",
    "This model does not support chat: no chat template": "prompt",
}


@pytest.mark.parametrize(("words", "form"), TEMPLATES.items(), ids=[words[:30] for words in TEMPLATES])
def test_a_model_without_a_chat_template_receives_plain_text(words: str, form: str) -> None:
    """Once, with a warning, in the form that the server takes."""
    requested = Auto().build_payload({"messages": STATES, "max_tokens": 3, "model": "m"}, stream=False)
    with pytest.warns(RuntimeWarning, match="the model has no chat template"):
        again = Auto().relax_payload(requested, InvalidRequest(words))

    assert again is not None
    assert "Be brief.\n\nUser: Hi\n\nAssistant:" == again[form]
    assert "messages" not in again
    assert None is Auto().relax_payload(again, InvalidRequest(words))


def template_error(body: dict[str, Any]) -> tuple[int, Any]:
    """TGI with a base model."""
    if "messages" in body:
        return 422, {"error": "Template error: template not found", "error_type": "template_error"}
    if "prompt" in body:
        return 200, {"choices": [{"index": 0, "text": "ok", "finish_reason": "stop"}]}
    return 200, [{"generated_text": "ok", "details": {"finish_reason": "length", "generated_tokens": 1}}]


def no_template(body: dict[str, Any]) -> tuple[int, Any]:
    """vLLM with a base model."""
    if "prompt" in body:
        return 200, {"choices": [{"index": 0, "text": "ok", "finish_reason": "stop"}]}
    text = "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template"
    return 400, {"error": {"message": text, "type": "BadRequestError", "code": 400}}


def as_model_error(respond: Any) -> Any:
    """Behind SageMaker, which wraps a container's errors."""

    def wrapped(body: dict[str, Any]) -> tuple[int, Any]:
        status, document = respond(body)
        if status < 400:
            return status, document
        return 424, {"Message": "…", "OriginalMessage": json.dumps(document), "OriginalStatusCode": status}

    return wrapped


_LLAMAINDEX: dict[str, Any] = {"OCI": li.OCIDataScience, "SageMaker": li.SageMakerLLM, "ModelArts": li.ModelArts}
_COMPLETIONS: dict[str, Any] = {
    "OCI": lc.OCIModelDeploymentLLM,
    "SageMaker": lc.SagemakerEndpoint,
    "ModelArts": lc.ModelArtsLLM,
}
_KINDS = {"OCI": "oci-model-deployment", "SageMaker": "sagemaker", "ModelArts": "modelarts"}


@pytest.mark.parametrize("server_is", [template_error, no_template])
@pytest.mark.filterwarnings("ignore:the model has no chat template")
async def test_sagemaker_is_retried(server_is: Any) -> None:
    """Both frameworks, sync and async."""
    with responding(as_model_error(server_is)) as server:
        chat = lc.ChatSagemakerEndpoint(**FIELDS["SageMaker"](server))
        assert "ok" == chat.invoke("Q").text == (await chat.ainvoke("Q")).text
        llm = li.SageMakerLLM(**FIELDS["SageMaker"](server))
        assert "ok" == llm.complete("Q").text == (await llm.acomplete("Q")).text


@pytest.mark.parametrize("server_is", [template_error, no_template])
@pytest.mark.parametrize("platform", ["OCI", "ModelArts"])
async def test_other_platforms_have_a_hint(platform: str, server_is: Any) -> None:
    """Their routes are of one form. What the hint names works."""
    with responding(server_is) as server:
        fields = FIELDS[platform](server)
        chat = CHAT[_KINDS[platform]](**fields)
        llm = _LLAMAINDEX[platform](**fields)
        for send_request in (lambda: chat.invoke("Q"), lambda: llm.complete("Q")):
            with pytest.raises(InvalidRequest, match=r"is_chat_model=False in LlamaIndex.*OCIModelDeploymentLLM"):
                send_request()
        with pytest.raises(InvalidRequest, match=r"is_chat_model=False in LlamaIndex.*OCIModelDeploymentLLM"):
            await chat.ainvoke("Q")
        with pytest.raises(InvalidRequest, match=r"is_chat_model=False in LlamaIndex.*OCIModelDeploymentLLM"):
            await llm.acomplete("Q")
        assert "ok" == _COMPLETIONS[platform](**fields).invoke("Q")
        assert "ok" == _LLAMAINDEX[platform](**fields, is_chat_model=False).complete("Q").text


def jumpstart(emulator: Emulator) -> dict[str, Any]:
    """JumpStart's Llama 2 of the emulator."""
    return {
        "endpoint_name": "jumpstart-llama",
        "region_name": emulator.sagemaker.region_name,
        "endpoint_url": emulator.sagemaker.endpoint_url,
        "auth_type": "none",
        "custom_attributes": "accept_eula=true",
        "max_retries": 0,
    }


@pytest.fixture
def unsigned() -> Any:
    """An emulator that accepts unsigned requests."""
    with Emulator() as emulator:
        yield emulator


@pytest.mark.filterwarnings("ignore:the container takes")
async def test_jumpstarts_llama_is_detected(unsigned: Emulator) -> None:
    """Whole and streamed, both frameworks, sync and async; the dialogue arrives as it was."""
    chat = lc.ChatSagemakerEndpoint(**jumpstart(unsigned))
    messages = [("system", "Be brief."), ("human", "Name three rivers.")]
    content = [chat.invoke(messages).text, (await chat.ainvoke(messages)).text]
    content.append("".join([part.text for part in chat.stream(messages)]))
    content.append("".join([part.text async for part in chat.astream(messages)]))
    llm = li.SageMakerLLM(**jumpstart(unsigned))
    content += [llm.complete("Name three rivers.").text, (await llm.acomplete("Name three rivers.")).text]
    content.append([part.text for part in llm.stream_complete("Name three rivers.")][-1])

    assert {True} == {"Nile" in text for text in content}
    dialogues = [
        request.json["inputs"] for request in unsigned.requests if isinstance(request.json.get("inputs"), list)
    ]
    roles = [[message["role"] for message in dialogue] for (dialogue,) in dialogues]
    assert [["system", "user"]] * 4 + [["user"]] * 3 == roles


def test_jumpstarts_llama_emits_a_warning(unsigned: Emulator) -> None:
    """It names the dialect that spares two requests; with it there is one, and no warning."""
    chat = lc.ChatSagemakerEndpoint(**jumpstart(unsigned))
    with pytest.warns(RuntimeWarning, match="dialect='jumpstart-llama'"):
        chat.invoke("Name three rivers.")
    assert 3 == len(unsigned.requests)
    unsigned.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lc.ChatSagemakerEndpoint(**jumpstart(unsigned), dialect="jumpstart-llama").invoke("Name three rivers.")
    assert 1 == len(unsigned.requests)


@pytest.mark.parametrize("name", ["tgi", "lmi"])
async def test_another_dialect_has_a_hint(unsigned: Emulator, name: str) -> None:
    """The container's message alone would not help."""
    chat = lc.ChatSagemakerEndpoint(**jumpstart(unsigned), dialect=name)
    llm = li.SageMakerLLM(**jumpstart(unsigned), dialect=name)
    for send_request in (lambda: chat.invoke("Hi"), lambda: list(chat.stream("Hi")), lambda: llm.complete("Hi")):
        with pytest.raises(ServerError, match="set dialect='jumpstart-llama'"):
            send_request()
    with pytest.raises(ServerError, match="set dialect='jumpstart-llama'"):
        await chat.ainvoke("Hi")


#: (dialect, error, what the hint names)
HINTS: dict[str, tuple[str, MDStreamError, str]] = {
    "inputs, OCI": ("openai-chat", InvalidRequest("422: missing field `inputs`"), "dialect='auto'"),
    "inputs, completions": ("openai-completions", InvalidRequest("the key `inputs` is required"), "'jumpstart-llama'"),
    "inputs, embeddings": ("openai-embeddings", InvalidRequest("missing field `inputs`"), "'tei-embeddings'"),
    "text_inputs": ("tei-embeddings", ServerError("KeyError: 'text_inputs'"), "'jumpstart-embeddings'"),
    "text_inputs, openai": ("openai-embeddings", InvalidRequest("text_inputs is required"), "'jumpstart-embeddings'"),
    "in the raw body": (
        "openai-chat",
        InvalidRequest("422", raw="Template error: template not found"),
        "is_chat_model=False",
    ),
}


@pytest.mark.parametrize(("name", "error", "words"), HINTS.values(), ids=HINTS)
def test_hints(name: str, error: MDStreamError, words: str) -> None:
    """They name the option to set, and the error is otherwise unchanged."""
    kind, content = type(error), str(error)
    hinted = add_hint(error, name)

    assert hinted is error
    assert kind is type(hinted)
    assert str(hinted).startswith(f"{content} (hint: ")
    assert words in str(hinted)
    assert dialect(name).name == name


#: What gets no hint.
NONE: dict[str, tuple[str, MDStreamError]] = {
    "its own dialect": ("jumpstart-llama", ServerError("string indices must be integers")),
    "Python's words from a chat": ("openai-chat", ServerError("string indices must be integers")),
    "too long": ("openai-chat", ContextOverflow("`inputs` must have less than 10 tokens, which is required")),
    "a key": ("openai-chat", AuthenticationError("the key `inputs` is missing")),
    "completions": ("openai-completions", InvalidRequest("Template error: template not found")),
    "something else": ("auto", InvalidRequest("temperature must be positive")),
    "a template that is broken": ("openai-chat", InvalidRequest("Template error: undefined value (in template:3)")),
}


@pytest.mark.parametrize(("name", "error"), NONE.values(), ids=NONE)
def test_no_hint(name: str, error: MDStreamError) -> None:
    """A wrong hint is worse than none."""
    before = str(error)

    assert before == str(add_hint(error, name))


#: name: (the request, the error): what is not asked in another form.
UNCHANGED: dict[str, tuple[dict[str, Any], MDStreamError]] = {
    "tools": (
        {"messages": STATES, "tools": [{"type": "function"}]},
        InvalidRequest("Template error: template not found"),
    ),
    "pictures": (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        InvalidRequest("no chat template"),
    ),
    "a prompt": ({"prompt": "Hi"}, InvalidRequest("no chat template")),
    "another text": ({"inputs": "Hi"}, ServerError("string indices must be integers")),
}


@pytest.mark.parametrize(("messages", "error"), UNCHANGED.values(), ids=UNCHANGED)
def test_other_errors_are_raised_unchanged(messages: dict[str, Any], error: MDStreamError) -> None:
    """The first error is raised, and nothing is warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert None is Auto().relax_payload(Auto().build_payload(messages, stream=False), error)
