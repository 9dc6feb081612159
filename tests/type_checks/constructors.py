"""What type checkers accept and reject in code that uses our classes; nothing here is run.

mypy checks it without the pydantic plugin, as most projects run it: `mypy --config-file tests/type_checks/mypy.ini`. An
ignored error that does not occur is an error.
"""

import httpx

from langchain_mdstream import (
    ChatModelArts,
    ChatOCIGenAI,
    ChatOCIModelDeployment,
    ChatSagemakerEndpoint,
    OCIGenAIEmbeddings,
)
from llamaindex_mdstream import ModelArts, OCIDataScience, OCIGenAI, SageMakerLLM
from mdstream_core import Timeout
from mdstream_core.auth import UnsignedSigner
from mdstream_core.transport import async_http_client, http_client


def other_names() -> None:
    ChatOCIModelDeployment(base_url="https://x", model_name="m", max_completion_tokens=5, request_timeout=3.0)
    ChatOCIModelDeployment(endpoint="https://x", model_id="m", stop_sequences=["x"], timeout=Timeout(read=5))
    ChatOCIGenAI(base_url="https://x", model_id="m", compartment_id="ocid1", api_format="COHERE", provider="meta")
    ChatSagemakerEndpoint(endpoint_name="x", base_url="https://x")
    ChatModelArts(base_url="https://x", model_name="m")
    OCIGenAIEmbeddings(model_id="m", compartment_id="ocid1", chunk_size=5, output_dimensions=256)
    OCIDataScience(base_url="https://x", model_name="m", max_completion_tokens=5)
    OCIGenAI(base_url="https://x", model_id="m", compartment_id="ocid1", context_size=5, provider="meta")
    SageMakerLLM(endpoint_name="x", aws_region_name="us-east-1", credentials_profile_name="p")
    ModelArts(base_url="https://x", model_name="m")


def choices() -> None:
    ChatOCIModelDeployment(endpoint="https://x", auth_type="resource_principal", dialect="openai-chat")
    ChatModelArts(endpoint="https://x", auth_type="aksk", dialect="auto")
    OCIDataScience(endpoint="https://x", auth_type="none", dialect="tgi")
    SageMakerLLM(endpoint_name="x", auth_type="none")


def credentials_and_clients(signer: object, client: httpx.Client) -> None:
    ChatOCIModelDeployment(endpoint="https://x", auth={"config": {}, "signer": signer}, http_client=client)
    ChatOCIModelDeployment(endpoint="https://x", auth=UnsignedSigner(), http_client=http_client())
    OCIDataScience(endpoint="https://x", auth=httpx.BasicAuth("a", "b"), http_async_client=async_http_client())
    ModelArts(endpoint="https://x", auth=UnsignedSigner())


def attributes(chat: ChatOCIModelDeployment) -> tuple[str, str]:
    return chat.model_id, chat.model_name


def wrong_choices_clients_and_fields() -> None:
    ChatOCIModelDeployment(endpoint="https://x", auth_type="carrier_pigeon")  # type: ignore[arg-type]
    ChatOCIModelDeployment(endpoint="https://x", http_client="https://proxy")  # type: ignore[arg-type]
    ChatOCIModelDeployment(endpoint="https://x", temprature=0.2)  # type: ignore[call-arg]
    ChatModelArts(endpoint="https://x", auth_type="resource_principal")  # type: ignore[arg-type]
    ChatOCIGenAI(model="m", compartment_id="c", api_format="COHERE3")  # type: ignore[arg-type]
    OCIDataScience(endpoint="https://x", auth_type="carrier_pigeon")  # type: ignore[arg-type]
    OCIDataScience(endpoint="https://x", dialect="rerank")  # type: ignore[arg-type]
    OCIDataScience(endpoint="https://x", temprature=0.2)  # type: ignore[call-arg]
    OCIGenAI(model="m", compartment_id="c", provider="mistral")  # type: ignore[arg-type]
