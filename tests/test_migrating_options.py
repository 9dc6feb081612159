"""Options of langchain-oci, langchain-community and langchain-aws: requests, and rejected options."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _auth_oci import PEM
from _langchain import REQUEST, get_weather
from _platforms import PLATFORM_CASES
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import ValidationError

from langchain_mdstream import (
    ChatOCIGenAI,
    ChatOCIModelDeployment,
    ChatOCIModelDeploymentTGI,
    ChatOCIModelDeploymentVLLM,
    ChatSagemakerEndpoint,
    OCIGenAI,
    OCIGenAIEmbeddings,
    OCIGenAIRerank,
    OCIModelDeploymentEndpointEmbeddings,
    OCIModelDeploymentLLM,
    OCIModelDeploymentTGI,
    OCIModelDeploymentVLLM,
    SagemakerEndpoint,
    SagemakerEndpointEmbeddings,
)
from mdstream_core import Timeout
from mdstream_core.auth import oci
from mdstream_core.emulator import Emulator, Fault

DEDICATED = "ocid1.generativeaiendpoint.oc1.us-chicago-1.amaaaaaa"
CHICAGO = {"region": "us-chicago-1", "compartment_id": "ocid1.compartment.oc1..aaaa"}


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, without recorded requests."""
    shared_emulator.reset()
    return shared_emulator


def deployed(emulator: Emulator, cls: Any, /, **options: Any) -> Any:
    """Model on the deployment."""
    return cls(**{"endpoint": f"{emulator.endpoint}/predict", "auth_type": "none", **options})


def hosted(emulator: Emulator, cls: Any = ChatOCIGenAI, /, **options: Any) -> Any:
    """Model of OCI Generative AI."""
    return cls(**{**PLATFORM_CASES["OCI GenAI GENERIC"].fields(emulator), **options})


# Payloads of the classes of one server. The first four are those that langchain-oci 0.4.0 sends.

BODIES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "vLLM's chat": (
        ChatOCIModelDeploymentVLLM,
        {},
        {
            "early_stopping": False, "frequency_penalty": 0.0, "ignore_eos": False, "length_penalty": 1.0,
            "max_tokens": 256, "min_p": 0.0, "min_tokens": 0, "n": 1, "presence_penalty": 0.0,
            "repetition_penalty": 1.0, "skip_special_tokens": True, "spaces_between_special_tokens": True,
            "temperature": 0.2, "top_k": -1, "top_p": 1.0, "use_beam_search": False,
        },
    ),
    "TGI's chat": (ChatOCIModelDeploymentTGI, {}, {"max_tokens": 256, "n": 1, "temperature": 0.2}),
    "vLLM's completions": (
        OCIModelDeploymentVLLM,
        {},
        {
            "best_of": 1, "frequency_penalty": 0.0, "ignore_eos": False, "max_tokens": 256, "n": 1,
            "presence_penalty": 0.0, "temperature": 0.2, "top_k": -1, "top_p": 0.75, "use_beam_search": False,
        },
    ),
    "TGI's completions": (
        OCIModelDeploymentTGI,
        {"seed": 42, "p": 0.5},
        {"max_tokens": 256, "temperature": 0.2, "top_p": 0.5, "frequency_penalty": 0.0, "seed": 42},
    ),
    "explicit options": (
        ChatOCIModelDeploymentVLLM,
        {"top_k": 5, "logit_bias": {"1": 2.0}, "min_p": None, "model_kwargs": {"temperature": 0.9}},
        {
            "early_stopping": False, "frequency_penalty": 0.0, "ignore_eos": False, "length_penalty": 1.0,
            "logit_bias": {"1": 2.0}, "max_tokens": 256, "min_tokens": 0, "n": 1, "presence_penalty": 0.0,
            "repetition_penalty": 1.0, "skip_special_tokens": True, "spaces_between_special_tokens": True,
            "temperature": 0.9, "top_k": 5, "top_p": 1.0, "use_beam_search": False,
        },
    ),
    "a call's": (OCIModelDeploymentLLM, {"temperature": 0.1}, {"temperature": 0.1}),
}  # fmt: skip


