"""Addresses of the emulated services."""

from dataclasses import dataclass, field

from mdstream_core.emulator.services.modelarts import ModelArtsService
from mdstream_core.emulator.services.oci_genai import COMPARTMENT, CONVERSATION_STORE


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a service."""

    endpoint: str
    """Base URL of the service, e.g. `http://127.0.0.1:8080/ocid1.datasciencemodeldeployment.oc1.iad.emulated`."""


@dataclass(frozen=True, slots=True)
class ModelArtsAddress(Address):
    """Addresses of ModelArts: a real-time service, MaaS and IAM."""

    maas: str
    """Base URL of MaaS (Model as a Service), an OpenAI-compatible API."""
    iam: str
    """Base URL of IAM, which issues tokens for a name and a password."""
    _service: ModelArtsService = field(repr=False)

    @property
    def websocket_endpoint(self) -> str:
        """The real-time service's URL for a WebSocket: `ws://…` or `wss://…`."""
        return self.endpoint.replace("http", "ws", 1)

    def expire_tokens(self) -> None:
        """Reject every IAM token that was issued so far."""
        self._service.authenticator.expire_all()


@dataclass(frozen=True, slots=True)
class GenerativeAIAddress(Address):
    """Address of OCI Generative AI, and the only compartment that exists there."""

    compartment_id: str = COMPARTMENT
    """OCID of the compartment that requests have to name."""
    conversation_store_id: str = CONVERSATION_STORE
    """OCID of the conversation store that requests to `/openai/v1/responses` have to name, unless `store` is false."""
