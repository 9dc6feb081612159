"""LangChain's standard tests, unit and integration, with every flag enabled, against the emulator."""

import base64
from collections.abc import Iterator
from typing import Any, ClassVar

import httpx
import pytest
from _platforms import AWS, PLATFORM_CASES, PlatformCase
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_tests.conftest import base_vcr_config
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_mdstream import (
    ChatModelArts,
    ChatOCIGenAI,
    ChatOCIModelDeployment,
    ChatOCIModelDeploymentTGI,
    ChatOCIModelDeploymentVLLM,
    ChatOCIOpenAI,
    ChatSagemakerEndpoint,
)
from mdstream_core.emulator import Emulator
from mdstream_core.errors import InvalidRequest

ENDPOINT = "https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.datasciencemodeldeployment.oc1.iad.x"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class TestChatOCIModelDeploymentUnit(ChatModelUnitTests):
    """Without a service."""

    model_class: type[BaseChatModel] = ChatOCIModelDeployment
    params: ClassVar[dict[str, Any]] = {"endpoint": ENDPOINT}
    environment: ClassVar[dict[str, str]] = {"OCI_LLM_ENDPOINT": ENDPOINT, "MDSTREAM_API_KEY": "key"}
    expected: ClassVar[dict[str, Any]] = {"endpoint": ENDPOINT, "api_key": "key"}

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """Return the class under test."""
        return self.model_class

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Return its constructor arguments."""
        return self.params

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        """Return the environment, further arguments, and the expected fields."""
        given = {} if "OCI_LLM_ENDPOINT" in self.environment else self.params
        return self.environment, given, self.expected


class TestChatOCIModelDeploymentVLLMUnit(TestChatOCIModelDeploymentUnit):
    """With the options of vLLM."""

    model_class = ChatOCIModelDeploymentVLLM


class TestChatOCIModelDeploymentTGIUnit(TestChatOCIModelDeploymentUnit):
    """With the options of TGI."""

    model_class = ChatOCIModelDeploymentTGI


class TestChatOCIGenAIUnit(TestChatOCIModelDeploymentUnit):
    """Without a service."""

    model_class = ChatOCIGenAI
    params: ClassVar = {"model": "xai.grok-4", "region": "us-chicago-1", "compartment_id": "ocid1.compartment.oc1..a"}
    environment: ClassVar = {"MDSTREAM_API_KEY": "key"}
    expected: ClassVar = {"api_key": "key"}


class TestChatOCIOpenAIUnit(TestChatOCIGenAIUnit):
    """With OpenAI's Responses API."""

    model_class = ChatOCIOpenAI


class TestChatSagemakerEndpointUnit(TestChatOCIModelDeploymentUnit):
    """Without a service; botocore's chain resolves credentials and region on first use."""

    model_class = ChatSagemakerEndpoint
    params: ClassVar = {"endpoint_name": "my-endpoint", "region_name": "us-east-1"}
    environment: ClassVar = {}
    expected: ClassVar = {}


class TestChatModelArtsUnit(TestChatOCIModelDeploymentUnit):
    """Without a service."""

    model_class = ChatModelArts
    params: ClassVar = {"endpoint": "https://infer-modelarts-cn-north-4.modelarts-infer.com/v1/infers/8e1bb6be"}
    environment: ClassVar = {"MODELARTS_API_KEY": "key"}
    expected: ClassVar = {"endpoint": "https://infer-modelarts-cn-north-4.modelarts-infer.com/v1/infers/8e1bb6be"}


