"""Parameters of model servers as fields, names of other packages as attributes, images as content blocks."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from _both_frameworks import HI, METHODS, PLATFORMS, completion, langchain, llamaindex, scripted
from _langchain import get_weather
from _platforms import PLATFORM_CASES
from _raw_server import serving
from langchain_core.messages import HumanMessage
from llama_index.core.tools import FunctionTool

import langchain_mdstream as ours
import llamaindex_mdstream
from mdstream_core.emulator import Emulator

FIELDS: dict[str, Any] = {
    "top_k": 7,
    "min_p": 0.25,
    "repetition_penalty": 1.5,
    "best_of": 2,
    "service_tier": "priority",
    "reasoning_effort": "low",
    "verbosity": "high",
    "chat_template": "{{ messages }}",
    "chat_template_kwargs": {"enable_thinking": False},
}

ENDPOINT = "http://127.0.0.1:1/ocid1.datasciencemodeldeployment.oc1.iad.x"


def requests_of(method: str, platform: str, **fields: Any) -> dict[str, Any]:
    """The body of the last request that a method sends."""
    build, call, _ = METHODS[method]
    with serving(scripted(completion)) as server:
        call(build(platform, server, **fields))
        body: dict[str, Any] = server.notes[-1]
        return body


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_field_is_sent(platform: str, method: str) -> None:
    """Under its own name, on every platform, by every method."""
    sent = requests_of(method, platform, **FIELDS)

    assert FIELDS == {name: sent.get(name) for name in FIELDS}


@pytest.mark.parametrize("method", METHODS)
def test_no_field_is_sent_by_default(method: str) -> None:
    """Servers reject names that they do not know."""
    sent = requests_of(method, "oci-model-deployment", tool_choice="auto")

    assert set() == {*FIELDS, "tool_choice"} & sent.keys()


@pytest.mark.parametrize("build", [langchain, llamaindex])
def test_short_names_of_the_peers(build: Any) -> None:
    """`k` and `p` are `top_k` and `top_p`, for constructors and attributes."""
    with serving(scripted(completion)) as server:
        model = build("oci-model-deployment", server, k=3, p=0.5)
        assert (3, 0.5, 3, 0.5) == (model.k, model.p, model.top_k, model.top_p)
        model.invoke("Hi") if build is langchain else model.chat(HI)
        assert (3, 0.5) == (server.notes[-1]["top_k"], server.notes[-1]["top_p"])


def test_completions_have_no_parameters_of_chats() -> None:
    """Of the fields only those for sampling are sent with a prompt."""
    sampling = {name: FIELDS[name] for name in ("top_k", "min_p", "repetition_penalty", "best_of", "service_tier")}
    with Emulator() as emulator:
        connection = {"endpoint": emulator.endpoint, "auth_type": "none"}
        llamaindex_mdstream.OCIDataScience(**connection, is_chat_model=False, **FIELDS).complete("Hi")
        ours.OCIModelDeploymentLLM(**connection, **sampling).invoke("Hi")

        for request in emulator.requests:
            assert sampling == {name: request.json[name] for name in FIELDS if name in request.json}


CHOICES: dict[str, Any] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
    "get_weather": {"type": "function", "function": {"name": "get_weather"}},
}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_tool_choice_of_a_model(platform: str, choice: str) -> None:
    """Is that of requests with tools which set none, in both frameworks."""
    with serving(scripted(completion)) as server:
        langchain(platform, server, tool_choice=choice).bind_tools([get_weather]).invoke("Hi")
        tool = FunctionTool.from_defaults(get_weather.func, name="get_weather")
        llamaindex(platform, server, tool_choice=choice).chat_with_tools([tool], "Hi")

        assert [CHOICES[choice], CHOICES[choice]] == [body["tool_choice"] for body in server.notes]


def test_a_call_overrides_the_tool_choice_of_a_model() -> None:
    """And so do `model_kwargs`, `additional_kwargs` and LlamaIndex's `tool_required`."""
    tool = FunctionTool.from_defaults(get_weather.func, name="get_weather")
    with serving(scripted(completion)) as server:
        chat = langchain("oci-model-deployment", server, tool_choice="auto")
        chat.bind_tools([get_weather], tool_choice="any").invoke("Hi")
        langchain("oci-model-deployment", server, tool_choice="auto", model_kwargs={"tool_choice": "none"}).bind_tools(
            [get_weather]
        ).invoke("Hi")
        llm = llamaindex("oci-model-deployment", server, tool_choice="auto")
        llm.chat_with_tools([tool], "Hi", tool_choice="none")
        llm.chat_with_tools([tool], "Hi", tool_required=True)

        assert ["required", "none", "none", "required"] == [body["tool_choice"] for body in server.notes]