@pytest.mark.parametrize(("model", "options", "expected"), BODIES.values(), ids=BODIES)
def test_bodies(emulator: Emulator, model: Any, options: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each server's defaults are sent as the other package sends them."""
    deployed(emulator, model, **options).invoke(REQUEST)
    sent = {name: value for name, value in emulator.last.json.items() if name not in {"messages", "prompt"}}

    assert {"model": "odsc-llm", **expected} == sent


async def test_the_api_of_tgi(emulator: Emulator) -> None:
    """`/generate` for whole responses, `/generate_stream` for streams, with own defaults; an explicit route is kept."""
    llm = deployed(emulator, OCIModelDeploymentTGI, api="/generate", k=7)
    text = llm.invoke(REQUEST)

    assert "/generate" == emulator.last.headers["route"]
    assert {"best_of": 1, "watermark": True, "return_full_text": False, "top_k": 7, "max_new_tokens": 256}.items() <= (
        emulator.last.json["parameters"].items()
    )
    assert not {"frequency_penalty", "repetition_penalty"} & emulator.last.json["parameters"].keys()
    assert text == "".join(llm.stream(REQUEST)) == await llm.ainvoke(REQUEST)
    assert "/generate_stream" in {request.headers["route"] for request in emulator.requests}
    deployed(emulator, OCIModelDeploymentTGI, api="/generate", default_headers={"route": "/generate"}, seed=1).invoke(
        "x"
    )
    assert ("/generate", 1) == (emulator.last.headers["route"], emulator.last.json["parameters"]["seed"])


def test_greedy_decoding(emulator: Emulator) -> None:
    """`do_sample=False` is sent without a temperature."""
    deployed(emulator, OCIModelDeploymentTGI, api="/generate", do_sample=False).invoke(REQUEST)

    assert False is emulator.last.json["parameters"]["do_sample"]
    assert "temperature" not in emulator.last.json["parameters"]


# OCI Generative AI

#: model, options, and the resulting fields of the request
NATIVE_REQUESTS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "SDK's names": (
        "xai.grok-4",
        {"model_kwargs": {"num_generations": 1, "is_echo": True, "log_probs": 2, "is_parallel_tool_calls": True}},
        {"numGenerations": 1, "isEcho": True, "logProbs": 2, "isParallelToolCalls": True},
    ),
    "SDK's names, Cohere": (
        "cohere.command-r-plus",
        {"model_kwargs": {"stop_sequences": ["x"], "safety_mode": "STRICT", "preamble_override": "Hi"}},
        {"stopSequences": ["x"], "safetyMode": "STRICT", "preambleOverride": "Hi"},
    ),
    "a call's stop goes over it": (
        "cohere.command-r-plus",
        {"model_kwargs": {"stop_sequences": ["x"]}, "stop": ["y"]},
        {"stopSequences": ["y"]},
    ),
    "fields go before model_kwargs": (
        "xai.grok-4",
        {"temperature": 0.1, "max_tokens": 7, "model_kwargs": {"temperature": 0.9, "max_tokens": 5, "top_k": 3}},
        {"temperature": 0.1, "maxTokens": 7, "topK": 3},
    ),
    "Gemini's limit": ("google.gemini-2.5-flash", {"model_kwargs": {"max_output_tokens": 5}}, {"maxTokens": 5}),
    "both limits": (
        "google.gemini-2.5-flash",
        {"model_kwargs": {"max_output_tokens": 5, "max_tokens": 7}},
        {"maxTokens": 7},
    ),
    "GPT behind an OCID": (DEDICATED, {"provider": "openai", "max_tokens": 7}, {"maxCompletionTokens": 7}),
    "Llama behind an OCID": (DEDICATED, {"provider": "meta", "max_tokens": 7}, {"maxTokens": 7}),
    "Cohere behind an OCID": (DEDICATED, {"provider": "cohere"}, {"apiFormat": "COHERE"}),
    "a Cohere name goes first": (
        "cohere.command-a-vision",
        {"provider": "cohere"},
        {"apiFormat": "COHEREV2"},
    ),
}


