"""The classes of `llamaindex_mdstream` pass the conformance suites on each platform."""

from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import LLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor

from llamaindex_mdstream import (
    ModelArts,
    ModelArtsEmbedding,
    ModelArtsRerank,
    OCIDataScience,
    OCIDataScienceEmbedding,
    OCIDataScienceRerank,
    OCIGenAI,
    OCIGenAIEmbeddings,
    OCIGenAIRerank,
    SageMakerEmbedding,
    SageMakerLLM,
    SageMakerRerank,
)
from mdstream_core.emulator.services.modelarts import HuaweiAccount
from mdstream_core.emulator.services.oci_genai import COMPARTMENT, CONVERSATION_STORE
from mdstream_core.testing import EmbeddingConformance, LLMConformance, RerankConformance


class Deployment:
    """Credentials for model deployments."""

    service = "oci_model_deployment"
    emulator_options = {"api_keys": ["s3cret"]}
    credentials = {"api_key": "s3cret"}
    environment = {"MDSTREAM_API_KEY": "s3cret"}


class Generative(Deployment):
    """Credentials for OCI Generative AI."""

    service = "oci_genai"

    def where(self, url: str) -> dict[str, Any]:
        """Constructor arguments of the connection."""
        return {"service_endpoint": url, "compartment_id": COMPARTMENT, **self.credentials}


class Endpoint:
    """Credentials for SageMaker."""

    service = "sagemaker"
    emulator_options = {"aws_keys": {"AKEMULATED": "s3cret"}}
    credentials = {"aws_access_key_id": "AKEMULATED", "aws_secret_access_key": "s3cret"}
    environment = {"AWS_ACCESS_KEY_ID": "AKEMULATED", "AWS_SECRET_ACCESS_KEY": "s3cret"}

    def where(self, url: str) -> dict[str, Any]:
        """Constructor arguments of the connection."""
        return {"endpoint_name": "emulated", "endpoint_url": url, "region_name": "us-east-1", **self.credentials}


class Huawei:
    """Credentials for ModelArts."""

    service = "modelarts"
    emulator_options = {"huawei": HuaweiAccount(api_keys=["s3cret"])}
    credentials = {"api_key": "s3cret"}
    environment = {"MODELARTS_API_KEY": "s3cret"}


class TestOCIDataScience(Deployment, LLMConformance):
    """Run the suite."""

    def llm(self, url: str, max_retries: int) -> LLM:
        """A chat model."""
        return OCIDataScience(endpoint=url, max_retries=max_retries, **self.credentials)


class TestOCIDataScienceResponses(TestOCIDataScience):
    """Run the suite with OpenAI's Responses API."""

    service = "oci_model_deployment_responses"

    def llm(self, url: str, max_retries: int) -> LLM:
        """A chat model."""
        return OCIDataScience(endpoint=url, max_retries=max_retries, use_responses_api=True, **self.credentials)


class TestOCIGenAI(Generative, LLMConformance):
    """Run the suite."""

    model_name = "meta.llama-3.3-70b-instruct"

    def llm(self, url: str, max_retries: int) -> LLM:
        """A model in the GENERIC format."""
        return OCIGenAI(model=self.model_name, max_retries=max_retries, **self.where(url))


class TestOCIGenAICohere(TestOCIGenAI):
    """Run the suite with the COHERE format, which sends a call in one event."""

    model_name = "cohere.command-r-plus"
    supports_tool_choice = False
    supports_tool_call_deltas = False
    supports_reasoning = False


class TestOCIGenAIResponses(TestOCIGenAI):
    """Run the suite with OpenAI's Responses API, whose responses the service stores."""

    service = "oci_genai_responses"

    def llm(self, url: str, max_retries: int) -> LLM:
        """A model behind `/openai/v1/responses`."""
        where = {**self.where(url), "conversation_store_id": CONVERSATION_STORE, "use_responses_api": True}
        return OCIGenAI(model="openai.gpt-oss-120b", max_retries=max_retries, **where)


class TestSageMakerLLM(Endpoint, LLMConformance):
    """Run the suite."""

    def llm(self, url: str, max_retries: int) -> LLM:
        """A chat model."""
        return SageMakerLLM(max_retries=max_retries, **self.where(url))


