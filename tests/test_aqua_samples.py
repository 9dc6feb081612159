"""The calls of Oracle's samples for AQUA run here with another import.

Sources: oracle-samples/oci-data-science-ai-samples @2624d1c, folder ai-quick-actions (`tips`: the page's name), and
oracle/accelerated-data-science @0e785b9, docs/source/user_guide/large_language_model (`ads`: the page's name).
The samples choose a resource principal with `ads.set_auth`; here the environment has one. `test_auth_oci_ads.py` runs
oracle-ads itself. Where a sample sends its payload with `requests`, the model gets the same messages and parameters.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from _auth_oci import KEY, PEM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool

from langchain_mdstream import (
    ChatOCIModelDeployment,
    ChatOCIModelDeploymentVLLM,
    OCIDataScienceEmbedding,
    OCIModelDeploymentLLM,
    OCIModelDeploymentVLLM,
)
from llamaindex_mdstream import OCIDataScience
from mdstream_core.emulator import Emulator

PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module, which verifies Oracle's signatures."""
    with Emulator(verify_signatures=PUBLIC) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator, and the resource principal of a notebook session."""
    shared_emulator.reset()
    environment = {
        "OCI_RESOURCE_PRINCIPAL_VERSION": "2.2",
        "OCI_RESOURCE_PRINCIPAL_RPST": shared_emulator.issue_token(PUBLIC),
        "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM": PEM,
        "OCI_RESOURCE_PRINCIPAL_REGION": "us-ashburn-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return shared_emulator


@tool
def get_exchange_rate(currency: str) -> str:
    """Obtain the current exchange rates of currency in ISO 4217 Three Letter Currency Code"""
    return f"{currency}: 90"


REQUEST = "what's the exchange rate of the currency USD"
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


@pytest.mark.parametrize("options", [{}, {"chat_template": TEMPLATE}], ids=["tool_choice", "chat_template"])
def test_tool_calling(emulator: Emulator, options: dict[str, Any]) -> None:
    """tips: model-deployment-tool-calling-tips. A prompt with tools, and an agent (`create_agent` is today's name)."""
    llm = ChatOCIModelDeployment(
        model="odsc-llm", endpoint=f"{emulator.endpoint}/predict", tool_choice="auto", **options
    )
    tools = [get_exchange_rate]
    prompt = ChatPromptTemplate.from_messages(
        [
            ("system", "You are a helpful assistant"),
            ("placeholder", "{chat_history}"),
            ("human", "{input}"),
            ("placeholder", "{agent_scratchpad}"),
        ]
    )
    message = (prompt | llm.bind_tools(tools)).invoke({"input": REQUEST})

    assert ["get_exchange_rate"] == [call["name"] for call in message.tool_calls]
    expected = {"tool_choice": "auto", **options}
    assert expected == {name: emulator.last.json[name] for name in expected}
    response = create_agent(llm, tools).invoke({"messages": [("human", REQUEST)]})["messages"][-1]
    assert "90" in response.text


def test_tool_calling_of_ads(emulator: Emulator) -> None:
    """ads: langchain_models, with vLLM's class."""
    llm = ChatOCIModelDeploymentVLLM(
        model="odsc-llm", endpoint=f"{emulator.endpoint}/predict", tool_choice="auto", chat_template=TEMPLATE
    )

    assert llm.bind_tools([get_exchange_rate]).invoke(REQUEST).tool_calls
    assert (TEMPLATE, "auto") == (emulator.last.json["chat_template"], emulator.last.json["tool_choice"])


def test_completions_with_streaming(emulator: Emulator) -> None:
    """tips: model-deployment-tips, the completion endpoint."""
    llm = OCIModelDeploymentLLM(
        endpoint=f"{emulator.endpoint}/predictWithResponseStream",
        model="odsc-llm",
        streaming=True,
        model_kwargs={"temperature": 0.2, "max_tokens": 512},
    )

    assert llm.invoke("Who is the first president of United States?")
    assert (0.2, 512, True) == tuple(emulator.last.json[name] for name in ("temperature", "max_tokens", "stream"))


def test_chats_with_streaming(emulator: Emulator) -> None:
    """tips: model-deployment-tips, the chat endpoint."""
    chat = ChatOCIModelDeployment(
        model="odsc-llm",
        endpoint=f"{emulator.endpoint}/predictWithResponseStream",
        max_tokens=1024,
        streaming=True,
    )
    messages = [
        ("system", "You are a helpful assistant that translates English to French. Translate the user sentence."),
        ("human", "I love programming."),
    ]

    assert chat.invoke(messages).content
    assert ["system", "user"] == [message["role"] for message in emulator.last.json["messages"]]


@pytest.mark.parametrize("route", ["v1/chat/completions", "/v1/chat/completions"])
async def test_chat_models_of_ads(emulator: Emulator, route: str) -> None:
    """ads: langchain_models; the route without its slash, as the page has it."""
    llm = ChatOCIModelDeployment(
        model="odsc-llm",
        endpoint=f"{emulator.endpoint}/predict",
        max_tokens=32,
        default_headers={"route": route},
    )
    messages = [HumanMessage(content="Who's the first president of United States?")]
    whole = llm.invoke(messages).content

    assert whole
    assert whole == "".join(str(chunk.content) for chunk in llm.stream(messages))
    assert whole == (await llm.ainvoke(messages)).content
    assert whole == "".join([str(chunk.content) async for chunk in llm.astream(messages)])


async def test_completion_models_of_ads(emulator: Emulator) -> None:
    """ads: langchain_models."""
    llm = OCIModelDeploymentLLM(
        model="odsc-llm",
        endpoint=f"{emulator.endpoint}/predict",
        max_tokens=32,
        default_headers={"route": "v1/completions"},
    )
    whole = llm.invoke("Who is the first president of United States?")

    assert whole == "".join(llm.stream("Who is the first president of United States?"))
    assert whole == await llm.ainvoke("Who is the first president of United States?")


def test_byoc(emulator: Emulator) -> None:
    """tips: LLM/deploy-llm-byoc and llama3-with-smc: vLLM's completion class with its own options."""
    llm = OCIModelDeploymentVLLM(
        endpoint=f"{emulator.endpoint}/predict", model="odsc-llm", temperature=0.2, max_tokens=512, best_of=1
    )

    assert llm.invoke("Who is the first president of United States?")


def test_embeddings(emulator: Emulator) -> None:
    """ads: langchain_models, and aqua_client: `input` is a list of texts."""
    embeddings = OCIDataScienceEmbedding(endpoint=f"{emulator.endpoint}/predict")

    assert embeddings.embed_query("Hello World!")
    assert 2 == len(embeddings.embed_documents(["one", "two"]))
    assert "/v1/embeddings" == emulator.last.headers["route"]


def test_multimodal(emulator: Emulator) -> None:
    """tips: multimodal-models-tips: the messages of the payload, with an image as data."""
    image = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/"}}
    content = [{"type": "text", "text": "Summarize the images."}, image]
    chat = ChatOCIModelDeployment(
        endpoint=f"{emulator.endpoint}/predict",
        model="odsc-llm",
        max_tokens=500,
        temperature=0,
        model_kwargs={"top_p": 1.0, "top_k": 50},
    )

    assert chat.invoke([SystemMessage("You describe images."), HumanMessage(content)]).content
    assert image == emulator.last.json["messages"][1]["content"][1]
    assert (0, 50) == (emulator.last.json["temperature"], emulator.last.json["top_k"])


@pytest.mark.parametrize("model", ["base-model", "ocid1.datasciencemodel.oc1.iad.finetuned", "meta-llama/Llama-3.2-1B"])
def test_stacked_and_multi_model_deployments(emulator: Emulator, model: str) -> None:
    """tips: stacked-deployment-tips, multimodel-deployment-tips: `model` names the base model or the tuned weights."""
    endpoint = f"{emulator.endpoint}/predict"
    options = {"max_tokens": 250, "temperature": 0.7, "top_p": 0.8}

    assert OCIModelDeploymentLLM(endpoint=endpoint, model=model, **options).invoke("what are some good skills?")
    assert model == emulator.last.json["model"]
    assert list(ChatOCIModelDeployment(endpoint=endpoint, model=model, **options).stream("what are some good skills?"))
    assert model == emulator.last.json["model"]
    assert OCIDataScience(endpoint=endpoint, model=model).complete("what are some good skills?").text
    assert model == emulator.last.json["model"]


SCHEMA = {
    "title": "Person",
    "description": "A person.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


@pytest.mark.parametrize("method", ["json_schema", "json_mode", "function_calling"])
def test_structured_output(emulator: Emulator, method: Any) -> None:
    """`response_format` of the chat API, as vLLM's container accepts it; `json_mode` is the one of langchain-oci."""
    chat = ChatOCIModelDeployment(endpoint=f"{emulator.endpoint}/predict", model="odsc-llm", tool_choice="auto")
    person = chat.with_structured_output(SCHEMA, method=method).invoke("Who is it? Answer in JSON.")

    assert isinstance(person, dict)


# ads: llamaindex_integration

OPTIONS: dict[str, Any] = {
    "model": "odsc-llm",
    "temperature": 0.2,
    "max_tokens": 500,
    "timeout": 120,
    "context_window": 2500,
    "additional_kwargs": {"top_p": 0.75, "logprobs": True, "top_logprobs": 3},
}
CONVERSATION = [
    ChatMessage(role="user", content="Tell me a joke"),
    ChatMessage(role="assistant", content="Why did the chicken cross the road?"),
    ChatMessage(role="user", content="I don't know, why?"),
]


def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


async def test_llamaindex(emulator: Emulator) -> None:
    """Completions and chats, whole and streamed, sync and async; `/predictWithResponseStream` as the endpoint."""
    llm = OCIDataScience(endpoint=f"{emulator.endpoint}/predict", **OPTIONS)
    streaming = OCIDataScience(endpoint=f"{emulator.endpoint}/predictWithResponseStream", model="odsc-llm")
    text = llm.complete("Tell me a joke").text

    assert {"top_p": 0.75, "logprobs": True, "top_logprobs": 3}.items() <= emulator.last.json.items()
    assert text == (await llm.acomplete("Tell me a joke")).text
    assert text == "".join(chunk.delta or "" for chunk in streaming.stream_complete("Tell me a joke"))
    assert text == "".join([chunk.delta or "" async for chunk in await streaming.astream_complete("Tell me a joke")])
    output = llm.chat(CONVERSATION).message.content
    assert output == (await llm.achat(CONVERSATION)).message.content
    assert output == "".join(chunk.delta or "" for chunk in streaming.stream_chat(CONVERSATION))
    assert output == "".join([chunk.delta or "" async for chunk in await streaming.astream_chat(CONVERSATION)])


async def test_llamaindex_tools(emulator: Emulator) -> None:
    """`predict_and_call`, and an agent (`FunctionAgent` is today's name of `FunctionCallingAgent`)."""
    llm = OCIDataScience(endpoint=f"{emulator.endpoint}/predict", **OPTIONS)
    tools = [FunctionTool.from_defaults(fn=add)]

    assert llm.predict_and_call(tools, user_msg="add(8, 2)", verbose=False).sources
    assert str(await FunctionAgent(llm=llm, tools=tools).run("add(8, 2)"))
