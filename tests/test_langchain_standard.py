"""LangChain's own standard tests, unit and integration, with every flag on, against the emulator."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_tests.conftest import base_vcr_config
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_mdstream import ChatOCIModelDeployment
from mdstream_core.emulator import Emulator

ENDPOINT = "https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.datasciencemodeldeployment.oc1.iad.x"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class TestChatOCIModelDeploymentUnit(ChatModelUnitTests):
    """Without a service."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """The class under test."""
        return ChatOCIModelDeployment

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """What it is made with."""
        return {"endpoint": ENDPOINT}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        """What it takes from the environment."""
        return (
            {"OCI_LLM_ENDPOINT": ENDPOINT, "MDSTREAM_API_KEY": "key"},
            {},
            {"endpoint": ENDPOINT, "api_key": "key"},
        )


class TestChatOCIModelDeploymentIntegration(ChatModelIntegrationTests):
    """With the emulator as the service."""

    endpoint = ""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def cloud(cls) -> Iterator[Emulator]:
        """One emulator for the class."""
        with Emulator() as cloud:
            cls.endpoint = cloud.endpoint
            yield cloud

    @pytest.fixture(autouse=True)
    def agent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The tests warn where nobody says who asks for a sound file."""
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "mdstream tests")

    @pytest.fixture(autouse=True)
    def files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The tests fetch pictures and documents from the web; here is no web."""
        request = httpx.Request("GET", "http://127.0.0.1")
        monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(200, content=PIXEL, request=request))

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """The class under test."""
        return ChatOCIModelDeployment

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """What it is made with."""
        return {"endpoint": self.endpoint, "auth_type": "none"}

    @property
    def supports_json_mode(self) -> bool:
        """Yes."""
        return True

    @property
    def supports_image_inputs(self) -> bool:
        """Yes."""
        return True

    @property
    def supports_image_urls(self) -> bool:
        """Yes."""
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        """Yes."""
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        """Yes."""
        return True

    @property
    def supports_video_inputs(self) -> bool:
        """Yes."""
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        """Yes."""
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        """Yes."""
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        """Yes."""
        return True

    @property
    def model_override_value(self) -> str:
        """Another served model's name."""
        return "another-model"

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:
        """What the server counts."""
        return {
            "invoke": ["reasoning_output", "cache_read_input"],
            "stream": ["reasoning_output", "cache_read_input"],
        }

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        """An answer that was thought about."""
        return self._asked("Think: what is 17 plus 25?", stream=stream, reasoning_effort="low")

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        """The same question again."""
        question = "A long question that is asked twice. " * 20
        self._asked(question, stream=stream)
        return self._asked(question, stream=stream)

    def _asked(self, question: str, *, stream: bool, **options: Any) -> AIMessage:
        chat = ChatOCIModelDeployment(**self.chat_model_params, model_kwargs=options)
        if not stream:
            return chat.invoke(question)
        first, *rest = chat.stream(question)
        return first + rest  # type: ignore[operator,no-any-return]


@pytest.fixture(scope="session")
def vcr_config() -> dict[str, Any]:
    """Cassettes are matched without the address: the emulator's port is another each time."""
    return {**base_vcr_config(), "match_on": ["method", "path", "body"]}


@pytest.mark.filterwarnings("ignore:this http_client cannot see HTTP trailers:RuntimeWarning")
class TestChatOCIModelDeploymentWithStockClients(TestChatOCIModelDeploymentIntegration):
    """The same through a user's own httpx clients, which cassettes know."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """What it is made with."""
        return {
            **super().chat_model_params,
            "http_client": httpx.Client(trust_env=False),
            "http_async_client": httpx.AsyncClient(trust_env=False),
        }

    @property
    def enable_vcr_tests(self) -> bool:
        """Yes."""
        return True