@pytest.mark.parametrize(("model", "options", "expected"), NATIVE_REQUESTS.values(), ids=NATIVE_REQUESTS)
def test_native_requests(emulator: Emulator, model: str, options: dict[str, Any], expected: dict[str, Any]) -> None:
    """Names of the SDK, of OpenAI and of families become the service's names."""
    hosted(emulator, model=model, **options).invoke(REQUEST)
    request = emulator.last.json["chatRequest"]

    assert expected == {name: request[name] for name in expected}
    assert not [name for name in request if "_" in name]


def test_objects_of_the_sdk_are_sent_as_json(emulator: Emulator) -> None:
    """In `model_kwargs` and in calls."""
    models = pytest.importorskip("oci.generative_ai_inference.models", reason="the SDK's own objects")
    chat = hosted(emulator, model_kwargs={"tool_choice": None})
    list(chat.bind(stream_options=models.StreamOptions(is_include_usage=False)).stream(REQUEST))

    assert {"isIncludeUsage": False} == emulator.last.json["chatRequest"]["streamOptions"]
    schema = models.ResponseJsonSchema(name="A", schema={"type": "object"}, is_strict=True)
    from mdstream_core.dialects._oci_requests import to_json  # noqa: PLC0415

    assert {"type": "JSON_SCHEMA", "jsonSchema": {"name": "A", "schema": {"type": "object"}, "isStrict": True}} == (
        to_json(models.JsonSchemaResponseFormat(json_schema=schema))
    )


def test_an_image_needs_coherev2(emulator: Emulator) -> None:
    """A family that is set supports images, as in langchain-oci."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    chat = hosted(emulator, model=DEDICATED, provider="cohere")
    chat.invoke([HumanMessage([{"type": "text", "text": "What is it?"}, image])])

    assert "COHEREV2" == emulator.last.json["chatRequest"]["apiFormat"]


RUNTIMES = {
    "cohere.command": ({}, "COHERE"),
    "meta.llama-2-70b-chat": ({}, "LLAMA"),
    "mistral.small": ({}, "LLAMA"),
    DEDICATED: ({}, "LLAMA"),
    DEDICATED + "b": ({"provider": "cohere"}, "COHERE"),
}


@pytest.mark.parametrize(("model", "options", "runtime"), [(name, *row) for name, row in RUNTIMES.items()])
def test_runtimes(model: str, options: dict[str, Any], runtime: str) -> None:
    """`generateText` has two: Cohere's for Cohere, the other one for all others."""
    llm = OCIGenAI(model_id=model, **CHICAGO, **options)

    assert f"oci-generate-text-{runtime.lower()}" == llm._default_dialect(model)


@pytest.mark.parametrize("option", ["is_stream", "streaming"])
def test_streaming_is_never_switched_off(emulator: Emulator, option: str) -> None:
    """langchain-oci's `is_stream=False` means that `invoke` does not stream; `stream` does."""
    chat = hosted(emulator, **{option: False})

    assert len(list(chat.stream(REQUEST))) > 3
    chat.invoke(REQUEST)
    assert "isStream" not in emulator.last.json["chatRequest"]


