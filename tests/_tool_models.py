"""Models of both frameworks on an emulator, for the tests of tools."""

from typing import Any

from langchain_mdstream import ChatOCIModelDeployment
from llamaindex_mdstream import OCIDataScience, OCIGenAI
from mdstream_core.emulator import Emulator

USER = {"role": "user", "content": "Hi"}


def deployment(emulator: Emulator, **options: Any) -> ChatOCIModelDeployment:
    """Create a LangChain model on a model deployment."""
    return ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none", max_retries=0, **options)


def llama(emulator: Emulator, **options: Any) -> OCIDataScience:
    """Create a LlamaIndex model on a model deployment."""
    return OCIDataScience(endpoint=emulator.endpoint, auth_type="none", max_retries=0, **options)


def genai(emulator: Emulator, model: str, **options: Any) -> OCIGenAI:
    """Create a LlamaIndex model on OCI Generative AI."""
    service = emulator.oci_genai
    fields = {"service_endpoint": service.endpoint, "compartment_id": service.compartment_id, "auth_type": "none"}
    return OCIGenAI(model=model, **fields, **options)
