"""LangChain rerankers on every platform."""

import pickle
from typing import Any

import pytest
from _embedding_platforms import RANKING
from _platforms import PlatformCase, emulator, shared_emulator
from langchain_core.documents import Document
from langchain_core.exceptions import ModelError
from pydantic import ValidationError

from langchain_mdstream import ModelArtsRerank, OCIGenAIRerank, OCIModelDeploymentRerank, SagemakerEndpointRerank
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import MalformedStream, MDStreamError, ServerError

__all__ = ["emulator", "shared_emulator"]  # fixtures

CLASSES: dict[str, Any] = {
    "oci-model-deployment": OCIModelDeploymentRerank,
    "oci-genai": OCIGenAIRerank,
    "sagemaker": SagemakerEndpointRerank,
    "modelarts": ModelArtsRerank,
    "modelarts-maas": ModelArtsRerank,
}

QUERY = "the longest river"
DOCUMENTS = [Document(f"a mountain of {number} metres", metadata={"place": number}) for number in range(1, 150)]
DOCUMENTS[100] = Document("the Nile is the longest river", metadata={"place": 101}, id="nile")
DOCUMENTS[40] = Document("a river", metadata={"place": 41})

each_platform = pytest.mark.parametrize("platform_case", RANKING.values(), ids=RANKING)


def reranker_at(
    emulator: Emulator, platform_case: PlatformCase = RANKING["OCI model deployment"], **options: Any
) -> Any:
    """Reranker on a platform."""
    return CLASSES[platform_case.kind](**{**platform_case.fields(emulator), "max_retries": 0, **options})


@each_platform
async def test_the_best_documents_come_first(emulator: Emulator, platform_case: PlatformCase) -> None:
    """The best of more documents than fit into one request are returned, in order; sync and async."""
    reranker = reranker_at(emulator, platform_case, top_n=2)
    best = reranker.compress_documents(DOCUMENTS, QUERY)

    assert [101, 41] == [document.metadata["place"] for document in best]
    assert best[0].metadata["relevance_score"] > best[1].metadata["relevance_score"]
    assert "nile" == best[0].id
    assert "relevance_score" not in DOCUMENTS[100].metadata
    assert best == await reranker.acompress_documents(DOCUMENTS, QUERY)


@each_platform
async def test_texts(emulator: Emulator, platform_case: PlatformCase) -> None:
    """Texts are ranked too; `top_n` may be an argument of the call, and `None` returns all."""
    reranker, texts = reranker_at(emulator, platform_case, top_n=None), ["a hill", "the longest river", "a river"]
    scores = reranker.rerank(texts, QUERY)

    assert [1, 2, 0] == [one["index"] for one in scores]
    assert scores[:1] == await reranker.arerank(texts, QUERY, top_n=1)
    assert [] == list(reranker.compress_documents([], QUERY))


def test_top_n_is_three_by_default(emulator: Emulator) -> None:
    """As in LangChain's other rerankers."""
    assert 3 == len(reranker_at(emulator).compress_documents(DOCUMENTS, QUERY))


def test_a_failure_ranks_nothing(emulator: Emulator) -> None:
    """If one of several batches fails, the error is raised, without a partial ranking."""
    emulator.script(None, Fault("refuse", "internal"))

    with pytest.raises(ServerError) as caught:
        reranker_at(emulator, batch_size=50, max_concurrency=1).compress_documents(DOCUMENTS, QUERY)
    assert isinstance(caught.value, ModelError)
    assert 3 == len(caught.value.partial.ranking)  # type: ignore[union-attr]


def test_a_document_without_a_score_is_an_error(emulator: Emulator) -> None:
    """Missing scores, or a score of a document that was not sent, raise."""
    for body in (
        b'{"results":[{"index":0,"relevance_score":0.5}]}',
        b'{"results":[{"index":0,"relevance_score":0.5},{"index":9,"relevance_score":0.5}]}',
    ):
        emulator.script(Fault("body", data=body))
        with pytest.raises(MDStreamError, match="2 inputs were sent"):
            reranker_at(emulator).rerank(["a", "b"], QUERY)


ODD: dict[str, bytes] = {
    "without a score": b'{"results":[{"index":0},{"index":1}]}',
    "without a place": b'{"results":[{"relevance_score":0.5},{"relevance_score":0.5}]}',
    "not a number": b'{"results":[{"index":0,"relevance_score":NaN},{"index":1,"relevance_score":0.5}]}',
    "a chat answer": b'{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}',
    "one twice": b'{"results":[{"index":0,"relevance_score":0.5},{"index":0,"relevance_score":0.4}]}',
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
async def test_a_malformed_ranking_is_an_error(emulator: Emulator, body: bytes) -> None:
    """The error names the problem."""
    reranker = reranker_at(emulator)
    emulator.script(Fault("body", data=body), Fault("body", data=body))
    with pytest.raises(MalformedStream):
        reranker.rerank(["a", "b"], QUERY)
    with pytest.raises(MalformedStream):
        await reranker.arerank(["a", "b"], QUERY)


@pytest.mark.parametrize("top_n", [0, -1])
def test_top_n_must_be_positive(emulator: Emulator, top_n: int) -> None:
    """`top_n=0` raises, in the constructor and in a call."""
    with pytest.raises(ValidationError, match="top_n"):
        reranker_at(emulator, top_n=top_n)
    with pytest.raises(ValueError, match="top_n"):
        reranker_at(emulator).rerank(["a"], QUERY, top_n=top_n)
    assert [] == emulator.requests


def test_a_chat_dialect_is_rejected() -> None:
    """At construction."""
    with pytest.raises(ValidationError, match=r"dialect='openai-chat' is unknown .hint: use one of rerank, score"):
        OCIModelDeploymentRerank(endpoint="https://h/ocid1.x", dialect="openai-chat")


def test_pickles(emulator: Emulator) -> None:
    """A pickled reranker works."""
    again = pickle.loads(pickle.dumps(reranker_at(emulator)))
    assert 1 == again.rerank(["a hill", "a river"], QUERY)[0]["index"]