def test_an_oci_client(emulator: Emulator) -> None:
    """An `oci` client provides address, signer and timeout; other fields override it."""
    sdk = pytest.importorskip("oci", reason="the SDK's own client")
    config = {
        "user": "ocid1.user.oc1..bbbb", "tenancy": "ocid1.tenancy.oc1..aaaa", "region": "us-chicago-1",
        "fingerprint": ":".join(["0a"] * 16), "key_content": PEM,
    }  # fmt: skip
    client = sdk.generative_ai_inference.GenerativeAiInferenceClient(
        config, service_endpoint=emulator.url, timeout=(3, 7)
    )
    chat = ChatOCIGenAI(model_id="xai.grok-4", compartment_id=emulator.oci_genai.compartment_id, client=client)
    chat.invoke(REQUEST)

    assert 'Signature algorithm="rsa-sha256"' in emulator.last.headers["authorization"]
    assert Timeout(connect=3, read=7) == chat.timeout
    with pytest.raises(ValidationError, match="client has the type object, not Generative"):
        ChatOCIGenAI(model_id="xai.grok-4", client=object(), **CHICAGO)


def conversation(results: int) -> list[Any]:
    """A prompt, and this many tool calls with their results."""
    content: list[Any] = [HumanMessage("What is the weather in Paris, and in Rome?")]
    for number in range(results):
        call = {"id": f"c{number}", "name": "get_weather", "args": {"city": "Paris"}}
        content += [AIMessage("", tool_calls=[call]), ToolMessage("sunny", tool_call_id=f"c{number}")]
    return content


def test_tool_calls_have_a_limit(emulator: Emulator) -> None:
    """After the limit of results to one prompt the model may call no more tools; an explicit tool choice is kept."""
    chat = hosted(emulator, max_sequential_tool_calls=2).bind_tools([get_weather])
    choices = [emulator.last.json["chatRequest"].get("toolChoice") for n in (1, 2, 3) if chat.invoke(conversation(n))]

    assert [None, {"type": "NONE"}, {"type": "NONE"}] == choices
    chat.invoke([*conversation(2), HumanMessage("And in Rome?")])
    assert "toolChoice" not in emulator.last.json["chatRequest"]


def test_guidance_on_tool_results(emulator: Emulator) -> None:
    """The guidance is sent after tool results, if tools are bound, and only then."""
    chat = hosted(emulator, tool_result_guidance=True)
    roles = []
    for model, number in ((chat.bind_tools([get_weather]), 1), (chat.bind_tools([get_weather]), 0), (chat, 1)):
        model.invoke(conversation(number))
        roles.append(emulator.last.json["chatRequest"]["messages"][-1]["role"])

    assert ["SYSTEM", "USER", "TOOL"] == roles


def test_rerankers(emulator: Emulator) -> None:
    """Limits of documents under their native names, dicts as documents, positional `top_n`, a minimum score."""
    reranker = hosted(
        emulator, OCIGenAIRerank, model="cohere.rerank.v3.5", max_chunks_per_document=3, max_tokens_per_document=9
    )
    documents = [{"text": "a hill"}, Document("the longest river"), "a river"]

    assert [1] == [one["index"] for one in reranker.rerank(documents, "the longest river", 1)]
    assert (3, 9) == (emulator.last.json["maxChunksPerDocument"], emulator.last.json["maxTokensPerDocument"])
    best, *others = reranker.rerank(documents, "the longest river")
    strict = hosted(emulator, OCIGenAIRerank, model="cohere.rerank.v3.5", score_threshold=best["relevance_score"])
    assert others
    assert [best] == strict.rerank(documents, "the longest river")
    assert "cohere.rerank-v4.0-fast" == OCIGenAIRerank(**CHICAGO).model


async def test_embeddings_of_images(emulator: Emulator) -> None:
    """Under langchain-oci's names, with a media type for bytes that do not show it."""
    embeddings = hosted(emulator, OCIGenAIEmbeddings, model="cohere.embed-v4.0")
    (one,) = embeddings.embed_image_batch([b"what is it"], mime_type="image/png")

    assert emulator.last.json["inputs"][0].startswith("data:image/png;base64,")
    assert [one] == await embeddings.aembed_image_batch([b"what is it"], "image/png")
    assert one == embeddings.embed_image(b"what is it", "image/png")


