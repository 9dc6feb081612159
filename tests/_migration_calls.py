"""Constructor calls and method calls of the packages that users come from, and what kind of result each returns.

The same calls run on the other packages (`make migration`, which records the kinds) and here (`test_migration_calls.py`).
"""

import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from mdstream_core.emulator import Emulator

Namespace = Any
"""A module with the classes: one of another package, or ours."""

PROMPT = "Name three rivers."


class NoSigner:
    """A signer of the `oci` SDK that signs nothing."""

    def do_request_sign(self, request: Any, **_: Any) -> Any:
        return request

    __call__ = do_request_sign


def _deployment(emulator: Emulator, _: Namespace) -> dict[str, Any]:
    return {"endpoint": f"{emulator.endpoint}/predict", "auth": {"signer": NoSigner()}, "max_retries": 1}


def _oci_client(emulator: Emulator) -> Any:
    from oci.generative_ai_inference import GenerativeAiInferenceClient  # noqa: PLC0415  # the SDK is an extra

    identity = {"tenancy": "ocid1.tenancy.oc1..t", "user": "ocid1.user.oc1..u", "fingerprint": ":".join(["00"] * 16)}
    config = {**identity, "region": "us-chicago-1", "key_content": "the signer needs none"}
    return GenerativeAiInferenceClient(config, signer=NoSigner(), service_endpoint=emulator.oci_genai.endpoint)


def _genai(model: str, name: str = "model_id") -> Callable[[Emulator, Namespace], dict[str, Any]]:
    def build(emulator: Emulator, _: Namespace) -> dict[str, Any]:
        service = emulator.oci_genai
        return {
            name: model,
            "compartment_id": service.compartment_id,
            "service_endpoint": service.endpoint,
            "client": _oci_client(emulator),
        }

    return build


def _boto3_client(emulator: Emulator) -> Any:
    import boto3  # noqa: PLC0415  # an extra

    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}
    return boto3.client("sagemaker-runtime", region_name="us-east-1", endpoint_url=emulator.url, **keys)


class _CompletionHandler:
    content_type = accepts = "application/json"

    def transform_input(self, prompt: str, model_kwargs: dict[str, Any]) -> bytes:
        return json.dumps({"inputs": prompt, "parameters": model_kwargs}).encode()

    def transform_output(self, output: Any) -> str:
        return str(json.loads(output.read())[0]["generated_text"])


class _EmbeddingHandler:
    content_type = accepts = "application/json"

    def transform_input(self, inputs: list[str], model_kwargs: dict[str, Any]) -> bytes:
        return json.dumps({"inputs": inputs, **model_kwargs}).encode()

    def transform_output(self, output: Any) -> list[list[float]]:
        vectors: list[list[float]] = json.loads(output.read())
        return vectors


def _sagemaker(name: str, handler: type, base: str) -> Callable[[Emulator, Namespace], dict[str, Any]]:
    def build(emulator: Emulator, names: Namespace) -> dict[str, Any]:
        handler_class = type(handler.__name__, (handler, getattr(names, base)), {})
        return {
            "endpoint_name": name,
            "region_name": "us-east-1",
            "client": _boto3_client(emulator),
            "content_handler": handler_class(),
        }

    return build


def _chat_handler(emulator: Emulator, names: Namespace) -> dict[str, Any]:
    from langchain_core.messages import AIMessage, AIMessageChunk  # noqa: PLC0415  # with LangChain only

    class Handler(names.ChatModelContentHandler):  # type: ignore[misc]
        content_type = accepts = "application/json"

        def transform_input(self, prompt: Any, model_kwargs: dict[str, Any]) -> bytes:
            return json.dumps({"messages": prompt, **model_kwargs}).encode()

        def transform_output(self, output: Any) -> Any:
            if not isinstance(output, bytes) or hasattr(output, "read"):
                body = json.loads(output.read())
                return AIMessage(body["choices"][0]["message"]["content"])
            return AIMessageChunk("")  # pragma: no cover

    return {
        "endpoint_name": "emulated",
        "region_name": "us-east-1",
        "client": _boto3_client(emulator),
        "content_handler": Handler(),
    }


def _llamaindex_sagemaker(name: str, region: str) -> Callable[[Emulator, Namespace], dict[str, Any]]:
    """`AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME` has the address."""

    def build(_: Emulator, __: Namespace) -> dict[str, Any]:
        keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}
        return {"endpoint_name": name, region: "us-east-1", **keys}

    return build