def test_a_tool_choice_that_is_no_tool() -> None:
    """Is an error that names the tools."""
    with pytest.raises(ValueError, match=r"'get_time' is not a bound tool \(hint: use one of get_weather"):
        ours.ChatOCIModelDeployment(endpoint=ENDPOINT, auth_type="none", tool_choice="get_time").bind_tools(
            [get_weather]
        ).invoke("Hi")


async def test_the_native_format_of_oci(tmp_path: Path) -> None:
    """OCI Generative AI has its own names for the fields; both frameworks send the same."""
    with Emulator() as emulator:
        fields = {**PLATFORM_CASES["OCI GenAI GENERIC"].fields(emulator), "model": "xai.grok-4"}
        options = {"top_k": 7, "reasoning_effort": "low", "verbosity": "high", "service_tier": "priority"}
        await ours.ChatOCIGenAI(**fields, **options).ainvoke("Hi")
        first = emulator.last.json["chatRequest"]
        await llamaindex_mdstream.OCIGenAI(**fields, **options).achat(HI)
        second = emulator.last.json["chatRequest"]

    expected = {"topK": 7, "reasoningEffort": "LOW", "verbosity": "HIGH", "serviceTier": "PRIORITY"}
    assert [expected, expected] == [{name: sent[name] for name in expected} for sent in (first, second)]


#: class, arguments, and the values of its attributes
ATTRIBUTES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "LangChain's chat": (
        ours.ChatOCIGenAI,
        {"model_id": "xai.grok-4", "is_stream": True, "provider": "generic"},
        {"model_id": "xai.grok-4", "is_stream": True, "provider": "generic", "model_name": "xai.grok-4"},
    ),
    "LangChain's embeddings": (
        ours.OCIGenAIEmbeddings,
        {"model_id": "cohere.embed-v4.0", "output_dimensions": 256},
        {"model_id": "cohere.embed-v4.0", "output_dimensions": 256},
    ),
    "LlamaIndex's LLM": (
        llamaindex_mdstream.OCIGenAI,
        {"model_id": "xai.grok-4", "context_size": 8000, "provider": "generic"},
        {"model_id": "xai.grok-4", "model_name": "xai.grok-4", "context_size": 8000, "provider": "generic"},
    ),
    "LlamaIndex's embeddings": (
        llamaindex_mdstream.OCIGenAIEmbeddings,
        {"model": "cohere.embed-v4.0", "output_dimensions": 256},
        {"model_id": "cohere.embed-v4.0", "model": "cohere.embed-v4.0", "output_dimensions": 256},
    ),
}


