"""Embeddings and rankings: every shape that servers return, on every service."""

import base64
import json
import struct
from math import isclose
from typing import Any

import pytest
from _platforms import AWS, emulator, shared_emulator

from mdstream_core import (
    ModelArts,
    ModelResponse,
    OCIGenerativeAI,
    OCIModelDeployment,
    Retry,
    SageMaker,
    Service,
    dialect,
)
from mdstream_core.auth import aws
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import InvalidRequest, MalformedStream, MDStreamError, StreamFailure, StreamInterrupted

__all__ = ["emulator", "shared_emulator"]  # fixtures

PACKED = base64.b64encode(struct.pack("<2f", 0.5, -0.25)).decode()

VECTORS: dict[str, Any] = {
    "OpenAI, numbers": {"data": [{"index": 0, "embedding": [0.5, -0.25]}, {"index": 1, "embedding": [1, 0]}]},
    "OpenAI, base64": {"data": [{"index": 0, "embedding": PACKED}, {"index": 1, "embedding": [1, 0]}]},
    "OpenAI, out of order": {"data": [{"index": 1, "embedding": [1, 0]}, {"index": 0, "embedding": PACKED}]},
    "TEI": [[0.5, -0.25], [1, 0]],
    "OCI": {"id": "e", "embeddings": [[0.5, -0.25], [1, 0]], "modelId": "cohere.embed-v4.0"},
    "OCI by type": {"embeddingsByType": {"float": [[0.5, -0.25], [1, 0]]}},
}

