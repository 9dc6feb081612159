"""Token counts and profiles from the model server, and LangChain's factories."""

import asyncio
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _platforms import AWS, PLATFORM_CASES
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy
from langchain.chat_models import init_chat_model
from langchain.embeddings import init_embeddings
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, trim_messages
from langchain_core.tools import tool
from pydantic import BaseModel

import langchain_mdstream
from langchain_mdstream import (
    ChatModelArts,
    ChatOCIGenAI,
    ChatOCIModelDeployment,
    ChatSagemakerEndpoint,
    ModelArtsLLM,
    OCIGenAI,
    SagemakerEndpoint,
)
from langchain_mdstream._server_info import build_profile
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import AuthenticationError, ConnectionFailed

CONVERSATION = [SystemMessage("You know rivers."), HumanMessage("Name three rivers.")]


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """Server with a small context window."""
    with Emulator(aws_keys=AWS, context=4096) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, without recorded requests."""
    shared_emulator.reset()
    return shared_emulator


def deployment(emulator: Emulator, **options: Any) -> ChatOCIModelDeployment:
    """Chat model on a deployment."""
    return ChatOCIModelDeployment(**{"endpoint": emulator.endpoint, "auth_type": "none", "max_retries": 0, **options})


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"It is sunny in {city}."


def test_the_server_counts_tokens(emulator: Emulator) -> None:
    """Of a text, and of a conversation with tools; also the token ids."""
    chat = deployment(emulator)
    ids = chat.get_token_ids("Three rivers: Nile, Amazon")

    assert 6 == len(ids) == chat.get_num_tokens("Three rivers: Nile, Amazon")
    assert "/tokenize" == emulator.last.headers["route"]
    count_without_tools = chat.get_num_tokens_from_messages(CONVERSATION)
    assert "messages" in emulator.last.json
    assert count_without_tools < chat.get_num_tokens_from_messages(CONVERSATION, tools=[get_weather])
    assert count_without_tools == chat.invoke(CONVERSATION).usage_metadata["input_tokens"]  # type: ignore[index]


@pytest.mark.parametrize("name", ["ModelArts"])
def test_modelarts_counts_tokens(emulator: Emulator, name: str) -> None:
    """Under the service's URL."""
    chat = ChatModelArts(**PLATFORM_CASES[name].fields(emulator), max_retries=0)

    assert 6 == chat.get_num_tokens("Three rivers: Nile, Amazon")


def test_messages_are_trimmed_by_the_servers_count(emulator: Emulator) -> None:
    """`trim_messages(token_counter=model)`."""
    conversation = [*CONVERSATION, AIMessage("The Nile. " * 100), HumanMessage("And now?")]
    trimmed = trim_messages(conversation, max_tokens=50, token_counter=deployment(emulator), include_system=True)

    assert ["system", "human"] == [message.type for message in trimmed]


def test_a_server_without_a_tokenizer_gets_one_request(emulator: Emulator) -> None:
    """Then tokens are estimated, with a warning."""
    chat = deployment(emulator)
    emulator.always(Fault("refuse", "fastapi_detail"))
    with pytest.warns(RuntimeWarning, match="estimated"):
        first = chat.get_num_tokens("a" * 400)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = chat.get_num_tokens("a" * 400)

    assert 100 <= first == again < 120
    assert 1 == len(emulator.requests)
    with pytest.raises(ValueError, match="custom_get_token_ids"):
        chat.get_token_ids("a")


def test_other_errors_are_raised(emulator: Emulator) -> None:
    """A wrong key or an unreachable server raises."""
    emulator.script(Fault("refuse", "not_authenticated"))
    with pytest.raises(AuthenticationError):
        deployment(emulator).get_num_tokens("a")
    with pytest.raises(ConnectionFailed):
        deployment(emulator, endpoint="http://127.0.0.1:1/ocid1.x").get_num_tokens("a")


def test_estimates_without_a_request(emulator: Emulator) -> None:
    """On OCI Generative AI and SageMaker, or if configured: no request is sent."""
    genai = ChatOCIGenAI(**PLATFORM_CASES["OCI GenAI GENERIC"].fields(emulator))
    sagemaker = ChatSagemakerEndpoint(**PLATFORM_CASES["SageMaker vLLM"].fields(emulator))
    approximate = deployment(emulator, count_tokens="approximate")
    for chat in (genai, sagemaker):
        with pytest.warns(RuntimeWarning, match="estimated"):
            chat.get_num_tokens("a")
    for chat in (genai, sagemaker, approximate):
        assert chat.get_num_tokens_from_messages(CONVERSATION) > 5
        assert 0 == chat.get_num_tokens("")
    assert [3] == deployment(emulator, custom_get_token_ids=lambda text: [len(text)]).get_token_ids("abc")
    assert [] == emulator.requests