@pytest.mark.parametrize(("cls", "arguments", "expected"), ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_names_of_the_peers_are_attributes(cls: Any, arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    """Those that the constructor accepts."""
    model = cls(region="us-chicago-1", compartment_id="ocid1.compartment.oc1..x", auth_type="none", **arguments)

    assert expected == {name: getattr(model, name) for name in expected}


def test_a_name_that_is_no_field_is_no_attribute() -> None:
    """ModelArts' `base_url` is `endpoint`; SageMaker's is `endpoint_url`."""
    modelarts = llamaindex_mdstream.ModelArts(endpoint="https://x/v1", api_key="k")
    sagemaker = llamaindex_mdstream.SageMakerLLM(endpoint_name="e", endpoint_url="http://127.0.0.1:1")

    assert ("https://x/v1", "http://127.0.0.1:1") == (modelarts.base_url, sagemaker.base_url)
    assert ({}, None) == (sagemaker.model_kwargs, sagemaker.aws_region_name)
    with pytest.raises(AttributeError):
        _ = modelarts.aws_region_name


def test_the_models_of_llamaindex_embeddings() -> None:
    """A list of names, of the class and of an object."""
    names = llamaindex_mdstream.OCIGenAIEmbeddings.list_supported_models()

    assert {"cohere.embed-v4.0", "cohere.embed-english-v3.0", *ours.IMAGE_EMBEDDING_MODELS} <= set(names)


# images

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"


def uri(data: bytes, media: str) -> str:
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


def test_images_as_blocks(tmp_path: Path) -> None:
    """Files and bytes; the media type is that of the content, else of the name, else PNG."""
    file, unknown = tmp_path / "photo.png", tmp_path / "photo.tiff"
    file.write_bytes(JPEG)
    unknown.write_bytes(b"II*\x00")

    assert {"type": "image_url", "image_url": {"url": uri(JPEG, "image/jpeg")}} == ours.load_image(file)
    assert uri(b"II*\x00", "image/tiff") == ours.load_image(str(unknown))["image_url"]["url"]
    assert {"type": "image_url", "image_url": {"url": uri(PNG, "image/png")}} == ours.encode_image(PNG)
    assert uri(b"x", "image/png") == ours.to_data_uri(b"x")
    assert (
        uri(b"x", "image/webp")
        == ours.to_data_uri(b"x", "image/webp")
        == ours.to_data_uri(b"x", mime_type="image/webp")
    )
    assert "data:image/gif;base64,QQ==" == ours.to_data_uri("data:image/gif;base64,QQ==")
    with pytest.raises(FileNotFoundError):
        ours.load_image(tmp_path / "none.png")


def test_an_image_is_sent() -> None:
    """As the block of a message."""
    with serving(scripted(completion)) as server:
        chat = langchain("oci-model-deployment", server)
        chat.invoke([HumanMessage([{"type": "text", "text": "What?"}, ours.encode_image(JPEG, "image/jpeg")])])

        assert uri(JPEG, "image/jpeg") == server.notes[-1]["messages"][0]["content"][1]["image_url"]["url"]


def test_models_with_vision() -> None:
    """All that langchain-oci lists, and none that only completes text."""
    assert [] == [name for name in ours.VISION_MODELS if not ours.is_vision_model(name)]
    assert [] == [
        name
        for name in ("meta.llama-3.3-70b-instruct", "ocid1.generativeaiendpoint.oc1..x", "", "cohere.command-r-plus")
        if ours.is_vision_model(name)
    ]


URL = {"url": "https://x/y"}
DATA = {"url": "data:video/mp4;base64,QQ=="}

#: block of langchain-oci, and OpenAI's part
MEDIA: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "video": ({"type": "video", "video_url": URL}, {"type": "video_url", "video_url": URL}),
    "video, data": ({"type": "video", "video_url": DATA}, {"type": "video_url", "video_url": DATA}),
    "video, text": ({"type": "video", "video_url": URL["url"]}, {"type": "video_url", "video_url": URL}),
    "audio": ({"type": "audio", "audio_url": URL}, {"type": "audio_url", "audio_url": URL}),
    "image": ({"type": "image", "image_url": URL}, {"type": "image_url", "image_url": URL}),
    "document": ({"type": "document", "document_url": URL}, {"type": "document_url", "document_url": URL}),
    "file": ({"type": "file", "document_url": URL}, {"type": "document_url", "document_url": URL}),
}


@pytest.mark.parametrize(("block", "expected"), MEDIA.values(), ids=MEDIA)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_media_blocks_of_langchain_oci(platform: str, block: dict[str, Any], expected: dict[str, Any]) -> None:
    """A block named like the media, with the URL under OpenAI's name; it is not changed."""
    before = json.dumps(block)
    with serving(scripted(completion)) as server:
        chat = langchain(platform, server)
        message = HumanMessage([{"type": "text", "text": "What?"}, block])
        chat.invoke([message])
        asyncio.run(chat.ainvoke([message]))

        assert [expected, expected] == [body["messages"][0]["content"][1] for body in server.notes]
    assert before == json.dumps(block)


@pytest.mark.parametrize(
    ("name", "kind", "url"),
    [("video", "VIDEO", "videoUrl"), ("audio", "AUDIO", "audioUrl"), ("document", "DOCUMENT", "documentUrl")],
)
def test_media_blocks_in_the_format_of_oci(name: str, kind: str, url: str) -> None:
    """OCI Generative AI's own content types."""
    with Emulator() as emulator:
        chat = ours.ChatOCIGenAI(
            **{**PLATFORM_CASES["OCI GenAI GENERIC"].fields(emulator), "model": "google.gemini-2.5-flash"}
        )
        chat.invoke([HumanMessage([{"type": "text", "text": "What?"}, {"type": name, f"{name}_url": URL}])])

        assert {"type": kind, url: URL} == emulator.last.json["chatRequest"]["messages"][0]["content"][1]
