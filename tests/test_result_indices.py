"""Results with wrong indices: the error lists those that are out of range, repeated or missing."""

from typing import Any

import pytest
from _json_server import CLASSES, FIELDS, Embedder, responding
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode

import langchain_mdstream as lc
import llamaindex_mdstream as li
from mdstream_core._indices import describe_wrong_indices
from mdstream_core.errors import MalformedStream

#: name: (the indices, the number of inputs, the words)
WRONG: dict[str, tuple[list[Any], int, str]] = {
    "out of range": ([0, 1, 7], 3, r"index 7 is out of range \(0 to 2\); index 2 is missing"),
    "below the range": ([0, -1], 2, "index -1 is out of range"),
    "twice": ([0, 0], 2, "index 0 came more than once"),
    "twice and too many": ([0, 1, 1], 2, "index 1 came more than once"),
    "missing": ([0], 2, "index 1 is missing"),
    "several": ([1], 3, "indices 0, 2 are missing"),
    "no number": ([0, "x"], 2, "result 1 has the index 'x', which is not an integer"),
    "a boolean": ([0, True], 2, "result 1 has the index 'True'"),
    "a fraction": ([0, 1.5], 2, "result 1 has the index '1.5'"),
}


@pytest.mark.parametrize(("indices", "inputs", "words"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(("framework", "platform"), CLASSES)
async def test_indices_of_vectors(framework: str, platform: str, indices: list[Any], inputs: int, words: str) -> None:
    """All classes, sync and async."""
    document = {"data": [{"index": index, "embedding": [1.0]} for index in indices]}
    with responding(lambda body: (200, document)) as server:
        embedder = Embedder(framework, platform, server)
        with pytest.raises(MalformedStream, match=words):
            embedder.embed(["a"] * inputs)
        with pytest.raises(MalformedStream, match=words):
            await embedder.aembed(["a"] * inputs)


SHAPES: dict[str, Any] = {
    "Cohere's": lambda indices: {"results": [{"index": index, "relevance_score": 0.5} for index in indices]},
    "TEI's": lambda indices: [{"index": index, "score": 0.5} for index in indices],
    "OCI's": lambda indices: {"documentRanks": [{"index": index, "relevanceScore": 0.5} for index in indices]},
    "scores": lambda indices: {"data": [{"index": index, "score": 0.5} for index in indices]},
}
_RERANKERS = {
    "LangChain": {
        "OCI": lc.OCIModelDeploymentRerank,
        "SageMaker": lc.SagemakerEndpointRerank,
        "ModelArts": lc.ModelArtsRerank,
    },
    "LlamaIndex": {"OCI": li.OCIDataScienceRerank, "SageMaker": li.SageMakerRerank, "ModelArts": li.ModelArtsRerank},
}


def reranker_at(framework: str, platform: str, server: Any, inputs: int) -> tuple[Any, Any]:
    """Rerank methods, sync and async."""
    model: Any = _RERANKERS[framework][platform](**FIELDS[platform](server), top_n=inputs)
    if framework == "LangChain":
        documents = [Document("a")] * inputs
        return lambda: model.compress_documents(documents, "q"), lambda: model.acompress_documents(documents, "q")
    nodes = [NodeWithScore(node=TextNode(text="a")) for _ in range(inputs)]
    return (
        lambda: model.postprocess_nodes(nodes, query_str="q"),
        lambda: model.apostprocess_nodes(nodes, query_str="q"),
    )


@pytest.mark.parametrize(("indices", "inputs", "words"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(("framework", "platform"), CLASSES)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
async def test_indices_of_scores(
    framework: str, platform: str, shape: Any, indices: list[Any], inputs: int, words: str
) -> None:
    """All classes and formats, sync and async."""
    with responding(lambda body: (200, shape(indices))) as server:
        rank, arank = reranker_at(framework, platform, server, inputs)
        with pytest.raises(MalformedStream, match=words):
            rank()
        with pytest.raises(MalformedStream, match=words):
            await arank()


@pytest.mark.parametrize("score", [True, None, "0.5", [0.5], float("nan"), float("inf")])
@pytest.mark.parametrize("shape", ["results", "data"])
def test_a_score_is_a_finite_number(shape: str, score: Any) -> None:
    """Other values are reported."""
    document = {shape: [{"index": 0, "score": 0.5}, {"index": 1, "score": score}]}
    with responding(lambda body: (200, document)) as server, pytest.raises(MalformedStream, match="score of index 1"):
        lc.OCIModelDeploymentRerank(**FIELDS["OCI"](server)).rerank(["a", "b"], "q")


def test_missing_indices_of_the_best_results() -> None:
    """If fewer results than inputs are requested, none is missing; a wrong index is reported."""
    with responding(lambda body: (200, {"results": [{"index": 2, "score": 0.5}]})) as server:
        reranker = lc.OCIModelDeploymentRerank(**FIELDS["OCI"](server))
        assert [{"index": 2, "relevance_score": 0.5}] == reranker.rerank(["a", "b", "c"], "q", top_n=1)
        with pytest.raises(MalformedStream, match=r"2 inputs were sent.*index 2 is out of range \(0 to 1\)"):
            reranker.rerank(["a", "b"], "q", top_n=1)
        with pytest.raises(MalformedStream, match=r"3 inputs were sent for 2 results.* 1 of them$"):
            reranker.rerank(["a", "b", "c"], "q", top_n=2)


def test_a_huge_index() -> None:
    """It costs no time, and only a few indices are listed."""
    assert "index 1000000000000000000 is out of range (0 to 1); index 1 is missing" == describe_wrong_indices(
        [0, 10**18], 2
    )
    assert "indices 0, 1, 2, 3, 4 and 1999999999999995 more are missing" == describe_wrong_indices([], 2 * 10**15)