class _Integration(ChatModelIntegrationTests):
    """With the emulator as the service, and every flag enabled."""

    platform_case: PlatformCase
    model_class: type[BaseChatModel]
    emulator: Emulator
    other_model = "another-model"
    takes_media = True
    takes_video = True

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _platform(cls) -> Iterator[Emulator]:
        """One emulator for the class."""
        with Emulator(aws_keys=AWS) as cls.emulator:
            yield cls.emulator

    @pytest.fixture(autouse=True)
    def agent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Set a user agent, which a download of an audio file requires."""
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "mdstream tests")

    @pytest.fixture(autouse=True)
    def files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace downloads of images and documents; the tests have no network access."""
        request = httpx.Request("GET", "http://127.0.0.1")
        monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(200, content=PIXEL, request=request))

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """Return the class under test."""
        return self.model_class

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Return its constructor arguments."""
        return self.platform_case.fields(self.emulator)

    @property
    def supports_json_mode(self) -> bool:
        """Return `True`."""
        return True

    @property
    def supports_image_inputs(self) -> bool:
        """Whether the API format supports it."""
        return self.takes_media

    @property
    def supports_image_urls(self) -> bool:
        """Whether the API format supports it."""
        return self.takes_media

    @property
    def supports_pdf_inputs(self) -> bool:
        """Whether the API format supports it."""
        return self.takes_media

    @property
    def supports_audio_inputs(self) -> bool:
        """Whether the API format supports it."""
        return self.takes_media

    @property
    def supports_video_inputs(self) -> bool:
        """Whether the API format supports it."""
        return self.takes_media and self.takes_video

    @property
    def supports_image_tool_message(self) -> bool:
        """Whether the API format supports it."""
        return self.takes_media

    @property
    def supports_pdf_tool_message(self) -> bool:
        """Whether the API format supports it."""
        return self.takes_media

    @property
    def supports_anthropic_inputs(self) -> bool:
        """Return `True`."""
        return True

    @property
    def model_override_value(self) -> str:
        """Return the name of another served model."""
        return self.other_model

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:
        """Return the usage details that the server reports."""
        return {
            "invoke": ["reasoning_output", "cache_read_input"],
            "stream": ["reasoning_output", "cache_read_input"],
        }

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        """Return a response with reasoning."""
        return self._send_request("Think: what is 17 plus 25?", stream=stream, reasoning_effort="low")

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        """Return the response to a repeated request."""
        prompt = "A long prompt that is sent twice. " * 20
        self._send_request(prompt, stream=stream)
        return self._send_request(prompt, stream=stream)

    def _send_request(self, prompt: str, *, stream: bool, **options: Any) -> AIMessage:
        chat = self.model_class(**self.chat_model_params, model_kwargs=options)
        if not stream:
            return chat.invoke(prompt)
        first, *rest = chat.stream(prompt)
        return first + rest  # type: ignore[operator,no-any-return]


class TestChatOCIModelDeploymentIntegration(_Integration):
    """A model deployment."""

    platform_case = PLATFORM_CASES["OCI model deployment"]
    model_class = ChatOCIModelDeployment


class TestChatOCIModelDeploymentVLLMIntegration(TestChatOCIModelDeploymentIntegration):
    """A model deployment, with the options of vLLM."""

    model_class = ChatOCIModelDeploymentVLLM


class TestChatOCIModelDeploymentTGIIntegration(TestChatOCIModelDeploymentIntegration):
    """A model deployment, with the options of TGI."""

    model_class = ChatOCIModelDeploymentTGI


class TestChatOCIGenAIIntegration(_Integration):
    """OCI Generative AI, GENERIC."""

    platform_case = PLATFORM_CASES["OCI GenAI GENERIC"]
    model_class = ChatOCIGenAI
    other_model = "meta.llama-3.3-70b-instruct"


class TestChatOCIGenAICohereIntegration(_Integration):
    """OCI Generative AI, COHERE: text only, without forced tool calls."""

    platform_case = PLATFORM_CASES["OCI GenAI COHERE"]
    model_class = ChatOCIGenAI
    other_model = "cohere.command-r-plus-08-2024"
    takes_media = False

    @property
    def has_tool_choice(self) -> bool:
        """Return `False`: COHERE has no such field."""
        return False


class TestChatOCIGenAIOpenAIIntegration(_Integration):
    """OCI Generative AI, the OpenAI-compatible API."""

    platform_case = PLATFORM_CASES["OCI GenAI OpenAI"]
    model_class = ChatOCIGenAI
    other_model = "xai.grok-4"


class TestChatOCIGenAIResponsesIntegration(_Integration):
    """OCI Generative AI, OpenAI's Responses API."""

    platform_case = PLATFORM_CASES["OCI GenAI Responses"]
    model_class = ChatOCIGenAI
    other_model = "openai.gpt-oss-20b"
    takes_video = False

    @pytest.mark.xfail(raises=InvalidRequest, reason="OpenAI's Responses API has no stop sequences")
    def test_stop_sequence(self, model: BaseChatModel) -> None:
        """The service rejects them, and they are not dropped silently."""
        super().test_stop_sequence(model)


class TestChatOCIModelDeploymentResponsesIntegration(_Integration):
    """A model deployment, OpenAI's Responses API in vLLM's format."""

    platform_case = PLATFORM_CASES["OCI model deployment, Responses"]
    model_class = ChatOCIModelDeployment
    takes_video = False


class TestChatSagemakerEndpointIntegration(_Integration):
    """SageMaker with vLLM's image."""

    platform_case = PLATFORM_CASES["SageMaker vLLM"]
    model_class = ChatSagemakerEndpoint


class TestChatSagemakerEndpointLMIIntegration(_Integration):
    """SageMaker with LMI's JSON lines."""

    platform_case = PLATFORM_CASES["SageMaker LMI"]
    model_class = ChatSagemakerEndpoint


class TestChatSagemakerEndpointResponsesIntegration(_Integration):
    """SageMaker with a container of one's own, OpenAI's Responses API."""

    platform_case = PLATFORM_CASES["SageMaker, Responses"]
    model_class = ChatSagemakerEndpoint
    takes_video = False


class TestChatModelArtsIntegration(_Integration):
    """A real-time service."""

    platform_case = PLATFORM_CASES["ModelArts"]
    model_class = ChatModelArts


class TestChatModelArtsWebSocketIntegration(_Integration):
    """A real-time service over a WebSocket."""

    platform_case = PLATFORM_CASES["ModelArts WebSocket"]
    model_class = ChatModelArts


class TestChatModelArtsResponsesIntegration(_Integration):
    """A real-time service, OpenAI's Responses API in vLLM's format."""

    platform_case = PLATFORM_CASES["ModelArts, Responses"]
    model_class = ChatModelArts
    takes_video = False


class TestChatModelArtsWebSocketResponsesIntegration(_Integration):
    """A real-time service over a WebSocket, OpenAI's Responses API."""

    platform_case = PLATFORM_CASES["ModelArts WebSocket, Responses"]
    model_class = ChatModelArts
    takes_video = False


@pytest.fixture(scope="session")
def vcr_config() -> dict[str, Any]:
    """Match cassettes without the address, because the emulator's port varies."""
    return {**base_vcr_config(), "match_on": ["method", "path", "body"]}


@pytest.mark.filterwarnings("ignore:this http_client cannot see HTTP trailers:RuntimeWarning")
class TestChatOCIModelDeploymentWithStockClients(TestChatOCIModelDeploymentIntegration):
    """With the user's httpx clients, which cassettes support."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Return its constructor arguments."""
        return {
            **super().chat_model_params,
            "http_client": httpx.Client(trust_env=False),
            "http_async_client": httpx.AsyncClient(trust_env=False),
        }

    @property
    def enable_vcr_tests(self) -> bool:
        """Return `True`."""
        return True
