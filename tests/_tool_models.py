"""Models of both frameworks on an emulator, as the tests of tools ask them."""

from typing import Any

from langchain_mdstream import ChatOCIModelDeployment
from llamaindex_mdstream import OCIDataScience, OCIGenAI
from mdstream_core.emulator import Emulator

USER = {"role": "user", "content": "Hi"}


def deployment(emulator: Emulator, **options: Any) -> ChatOCIModelDeployment:
    """LangChain's, on a deployment."""
    return ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none", max_retries=0, **options)


def llama(emulator: Emulator, **options: Any) -> OCIDataScience:
    """LlamaIndex's, on a deployment."""
    return OCIDataScience(endpoint=emulator.endpoint, auth_type="none", max_retries=0, **options)


def genai(emulator: Emulator, model: str, **options: Any) -> OCIGenAI:
    """LlamaIndex's, on OCI Generative AI."""
    at = emulator.oci_generative_ai
    platform_case = {"service_endpoint": at.endpoint, "compartment_id": at.compartment_id, "auth_type": "none"}
    return OCIGenAI(model=model, **platform_case, **options)
