"""The contenders of the benchmark. Each is imported when it is measured, so that no other one pays for its imports."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from benchmarks.source import Source

#: The prompt of all contenders.
PROMPT = "Name three rivers."


@dataclass(frozen=True, slots=True)
class Contender:
    """A model whose streams are measured.

    Attributes:
        stream: Starts a stream; returns an iterator of chunks.
        astream: Starts an async stream; returns an async iterator, or an awaitable of one (LlamaIndex); `None` if
            there is none.
        text: Returns the text of a chunk.
        complete: Requests a response that is not streamed; `None` if there is no such call.
        acomplete: The same, async.
    """

    stream: Callable[[], Any]
    astream: Callable[[], Any] | None
    text: Callable[[Any], str]
    complete: Callable[[], Any] | None = None
    acomplete: Callable[[], Any] | None = None


class NotInstalled(Exception):
    """A package is not installed; the message names it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the tables.

    Attributes:
        name: Title of the row.
        factory: A function `(source, pem) -> Contender`, as `module:function`.
    """

    name: str
    factory: str

    def open(self, source: Source, pem: bytes | None = None) -> Contender:
        """Create the contender.

        Args:
            source: The stream that it reads.
            pem: The RSA key that it signs requests with. Default: requests are not signed.

        Raises:
            NotInstalled: Its package is not installed.
        """
        module, _, function = self.factory.partition(":")
        try:
            return getattr(import_module(module), function)(source, pem)  # type: ignore[no-any-return]
        except ModuleNotFoundError as error:
            raise NotInstalled(f"{self.name}: skipped, {error.name} is not installed") from error


LANGCHAIN_FLOOR = Entry("floor: a model in memory", "benchmarks.floors_langchain:from_memory")
LANGCHAIN_SOCKET = Entry("floor: LangChain fed by a raw socket", "benchmarks.floors_langchain:from_socket")
LANGCHAIN_SOCKET_WITH_CALLBACKS = Entry(
    "floor: LangChain fed by a raw socket, with a callback handler",
    "benchmarks.floors_langchain:from_socket_with_callbacks",
)
LLAMAINDEX_FLOOR = Entry("floor: an LLM in memory", "benchmarks.floors_llamaindex:from_memory")
LLAMAINDEX_SOCKET = Entry("floor: LlamaIndex fed by a raw socket", "benchmarks.floors_llamaindex:from_socket")
SOCKET = Entry("raw socket + json, no framework", "benchmarks.floors_plain:raw_socket")
HTTPX = Entry("stock httpx + json, no framework", "benchmarks.floors_plain:stock_httpx")

CORE = Entry("mdstream_core: events, no framework", "benchmarks.ours:core")
LANGCHAIN = Entry("langchain_mdstream", "benchmarks.ours:langchain")
LLAMAINDEX = Entry("llamaindex_mdstream", "benchmarks.ours:llamaindex")
LANGCHAIN_WITH_CALLBACKS = Entry(
    "langchain_mdstream, with a callback handler", "benchmarks.ours:langchain_with_callbacks"
)
LANGCHAIN_BEARER = Entry("langchain_mdstream, bearer token", "benchmarks.ours:langchain_bearer")
LLAMAINDEX_BEARER = Entry("llamaindex_mdstream, bearer token", "benchmarks.ours:llamaindex_bearer")

_PLATFORMS = {
    "OCI Generative AI, GENERIC": "generic",
    "OCI Generative AI, COHERE": "cohere",
    "SageMaker, events": "sagemaker_sse",
    "SageMaker, JSON lines": "sagemaker_lines",
    "SageMaker, TGI": "sagemaker_tgi",
    "ModelArts, events": "modelarts_sse",
    "ModelArts, WebSocket": "modelarts_socket",
}
CORE_PLATFORMS = tuple(Entry(name, f"benchmarks.platforms:core_{function}") for name, function in _PLATFORMS.items())
LANGCHAIN_PLATFORMS = tuple(
    Entry(name, f"benchmarks.platforms:chat_{function}") for name, function in _PLATFORMS.items()
)
LLAMAINDEX_PLATFORMS = tuple(
    Entry(name, f"benchmarks.platforms:llm_{function}") for name, function in _PLATFORMS.items()
)

LANGCHAIN_PEERS = (
    Entry("langchain-oci ChatOCIModelDeployment", "benchmarks.peers:langchain_oci_deployment"),
    Entry("langchain-oci ChatOCIGenAI", "benchmarks.peers:langchain_oci_genai"),
    Entry("langchain-openai ChatOpenAI", "benchmarks.peers:langchain_openai"),
    Entry("langchain-litellm ChatLiteLLM", "benchmarks.peers:langchain_litellm"),
)
#: litellm's own clients of two platforms; their tokens are in these platforms' formats.
LITELLM_ROUTES = (
    Entry("langchain-litellm ChatLiteLLM, oci/", "benchmarks.peers:langchain_litellm_oci"),
    Entry("langchain-litellm ChatLiteLLM, sagemaker_chat/", "benchmarks.peers:langchain_litellm_sagemaker"),
)
LLAMAINDEX_PEERS = (
    Entry("llama-index OCIDataScience", "benchmarks.peers:llamaindex_oci"),
    Entry("llama-index OpenAILike", "benchmarks.peers:llamaindex_openai_like"),
)