#: name: (class, platform, reason why tokens are estimated)
ESTIMATING: dict[str, tuple[Any, str, str]] = {
    "SageMaker, chat": (ChatSagemakerEndpoint, "SageMaker vLLM", "invocations only"),
    "SageMaker LMI, chat": (ChatSagemakerEndpoint, "SageMaker LMI", "invocations only"),
    "SageMaker, completions": (SagemakerEndpoint, "SageMaker vLLM", "invocations only"),
    "OCI Generative AI, chat": (ChatOCIGenAI, "OCI GenAI GENERIC", "OCI Generative AI has no operation"),
    "OCI Generative AI, Cohere": (ChatOCIGenAI, "OCI GenAI COHERE", "OCI Generative AI has no operation"),
    "OCI Generative AI, completions": (OCIGenAI, "OCI GenAI COHERE", "OCI Generative AI has no operation"),
    "MaaS, chat": (ChatModelArts, "MaaS", "404"),
    "MaaS, completions": (ModelArtsLLM, "MaaS", "404"),
}
COUNTS: dict[str, Callable[[Any], int]] = {
    "text": lambda model: model.get_num_tokens("Name three rivers."),
    "messages": lambda model: model.get_num_tokens_from_messages(CONVERSATION),
}


@pytest.mark.parametrize("count", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize(("kind", "platform_case", "reason"), ESTIMATING.values(), ids=ESTIMATING)
def test_an_estimate_warns_once(
    emulator: Emulator, kind: Any, platform_case: str, reason: str, count: Callable[[Any], int]
) -> None:
    """On every platform that cannot count; the warning has a hint."""
    model = kind(**PLATFORM_CASES[platform_case].fields(emulator), max_retries=0)
    with pytest.warns(RuntimeWarning, match=f"estimated.*{reason}.*custom_get_token_ids") as caught:
        estimates = {count(model) for _ in range(3)}

    assert 1 == len(estimates)
    assert 1 == len([one for one in caught if issubclass(one.category, RuntimeWarning)])
    with pytest.warns(RuntimeWarning, match="estimated"):
        count(model.model_copy(update={"temperature": 0.5}))


@pytest.mark.parametrize("count", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize(
    "options",
    [{"count_tokens": "approximate"}, {"custom_get_token_ids": lambda text: list(range(len(text.split())))}],
    ids=["approximate", "a tokenizer"],
)
@pytest.mark.parametrize(("kind", "platform_case", "reason"), ESTIMATING.values(), ids=ESTIMATING)
def test_a_configured_estimate_does_not_warn(
    emulator: Emulator, kind: Any, platform_case: str, reason: str, options: dict[str, Any], count: Callable[[Any], int]
) -> None:
    """A configured estimate, or a tokenizer, does not warn."""
    model = kind(**PLATFORM_CASES[platform_case].fields(emulator), max_retries=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert count(model) > 2


def test_a_tokenizer_counts_messages_where_no_server_does(emulator: Emulator) -> None:
    """Instead of the estimate."""
    model = ChatSagemakerEndpoint(
        **PLATFORM_CASES["SageMaker vLLM"].fields(emulator), custom_get_token_ids=lambda text: [7] * len(text)
    )

    assert len("System: You know rivers.Human: Name three rivers.") == model.get_num_tokens_from_messages(CONVERSATION)


def test_token_ids_are_never_estimated(emulator: Emulator) -> None:
    """There is no estimate, and no warning of one."""
    model = ChatSagemakerEndpoint(**PLATFORM_CASES["SageMaker vLLM"].fields(emulator))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(ValueError, match="custom_get_token_ids"):
            model.get_token_ids("a")


@pytest.mark.parametrize("path", ["", "/predict/v1", "/predict/v1/chat/completions"])
async def test_the_context_window_is_in_the_profile(emulator: Emulator, path: str) -> None:
    """From `/v1/models` on an inference endpoint, from `/tokenize` on a bare one; sync and async."""
    chat = deployment(emulator, endpoint=emulator.endpoint + path)
    profile = await asyncio.to_thread(chat.fetch_profile)

    assert 4096 == profile["max_input_tokens"]
    assert profile == await chat.afetch_profile()
    requested = {(request.method, request.path.partition("/predict")[2]) for request in emulator.requests}
    assert (("GET", "/v1/models") in requested) == bool(path)
    assert 4096 == chat.model_copy(update={"profile": profile}).profile["max_input_tokens"]  # type: ignore[index]


@pytest.mark.parametrize("name", ["ModelArts", "MaaS"])
async def test_the_context_window_on_modelarts(emulator: Emulator, name: str) -> None:
    """Under its own paths."""
    chat = ChatModelArts(**PLATFORM_CASES[name].fields(emulator), max_retries=0)

    assert 4096 == chat.fetch_profile()["max_input_tokens"]
    assert chat.fetch_profile() == await chat.afetch_profile()


def test_the_profile_without_a_request(emulator: Emulator) -> None:
    """Oracle's models by the table; a profile of the user overrides it."""
    fields = PLATFORM_CASES["OCI GenAI GENERIC"].fields(emulator)
    grok = ChatOCIGenAI(**{**fields, "model": "xai.grok-4"})

    assert 128_000 == grok.profile["max_input_tokens"]  # type: ignore[index]
    assert grok.profile["structured_output"]  # type: ignore[index]
    assert {"image_inputs": False} == ChatOCIGenAI(**fields, profile={"image_inputs": False}).profile
    assert [] == emulator.requests


LISTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "vLLM": ({"data": [{"id": "m", "max_model_len": 8192}]}, {"max_input_tokens": 8192}),
    "the only one, under another name": ({"data": [{"id": "/models/m", "max_model_len": 1}]}, {"max_input_tokens": 1}),
    "several, none of this name": ({"data": [{"id": "a", "max_model_len": 1}, {"id": "b"}]}, {}),
    "a gateway": (
        {
            "data": [
                {
                    "id": "m",
                    "context_length": 9,
                    "architecture": {"input_modalities": ["text", "image"]},
                    "supported_parameters": ["tools", "structured_outputs"],
                }
            ]
        },
        {"max_input_tokens": 9, "image_inputs": True, "tool_calling": True, "structured_output": True},
    ),
    "llama.cpp": ({"data": [{"id": "m", "capabilities": ["completion", "multimodal"]}]}, {"image_inputs": True}),
    "nothing": ({"data": []}, {}),
    "another shape": ({"data": ["m"]}, {}),
}


@pytest.mark.parametrize(("served", "profile"), LISTS.values(), ids=LISTS)
def test_profiles_from_lists_of_models(served: dict[str, Any], profile: dict[str, Any]) -> None:
    """The responses of various servers, with LangChain's names."""
    assert profile == build_profile("m", served)


class River(BaseModel):
    """A river."""

    name: str


def test_agents_choose_by_the_profile(emulator: Emulator) -> None:
    """`create_agent(response_format=…)` uses the server's JSON schema if the profile has it."""
    inputs: Any = {"messages": [HumanMessage("Name a river.")]}
    native = deployment(emulator, profile={"structured_output": True})
    state = create_agent(native, response_format=River).invoke(inputs)
    assert isinstance(state["structured_response"], River)
    assert "json_schema" == emulator.last.json["response_format"]["type"]

    state = create_agent(deployment(emulator), response_format=River).invoke(inputs)
    assert isinstance(state["structured_response"], River)
    assert "response_format" not in emulator.last.json
    state = create_agent(deployment(emulator), response_format=ProviderStrategy(River)).invoke(inputs)
    assert isinstance(state["structured_response"], River)


async def test_factories(emulator: Emulator) -> None:
    """`init_chat_model` and `init_embeddings` build the models once they are registered, repeatedly."""
    langchain_mdstream.register()
    langchain_mdstream.register()
    connection = {"endpoint": emulator.endpoint, "auth_type": "none"}
    chat = init_chat_model("oci_model_deployment:odsc-llm", temperature=0, **connection)
    vectors = init_embeddings("oci_model_deployment:odsc-llm", **connection)

    assert isinstance(chat, ChatOCIModelDeployment)
    assert chat.invoke("hi").text
    assert (await chat.ainvoke("hi")).text
    assert vectors.embed_query("a")
    genai = {
        name: value for name, value in PLATFORM_CASES["OCI GenAI GENERIC"].fields(emulator).items() if name != "model"
    }
    assert init_chat_model("xai.grok-4", model_provider="oci_genai", **genai).invoke("hi").text
    aws = {
        name: value
        for name, value in PLATFORM_CASES["SageMaker vLLM"].fields(emulator).items()
        if name != "endpoint_name"
    }
    assert init_chat_model(f"sagemaker:{emulator.sagemaker.endpoint_name}", **aws).invoke("hi").text
    configurable = init_chat_model(configurable_fields=("model", "model_provider", "endpoint", "auth_type"))
    config: Any = {"configurable": {"model": "odsc-llm", "model_provider": "oci_model_deployment", **connection}}
    assert configurable.invoke("hi", config=config).text
