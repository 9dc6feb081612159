"""Batches that are too large for a server: they are split to the limit that it reports, and the limit is remembered."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from _embedding_platforms import EMBEDDING, RANKING
from _json_server import CLASSES, FIELDS, Embedder, responding
from _langchain_platforms import emulator, shared_emulator
from _llamaindex_embeddings import embedding_at, reranker_at

import langchain_mdstream as lc
from mdstream_core.batching.plan import BatchPlan
from mdstream_core.dialects._batch_limits import BatchLimit, find_batch_limit
from mdstream_core.emulator import Emulator
from mdstream_core.errors import ContextOverflow, InvalidRequest, MDStreamError, RateLimited, ServerError, StreamFailure

__all__ = ["emulator", "shared_emulator"]  # fixtures

TEXTS = [f"text number {number}" for number in range(50)]

#: Messages of servers for a batch of 50 inputs, and the limit in them.
SENTENCES: dict[str, int] = {
    "batch size 50 > maximum allowed batch size 32": 32,
    "Validation: batch size 50 > maximum allowed batch size 32": 32,
    "input batch size 50 > maximum allowed batch size 32": 32,
    "max_client_batch_size=16 exceeded": 16,
    "[request id: <id_unknown>] inference request batch-size must be <= 8 for 'bge'": 8,
    "request specified batch-size 50, maximum batch-size is 8": 8,
    "body -> input: List should have at most 32 items after validation, not 50": 32,
    "input: ensure this value has at most 32 items": 32,
    "Invalid 'input': array too long. Expected an array with maximum length 20, but got an array with length 50 instead.": 20,
    "Too many inputs. The max number of inputs is 16. We hope to increase this soon.": 16,
    "Too many inputs. The max number of inputs is 1.": 1,
    "invalid request: total number of texts must be at most 48 - received 50": 48,
    "invalid request: number of documents must not exceed 10": 10,
    "The batch size limit is 24. Your batch size is 50.": 24,
    "batch size is invalid, it should not be larger than 10.: input.contents": 10,
    "Value error, batch size is invalid, it should not be larger than 25.": 25,
    "The inputs array cannot be longer than 40": 40,
    "input has 50 texts; embedText takes 40 at most (hint: use batches)": 40,
    "32 instance(s) is allowed per prediction. Actual: 50": 32,
    "the service accepts up to 12 texts per request": 12,
    "input数组最大不得超过64条": 0,
    "input数组最大不得超过25条": 25,
    "Too many inputs": 25,
    "batch too large": 25,
}


@pytest.mark.parametrize(("words", "limit"), SENTENCES.items(), ids=[words[:40] for words in SENTENCES])
def test_the_limit_is_parsed(words: str, limit: int) -> None:
    """From the messages of many servers; without a number it is half of the batch."""
    expected = BatchLimit(inputs=limit) if limit else None

    assert expected == find_batch_limit(InvalidRequest(words, status=422), 50, 5000)
    assert expected == find_batch_limit(ServerError("424 ModelError", status=424, raw=words), 50, 5000)
    assert None is find_batch_limit(InvalidRequest(words, status=422), 1, 5000)


#: Sentences that are about something else.
OTHERS: dict[str, MDStreamError] = {
    "a text that is too long": ContextOverflow("413: `inputs` must have less than 32 tokens. Given: 534"),
    "tokens": InvalidRequest("inputs must have at most 32 tokens"),
    "characters": InvalidRequest("each text is limited to 20 characters"),
    "llama.cpp's physical batch": ServerError(
        "input (600 tokens) is too large to process. increase the physical batch size (current batch size: 32)"
    ),
    "more than was sent": InvalidRequest("batch size 50 > maximum allowed batch size 64"),
    "a rate": RateLimited("too many requests: at most 10 texts per minute"),
    "an empty text": InvalidRequest("`inputs` cannot be empty"),
    "dimensions": InvalidRequest("inputs: at most 32 dimensions"),
    "a failure of the stream": StreamFailure("batch size 50 > maximum allowed batch size 32"),
    "the model's own batch": InvalidRequest("the model 'm' does not exist"),
}


@pytest.mark.parametrize("error", OTHERS.values(), ids=OTHERS)
def test_other_errors_do_not_change_the_limit(error: MDStreamError) -> None:
    """Smaller batches would not help."""
    assert None is find_batch_limit(error, 50, 5000)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (413, "Payload Too Large"),
        (413, "Failed to buffer the request body: length limit exceeded"),
        (400, "The max allowed tokens per submitted batch is 1000"),
        (400, "Requested 600000 tokens, max 300000 tokens per request"),
    ],
)
def test_a_request_with_too_many_bytes(status: int, words: str) -> None:
    """The next batches have half as many bytes."""
    assert BatchLimit(bytes=2500) == find_batch_limit(InvalidRequest(words, status=status), 50, 5000)


def limited(limit: int, status: int = 422) -> Any:
    """Server with a limit of texts per request, which reports it in one of the formats."""

    def respond(body: dict[str, Any]) -> tuple[int, Any]:
        texts = body.get("input") or body.get("inputs")
        if len(texts) > limit:
            text = f"batch size {len(texts)} > maximum allowed batch size {limit}"
            return status, {"error": text, "error_type": "Validation"}
        return 200, {"data": [{"index": at, "embedding": [float(text[12:])]} for at, text in enumerate(texts)]}

    return respond


def sizes(server: Any) -> list[int]:
    return [len(body.get("input") or body.get("inputs")) for body in server.notes]


EXPECTED = [[float(number)] for number in range(50)]


@pytest.mark.parametrize(("framework", "platform"), CLASSES)
@pytest.mark.parametrize("max_concurrency", [1, 4])
async def test_every_class_splits_its_batches(framework: str, platform: str, max_concurrency: int) -> None:
    """Once, because the object remembers the limit, for sync and async calls."""
    with responding(limited(8)) as server:
        embedder = Embedder(framework, platform, server, max_concurrency=max_concurrency, batch_size=25)
        assert EXPECTED == embedder.embed(TEXTS)
        assert 8 in sizes(server)
        assert 2 >= sizes(server).count(25) >= 1
        server.notes.clear()
        assert EXPECTED == await embedder.aembed(TEXTS) == embedder.embed(TEXTS)
        assert {8, 2} == set(sizes(server))

        server.notes.clear()
        other = Embedder(framework, platform, server, max_concurrency=max_concurrency, batch_size=25)
        assert EXPECTED == await other.aembed(TEXTS)
        assert 2 >= sizes(server).count(25) >= 1


@pytest.mark.parametrize("status", [400, 413, 422, 424])
@pytest.mark.parametrize("framework", ["LangChain", "LlamaIndex"])
def test_a_limit_in_the_middle_of_a_list(framework: str, status: int) -> None:
    """A server that becomes stricter: earlier results are kept, the rest is split."""
    count = 0

    def respond(body: dict[str, Any]) -> tuple[int, Any]:
        nonlocal count
        count += 1
        model_response: tuple[int, Any] = limited(10 if count <= 2 else 4, status)(body)
        return model_response

    with responding(respond) as server:
        assert EXPECTED == Embedder(framework, "OCI", server, max_concurrency=1, batch_size=10).embed(TEXTS)
        assert [10, 10, 10, *[4] * 7, 2] == sizes(server)


async def test_threads_and_tasks_share_the_limit() -> None:
    """All lists are complete, and no batch exceeds the limit once it is known."""
    with responding(limited(7)) as server:
        embedder = Embedder("LangChain", "OCI", server, max_concurrency=3)
        with ThreadPoolExecutor(6) as threads:
            assert [EXPECTED] * 6 == list(threads.map(embedder.embed, [TEXTS] * 6))
        assert 6 >= sizes(server).count(50) >= 1
        server.notes.clear()
        assert [EXPECTED] * 4 == await asyncio.gather(*(embedder.aembed(TEXTS) for _ in range(4)))
        assert {7, 1} == set(sizes(server))


@pytest.mark.parametrize("status", [424, 500, 503])
def test_a_limit_is_not_retried(status: int) -> None:
    """The same request would be rejected again, whatever the status."""
    with responding(limited(10, status)) as server:
        assert EXPECTED == Embedder("LangChain", "OCI", server, max_retries=3, max_concurrency=1).embed(TEXTS)
        assert [50, *[10] * 5] == sizes(server)


NO_LIMITS = (
    (400, "Invalid input: input length must be less than or equal to 50"),
    (422, "length of input should be at most 50"),
    (400, "text length cannot exceed 50"),
    (503, "Model overloaded: queue limit is 10 items"),
    (503, "batch scheduler busy: max batch size 32"),
    (500, "waiting list is full: maximum 10 items"),
    (500, "limit of 10 items exceeded by workers"),
)


@pytest.mark.parametrize("framework", ["LangChain", "LlamaIndex"])
@pytest.mark.parametrize(("status", "words"), NO_LIMITS)
async def test_other_numbers_are_not_a_limit(framework: str, status: int, words: str) -> None:
    """A length or a server's load leaves the batch unchanged; a busy server gets a retry."""
    attempts = 1 if status < 500 else 2
    with responding(lambda body: (status, {"error": {"message": words}})) as server:
        embedder = Embedder(framework, "OCI", server, max_retries=1, max_concurrency=1)
        with pytest.raises(Exception, match=words):
            embedder.embed(TEXTS)
        assert [50] * attempts == sizes(server)
        with pytest.raises(Exception, match=words):
            await embedder.aembed(TEXTS)
        assert [50] * 2 * attempts == sizes(server)