def test_inputs_without_a_type(emulator: Emulator) -> None:
    """Queries to an index of langchain-oci have no input type, as its documents had none."""
    embeddings = hosted(emulator, OCIGenAIEmbeddings, model="cohere.embed-v4.0", model_kwargs={"input_type": None})
    embeddings.embed_query("a river")

    assert "inputType" not in emulator.last.json


# OCI model deployments


async def test_embeddings_of_a_deployment(emulator: Emulator) -> None:
    """`chunk_size` in the call; all vectors in one entry, as langchain-oci reads them; its `endpoint_kwargs`."""
    embeddings = deployed(
        emulator, OCIModelDeploymentEndpointEmbeddings, endpoint_kwargs={"headers": {"x-a": 1}, "timeout": 9}
    )

    assert 3 == len(embeddings.embed_documents(["a", "b", "c"], 2)) == len(await embeddings.aembed_documents(["d"] * 3))
    assert [1, 2, 3] == sorted(len(request.json["input"]) for request in emulator.requests)  # two of them at once
    assert ("1", 9) == (emulator.last.headers["x-a"], embeddings.timeout)
    emulator.always(Fault("body", data=b'{"data": [{"embedding": [[1, 2], [3, 4]]}]}'))
    assert [[1, 2], [3, 4]] == embeddings.embed_documents(["a", "b"])
    with pytest.raises(ValidationError, match="endpoint_kwargs: unsupported arguments: cert"):
        deployed(emulator, OCIModelDeploymentEndpointEmbeddings, endpoint_kwargs={"cert": "x"})


def test_none_is_accepted_for_dicts(emulator: Emulator) -> None:
    """`None` for dicts; headers of any type."""
    chat = deployed(emulator, ChatOCIModelDeployment, model_kwargs=None, default_headers={"x-count": 3})
    chat.invoke(REQUEST)

    assert ("3", {}) == (emulator.last.headers["x-count"], chat.model_kwargs)
    assert {} == deployed(emulator, ChatOCIModelDeployment, default_headers=None).default_headers


@pytest.mark.parametrize("name", ["request_timeout", "requests_kwargs", "timeout", "headers"])
def test_connection_options_in_a_call_are_rejected(emulator: Emulator, name: str) -> None:
    """They raise, and are not sent."""
    with pytest.raises(ValueError, match="cannot be set for a single call"):
        deployed(emulator, ChatOCIModelDeployment).invoke(REQUEST, **{name: 3})
    with pytest.raises(ValueError, match="cannot be set for a single call"):
        deployed(emulator, OCIModelDeploymentEndpointEmbeddings).embed_documents(["a"], **{name: 3})
    assert [] == emulator.requests


REJECTED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "headers": (OCIModelDeploymentLLM, {"headers": {"route": "/v1/completions"}}, "headers"),
    "max_token": (ChatOCIModelDeploymentTGI, {"max_token": 512}, "max_token"),
    "context_size": (OCIGenAI, {"context_size": "128000"}, "context_size"),
    "the Responses API of completions": (OCIGenAI, {"use_responses_api": True}, "use_responses_api is for chat models"),
    "two API formats": (
        ChatOCIGenAI,
        {"use_responses_api": True, "dialect": "openai-chat"},
        "use_responses_api and dialect both",
    ),
    "a conversation store of vectors": (
        OCIGenAIEmbeddings,
        {"conversation_store_id": "a"},
        "not supported for embeddings",
    ),
    "an unknown family": (
        ChatOCIGenAI,
        {"provider": "mistral"},
        "family='mistral' is unknown .hint: use one of cohere",
    ),
    "an unknown family of completions": (OCIGenAI, {"provider": "mistral"}, "family='mistral' is unknown"),
    "a family and a dialect": (ChatOCIGenAI, {"provider": "openai", "dialect": "openai-chat"}, "remove one of them"),
    "no limit": (ChatOCIGenAI, {"max_sequential_tool_calls": 0}, "must be at least 1"),
    "a limit for completions": (OCIGenAI, {"max_sequential_tool_calls": 3}, "not supported for completions"),
    "a family of vectors": (OCIGenAIEmbeddings, {"provider": "cohere"}, "not supported for embeddings"),
    "guidance in COHERE": (
        ChatOCIGenAI,
        {"model_id": "cohere.command-r-plus", "tool_result_guidance": True},
        "tool_result_guidance: apiFormat COHERE",
    ),
}


