"""`RequestTarget`: the service and the endpoint that a request counts towards."""

from typing import Any, Literal, NamedTuple

from mdstream_core.emulator._recorded_request import RecordedRequest

ServiceName = Literal["oci-model-deployment", "oci-genai", "sagemaker", "modelarts", "maas", "openai-compatible"]
RateLimitScope = Literal["tenancy", "endpoint"]


class RequestTarget(NamedTuple):
    """A service, and the endpoint, deployment or model there; empty if the request names none."""

    service: ServiceName
    endpoint: str


def read_model_name(http_request: RecordedRequest) -> str:
    """Return the model that a request in OpenAI's format names; empty if it names none."""
    model = read_json_object(http_request).get("model")
    return model if isinstance(model, str) else ""


def read_json_object(http_request: RecordedRequest) -> dict[str, Any]:
    """Return the JSON object in the body; empty if the body is no JSON object."""
    try:
        document = http_request.json
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
