"""LangChain models on every platform: whole responses, tools, usage, and failed streams."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from _langchain_platforms import chat_at, each_platform, emulator, shared_emulator
from _platforms import AWS, MATRIX, PLATFORM_CASES, PlatformCase
from _stream_endings import OUTPUT, REQUEST, Ending
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelError
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel, Field, ValidationError

from langchain_mdstream import (
    ChatModelArts,
    ChatOCIGenAI,
    ChatSagemakerEndpoint,
    ModelArtsLLM,
    OCIGenAI,
    OCIModelDeploymentLLM,
    SagemakerEndpoint,
)
from mdstream_core import MDStreamError
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import ServiceError, StreamInterrupted

__all__ = ["emulator", "shared_emulator"]  # fixtures


class Seen(BaseCallbackHandler):
    """Callback handler that records errors."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.ends = 0

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        """Record the error."""
        self.errors.append(error)

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        """Count the call."""
        self.ends += 1


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"It is sunny in {city}."


@each_platform
async def test_whole_responses(emulator: Emulator, platform_case: PlatformCase) -> None:
    """The same text, usage, finish reason and model, streamed and not, sync and async."""
    chat = chat_at(platform_case, emulator)
    first, *rest = chat.stream(REQUEST)
    streamed = first + rest
    whole = chat.invoke(REQUEST)
    again = "".join([chunk.text async for chunk in chat.astream(REQUEST)])

    assert OUTPUT == streamed.text == whole.text == again == (await chat.ainvoke(REQUEST)).text
    assert whole.usage_metadata["output_tokens"] > 0
    assert whole.usage_metadata["output_tokens"] == streamed.usage_metadata["output_tokens"]
    assert "stop" == streamed.response_metadata["finish_reason"] == whole.response_metadata["finish_reason"]
    assert streamed.response_metadata["model_name"]


@each_platform
async def test_agents_call_tools(emulator: Emulator, platform_case: PlatformCase) -> None:
    """A LangGraph agent calls a tool while streaming, sync and async."""
    inputs: Any = {"messages": [HumanMessage("What is the weather in Paris?")]}
    agent = create_agent(chat_at(platform_case, emulator, streaming=True), [get_weather])

    for state in (agent.invoke(inputs), await agent.ainvoke(inputs)):
        assert ["human", "ai", "tool", "ai"] == [message.type for message in state["messages"]]
        assert "sunny in Paris" in state["messages"][-1].text


@each_platform
def test_structured_output(emulator: Emulator, platform_case: PlatformCase) -> None:
    """Output that follows a schema, with the methods of the service."""

    class River(BaseModel):
        """A river."""

        name: str = Field(description="its name")

    assert isinstance(chat_at(platform_case, emulator).with_structured_output(River).invoke("Name a river."), River)


@pytest.mark.parametrize(("platform_case", "ending"), MATRIX.values(), ids=MATRIX)
async def test_no_failed_stream_succeeds(emulator: Emulator, platform_case: PlatformCase, ending: Ending) -> None:
    """Each failure raises a LangChain error with the delivered output in the partial, and calls `on_llm_error`."""
    emulator.always(ending.fault)
    chat, seen, sync, asynchronous = chat_at(platform_case, emulator), Seen(), [], []

    with pytest.raises(MDStreamError) as caught:
        for chunk in chat.stream(REQUEST, {"callbacks": [seen]}):
            sync.append(chunk.text)  # noqa: PERF401  # keeps the output before the error
    with pytest.raises(MDStreamError) as again:
        async for chunk in chat.astream(REQUEST, {"callbacks": [seen]}):
            asynchronous.append(chunk.text)  # noqa: PERF401

    for error, chunks in ((caught.value, sync), (again.value, asynchronous)):
        assert isinstance(error, ending.error)
        assert isinstance(error, ModelError)
        assert ending.code in (None, error.code)
        assert error.partial.text == "".join(chunks)
        assert error.partial.text
        assert OUTPUT.startswith(error.partial.text)
    assert ([caught.value, again.value], 0) == (seen.errors, seen.ends)
    assert 2 == len(emulator.requests)


LLM: dict[str, Any] = {
    "OCI model deployment": (OCIModelDeploymentLLM, PLATFORM_CASES["OCI model deployment"]),
    "OCI GenAI generateText, Cohere": (OCIGenAI, PlatformCase("oci-genai", {"model": "cohere.command"})),
    "OCI GenAI generateText, Llama": (OCIGenAI, PlatformCase("oci-genai", {"model": "meta.llama-2-70b-chat"})),
    "SageMaker vLLM": (SagemakerEndpoint, PLATFORM_CASES["SageMaker vLLM"]),
    "SageMaker TGI": (SagemakerEndpoint, PlatformCase("sagemaker", {"endpoint_name": "tgi"})),
    "ModelArts": (ModelArtsLLM, PLATFORM_CASES["ModelArts"]),
    "ModelArts WebSocket": (ModelArtsLLM, PLATFORM_CASES["ModelArts WebSocket"]),
}


