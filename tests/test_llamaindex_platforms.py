"""LLMs of each platform: responses, tools, reasoning, usage, completions, serialization."""

import asyncio
import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from _llamaindex_platforms import ACCOUNTS, PLATFORM_CASES, PlatformCase
from _stream_endings import OUTPUT, REQUEST
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ThinkingBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from llamaindex_mdstream import MDStreamLLM, ModelArts, OCIGenAI, SageMakerLLM
from mdstream_core import MDStreamError, errors
from mdstream_core.auth import UnsignedSigner
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.model import ModelOutput, ToolCall
from mdstream_core.errors import AuthenticationError

MESSAGES = [ChatMessage(REQUEST)]
COMPARTMENT = "ocid1.compartment.oc1..emulated"

each_platform = pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(**ACCOUNTS) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


@pytest.fixture
def llm(emulator: Emulator, platform_case: PlatformCase) -> Iterator[MDStreamLLM]:
    """A model without retries."""
    with platform_case.build(emulator, max_retries=0) as model:
        yield model


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@each_platform
async def test_deltas_add_up(llm: MDStreamLLM) -> None:
    """
    All methods return the same text and usage.
    """
    streamed = list(llm.stream_chat(MESSAGES))
    awaited = [response async for response in await llm.astream_chat(MESSAGES)]
    whole = llm.chat(MESSAGES)

    assert OUTPUT == "".join(response.delta or "" for response in streamed) == whole.message.content
    assert [response.delta for response in streamed] == [response.delta for response in awaited]
    assert {"finish_reason": "stop"}.items() <= streamed[-1].additional_kwargs.items()
    assert streamed[-1].raw["usage"]["total_tokens"] == whole.raw["usage"]["total_tokens"] > 0
    assert streamed[0].raw["model"] == streamed[-1].raw["model"] == whole.raw["model"]
    await llm.aclose()


@each_platform
@pytest.mark.parametrize("streaming", [True, False])
async def test_agent_calls_a_tool_and_responds(emulator: Emulator, llm: MDStreamLLM, streaming: bool) -> None:
    """
    The call, its result and the response are exchanged on each platform, in each of its formats.
    """
    output = await FunctionAgent(llm=llm, tools=[add], streaming=streaming).run("add(2, 3)")

    assert "The tool says: 5" == output.response.content
    assert 2 == len(emulator.requests)
    await llm.aclose()


@each_platform
async def test_agent_executes_no_call_of_a_failed_stream(
    emulator: Emulator, llm: MDStreamLLM, platform_case: PlatformCase
) -> None:
    """
    The workflow fails with our error; the tool is not called. Cohere sends a call in one event.
    """
    called: list[int] = []

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        called.append(a)
        return a + b

    emulator.script(Fault("no_finish", after=1 if platform_case is PLATFORM_CASES["cohere"] else 2))
    with pytest.raises(MDStreamError) as caught:
        await FunctionAgent(llm=llm, tools=[add]).run("add(2, 3)")

    assert [] == called
    assert isinstance(caught.value, errors.StreamError)
    await llm.aclose()


class River(BaseModel):
    """A river."""

    name: str
    length: int


RIVER = River(name="Nile", length=6650)
PROMPT = PromptTemplate("Tell me of the river {name}.")
METHODS = {"tool": {}, "schema": {"should_use_structured_outputs": True}, "text": {"is_function_calling_model": False}}


def _river(request: dict[str, Any]) -> ModelOutput | str:
    text = RIVER.model_dump_json()
    return ModelOutput.from_text("", "", [ToolCall("call_1", "River", (text,))]) if request.get("tools") else text


@pytest.fixture(scope="module")
def rivers() -> Iterator[Emulator]:
    """An emulator whose model returns one river."""
    with Emulator(model=_river, **ACCOUNTS) as emulator:
        yield emulator


