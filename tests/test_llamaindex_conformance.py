"""Our own classes keep the rules, on each platform."""

from typing import Any

from llama_index.core.llms import LLM

from llamaindex_mdstream import ModelArts, OCIDataScience, OCIGenAI, SageMakerLLM
from mdstream_core.emulator.services.modelarts import HuaweiAccount
from mdstream_core.emulator.services.oci_generative_ai import COMPARTMENT
from mdstream_core.testing import LLMConformance


class TestOCIDataScience(LLMConformance):
    """OCI Data Science."""

    service = "oci_model_deployment"
    emulator_options = {"api_keys": ["s3cret"]}
    credentials = {"api_key": "s3cret"}
    environment = {"MDSTREAM_API_KEY": "s3cret"}

    def llm(self, url: str, max_retries: int) -> LLM:
        """A model deployment."""
        return OCIDataScience(endpoint=url, max_retries=max_retries, **self.credentials)


class TestOCIGenAI(LLMConformance):
    """OCI Generative AI in its GENERIC format."""

    service = "oci_generative_ai"
    model_name = "meta.llama-3.3-70b-instruct"

    def llm(self, url: str, max_retries: int) -> LLM:
        """A model of Meta's."""
        where: dict[str, Any] = {"service_endpoint": url, "compartment_id": COMPARTMENT}
        return OCIGenAI(model=self.model_name, auth_type="none", max_retries=max_retries, **where)


class TestOCIGenAICohere(TestOCIGenAI):
    """In its COHERE format, where a call is said in one event."""

    model_name = "cohere.command-r-plus"
    supports_tool_choice = False
    tool_calls_in_pieces = False
    supports_reasoning = False


class TestSageMakerLLM(LLMConformance):
    """Amazon SageMaker."""

    service = "sagemaker"
    emulator_options = {"aws_keys": {"AKEMULATED": "s3cret"}}
    credentials = {"aws_access_key_id": "AKEMULATED", "aws_secret_access_key": "s3cret"}
    environment = {"AWS_ACCESS_KEY_ID": "AKEMULATED", "AWS_SECRET_ACCESS_KEY": "s3cret"}

    def llm(self, url: str, max_retries: int) -> LLM:
        """An endpoint."""
        where: dict[str, Any] = {"endpoint_name": "emulated", "endpoint_url": url, "region_name": "us-east-1"}
        return SageMakerLLM(max_retries=max_retries, **where, **self.credentials)


class TestModelArts(LLMConformance):
    """Huawei ModelArts."""

    service = "modelarts"
    emulator_options = {"huawei": HuaweiAccount(api_keys=["s3cret"])}
    credentials = {"api_key": "s3cret"}
    environment = {"MODELARTS_API_KEY": "s3cret"}

    def llm(self, url: str, max_retries: int) -> LLM:
        """A real-time service."""
        return ModelArts(endpoint=url, model="m", max_retries=max_retries, **self.credentials)


class TestModelArtsWebSocket(TestModelArts):
    """The same over a WebSocket."""

    service = "modelarts_websocket"
