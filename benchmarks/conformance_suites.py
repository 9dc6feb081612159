"""LlamaIndex integration packages and `llamaindex_mdstream` in the suites of `mdstream_core.testing`.

Each package is configured as its documentation says, with a signer that signs nothing instead of cloud credentials.
`NOTES` lists the deviations.
"""
# ruff: noqa: PLC0415  (a suite imports only its own package)

import os
import sys
from types import ModuleType
from typing import Any

import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM

from mdstream_core.emulator.services.oci_genai import COMPARTMENT
from mdstream_core.testing import EmbeddingConformance, LLMConformance
from tests.test_llamaindex_conformance import (  # noqa: F401  # collected here too
    TestModelArts,
    TestModelArtsEmbedding,
    TestModelArtsRerank,
    TestOCIDataScience,
    TestOCIDataScienceEmbedding,
    TestOCIDataScienceRerank,
    TestOCIGenAI,
    TestOCIGenAIEmbeddings,
    TestOCIGenAIRerank,
    TestSageMakerEmbedding,
    TestSageMakerLLM,
    TestSageMakerRerank,
    TestSageMakerTEIRerank,
)

AWS = {"aws_access_key_id": "AKEMULATED", "aws_secret_access_key": "s3cret"}

NOTES = {
    "TestPeerOCIDataScience": "requests go to `/predict`, because the path that it builds for streaming does not "
    "exist. Agents fail on every streamed call whose arguments come in several deltas, complete or not",
    "TestPeerOCIGenAI": "Meta models. Streams end with the body: with `[DONE]` each would fail. "
    "SDK retries are disabled in the client",
    "TestPeerOCIGenAICohere": "Cohere models. Streams end with the body, for which it waits. Their last event repeats "
    "the text, which the package returns again",
    "TestPeerSageMaker": "on TGI, with an empty module instead of llama-cpp-python, of which it uses nothing. Its "
    "default handler removes as many characters from a response as the prompt has",
    "TestPeerOCIDataScienceEmbedding": "a deployment with the single route `/v1/embeddings`; it sends no route",
    "TestPeerOCIGenAIEmbeddings": "SDK retries are disabled in the client",
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
        """Create a model of a deployment."""
        peer = pytest.importorskip("llama_index.llms.oci_data_science")
        return peer.OCIDataScience(endpoint=f"{url}/predict", max_retries=max_retries, **self.credentials)


class TestPeerOCIGenAI(LLMConformance):
    """llama-index-llms-oci-genai."""

    service = "oci_genai"
    emulator_options = {"oci_genai_ending": "eof"}
    model_name = "meta.llama-3.3-70b-instruct"
    supports_async = False
    supports_tools = False
    supports_reasoning = False
    supports_usage = False
    supports_retries = False

    def llm(self, url: str, max_retries: int) -> LLM:
        """Create a Meta model."""
        peer = pytest.importorskip("llama_index.llms.oci_genai")
        model = peer.OCIGenAI(model=self.model_name, **_generative(url))
        return _with_retries(model, max_retries)


class TestPeerOCIGenAICohere(TestPeerOCIGenAI):
    """llama-index-llms-oci-genai, Cohere."""

    model_name = "cohere.command-r-plus"
    supports_tools = True
    supports_tool_choice = False
    supports_tool_call_deltas = False


class TestPeerSageMaker(LLMConformance):
    """llama-index-llms-sagemaker-endpoint."""

    service = "sagemaker"
    supports_async = False
    supports_tools = False
    supports_reasoning = False
    supports_usage = False
    credentials = AWS

    def llm(self, url: str, max_retries: int) -> LLM:
        """Create a model of a TGI endpoint, the format that the package supports."""
        vars(sys.modules.setdefault("llama_cpp", ModuleType("llama_cpp"))).setdefault("Llama", None)
        peer = pytest.importorskip("llama_index.llms.sagemaker_endpoint")
        os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = url
        connection = {"endpoint_name": "tgi", "aws_region_name": "us-east-1"}
        return peer.SageMakerLLM(max_retries=max_retries, **connection, **self.credentials)


class TestPeerOpenAILike(LLMConformance):
    """llama-index-llms-openai-like."""

    credentials = {"api_key": "s3cret"}

    def llm(self, url: str, max_retries: int) -> LLM:
        """Create a model of an OpenAI-compatible server."""
        peer = pytest.importorskip("llama_index.llms.openai_like")
        features = {"is_chat_model": True, "is_function_calling_model": True}
        return peer.OpenAILike(api_base=url, model="m", max_retries=max_retries, **features, **self.credentials)


class TestPeerOCIDataScienceEmbedding(EmbeddingConformance):
    """llama-index-embeddings-oci-data-science."""

    service = "oci_model_deployment"
    emulator_options = {"default_route": "/v1/embeddings"}
    credentials = {"auth": {"signer": NoSigner()}}

    def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        """Create a model of a deployment."""
        peer = pytest.importorskip("llama_index.embeddings.oci_data_science")
        return peer.OCIDataScienceEmbedding(endpoint=f"{url}/predict", max_retries=max_retries, **self.credentials)


class TestPeerOCIGenAIEmbeddings(EmbeddingConformance):
    """llama-index-embeddings-oci-genai."""

    service = "oci_genai"
    distinguishes_queries = True
    supports_retries = False

    def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        """Create a Cohere model."""
        peer = pytest.importorskip("llama_index.embeddings.oci_genai")
        model = peer.OCIGenAIEmbeddings(model_name="cohere.embed-english-v3.0", **_generative(url))
        return _with_retries(model, max_retries)


class TestPeerSageMakerEmbedding(EmbeddingConformance):
    """llama-index-embeddings-sagemaker-endpoint."""

    service = "sagemaker_tei"
    supports_async = False
    credentials = AWS

    def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        """Create a model of a TEI endpoint, the format that the package supports."""
        peer = pytest.importorskip("llama_index.embeddings.sagemaker_endpoint")
        os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = url
        connection = {"endpoint_name": "tei", "region_name": "us-east-1"}
        return peer.SageMakerEmbedding(max_retries=max_retries, **connection, **self.credentials)


class TestPeerOpenAILikeEmbedding(EmbeddingConformance):
    """llama-index-embeddings-openai-like."""

    credentials = {"api_key": "s3cret"}

    def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        """Create a model of an OpenAI-compatible server."""
        peer = pytest.importorskip("llama_index.embeddings.openai_like")
        return peer.OpenAILikeEmbedding(api_base=url, model_name="m", max_retries=max_retries, **self.credentials)


def _generative(url: str) -> dict[str, Any]:
    """Constructor arguments for OCI Generative AI, with a generated key."""
    return {"service_endpoint": url, "compartment_id": COMPARTMENT, "auth_file_location": _configuration()}


def _with_retries(model: Any, max_retries: int) -> Any:
    """Disable the SDK's retries: the package does not pass `max_retries` on, and the SDK retries for ten minutes."""
    if not max_retries:
        from oci.retry import NoneRetryStrategy

        model._client.retry_strategy = NoneRetryStrategy()
    return model


def _configuration() -> str:
    """Path of a config file of the `oci` SDK, written once."""
    import tempfile
    from pathlib import Path

    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    folder = Path(tempfile.gettempdir()) / f"conformance-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    key, config = folder / "key.pem", folder / "config"
    if not config.exists():
        private = rsa.generate_private_key(65537, 2048)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        key.write_bytes(private.private_bytes(*form))
        user = {"tenancy": "ocid1.tenancy.oc1..b", "user": "ocid1.user.oc1..b", "fingerprint": ":".join(["00"] * 16)}
        lines = [f"{name}={value}" for name, value in {**user, "region": "us-ashburn-1", "key_file": key}.items()]
        config.write_text("\n".join(["[DEFAULT]", *lines]))
    return str(config)
