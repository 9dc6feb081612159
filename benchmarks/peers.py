"""The packages that people use today, each set up as its own documentation says.

`oracle-ads`, which the OCI Data Science clients import for its default signer, is not needed here, because every one is
given a signer; where it is not installed an empty module stands in for it.
"""
# ruff: noqa: PLC0415  (nobody pays for another's imports)

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.server import Source

#: The one that the emulator knows; the benchmark's server takes any.
COMPARTMENT = "ocid1.compartment.oc1..emulated"

_IDENTITY = {
    "tenancy": "ocid1.tenancy.oc1..b",
    "user": "ocid1.user.oc1..b",
    "fingerprint": ":".join(["00"] * 16),
}


def langchain_oci_deployment(source: Source, pem: bytes | None) -> Contender:
    """On `requests` and aiohttp. Its `astream` hands the signer to aiohttp, which refuses it: signed, it cannot run."""
    _without_ads()
    from langchain_oci import ChatOCIModelDeployment

    from benchmarks.floors_langchain import contender

    auth = {"signer": _signer(pem) if pem else _basic_auth()}
    streaming = contender(ChatOCIModelDeployment(endpoint=f"{source.url}/predict", auth=auth, streaming=True))
    return replace(streaming, astream=None) if pem else streaming


def langchain_oci_genai(source: Source, pem: bytes | None) -> Contender:
    """On the `oci` SDK; another service, asked for the same tokens."""
    from langchain_oci import ChatOCIGenAI
    from oci.generative_ai_inference import GenerativeAiInferenceClient

    from benchmarks.floors_langchain import contender

    config = {**_IDENTITY, "region": "us-ashburn-1", "key_content": "the signer has it"}
    client = GenerativeAiInferenceClient(config, signer=_signer(pem), service_endpoint=source.url)
    requested = {
        "model_id": "meta.llama-3.3-70b-instruct",
        "provider": "meta",
        "compartment_id": COMPARTMENT,
    }
    return contender(ChatOCIGenAI(client=client, service_endpoint=source.url, is_stream=True, **requested))


def langchain_openai(source: Source, pem: bytes | None) -> Contender:
    """On the `openai` SDK. It has nothing to sign."""
    from langchain_openai import ChatOpenAI

    from benchmarks.floors_langchain import contender

    return contender(ChatOpenAI(base_url=source.url, api_key="none", model="odsc-llm", stream_usage=True))


def llamaindex_oci(source: Source, pem: bytes | None) -> Contender:
    """On stock httpx."""
    _without_ads()
    from llama_index.llms.oci_data_science import OCIDataScience

    from benchmarks.floors_llamaindex import contender

    return contender(OCIDataScience(endpoint=f"{source.url}/predict", auth={"signer": _signer(pem)}))


def llamaindex_openai_like(source: Source, pem: bytes | None) -> Contender:
    """On the `openai` SDK. It has nothing to sign."""
    from llama_index.llms.openai_like import OpenAILike

    from benchmarks.floors_llamaindex import contender

    return contender(OpenAILike(api_base=source.url, api_key="none", model="odsc-llm", is_chat_model=True))


class _NoSigner:
    """Takes the place of a signer and signs nothing."""

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

    class Both(_NoSigner, BasicAuth):
        """Passes aiohttp's check for what it calls `auth`."""

    return Both("nobody")


def _without_ads() -> None:
    try:
        import ads  # noqa: F401
    except ImportError:
        sys.modules["ads"] = ModuleType("ads")