class TestSageMakerLLMResponses(TestSageMakerLLM):
    """Run the suite with OpenAI's Responses API, in a container of one's own: vLLM's takes no such requests."""

    service = "sagemaker_responses"

    def llm(self, url: str, max_retries: int) -> LLM:
        """A chat model."""
        where = {**self.where(url), "endpoint_name": "responses"}
        return SageMakerLLM(max_retries=max_retries, use_responses_api=True, **where)


class TestModelArts(Huawei, LLMConformance):
    """Run the suite."""

    def llm(self, url: str, max_retries: int) -> LLM:
        """A real-time service."""
        return ModelArts(endpoint=url, model="m", max_retries=max_retries, **self.credentials)


class TestModelArtsWebSocket(TestModelArts):
    """Run the suite over a WebSocket."""

    service = "modelarts_websocket"


class TestModelArtsResponses(Huawei, LLMConformance):
    """Run the suite with OpenAI's Responses API."""

    service = "modelarts_responses"

    def llm(self, url: str, max_retries: int) -> LLM:
        """A real-time service."""
        return ModelArts(endpoint=url, model="m", max_retries=max_retries, use_responses_api=True, **self.credentials)


class TestModelArtsWebSocketResponses(TestModelArtsResponses):
    """Run the suite with OpenAI's Responses API over a WebSocket."""

    service = "modelarts_websocket_responses"


class TestOCIDataScienceEmbedding(Deployment, EmbeddingConformance):
    """Run the suite."""

    supports_images = True

    def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        """A deployment."""
        return OCIDataScienceEmbedding(endpoint=url, max_retries=max_retries, **self.credentials)


class TestOCIGenAIEmbeddings(Generative, EmbeddingConformance):
    """Run the suite."""

    supports_images = True
    distinguishes_queries = True

    def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        """A Cohere model, which accepts 96 texts per request."""
        model = "cohere.embed-v4.0"
        return OCIGenAIEmbeddings(model_name=model, max_retries=max_retries, **self.where(url))


class TestSageMakerEmbedding(Endpoint, EmbeddingConformance):
    """Run the suite."""

    supports_images = True

    def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        """A vLLM endpoint; without its dialect a second request would detect it."""
        return SageMakerEmbedding(dialect="openai-embeddings", max_retries=max_retries, **self.where(url))


class TestModelArtsEmbedding(Huawei, EmbeddingConformance):
    """Run the suite."""

    supports_images = True

    def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        """A real-time service."""
        return ModelArtsEmbedding(endpoint=url, model_name="m", max_retries=max_retries, **self.credentials)


class TestOCIDataScienceRerank(Deployment, RerankConformance):
    """Run the suite."""

    def reranker(self, url: str, top_n: int, max_retries: int) -> BaseNodePostprocessor:
        """A deployment."""
        return OCIDataScienceRerank(endpoint=url, top_n=top_n, max_retries=max_retries, **self.credentials)


class TestOCIGenAIRerank(Generative, RerankConformance):
    """Run the suite."""

    def reranker(self, url: str, top_n: int, max_retries: int) -> BaseNodePostprocessor:
        """A Cohere model, which ranks 1,000 texts per request."""
        model = "cohere.rerank.v3.5"
        return OCIGenAIRerank(model=model, top_n=top_n, max_retries=max_retries, **self.where(url))


class TestSageMakerRerank(Endpoint, RerankConformance):
    """Run the suite."""

    def reranker(self, url: str, top_n: int, max_retries: int) -> BaseNodePostprocessor:
        """A vLLM endpoint; without its dialect a second request would detect it."""
        return SageMakerRerank(dialect="rerank", top_n=top_n, max_retries=max_retries, **self.where(url))


class TestSageMakerTEIRerank(Endpoint, RerankConformance):
    """Run the suite."""

    service = "sagemaker_tei"

    def reranker(self, url: str, top_n: int, max_retries: int) -> BaseNodePostprocessor:
        """A TEI endpoint, which ranks 32 texts per request."""
        connection = {**self.where(url), "endpoint_name": "tei"}
        return SageMakerRerank(top_n=top_n, max_retries=max_retries, **connection)


class TestModelArtsRerank(Huawei, RerankConformance):
    """Run the suite."""

    def reranker(self, url: str, top_n: int, max_retries: int) -> BaseNodePostprocessor:
        """A real-time service."""
        return ModelArtsRerank(endpoint=url, model="m", top_n=top_n, max_retries=max_retries, **self.credentials)