_WITH_PROVIDER = {"provider": "cohere"}
_LLAMA = "meta.llama-3.3-70b-instruct"

#: Constructor calls by package and class.
CONSTRUCTORS: dict[tuple[str, str], Callable[[Emulator, Namespace], dict[str, Any]]] = {
    **{
        (package, name): _deployment
        for package in ("langchain-oci", "langchain-community")
        for name in (
            "ChatOCIModelDeployment",
            "ChatOCIModelDeploymentVLLM",
            "ChatOCIModelDeploymentTGI",
            "OCIModelDeploymentLLM",
            "OCIModelDeploymentVLLM",
            "OCIModelDeploymentTGI",
        )
    },
    **{
        (package, name): build
        for package in ("langchain-oci", "langchain-community")
        for name, build in (
            ("ChatOCIGenAI", _genai(_LLAMA)),
            ("OCIGenAI", _genai("cohere.command")),
            ("OCIGenAIEmbeddings", _genai("cohere.embed-v4.0")),
        )
    },
    ("langchain-oci", "OCIModelDeploymentEndpointEmbeddings"): _deployment,
    ("langchain-oci", "OCIGenAIRerank"): _genai("cohere.rerank-v4.0-fast"),
    ("langchain-community", "SagemakerEndpoint"): _sagemaker("tgi", _CompletionHandler, "LLMContentHandler"),
    ("langchain-community", "SagemakerEndpointEmbeddings"): _sagemaker(
        "tei", _EmbeddingHandler, "EmbeddingsContentHandler"
    ),
    ("langchain-aws", "SagemakerEndpoint"): _sagemaker("tgi", _CompletionHandler, "LLMContentHandler"),
    ("langchain-aws", "ChatSagemakerEndpoint"): _chat_handler,
    ("llama-index-llms-oci-data-science", "OCIDataScience"): _deployment,
    ("llama-index-llms-oci-genai", "OCIGenAI"): _genai(_LLAMA, "model"),
    ("llama-index-llms-sagemaker-endpoint", "SageMakerLLM"): _llamaindex_sagemaker("tgi", "aws_region_name"),
    ("llama-index-embeddings-oci-data-science", "OCIDataScienceEmbedding"): _deployment,
    ("llama-index-embeddings-oci-genai", "OCIGenAIEmbeddings"): _genai("cohere.embed-v4.0", "model_name"),
    ("llama-index-embeddings-sagemaker-endpoint", "SageMakerEmbedding"): _llamaindex_sagemaker("tei", "region_name"),
}


def _tool() -> Callable[..., str]:
    def get_weather(city: str) -> str:
        """Get the weather in a city."""
        return f"Sunny in {city}"

    return get_weather


_SCHEMA = {
    "title": "Joke",
    "description": "A joke.",
    "type": "object",
    "properties": {"setup": {"type": "string", "description": "The setup."}},
    "required": ["setup"],
}


def _messages() -> list[Any]:
    from llama_index.core.llms import ChatMessage  # noqa: PLC0415  # with LlamaIndex only

    return [ChatMessage(role="user", content=PROMPT)]


def _documents() -> list[Any]:
    from langchain_core.documents import Document  # noqa: PLC0415  # with LangChain only

    return [Document("a hill"), Document("three rivers")]


#: Method calls of the models of LangChain, by the name of the method; each is given a model.
_LANGCHAIN: dict[str, Callable[[Any], Any]] = {
    "invoke": lambda model: model.invoke(PROMPT),
    "ainvoke": lambda model: model.ainvoke(PROMPT),
    "stream": lambda model: model.stream(PROMPT),
    "astream": lambda model: model.astream(PROMPT),
    "batch": lambda model: model.batch([PROMPT, PROMPT]),
    "generate_prompt": lambda model: model.generate_prompt([model._convert_input(PROMPT)]),
}

_CHAT = {
    **_LANGCHAIN,
    "bind_tools": lambda model: model.bind_tools([_tool()]),
    "bind_tools, invoke": lambda model: model.bind_tools([_tool()]).invoke(PROMPT),
    "with_structured_output": lambda model: model.with_structured_output(_SCHEMA, method="json_mode"),
}

