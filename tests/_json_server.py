"""A server on loopback that answers each JSON request with what a function makes of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from _raw_server import Peer, RawServer, serving
from langchain_core.embeddings import Embeddings

import langchain_mdstream as lc
import llamaindex_mdstream as li

#: From the body of a request to a status and a document, or to the document's bytes.
Respond = Callable[[dict[str, Any]], tuple[int, Any]]


@contextmanager
def responding(respond: Respond) -> Iterator[RawServer]:
    """The server; its `notes` are the bodies of the requests."""

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            body = json.loads(request.partition(b"\r\n\r\n")[2])
            server.note(body)
            status, document = respond(body)
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            head = f"HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
            peer.send(head.encode() + data)

    with serving(script) as server:
        yield server


_DEPLOYMENT: dict[str, Any] = {"auth_type": "none", "max_retries": 0}


def _sagemaker(server: RawServer) -> dict[str, Any]:
    return {"endpoint_name": "e", "region_name": "us-east-1", "endpoint_url": server.url, **_DEPLOYMENT}


def _deployment(server: RawServer) -> dict[str, Any]:
    return {"endpoint": f"{server.url}/ocid1.x", **_DEPLOYMENT}


def _modelarts(server: RawServer) -> dict[str, Any]:
    return {"endpoint": server.url, "model": "m", **_DEPLOYMENT}


FIELDS = {"OCI": _deployment, "SageMaker": _sagemaker, "ModelArts": _modelarts}

_LANGCHAIN: dict[str, Any] = {
    "OCI": lc.OCIModelDeploymentEmbeddings,
    "SageMaker": lc.SagemakerEndpointEmbeddings,
    "ModelArts": lc.ModelArtsEmbeddings,
}
_LLAMAINDEX: dict[str, Any] = {
    "OCI": li.OCIDataScienceEmbedding,
    "SageMaker": li.SageMakerEmbedding,
    "ModelArts": li.ModelArtsEmbedding,
}

#: Every class of both frameworks that shares the shapes: (framework, platform).
CLASSES = [(framework, platform) for framework in ("LangChain", "LlamaIndex") for platform in FIELDS]


class Embedder:
    """The embeddings of one framework on one platform, by the same names.

    Args:
        framework: `LangChain` or `LlamaIndex`.
        platform: `OCI`, `SageMaker` or `ModelArts`.
        server: Who responds.
        options: Of the class.
    """

    def __init__(self, framework: str, platform: str, server: RawServer, **options: Any) -> None:
        kinds = _LANGCHAIN if framework == "LangChain" else _LLAMAINDEX
        self.model = kinds[platform](**{**FIELDS[platform](server), **options})

    def embed(self, texts: list[str]) -> list[list[float]]:
        """A vector for each text."""
        if isinstance(self.model, Embeddings):
            return self.model.embed_documents(texts)
        vectors: list[list[float]] = self.model.get_text_embedding_batch(texts)
        return vectors

    async def aembed(self, texts: list[str]) -> list[list[float]]:
        """The same, awaited."""
        if isinstance(self.model, Embeddings):
            return await self.model.aembed_documents(texts)
        vectors: list[list[float]] = await self.model.aget_text_embedding_batch(texts)
        return vectors