@pytest.mark.parametrize(("model", "options", "message"), REJECTED.values(), ids=REJECTED)
def test_options_without_effect_are_rejected(model: Any, options: dict[str, Any], message: str) -> None:
    """No option is accepted and ignored, as in some packages."""
    platform_case = CHICAGO if model.provider_name == "oci_genai" else {"endpoint": "http://127.0.0.1:1/ocid1.x"}
    named = {"model_id": "xai.grok-4"} if platform_case is CHICAGO else {}
    with pytest.raises(ValidationError, match=message):
        model(**{**platform_case, **named, **options})


def test_use_responses_api_chooses_the_dialect() -> None:
    """`False` is accepted, because it is the behavior anyway."""
    named = {"model_id": "xai.grok-4", **CHICAGO}
    assert ChatOCIGenAI(use_responses_api=False, **named).dialect is None
    assert ChatOCIGenAI(use_responses_api=True, **named).dialect == "openai-responses"


# Authentication and region from the environment


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with a profile, and an environment without OCI variables."""
    for name in ("OCI_CONFIG_FILE", "OCI_CLI_PROFILE", "OCI_RESOURCE_PRINCIPAL_VERSION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key.pem").write_text(PEM)
    ids = "tenancy=ocid1.tenancy.oc1..aaaa\nuser=ocid1.user.oc1..bbbb\nfingerprint=" + ":".join(["0a"] * 16)
    (tmp_path / "oci-config").write_text(f"[DEFAULT]\n{ids}\nkey_file={tmp_path}/key.pem\nregion=uk-london-1\n")
    return tmp_path


def test_ads_environment(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`OCI_IAM_TYPE` and `OCI_CONFIG_LOCATION`, as oracle-ads reads them; fields override them."""
    monkeypatch.setenv("OCI_CONFIG_LOCATION", str(machine / "oci-config"))

    assert "uk-london-1" == oci.resolve_signer().region  # type: ignore[union-attr]
    monkeypatch.setenv("OCI_IAM_TYPE", "resource_principal")
    with pytest.raises(ValueError, match="OCI_RESOURCE_PRINCIPAL_VERSION is not set"):
        oci.resolve_signer({})
    assert oci.resolve_signer(auth_type="api_key")
    assert oci.resolve_signer(auth_profile="DEFAULT")
    monkeypatch.setenv("OCI_IAM_TYPE", "magic")
    with pytest.raises(ValueError, match="auth_type='magic' is unknown"):
        oci.resolve_signer()