@pytest.mark.parametrize("framework", ["LangChain", "LlamaIndex"])
async def test_an_error_without_a_number(framework: str) -> None:
    """The batch is halved until it is accepted."""

    def respond(body: dict[str, Any]) -> tuple[int, Any]:
        if len(body["input"]) > 6:
            return 400, {"error": {"message": "Too many inputs"}}
        model_response: tuple[int, Any] = limited(6)(body)
        return model_response

    with responding(respond) as server:
        embedder = Embedder(framework, "OCI", server, max_concurrency=1)
        assert EXPECTED == embedder.embed(TEXTS)
        assert [50, 25, 12, *[6] * 8, 2] == sizes(server)
        assert EXPECTED == await embedder.aembed(TEXTS)


@pytest.mark.parametrize("framework", ["LangChain", "LlamaIndex"])
async def test_a_body_with_too_many_bytes(framework: str) -> None:
    """Fewer texts are sent together; a single text that is too large is an error with the other results."""

    def respond(body: dict[str, Any]) -> tuple[int, Any]:
        if sum(map(len, body["input"])) > 3000:
            return 413, {"error": "Payload Too Large"}
        return 200, {"data": [{"index": at, "embedding": [float(len(text))]} for at, text in enumerate(body["input"])]}

    texts = ["x" * 1000] * 10
    with responding(respond) as server:
        embedder = Embedder(framework, "OCI", server, max_concurrency=1)
        assert [[1000.0]] * 10 == embedder.embed(texts) == await embedder.aembed(texts)
        assert [10, 5, 2, 2, 2, 2, 2] == sizes(server)[:7]
        with pytest.raises(InvalidRequest, match="Payload Too Large") as caught:
            embedder.embed([*texts, "x" * 4000])
        assert list(range(10)) == [one.index for one in caught.value.partial.embeddings]  # type: ignore[union-attr]
        with pytest.raises(InvalidRequest, match="Payload Too Large"):
            await embedder.aembed(["x" * 4000])