_EMBEDDINGS: dict[str, Callable[[Any], Any]] = {
    "embed_documents": lambda model: model.embed_documents(["a hill", "a river"]),
    "aembed_documents": lambda model: model.aembed_documents(["a hill", "a river"]),
    "embed_query": lambda model: model.embed_query("a hill"),
    "aembed_query": lambda model: model.aembed_query("a hill"),
}

_PNG = b"\x89PNG\r\n\x1a\n"
_IMAGES: dict[str, Callable[[Any], Any]] = {
    "embed_image": lambda model: model.embed_image(_PNG, mime_type="image/png"),
    "aembed_image": lambda model: model.aembed_image(_PNG, mime_type="image/png"),
    "embed_image_batch": lambda model: model.embed_image_batch([_PNG, _PNG]),
    "aembed_image_batch": lambda model: model.aembed_image_batch([_PNG, _PNG]),
}

_RERANK: dict[str, Callable[[Any], Any]] = {
    "rerank": lambda model: model.rerank(_documents(), PROMPT),
    "arerank": lambda model: model.arerank(_documents(), PROMPT),
    "compress_documents": lambda model: model.compress_documents(_documents(), PROMPT),
    "acompress_documents": lambda model: model.acompress_documents(_documents(), PROMPT),
}

_LLAMAINDEX: dict[str, Callable[[Any], Any]] = {
    "complete": lambda model: model.complete(PROMPT),
    "stream_complete": lambda model: model.stream_complete(PROMPT),
    "chat": lambda model: model.chat(_messages()),
    "stream_chat": lambda model: model.stream_chat(_messages()),
    "acomplete": lambda model: model.acomplete(PROMPT),
    "astream_complete": lambda model: model.astream_complete(PROMPT),
    "achat": lambda model: model.achat(_messages()),
    "astream_chat": lambda model: model.astream_chat(_messages()),
    "metadata": lambda model: model.metadata,
    "class_name": lambda model: model.class_name(),
    "get_tool_calls_from_response": lambda model: model.get_tool_calls_from_response(
        model.chat(_messages()), error_on_no_tool_call=False
    ),
}

_LLAMAINDEX_EMBEDDINGS: dict[str, Callable[[Any], Any]] = {
    "get_text_embedding": lambda model: model.get_text_embedding("a hill"),
    "aget_text_embedding": lambda model: model.aget_text_embedding("a hill"),
    "get_query_embedding": lambda model: model.get_query_embedding("a hill"),
    "aget_query_embedding": lambda model: model.aget_query_embedding("a hill"),
    "get_text_embedding_batch": lambda model: model.get_text_embedding_batch(["a hill", "a river"]),
    "aget_text_embedding_batch": lambda model: model.aget_text_embedding_batch(["a hill", "a river"]),
    "class_name": lambda model: model.class_name(),
    "list_supported_models": lambda model: model.list_supported_models(),
}

_CLOSE: dict[str, Callable[[Any], Any]] = {"aclose": lambda model: model.aclose()}


def calls_of(package: str, name: str) -> Mapping[str, Callable[[Any], Any]]:
    """The method calls of a class."""
    if package.startswith("llama-index"):
        return _LLAMAINDEX_EMBEDDINGS if "Embedding" in name else _LLAMAINDEX
    if name.endswith("Rerank"):
        return _RERANK | _CLOSE
    if "Embeddings" in name:
        return _EMBEDDINGS | (_IMAGES if name == "OCIGenAIEmbeddings" else {}) | _CLOSE
    return (_CHAT if name.startswith("Chat") else _LANGCHAIN) | _CLOSE


async def kind_of_result(model: Any, call: Callable[[Any], Any]) -> str:
    """Make a call, read its result to the end and describe it."""
    result = call(model)
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, AsyncIterator):
        items = [item async for item in result]
        return f"iterator of {_kind(items[0])}"
    if isinstance(result, Iterator):
        items = list(result)
        return f"iterator of {_kind(items[0])}"
    return _kind(result)


def _kind(value: Any) -> str:
    """Name the type of a value: that of a public class of a framework, or of the standard library."""
    if isinstance(value, list | tuple):
        return f"list of {_kind(value[0])}" if value else "list"
    modules = ("langchain_core", "llama_index.core", "builtins")
    public = (base for base in type(value).__mro__ if not base.__name__.startswith("_"))
    return next(base.__name__ for base in public if base.__module__.startswith(modules)).partition("[")[0]
