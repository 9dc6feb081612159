"""Contenders for the four services, with the core and with LangChain: the same tokens in each service's format."""
# ruff: noqa: PLC0415  (a benchmark imports only the package that it measures)

from functools import partial
from importlib import import_module
from typing import Any

from benchmarks.contenders import PROMPT, Contender
from benchmarks.source import Source

_COMPARTMENT = "ocid1.compartment.oc1..b"
_GROK, _COMMAND = "xai.grok-4", "cohere.command-a-03-2025"


def _core(platform: Any, dialect_name: str, **params: Any) -> Contender:
    from mdstream_core import Service, TextDelta
    from mdstream_core.dialects import dialect as resolve_dialect

    service, dialect = Service(platform), resolve_dialect(dialect_name)
    payload = {"messages": [{"role": "user", "content": PROMPT}], **params}

    def call() -> Any:
        return service.call(dialect, payload)

    return Contender(
        lambda: service.client.stream(call()),
        lambda: service.async_client.stream(call()),
        lambda event: event.text if isinstance(event, TextDelta) else "",
    )


def _chat(name: str, **fields: Any) -> Contender:
    import langchain_mdstream
    from benchmarks.floors_langchain import contender

    return contender(getattr(langchain_mdstream, name)(auth=_unsigned(), **fields))


def _unsigned() -> Any:
    from mdstream_core.auth import UnsignedSigner

    return UnsignedSigner()


def _core_genai(wire: str, model: str, source: Source, pem: bytes | None) -> Contender:
    from mdstream_core import OCIGenerativeAI

    return _core(OCIGenerativeAI(_COMPARTMENT, model, service_endpoint=f"{source.url}/{wire}"), wire)


def _core_sagemaker(wire: str, source: Source, pem: bytes | None) -> Contender:
    from mdstream_core import SageMaker

    return _core(SageMaker("e", endpoint_url=f"{source.url}/{wire}"), "auto")


def _core_modelarts(wire: str, scheme: str, source: Source, pem: bytes | None) -> Contender:
    from mdstream_core import ModelArts

    return _core(ModelArts(f"{source.url.replace('http', scheme, 1)}/{wire}"), "openai-chat", model="m")


def _chat_genai(wire: str, model: str, source: Source, pem: bytes | None) -> Contender:
    fields = {"compartment_id": _COMPARTMENT, "service_endpoint": f"{source.url}/{wire}"}
    return _chat("ChatOCIGenAI", model=model, dialect=wire, **fields)


def _chat_sagemaker(wire: str, source: Source, pem: bytes | None) -> Contender:
    import_module("botocore")  # the class reads the endpoint rules of the region from it
    fields = {"endpoint_name": "e", "region_name": "us-east-1", "endpoint_url": f"{source.url}/{wire}"}
    return _chat("ChatSagemakerEndpoint", **fields)


def _chat_modelarts(wire: str, scheme: str, source: Source, pem: bytes | None) -> Contender:
    return _chat("ChatModelArts", model="m", endpoint=f"{source.url.replace('http', scheme, 1)}/{wire}")


def _llm(name: str, **fields: Any) -> Contender:
    import llamaindex_mdstream
    from benchmarks.floors_llamaindex import contender

    return contender(getattr(llamaindex_mdstream, name)(auth=_unsigned(), **fields))


def _llm_genai(wire: str, model: str, source: Source, pem: bytes | None) -> Contender:
    fields = {"compartment_id": _COMPARTMENT, "service_endpoint": f"{source.url}/{wire}"}
    return _llm("OCIGenAI", model=model, dialect=wire, **fields)


def _llm_sagemaker(wire: str, source: Source, pem: bytes | None) -> Contender:
    import_module("botocore")  # the class reads the endpoint rules of the region from it
    fields = {"endpoint_name": "e", "region_name": "us-east-1", "endpoint_url": f"{source.url}/{wire}"}
    return _llm("SageMakerLLM", **fields)


def _llm_modelarts(wire: str, scheme: str, source: Source, pem: bytes | None) -> Contender:
    return _llm("ModelArts", model="m", endpoint=f"{source.url.replace('http', scheme, 1)}/{wire}")


core_generic = partial(_core_genai, "oci-generic", _GROK)
core_cohere = partial(_core_genai, "oci-cohere", _COMMAND)
core_sagemaker_sse = partial(_core_sagemaker, "sagemaker-sse")
core_sagemaker_lines = partial(_core_sagemaker, "sagemaker-lines")
core_sagemaker_tgi = partial(_core_sagemaker, "sagemaker-tgi")
core_modelarts_sse = partial(_core_modelarts, "modelarts-sse", "http")
core_modelarts_socket = partial(_core_modelarts, "modelarts-socket", "ws")

chat_generic = partial(_chat_genai, "oci-generic", _GROK)
chat_cohere = partial(_chat_genai, "oci-cohere", _COMMAND)
chat_sagemaker_sse = partial(_chat_sagemaker, "sagemaker-sse")
chat_sagemaker_lines = partial(_chat_sagemaker, "sagemaker-lines")
chat_sagemaker_tgi = partial(_chat_sagemaker, "sagemaker-tgi")
chat_modelarts_sse = partial(_chat_modelarts, "modelarts-sse", "http")
chat_modelarts_socket = partial(_chat_modelarts, "modelarts-socket", "ws")

llm_generic = partial(_llm_genai, "oci-generic", _GROK)
llm_cohere = partial(_llm_genai, "oci-cohere", _COMMAND)
llm_sagemaker_sse = partial(_llm_sagemaker, "sagemaker-sse")
llm_sagemaker_lines = partial(_llm_sagemaker, "sagemaker-lines")
llm_sagemaker_tgi = partial(_llm_sagemaker, "sagemaker-tgi")
llm_modelarts_sse = partial(_llm_modelarts, "modelarts-sse", "http")
llm_modelarts_socket = partial(_llm_modelarts, "modelarts-socket", "ws")