@each_platform
@pytest.mark.parametrize("fields", METHODS.values(), ids=METHODS)
def test_structured_predictions(rivers: Emulator, platform_case: PlatformCase, fields: dict[str, Any]) -> None:
    """
    Predictions use a required tool, a schema, or the text; streamed or not.
    """
    with platform_case.build(rivers, max_retries=0, **fields) as llm:
        assert RIVER == llm.structured_predict(River, PROMPT, name="Nile")
        assert RIVER == asyncio.run(llm.astructured_predict(River, PROMPT, name="Nile"))
        if "is_function_calling_model" not in fields:
            *_, last = llm.stream_structured_predict(River, PROMPT, name="Nile")
            assert RIVER.model_dump() == last.model_dump()


@each_platform
def test_tokens_are_counted(llm: MDStreamLLM) -> None:
    """
    Tokens are counted by the server's usage, streamed or not.
    """
    counter = TokenCountingHandler(tokenizer=lambda text: [0] * 1000)
    llm.callback_manager = CallbackManager([counter])
    llm.chat(MESSAGES)
    list(llm.stream_chat(MESSAGES))

    whole, streamed = counter.llm_token_counts
    assert (9, 9) == (whole.completion_token_count, streamed.completion_token_count)
    assert whole.prompt_token_count == streamed.prompt_token_count < 1000


#: Platforms with reasoning; Cohere's older format does not support it.
THINKING = {name: platform_case for name, platform_case in PLATFORM_CASES.items() if name != "cohere"}


@pytest.mark.parametrize("platform_case", THINKING.values(), ids=THINKING)
def test_reasoning_is_returned(llm: MDStreamLLM) -> None:
    """
    Reasoning is streamed, and is a block of the complete message.
    """
    *_, last = responses = list(llm.stream_chat(MESSAGES, reasoning_effort="high"))
    thought = "".join(response.additional_kwargs.get("thinking_delta") or "" for response in responses)

    assert "I know what to say." in thought
    assert [thought] == [block.content for block in last.message.blocks if isinstance(block, ThinkingBlock)]
    assert OUTPUT == last.message.content


