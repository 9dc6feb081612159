"""The conformance suites of `mdstream_core.testing` for mdstream and its peers.

Each package is set up as its documentation describes, with a signer that signs nothing. Replacements that a package
needs to run are described in `NOTES`.
"""
# ruff: noqa: PLC0415  (a benchmark imports only the package that it measures)

import os
import sys
from types import ModuleType
from typing import Any

import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM

from mdstream_core.emulator.services.oci_genai.service import COMPARTMENT
from mdstream_core.testing import EmbeddingConformance, LLMConformance
from tests.test_llamaindex_conformance import (  # noqa: F401  # pytest collects them here too
    TestModelArts,
    TestModelArtsEmbedding,
    TestOCIDataScience,
    TestOCIDataScienceEmbedding,
    TestOCIGenAI,
    TestOCIGenAIEmbeddings,
    TestSageMakerEmbedding,
    TestSageMakerLLM,
)

AWS = {"aws_access_key_id": "AKEMULATED", "aws_secret_access_key": "s3cret"}

NOTES = {
    "TestPeerOCIDataScience": "called at `/predict`, because the path that it builds for streaming does not exist. "
    "Agents fail on every streamed call whose arguments come in pieces, complete or not",
    "TestPeerOCIGenAI": "Meta's models. The emulator ends streams without `[DONE]`, after which each would fail. "
    "Retries of the SDK are disabled at the client",
    "TestPeerOCIGenAICohere": "Cohere's models. The emulator closes streams, which it waits for. Their last event "
    "repeats the text; the package does not leave it out",
    "TestPeerSageMaker": "on TGI, with an empty module instead of llama-cpp-python, of which it uses nothing. Its "
    "default handler removes as many characters from a response as the prompt has",
    "TestPeerOCIDataScienceEmbedding": "called at a deployment whose only route is `/v1/embeddings`; it sends no route",
    "TestPeerOCIGenAIEmbeddings": "retries of the SDK are disabled at the client",
    "TestPeerSageMakerEmbedding": "on TEI",
}


class NoSigner:
    """A signer that signs nothing."""

    def __call__(self, request: Any, **_: Any) -> Any:
        return request

    do_request_sign = __call__


class TestPeerOCIDataScience(LLMConformance):
    """llama-index-llms-oci-data-science."""

    service = "oci_model_deployment"
    supports_reasoning = False
    credentials = {"auth": {"signer": NoSigner()}}

    def llm(self, url: str, max_retries: int) -> LLM:
        """A model deployment."""
        peer = pytest.importorskip("llama_index.llms.oci_data_science")
        return peer.OCIDataScience(endpoint=f"{url}/predict", max_retries=max_retries, **self.credentials)


class TestPeerOCIGenAI(LLMConformance):
    """llama-index-llms-oci-genai."""

    service = "oci_generative_ai"
    emulator_options = {"generative_ai_ending": "eof"}
    model_name = "meta.llama-3.3-70b-instruct"
    supports_async = False
    supports_tools = False
    supports_reasoning = False
    supports_usage = False
    supports_retries = False

    def llm(self, url: str, max_retries: int) -> LLM:
        """A model of Meta."""
        peer = pytest.importorskip("llama_index.llms.oci_genai")
        model = peer.OCIGenAI(model=self.model_name, **_generative(url))
        return _apply_max_retries(model, max_retries)


class TestPeerOCIGenAICohere(TestPeerOCIGenAI):
    """llama-index-llms-oci-genai, Cohere."""

    model_name = "cohere.command-r-plus"
    supports_tools = True
    supports_tool_choice = False
    tool_calls_in_pieces = False


class TestPeerSageMaker(LLMConformance):
    """llama-index-llms-sagemaker-endpoint."""

    service = "sagemaker"
    supports_async = False
    supports_tools = False
    supports_reasoning = False
    supports_usage = False
    credentials = AWS

    def llm(self, url: str, max_retries: int) -> LLM:
        """An endpoint of TGI, whose format it uses."""
        vars(sys.modules.setdefault("llama_cpp", ModuleType("llama_cpp"))).setdefault("Llama", None)
        peer = pytest.importorskip("llama_index.llms.sagemaker_endpoint")
        os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = url
        fields = {"endpoint_name": "tgi", "aws_region_name": "us-east-1"}
        return peer.SageMakerLLM(max_retries=max_retries, **fields, **self.credentials)