def test_a_limit_is_never_more_than_the_batch_size() -> None:
    """The user's batch size still applies, also when pending batches are merged."""

    def respond(body: dict[str, Any]) -> tuple[int, Any]:
        if sum(map(len, body["input"])) > 60:
            return 413, {"error": "Payload Too Large"}
        model_response: tuple[int, Any] = limited(100)(body)
        return model_response

    with responding(respond) as server:
        embedder = Embedder("LangChain", "OCI", server, max_concurrency=1, batch_size=5)
        assert EXPECTED == embedder.embed(TEXTS)
        assert 5 == max(sizes(server))


@pytest.mark.parametrize("name", ["OCI model deployment, vLLM", "SageMaker vLLM", "ModelArts", "MaaS"])
def test_the_limit_of_tei_on_every_platform(name: str) -> None:
    """The emulator has TEI's limit: embeddings of both frameworks, and rankings."""
    with Emulator(max_batch_size=8) as there:
        embedding = embedding_at(there, EMBEDDING[name])
        assert 50 == len(embedding.get_text_embedding_batch(TEXTS))
        reranker = reranker_at(there, RANKING[name.removesuffix(", vLLM")], top_n=3)
        best = reranker.rank([*TEXTS, "the Nile is a river"], "Which is a river?").ranking
        assert 50 == best[0].index
        assert 3 == len(best)


