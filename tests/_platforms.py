"""The platforms in tests: the fields of each for the emulator, and the failures of its streams."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from _stream_endings import ENDINGS, RESPONSES_ENDINGS, RESPONSES_HEAD, Ending, after_responses_head

from mdstream_core import errors
from mdstream_core.emulator import Emulator, Fault

#: The access key that the emulated SageMaker accepts.
AWS = {"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(aws_keys=AWS) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The module's emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


#: Failures that every service can have, in every dialect.
USUAL = {
    name: ENDINGS[name]
    for name in (
        "error event of vllm",
        "error event of tgi",
        "error event of named",
        "cut",
        "reset",
        "[DONE] without a finish reason",
        "broken JSON",
    )
} | {"no finish reason": Ending(Fault("no_finish", after=3), errors.StreamInterrupted)}


#: The same failures of OpenAI's Responses API, and its own.
RESPONSES = {
    name: RESPONSES_ENDINGS[name]
    for name in (*USUAL, "error event of responses", "error event of responses-failed", "response.failed",
                 "response.completed with an error", "an error event in the middle", "response.cancelled",
                 "a text that contradicts the deltas", "a status that is not final")
}  # fmt: skip


@dataclass(frozen=True)
class PlatformCase:
    """A platform with constructor fields, and the failures of its streams."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    endings: Mapping[str, Ending] = field(default_factory=lambda: USUAL)

    def fields(self, emulator: Emulator) -> dict[str, Any]:
        """The constructor's arguments for this emulator."""
        fields = {**_FIELDS[self.kind](emulator), **self.options}
        needs_store = self.kind == "oci-genai" and self.is_responses_api
        return fields | ({"conversation_store_id": emulator.oci_genai.conversation_store_id} if needs_store else {})

    @property
    def is_responses_api(self) -> bool:
        """Whether the API format is OpenAI's Responses API."""
        return self.options.get("dialect") == "openai-responses"

    def count_events(self, count: int) -> int:
        """The number of events that have the same output as so many of a chat, whose first one has the role only."""
        return count + (RESPONSES_HEAD if self.is_responses_api else 0)


def _aws(emulator: Emulator) -> dict[str, Any]:
    ((key, secret),) = AWS.items()
    sagemaker = emulator.sagemaker
    return {
        "endpoint_name": sagemaker.endpoint_name,
        "region_name": sagemaker.region_name,
        "endpoint_url": sagemaker.endpoint_url,
        "aws_access_key_id": key,
        "aws_secret_access_key": secret,
    }


def _genai(emulator: Emulator) -> dict[str, Any]:
    genai = emulator.oci_genai
    return {"service_endpoint": genai.endpoint, "compartment_id": genai.compartment_id, "auth_type": "none"}


_FIELDS = {
    "oci-model-deployment": lambda emulator: {"endpoint": emulator.endpoint, "auth_type": "none"},
    "oci-genai": _genai,
    "sagemaker": _aws,
    "modelarts": lambda emulator: {"endpoint": emulator.modelarts.endpoint, "model": "odsc-llm", "auth_type": "none"},
    "modelarts-websocket": lambda emulator: {
        "endpoint": emulator.modelarts.websocket_endpoint,
        "model": "odsc-llm",
        "auth_type": "none",
    },
    "modelarts-maas": lambda emulator: {"endpoint": emulator.modelarts.maas, "model": "odsc-llm", "auth_type": "none"},
}

_FRAMES = {
    "ModelStreamError": Ending(Fault("exception_frame", after=3), errors.StreamFailure),
    "a partial frame": Ending(Fault("partial_frame", after=3), errors.StreamInterrupted),
    "a damaged frame": Ending(Fault("damaged_frame", after=3), errors.MalformedStream),
}

#: The error line of LMI, which sends JSON lines without [DONE].
_LINE = Fault("insert", after=3, data=b'{"error":{"message":"the model server failed","code":500}}\n')
_LINES = {
    **_FRAMES,
    **{name: USUAL[name] for name in ("cut", "reset", "no finish reason")},
    "an error line": Ending(_LINE, errors.StreamFailure),
}

_CLOSES = {"close code 1011": Ending(Fault("trailer", after=3), errors.StreamFailure, code="1011")}

_API = {"dialect": "openai-responses"}


def _responses(endings: Mapping[str, Ending]) -> dict[str, Ending]:
    return RESPONSES | {name: after_responses_head(ending) for name, ending in endings.items()}


PLATFORM_CASES: dict[str, PlatformCase] = {
    "OCI model deployment": PlatformCase("oci-model-deployment"),
    "OCI model deployment, Responses": PlatformCase("oci-model-deployment", _API, RESPONSES),
    "OCI GenAI Responses": PlatformCase("oci-genai", {"model": "openai.gpt-oss-120b", **_API}, RESPONSES),
    "SageMaker, Responses": PlatformCase("sagemaker", {"endpoint_name": "responses", **_API}, _responses(_FRAMES)),
    "ModelArts, Responses": PlatformCase("modelarts", _API, RESPONSES),
    "ModelArts WebSocket, Responses": PlatformCase("modelarts-websocket", _API, _responses(_CLOSES)),
    "OCI GenAI GENERIC": PlatformCase("oci-genai", {"model": "xai.grok-4"}),
    "OCI GenAI GENERIC Llama": PlatformCase("oci-genai", {"model": "meta.llama-3.3-70b-instruct"}),
    "OCI GenAI COHERE": PlatformCase("oci-genai", {"model": "cohere.command-a-03-2025"}),
    "OCI GenAI COHEREV2": PlatformCase("oci-genai", {"model": "cohere.command-a-03-2025", "api_format": "COHEREV2"}),
    "OCI GenAI OpenAI": PlatformCase("oci-genai", {"model": "openai.gpt-oss-120b", "dialect": "openai-chat"}),
    "SageMaker vLLM": PlatformCase("sagemaker", {}, USUAL | _FRAMES),
    "SageMaker LMI": PlatformCase("sagemaker", {"endpoint_name": "lmi"}, _LINES),
    "ModelArts": PlatformCase("modelarts"),
    "ModelArts WebSocket": PlatformCase("modelarts-websocket", {}, USUAL | _CLOSES),
    "MaaS": PlatformCase("modelarts-maas"),
}

#: Every platform with every failure that it can have.
MATRIX: dict[str, tuple[PlatformCase, Ending]] = {
    f"{name}: {title}": (platform_case, ending)
    for name, platform_case in PLATFORM_CASES.items()
    for title, ending in platform_case.endings.items()
}