class TestPeerOpenAILike(LLMConformance):
    """llama-index-llms-openai-like."""

    credentials = {"api_key": "s3cret"}

    def llm(self, url: str, max_retries: int) -> LLM:
        """An OpenAI-compatible server."""
        peer = pytest.importorskip("llama_index.llms.openai_like")
        capabilities = {"is_chat_model": True, "is_function_calling_model": True}
        return peer.OpenAILike(api_base=url, model="m", max_retries=max_retries, **capabilities, **self.credentials)


class TestPeerOCIDataScienceEmbedding(EmbeddingConformance):
    """llama-index-embeddings-oci-data-science."""

    service = "oci_model_deployment"
    emulator_options = {"default_route": "/v1/embeddings"}
    credentials = {"auth": {"signer": NoSigner()}}

    def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        """A model deployment."""
        peer = pytest.importorskip("llama_index.embeddings.oci_data_science")
        return peer.OCIDataScienceEmbedding(endpoint=f"{url}/predict", max_retries=max_retries, **self.credentials)


class TestPeerOCIGenAIEmbeddings(EmbeddingConformance):
    """llama-index-embeddings-oci-genai."""

    service = "oci_generative_ai"
    distinguishes_queries = True
    supports_retries = False

    def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        """A model of Cohere."""
        peer = pytest.importorskip("llama_index.embeddings.oci_genai")
        model = peer.OCIGenAIEmbeddings(model_name="cohere.embed-english-v3.0", **_generative(url))
        return _apply_max_retries(model, max_retries)


class TestPeerSageMakerEmbedding(EmbeddingConformance):
    """llama-index-embeddings-sagemaker-endpoint."""

    service = "sagemaker_tei"
    supports_async = False
    credentials = AWS

    def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        """An endpoint of TEI, whose format it uses."""
        peer = pytest.importorskip("llama_index.embeddings.sagemaker_endpoint")
        os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = url
        fields = {"endpoint_name": "tei", "region_name": "us-east-1"}
        return peer.SageMakerEmbedding(max_retries=max_retries, **fields, **self.credentials)


class TestPeerOpenAILikeEmbedding(EmbeddingConformance):
    """llama-index-embeddings-openai-like."""

    credentials = {"api_key": "s3cret"}

    def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        """An OpenAI-compatible server."""
        peer = pytest.importorskip("llama_index.embeddings.openai_like")
        return peer.OpenAILikeEmbedding(api_base=url, model_name="m", max_retries=max_retries, **self.credentials)


def _generative(url: str) -> dict[str, Any]:
    """Endpoint and credentials of OCI Generative AI, with a key created for this run."""
    return {"service_endpoint": url, "compartment_id": COMPARTMENT, "auth_file_location": _config_file()}


def _apply_max_retries(model: Any, max_retries: int) -> Any:
    """Disable the retries of the SDK, which last ten minutes: the package does not pass `max_retries` to it."""
    if not max_retries:
        from oci.retry import NoneRetryStrategy

        model._client.retry_strategy = NoneRetryStrategy()
    return model


def _config_file() -> str:
    """Write a config file for the `oci` SDK once; return its path."""
    import tempfile
    from pathlib import Path

    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    folder = Path(tempfile.gettempdir()) / f"conformance-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    key, config = folder / "key.pem", folder / "config"
    if not config.exists():
        private = rsa.generate_private_key(65537, 2048)
        encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        key.write_bytes(private.private_bytes(*encoding))
        identity = {
            "tenancy": "ocid1.tenancy.oc1..b",
            "user": "ocid1.user.oc1..b",
            "fingerprint": ":".join(["00"] * 16),
        }
        lines = [f"{name}={value}" for name, value in {**identity, "region": "us-ashburn-1", "key_file": key}.items()]
        config.write_text("\n".join(["[DEFAULT]", *lines]))
    return str(config)