@pytest.mark.parametrize(("model", "platform_case"), LLM.values(), ids=LLM)
async def test_completions(emulator: Emulator, model: Any, platform_case: PlatformCase) -> None:
    """Completion models stream, sync and async, and a failed stream raises with the partial output."""
    llm = model(**platform_case.fields(emulator), max_retries=0)
    whole = llm.invoke(REQUEST)

    assert whole
    assert whole == "".join(llm.stream(REQUEST)) == "".join([text async for text in llm.astream(REQUEST)])
    emulator.always(Fault("cut", after=3))
    with pytest.raises(StreamInterrupted) as caught:
        list(llm.stream(REQUEST))
    assert whole.startswith(caught.value.partial.text)


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no compartment": (ChatOCIGenAI, {"model": "xai.grok-4", "region": "us-chicago-1"}, "compartment_id is missing"),
    "a wrong compartment": (
        ChatOCIGenAI,
        {"model": "xai.grok-4", "region": "us-chicago-1", "compartment_id": "mine"},
        "compartment_id='mine' is not the OCID",
    ),
    "a wrong region": (
        ChatOCIGenAI,
        {"model": "xai.grok-4", "region": "nowhere", "compartment_id": "ocid1.compartment.oc1..a"},
        "region='nowhere'",
    ),
    "an unknown format": (
        ChatOCIGenAI,
        {
            "model": "xai.grok-4",
            "region": "us-chicago-1",
            "compartment_id": "ocid1.compartment.oc1..a",
            "api_format": "LATIN",
        },
        "api_format='LATIN' is unknown .hint: use one of GENERIC",
    ),
    "no model": (
        ChatOCIGenAI,
        {"region": "us-chicago-1", "compartment_id": "ocid1.compartment.oc1..a"},
        "model is missing",
    ),
    "no endpoint's name": (ChatSagemakerEndpoint, {"region_name": "us-east-1"}, "endpoint_name is missing"),
    "a wrong endpoint's name": (
        ChatSagemakerEndpoint,
        {"endpoint_name": "my endpoint", "region_name": "us-east-1"},
        "endpoint_name='my endpoint' is not the name of an endpoint",
    ),
    "long attributes": (
        ChatSagemakerEndpoint,
        {"endpoint_name": "e", "region_name": "us-east-1", "custom_attributes": "x" * 1025},
        "custom_attributes",
    ),
    "no address": (ChatModelArts, {}, "endpoint is missing"),
    "a wrong address": (ChatModelArts, {"endpoint": "here"}, "endpoint='here'"),
    "an unknown dialect": (
        ChatModelArts,
        {"endpoint": "https://h/v1", "dialect": "latin"},
        "dialect='latin' is unknown",
    ),
}


@pytest.mark.parametrize(("model", "options", "message"), BAD.values(), ids=BAD)
def test_wrong_options_are_named(model: Any, options: dict[str, Any], message: str) -> None:
    """Invalid options raise at construction, with the name of the field."""
    with pytest.raises(ValidationError, match=message):
        model(**options)


def test_missing_credentials_list_the_sources(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error lists where credentials were searched."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "HUAWEICLOUD_SDK_AK", "MODELARTS_API_KEY", "MAAS_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    sagemaker = {
        name: value for name, value in PLATFORM_CASES["SageMaker vLLM"].fields(emulator).items() if "key" not in name
    }

    with pytest.raises(ValueError, match=r"AWS_ACCESS_KEY_ID.*~/\.aws/credentials"):
        ChatSagemakerEndpoint(**sagemaker, max_retries=0).invoke("hi")
    with pytest.raises(ValueError, match=r"HUAWEICLOUD_SDK_AK.*MODELARTS_API_KEY"):
        ChatModelArts(endpoint=emulator.modelarts.endpoint).invoke("hi")
    with pytest.raises(ValueError, match=r"OCI_RESOURCE_PRINCIPAL_VERSION.*config"):
        ChatOCIGenAI(model="xai.grok-4", **_without(PLATFORM_CASES["OCI GenAI GENERIC"].fields(emulator))).invoke("hi")


def _without(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in {"auth_type", "model"}}


@each_platform
def test_pickles_before_and_after_use(
    emulator: Emulator, platform_case: PlatformCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pickled model has no credential, and sends the same requests once it has found one."""
    chat = chat_at(platform_case, emulator, default_headers={"x-secret": "sesame"})
    ((key, secret),) = AWS.items()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    fresh = pickle.dumps(chat)
    chat.invoke("hi")
    used = pickle.dumps(chat)

    assert [] == [written for written in (fresh, used) if b"sesame" in written or secret.encode() in written]
    assert OUTPUT == pickle.loads(fresh).invoke(REQUEST).text == pickle.loads(used).invoke(REQUEST).text


def test_wrong_keys_are_rejected(emulator: Emulator) -> None:
    """SageMaker's emulator verifies signatures; a wrong key raises an authentication error with a hint."""
    fields = {**PLATFORM_CASES["SageMaker vLLM"].fields(emulator), "aws_secret_access_key": "wrong"}

    with pytest.raises(ServiceError) as caught:
        ChatSagemakerEndpoint(**fields, max_retries=0).invoke("hi")

    assert 403 == caught.value.status
    assert isinstance(caught.value, ValueError)


def test_a_wrong_dialect_names_the_right_one(emulator: Emulator) -> None:
    """OpenAI's decoder recognizes a response of TGI and names its dialect."""
    platform_case = PlatformCase("sagemaker", {"endpoint_name": "tgi", "dialect": "openai-chat"})
    emulator.always(
        Fault("body", data=b'data:{"token":{"id":1,"text":"Hi","special":false},"generated_text":null}\n\n')
    )

    with pytest.raises(MDStreamError, match="set dialect='tgi'"):
        list(chat_at(platform_case, emulator).stream("hi"))