@pytest.mark.parametrize("limit", [4, 16])
def test_tei_on_sagemaker_with_another_limit(limit: int) -> None:
    """`--max-client-batch-size` may be less than 32."""
    with Emulator(max_batch_size=limit) as there:
        embedding = embedding_at(there, EMBEDDING["SageMaker TEI"], auth_type="none")
        vectors = embedding.get_text_embedding_batch(TEXTS)
        assert vectors[7] == embedding.get_text_embedding(TEXTS[7])
        rejected = [len(request.json["inputs"]) for request in there.requests if len(request.json["inputs"]) > limit]
        assert 1 <= len(rejected) <= 2


def test_a_negotiated_format_is_kept_with_a_limit() -> None:
    """A container that takes `input` and reports a limit."""
    with Emulator(max_batch_size=8) as there:
        embedding = embedding_at(there, EMBEDDING["SageMaker vLLM"], max_concurrency=1)
        embedding.get_text_embedding_batch(TEXTS)
        assert 1 == sum("inputs" in request.json for request in there.requests)


def test_a_batch_size_above_the_limit_of_oci(emulator: Emulator) -> None:
    """The error of mdstream's own check is handled like the service's."""
    embedding = embedding_at(emulator, EMBEDDING["OCI GenAI"], batch_size=200)

    assert 120 == len(embedding.get_text_embedding_batch([f"text {number}" for number in range(120)]))
    assert [24, 96] == sorted(len(request.json["inputs"]) for request in emulator.requests)


def test_the_progress_bar_counts_each_text_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A split batch counts when its parts are complete."""
    with responding(limited(8)) as server:
        lc.OCIModelDeploymentEmbeddings(**FIELDS["OCI"](server), show_progress_bar=True).embed_documents(TEXTS)

    assert "50/50" in capsys.readouterr().err


EMPTY = {
    "one": (["a", "", "c"], r"hint: remove the empty texts, .*index 1\)"),
    "two": (["", "b", ""], r"hint: remove the empty texts, .*index 0, 2\)"),
    "many": ([""] * 9, r"index 0, 1, 2, 3, 4 …\)"),
}


@pytest.mark.parametrize(("texts", "words"), EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize(("framework", "platform"), CLASSES)
async def test_empty_texts_are_named(framework: str, platform: str, texts: list[str], words: str) -> None:
    """If a server rejects a request that has some."""
    body = {"error": {"message": "'$.input' is invalid.", "type": "invalid_request_error"}}
    with responding(lambda request: (400, body)) as server:
        embedder = Embedder(framework, platform, server)
        with pytest.raises(InvalidRequest, match=words):
            embedder.embed(texts)
        with pytest.raises(InvalidRequest, match=words):
            await embedder.aembed(texts)
        with pytest.raises(InvalidRequest) as caught:
            embedder.embed(["a", "b"])
        assert "hint" not in str(caught.value)


def test_no_batch_is_split_after_the_end() -> None:
    """A batch that is rejected after the plan was stopped is not sent again."""
    batches = BatchPlan([1] * 8, max_batch_size=4, learn_limit=lambda error, inputs, size: BatchLimit(inputs=2))
    span = batches.take()
    assert span is not None
    batches.stop()
    with batches.handle_errors(span):
        raise InvalidRequest("too many inputs")
    assert None is batches.take()


def test_a_limit_that_splits_nothing_stops_the_plan() -> None:
    """Empty texts have no bytes that could be halved."""
    batches = BatchPlan([0] * 8, max_batch_size=4, learn_limit=lambda error, inputs, size: BatchLimit(bytes=0))
    span = batches.take()
    assert span is not None
    with batches.handle_errors(span):
        raise InvalidRequest("Payload Too Large")
    assert None is batches.take()
    with pytest.raises(InvalidRequest, match="Payload"):
        batches.merged_response()
