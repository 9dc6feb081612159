"""Who is measured. Each is imported when it is its turn, so that nobody pays for another's imports."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from benchmarks.server import Source

#: The question that everybody asks.
REQUEST = "Name three rivers."


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that streams: how to open a stream of each colour, and what of a piece is text.

    `astream` returns an asynchronous iterator, or an awaitable of one, as LlamaIndex does; `None` where it cannot run.
    """

    stream: Callable[[], Any]
    astream: Callable[[], Any] | None
    text: Callable[[Any], str]


class NotInstalled(Exception):
    """A peer is missing in this environment; its message says which."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the tables below: a name, and where a function `(source, pem) -> Contender` is found."""

    name: str
    platform_case: str

    def open(self, source: Source, pem: bytes | None = None) -> Contender:
        """Build the contender.

        Args:
            source: What it reads.
            pem: The RSA key that it signs with; without it nothing is signed.

        Raises:
            NotInstalled: Its package is not here.
        """
        module, _, function = self.platform_case.partition(":")
        try:
            return getattr(import_module(module), function)(source, pem)  # type: ignore[no-any-return]
        except ModuleNotFoundError as error:
            raise NotInstalled(f"{self.name}: skipped, {error.name} is not installed") from error


LANGCHAIN_FLOOR = Entry("floor: a model in memory", "benchmarks.floors_langchain:trivial")
LANGCHAIN_SOCKET = Entry("floor: LangChain fed by a raw socket", "benchmarks.floors_langchain:fed_by_socket")
LLAMAINDEX_FLOOR = Entry("floor: an LLM in memory", "benchmarks.floors_llamaindex:trivial")
SOCKET = Entry("raw socket + json, no framework", "benchmarks.floors_plain:raw_socket")
HTTPX = Entry("stock httpx + json, no framework", "benchmarks.floors_plain:stock_httpx")

CORE = Entry("mdstream_core: events, no framework", "benchmarks.ours:core")
LANGCHAIN = Entry("langchain_mdstream", "benchmarks.ours:langchain")
LLAMAINDEX = Entry("llamaindex_mdstream", "benchmarks.ours:llamaindex")

_PLATFORMS = {
    "OCI Generative AI, GENERIC": "generic",
    "OCI Generative AI, COHERE": "cohere",
    "SageMaker, events": "sagemaker_sse",
    "SageMaker, JSON lines": "sagemaker_lines",
    "SageMaker, TGI": "sagemaker_tgi",
    "ModelArts, events": "modelarts_sse",
    "ModelArts, WebSocket": "modelarts_socket",
}
CORE_PLATFORMS = tuple(
    Entry(name, f"benchmarks.clouds:core_{platform_case}") for name, platform_case in _PLATFORMS.items()
)
LANGCHAIN_PLATFORMS = tuple(
    Entry(name, f"benchmarks.clouds:chat_{platform_case}") for name, platform_case in _PLATFORMS.items()
)

LANGCHAIN_PEERS = (
    Entry("langchain-oci ChatOCIModelDeployment", "benchmarks.peers:langchain_oci_deployment"),
    Entry("langchain-oci ChatOCIGenAI", "benchmarks.peers:langchain_oci_genai"),
    Entry("langchain-openai ChatOpenAI", "benchmarks.peers:langchain_openai"),
)
LLAMAINDEX_PEERS = (
    Entry("llama-index OCIDataScience", "benchmarks.peers:llamaindex_oci"),
    Entry("llama-index OpenAILike", "benchmarks.peers:llamaindex_openai_like"),
)
