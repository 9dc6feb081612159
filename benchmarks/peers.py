"""Contenders of other packages, each set up as its documentation describes.

The OCI Data Science clients import `oracle-ads` for its default signer. They receive another signer here, so that an
empty module replaces `oracle-ads` if it is not installed.
"""
# ruff: noqa: PLC0415  (a benchmark imports only the package that it measures)

import os
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.source import Source

#: The compartment of the emulator; the benchmark's server accepts any.
COMPARTMENT = "ocid1.compartment.oc1..emulated"

_IDENTITY = {
    "tenancy": "ocid1.tenancy.oc1..b",
    "user": "ocid1.user.oc1..b",
    "fingerprint": ":".join(["00"] * 16),
}


def langchain_oci_deployment(source: Source, pem: bytes | None) -> Contender:
    """On `requests` and aiohttp. A signed `astream` cannot run, because aiohttp rejects the signer."""
    without_ads()
    from langchain_oci import ChatOCIModelDeployment

    from benchmarks.floors_langchain import contender

    auth = {"signer": _signer(pem) if pem else _basic_auth()}
    streamed = source.mode != "whole"
    streaming = contender(ChatOCIModelDeployment(endpoint=f"{source.url}/predict", auth=auth, streaming=streamed))
    return replace(streaming, astream=None) if pem else streaming


def langchain_oci_genai(source: Source, pem: bytes | None) -> Contender:
    """On the `oci` SDK; another service with the same tokens."""
    from langchain_oci import ChatOCIGenAI
    from oci.generative_ai_inference import GenerativeAiInferenceClient

    from benchmarks.floors_langchain import contender

    config = {**_IDENTITY, "region": "us-ashburn-1", "key_content": "the signer has it"}
    client = GenerativeAiInferenceClient(config, signer=_signer(pem), service_endpoint=source.url)
    fields = {
        "model_id": "meta.llama-3.3-70b-instruct",
        "provider": "meta",
        "compartment_id": COMPARTMENT,
    }
    streamed = source.mode != "whole"
    return contender(ChatOCIGenAI(client=client, service_endpoint=source.url, is_stream=streamed, **fields))


def langchain_openai(source: Source, pem: bytes | None) -> Contender:
    """On the `openai` SDK, which does not sign."""
    from langchain_openai import ChatOpenAI

    from benchmarks.floors_langchain import contender

    return contender(ChatOpenAI(base_url=source.url, api_key="none", model="odsc-llm", stream_usage=True))


def langchain_litellm(source: Source, pem: bytes | None) -> Contender:
    """On litellm over the `openai` SDK, which does not sign."""
    return _litellm(model="openai/odsc-llm", api_base=source.url, api_key="none")


def langchain_litellm_oci(source: Source, pem: bytes | None) -> Contender:
    """On litellm's own client of OCI Generative AI; the same tokens as `ChatOCIGenAI`.

    It refuses to stream with the options that `ChatLiteLLM` sends, unless it may drop them.
    """
    options = {
        "oci_signer": _signer(pem),
        "oci_region": "us-ashburn-1",
        "oci_compartment_id": COMPARTMENT,
        "drop_params": True,
    }
    return _litellm(model="oci/xai.grok-4", api_base=source.url, model_kwargs=options)


def langchain_litellm_sagemaker(source: Source, pem: bytes | None) -> Contender:
    """On litellm's own client of SageMaker, with SigV4. Its base URL is the whole URL of the operation."""
    operation = "invocations" if source.mode == "whole" else "invocations-response-stream"
    options = {
        "sagemaker_base_url": f"{source.url}/endpoints/emulated/{operation}",
        "aws_region_name": "us-east-1",
        "aws_access_key_id": "AKIDEXAMPLE",
        "aws_secret_access_key": "example",
    }
    return _litellm(model="sagemaker_chat/emulated", model_kwargs=options)


def _litellm(**fields: Any) -> Contender:
    """Create its chat model. Its table of prices is the installed one: no download."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    from langchain_litellm import ChatLiteLLM

    from benchmarks.floors_langchain import contender

    return contender(ChatLiteLLM(**fields))


def llamaindex_oci(source: Source, pem: bytes | None) -> Contender:
    """On httpx without a custom transport."""
    without_ads()
    from llama_index.llms.oci_data_science import OCIDataScience

    from benchmarks.floors_llamaindex import contender

    return contender(OCIDataScience(endpoint=f"{source.url}/predict", auth={"signer": _signer(pem)}))


def llamaindex_openai_like(source: Source, pem: bytes | None) -> Contender:
    """On the `openai` SDK, which does not sign."""
    from llama_index.llms.openai_like import OpenAILike

    from benchmarks.floors_llamaindex import contender

    return contender(OpenAILike(api_base=source.url, api_key="none", model="odsc-llm", is_chat_model=True))


class _NoSigner:
    """A signer that signs nothing."""

    def __call__(self, request: Any, **_: Any) -> Any:
        return request

    do_request_sign = __call__


def _signer(pem: bytes | None) -> Any:
    if pem is None:
        return _NoSigner()
    from oci.signer import Signer

    return Signer(**_IDENTITY, private_key_file_location=None, private_key_content=pem.decode())


def _basic_auth() -> Any:
    from aiohttp import BasicAuth

    class NoAuth(_NoSigner, BasicAuth):
        """Passes aiohttp's type check of `auth`."""

    return NoAuth("nobody")


def without_ads() -> None:
    """Replace `oracle-ads` by an empty module if it is not installed."""
    try:
        import ads  # noqa: F401
    except ImportError:
        sys.modules["ads"] = ModuleType("ads")