RANKINGS: dict[str, Any] = {
    "vLLM": {"results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]},
    "TEI": [{"index": 0, "score": 0.1}, {"index": 1, "score": 0.9}],
    "OCI": {"documentRanks": [{"index": 1, "relevanceScore": 0.9}, {"index": 0, "relevanceScore": 0.1}]},
}


def read(name: str, document: Any) -> ModelResponse:
    """Decode a document with a dialect."""
    decoder = dialect(name).create_decoder()
    events = decoder.feed(json.dumps(document).encode())
    return ModelResponse.from_events([*events, *decoder.finish()])


@pytest.mark.parametrize("document", VECTORS.values(), ids=VECTORS)
def test_vectors_of_each_shape(document: Any) -> None:
    """Each shape gives the same vectors, in the order of the texts."""
    assert [[0.5, -0.25], [1, 0]] == [one.vector for one in read("openai-embeddings", document).embeddings]


@pytest.mark.parametrize("document", RANKINGS.values(), ids=RANKINGS)
def test_rankings_of_each_shape(document: Any) -> None:
    """Each shape gives the same ranking, best first."""
    assert [(1, 0.9), (0, 0.1)] == [(one.index, one.score) for one in read("rerank", document).ranking]


BAD: dict[str, tuple[Any, type[MDStreamError]]] = {
    "an error": ({"error": {"message": "boom", "code": 500}}, StreamFailure),
    "a hole": ({"data": [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [1]}]}, MalformedStream),
    "twice": ({"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}, MalformedStream),
    "words": ([["a"]], MalformedStream),
    "another shape": ({"data": 7}, MalformedStream),
    "a chat": ({"choices": [{"message": {"content": "Hello."}}]}, MalformedStream),
    "broken base64": ({"data": [{"index": 0, "embedding": "?"}]}, MalformedStream),
}


@pytest.mark.parametrize(("document", "error"), BAD.values(), ids=BAD)
def test_an_invalid_vector_is_an_error(document: Any, error: type[MDStreamError]) -> None:
    """Nothing is guessed, and no text is left without its vector."""
    with pytest.raises(error):
        read("openai-embeddings", document)


def test_an_empty_response_is_an_error() -> None:
    """A missing document is not a success."""
    with pytest.raises(StreamInterrupted):
        dialect("openai-embeddings").create_decoder().finish()


def test_requests_use_the_names_of_the_dialect() -> None:
    """Each dialect has its own field names."""
    requested = {"input": ["a"], "model": "m", "dimensions": 8, "input_type": "query"}

    assert {"encoding_format": "base64", "input": ["a"], "model": "m", "dimensions": 8} == dialect(
        "openai-embeddings"
    ).build_payload(requested, stream=False)
    assert {"inputs": ["a"], "dimensions": 8} == dialect("tei-embeddings").build_payload(requested, stream=False)
    oci = {"inputs": ["a"], "inputType": "SEARCH_QUERY", "outputDimensions": 8, "model": "m"}
    assert oci == dialect("oci-embed-text").build_payload(requested, stream=False)
    ranked = {"query": "q", "documents": ["a"], "top_n": 1, "model": "m"}
    assert {"input": "q", "documents": ["a"], "topN": 1, "model": "m"} == dialect("oci-rerank-text").build_payload(
        ranked, stream=False
    )
    assert {"query": "q", "texts": ["a"]} == dialect("tei-rerank").build_payload(ranked, stream=False)
    with pytest.raises(InvalidRequest, match="97 texts; embedText takes 96"):
        dialect("oci-embed-text").build_payload({"input": ["a"] * 97}, stream=False)


def sagemaker(emulator: Emulator, endpoint: str) -> Service:
    """A SageMaker endpoint with verified signatures."""
    ((key, secret),) = AWS.items()
    there = emulator.sagemaker
    signer = aws.AWSSigner.from_keys(key, secret, region_name=there.region_name)
    return Service(SageMaker(endpoint, there.region_name, there.endpoint_url), auth=signer, retry=Retry(0))


def genai(emulator: Emulator, model: str) -> Service:
    """OCI Generative AI."""
    there = emulator.oci_genai
    return Service(OCIGenerativeAI(there.compartment_id, model, service_endpoint=there.endpoint), retry=Retry(0))


EMBEDDING: dict[str, tuple[Any, str]] = {
    "OCI model deployment": (lambda emulator: Service(OCIModelDeployment(emulator.endpoint)), "openai-embeddings"),
    "OCI GenAI": (lambda emulator: genai(emulator, "cohere.embed-english-v3.0"), "oci-embed-text"),
    "SageMaker TEI": (lambda emulator: sagemaker(emulator, "tei"), "tei-embeddings"),
    "SageMaker vLLM": (lambda emulator: sagemaker(emulator, "emulated"), "openai-embeddings"),
    "ModelArts": (lambda emulator: Service(ModelArts(emulator.modelarts.endpoint)), "openai-embeddings"),
}


@pytest.mark.parametrize(("service", "name"), EMBEDDING.values(), ids=EMBEDDING)
async def test_every_platform_embeds(emulator: Emulator, service: Any, name: str) -> None:
    """One vector for each text, in order, of unit length; equal texts have equal vectors; sync and async."""
    there, requested = service(emulator), {"input": ["a river", "a mountain", "a river"]}
    model_response = there.client.complete(there.call(dialect(name), requested, stream=False))
    again = await there.async_client.complete(there.call(dialect(name), requested, stream=False))

    first, second, third = (one.vector for one in model_response.embeddings)
    assert first == third != second
    assert isclose(1.0, sum(x * x for x in first), rel_tol=1e-3)
    assert model_response.embeddings == again.embeddings


RANKING: dict[str, tuple[Any, str]] = {
    "OCI model deployment": (lambda emulator: Service(OCIModelDeployment(emulator.endpoint)), "rerank"),
    "OCI GenAI": (lambda emulator: genai(emulator, "cohere.rerank.3-5"), "oci-rerank-text"),
    "ModelArts": (lambda emulator: Service(ModelArts(emulator.modelarts.endpoint)), "rerank"),
    "MaaS": (lambda emulator: Service(ModelArts(emulator.modelarts.maas)), "rerank"),
}


@pytest.mark.parametrize(("service", "name"), RANKING.values(), ids=RANKING)
def test_every_platform_ranks(emulator: Emulator, service: Any, name: str) -> None:
    """The document about the query is ranked first."""
    there = service(emulator)
    requested = {"query": "the longest river", "documents": ["a high mountain", "the Nile is the longest river"]}
    model_response = there.client.complete(there.call(dialect(name), requested, stream=False))

    assert [1, 0] == [one.index for one in model_response.ranking]
    assert model_response.ranking[0].score > model_response.ranking[1].score


def test_a_rejected_embedding_request_is_an_error(emulator: Emulator) -> None:
    """Error responses are mapped as for chat."""
    emulator.script(Fault("refuse", "lb_bandwidth"))
    there = Service(OCIModelDeployment(emulator.endpoint), retry=Retry(0))

    with pytest.raises(MDStreamError, match="bandwidth"):
        there.client.complete(there.call(dialect("openai-embeddings"), {"input": ["a"]}, stream=False))