def test_the_region_of_the_signer(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the profile, a resource principal, a signer, an oracle-ads dict; or it is missing."""
    fields = {"model_id": "xai.grok-4", "compartment_id": CHICAGO["compartment_id"]}
    file = str(machine / "oci-config")
    config = {"config": {"region": "eu-frankfurt-1"}, "signer": None}

    assert "uk-london-1" in ChatOCIGenAI(**fields, auth_file_location=file).service.platform.base_url
    assert "uk-london-1" in ChatOCIGenAI(**fields, auth=oci.from_config(file=file)).service.platform.base_url
    assert "eu-frankfurt-1" == oci.resolve_region(config)
    with pytest.raises(ValidationError, match="region is missing"):
        ChatOCIGenAI(**fields)
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_REGION", "us-ashburn-1")
    assert "us-ashburn-1" == oci.resolve_region()


def test_the_aws_region(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`AWS_REGION` is used too; empty names are ignored; `base_url` is langchain-aws's name of the address."""
    pytest.importorskip("botocore", reason="botocore knows the regions")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    chat = ChatSagemakerEndpoint(endpoint_name="e", region_name="", credentials_profile_name="")

    assert "eu-west-1" in chat.service.platform.base_url
    assert "http://127.0.0.1:1/endpoints/e" == (
        ChatSagemakerEndpoint(endpoint_name="e", base_url="http://127.0.0.1:1").service.platform.base_url
    )


def test_botocore_configs() -> None:
    """Timeouts, retries, region and proxy are used; fields override them; other options raise."""
    config = pytest.importorskip("botocore.config", reason="botocore's own object").Config
    content = config(
        read_timeout=9, connect_timeout=2, retries={"total_max_attempts": 4, "mode": "standard"}, region_name="eu-west-1",
        proxies={"https": "http://127.0.0.1:3128"},
    )  # fmt: skip
    llm = SagemakerEndpoint(endpoint_name="e", config=content, max_retries=1)

    assert (Timeout(read=9, connect=2), 1, "eu-west-1") == (llm.timeout, llm.max_retries, llm.region_name)
    assert "http://127.0.0.1:3128" == llm.proxy
    assert 3 == SagemakerEndpointEmbeddings(endpoint_name="e", config=content).max_retries
    assert 5 == SagemakerEndpoint(endpoint_name="e", config=config(retries={"max_attempts": 5})).max_retries
    with pytest.raises(ValidationError, match="config: unsupported options: max_pool_connections"):
        SagemakerEndpoint(endpoint_name="e", config=config(max_pool_connections=3))
    with pytest.raises(ValidationError, match="retries: expected max_attempts"):
        SagemakerEndpoint(endpoint_name="e", config=config(retries={"mode": "adaptive"}))


# content blocks of langchain-oci's pages

URL = {"url": "https://x/y"}
BLOCKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "document_url": ({"type": "document_url", "document_url": URL}, {"type": "DOCUMENT", "documentUrl": URL}),
    "document by address": ({"type": "document", **URL}, {"type": "DOCUMENT", "documentUrl": URL}),
    "document inside": ({"type": "document", "document": URL}, {"type": "DOCUMENT", "documentUrl": URL}),
    "file inside": ({"type": "file", "file": URL}, {"type": "DOCUMENT", "documentUrl": URL}),
    "video inside": ({"type": "video", "video": URL}, {"type": "VIDEO", "videoUrl": URL}),
    "audio inside": ({"type": "audio", "audio": URL}, {"type": "AUDIO", "audioUrl": URL}),
    "media, an image": (
        {"type": "media", "data": "QQ==", "mime_type": "image/png"},
        {"type": "IMAGE", "imageUrl": {"url": "data:image/png;base64,QQ=="}},
    ),
    "media, a video": (
        {"type": "media", "data": "QQ==", "mime_type": "video/mp4"},
        {"type": "VIDEO", "videoUrl": {"url": "data:video/mp4;base64,QQ=="}},
    ),
    "media, a sound": (
        {"type": "media", "data": "QQ==", "mime_type": "audio/mpeg"},
        {"type": "AUDIO", "audioUrl": {"url": "data:audio/mp3;base64,QQ=="}},
    ),
    "media, a document": (
        {"type": "media", "data": "QQ==", "mime_type": "application/pdf"},
        {"type": "DOCUMENT", "documentUrl": {"url": "data:application/pdf;base64,QQ=="}},
    ),
}


@pytest.mark.parametrize(("block", "expected"), BLOCKS.values(), ids=BLOCKS)
def test_content_blocks(emulator: Emulator, block: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each block of the documentation is sent in the service's format."""
    before = json.dumps(block)
    hosted(emulator, model="google.gemini-2.5-flash").invoke([HumanMessage([{"type": "text", "text": "What?"}, block])])

    assert expected == emulator.last.json["chatRequest"]["messages"][0]["content"][1]
    assert before == json.dumps(block)