@each_platform
def test_completions(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    Prompts use the platform's completion API; chats are converted to a prompt.
    """
    with platform_case.build(emulator, is_chat_model=False, max_retries=0) as llm:
        *_, last = llm.stream_complete(REQUEST)

        assert OUTPUT == last.text == llm.complete(REQUEST).text == asyncio.run(llm.acomplete(REQUEST)).text
        assert llm.chat(MESSAGES).message.content


@each_platform
def test_serialization_round_trip(platform_case: PlatformCase) -> None:
    """
    Objects of a dictionary, JSON and a pickle have the same fields, without credentials.
    """
    with Emulator() as emulator:
        llm = platform_case.build(emulator, max_retries=0)
        assert OUTPUT == llm.chat(MESSAGES).message.content
        unsigned = {"auth_type": "none"}
        others: list[Any] = [
            type(llm).from_dict({**llm.to_dict(), **unsigned}),
            type(llm).from_json(json.dumps({**json.loads(llm.to_json()), **unsigned})),
            copy.deepcopy(llm),
        ]
        copied = pickle.loads(pickle.dumps(llm))

        assert llm.to_dict() == copied.to_dict()
        assert [OUTPUT] * len(others) == [other.chat(MESSAGES).message.content for other in others]


SECRET = "s3cr3t-value"
KEYED: dict[str, tuple[type[MDStreamLLM], dict[str, Any], dict[str, Any]]] = {
    "genai": (
        OCIGenAI,
        {"model": "xai.grok-4", "region": "us-chicago-1", "compartment_id": COMPARTMENT, "api_key": SECRET},
        {"region": "nowhere"},
    ),
    "sagemaker": (
        SageMakerLLM,
        {
            "endpoint_name": "e",
            "aws_access_key_id": SECRET,
            "aws_secret_access_key": SECRET,
            "aws_session_token": SECRET,
        },
        {"endpoint_name": "no name"},
    ),
    "modelarts": (
        ModelArts,
        {
            "endpoint": "https://h/v1/infers/8e1b",
            **dict.fromkeys(("api_key", "token", "password", "ak", "sk", "security_token"), SECRET),
            **dict.fromkeys(("app_code", "app_key", "app_secret"), SECRET),
        },
        {"endpoint": "no url"},
    ),
}


@pytest.mark.parametrize(("kind", "fields", "_wrong"), KEYED.values(), ids=KEYED)
def test_secrets_are_hidden(kind: type[MDStreamLLM], fields: dict[str, Any], _wrong: dict[str, Any]) -> None:
    """
    Dictionaries, payloads, `repr` and pickles contain no credential; the object keeps it.
    """
    llm = kind(**fields)
    shown = [llm.to_dict(), llm.to_json(), llm.to_payload(), repr(llm), str(llm), pickle.dumps(llm), llm.model_dump()]

    assert not [form for form in shown if SECRET in (form.decode("latin-1") if isinstance(form, bytes) else str(form))]
    secrets = [name for name, value in fields.items() if value == SECRET]
    assert {SECRET} == {getattr(copy.deepcopy(llm), name).get_secret_value() for name in secrets}


@pytest.mark.parametrize(("kind", "fields", "wrong"), KEYED.values(), ids=KEYED)
def test_a_wrong_field_shows_no_secret(kind: type[MDStreamLLM], fields: dict[str, Any], wrong: dict[str, Any]) -> None:
    """
    The error names the field, and shows no other value.
    """
    for bad in (wrong, {"temprature": 1}):
        with pytest.raises(ValueError, match=next(iter(bad))) as caught:
            kind(**{**fields, **bad})
        assert SECRET not in str(caught.value)


GENAI = {"model": "xai.grok-4", "service_endpoint": "http://127.0.0.1:1", "compartment_id": COMPARTMENT}
MISSING: dict[str, tuple[type[MDStreamLLM], dict[str, Any], str]] = {
    "compartment": (OCIGenAI, {**GENAI, "compartment_id": None}, "compartment_id is missing"),
    "no compartment": (OCIGenAI, {**GENAI, "compartment_id": "mine"}, "compartment_id='mine'"),
    "model": (OCIGenAI, {**GENAI, "model": ""}, "model is missing"),
    "region": (OCIGenAI, {**GENAI, "service_endpoint": None}, "region is missing"),
    "format": (OCIGenAI, {**GENAI, "api_format": "XML"}, "api_format='XML'"),
    "dialect": (OCIGenAI, {**GENAI, "dialect": "latin"}, "dialect='latin' is unknown"),
    "endpoint name": (SageMakerLLM, {}, "endpoint_name"),
    "empty endpoint name": (SageMakerLLM, {"endpoint_name": ""}, "endpoint_name is missing"),
    "a bearer key": (SageMakerLLM, {"endpoint_name": "e", "api_key": "k"}, "remove api_key"),
    "long attributes": (SageMakerLLM, {"endpoint_name": "e", "custom_attributes": "x" * 1025}, "1024 at most"),
    "said twice": (SageMakerLLM, {"endpoint_name": "e", "model_kwargs": {}, "additional_kwargs": {}}, "model_kwargs"),
    "endpoint": (ModelArts, {}, "endpoint"),
    "empty endpoint": (ModelArts, {"endpoint": ""}, "endpoint is missing"),
}


@pytest.mark.parametrize(("kind", "fields", "words"), MISSING.values(), ids=MISSING)
def test_missing_fields_are_reported_at_construction(
    kind: type[MDStreamLLM], fields: dict[str, Any], words: str
) -> None:
    """
    The error names the missing field.
    """
    with pytest.raises(ValueError, match=words):
        kind(**fields)


def test_aliases_of_other_packages(emulator: Emulator) -> None:
    """
    Field names of llama-index-llms-oci-genai and llama-index-llms-sagemaker-endpoint are accepted.
    """
    genai = OCIGenAI(**GENAI, context_size=128_000, auth_type="API_KEY", auth_profile="DEFAULT", max_tokens=512)
    given = {"CustomAttributes": "accept_eula=true", "InferenceComponentName": "c"}
    llm: Any = PLATFORM_CASES["sagemaker"].build(emulator, endpoint_kwargs=given, model_kwargs={"seed": 1})
    llm.chat(MESSAGES)

    assert 128_000 == genai.metadata.context_window
    assert ("accept_eula=true", "c") == (llm.custom_attributes, llm.inference_component_name)
    assert "accept_eula=true" == emulator.last.headers["x-amzn-sagemaker-custom-attributes"]
    assert (1, False) == (emulator.last.json["seed"], "model" in emulator.last.json)


def test_the_reported_model_name_without_a_model(emulator: Emulator) -> None:
    """
    The name is that of the field or of the endpoint, or `unknown`; a model name in the stream overrides it.
    """
    llm = PLATFORM_CASES["sagemaker"].build(emulator, endpoint_name="tgi", dialect="tgi")
    named = PLATFORM_CASES["sagemaker"].build(emulator, endpoint_name="tgi", dialect="tgi", model="mine")

    assert ["tgi", "mine"] == [one.metadata.model_name for one in (llm, named)]
    assert ["tgi", "mine"] == [list(one.stream_chat(MESSAGES))[-1].raw["model"] for one in (llm, named)]
    assert ["tgi", "mine"] == [one.chat(MESSAGES).raw["model"] for one in (llm, named)]
    assert "unknown" == ModelArts(endpoint="http://h/v1").metadata.model_name


def test_an_explicit_dialect(emulator: Emulator) -> None:
    """
    `dialect` overrides the platform's default.
    """
    genai = PLATFORM_CASES["generic"].build(emulator, dialect="openai-chat", model="xai.grok-4")

    assert OUTPUT == genai.chat(MESSAGES).message.content
    assert "/openai/v1/chat/completions" == emulator.last.path
    assert "xai.grok-4" == emulator.last.json["model"]


def test_botocore_is_imported_for_the_first_request() -> None:
    """
    Importing the package and creating a model, with or without a region, do not import botocore.
    """
    code = (
        "import sys; from llamaindex_mdstream import SageMakerLLM\n"
        "SageMakerLLM(endpoint_name='e', region_name='us-east-1'); SageMakerLLM(endpoint_name='e')\n"
        "print([name for name in sys.modules if name.partition('.')[0] in {'boto3', 'botocore', 'oci'}])"
    )
    text_sent = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "[]" == text_sent.strip()


def test_credentials_are_resolved_once(emulator: Emulator) -> None:
    """
    Other parameters share the connection, another region has its own.
    """
    llm: Any = PLATFORM_CASES["sagemaker"].build(emulator)
    first = llm._get_service()
    llm.temperature = 0.9
    same = llm._get_service()
    llm.region_name = "eu-west-1"

    assert first is same
    assert first is not llm._get_service()
    with pytest.raises(AuthenticationError):
        llm.chat(MESSAGES)


@pytest.mark.parametrize("given", [{"auth": UnsignedSigner()}, {"auth_type": "none"}], ids=["auth", "auth_type"])
def test_sagemaker_without_credentials(emulator: Emulator, given: dict[str, Any]) -> None:
    """
    An unsigned request is sent and rejected.
    """
    with pytest.raises(AuthenticationError):
        SageMakerLLM(endpoint_name="emulated", endpoint_url=emulator.sagemaker.endpoint_url, **given).chat(MESSAGES)


def test_a_bearer_key_of_the_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is used if no other credential was given, and ignored otherwise.
    """
    monkeypatch.setenv("MDSTREAM_API_KEY", "KEY")
    ModelArts(endpoint=emulator.modelarts.maas, model="m").chat(MESSAGES)
    for platform_case in PLATFORM_CASES.values():
        with platform_case.build(emulator) as llm:
            llm.chat(MESSAGES)

    assert "Bearer KEY" == emulator.requests[0].headers["authorization"]
