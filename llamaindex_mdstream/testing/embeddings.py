"""The suite of embeddings."""

import asyncio
import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.embeddings.utils import resolve_embed_model
from llama_index.core.schema import TextNode

from llamaindex_mdstream.testing._concurrency import count_ticks
from llamaindex_mdstream.testing._conformance import CapturedError, Conformance, requires
from llamaindex_mdstream.testing._observers import CountingRateLimiter, RecordingCallbackHandler, record_events
from mdstream_core.emulator import Emulator, Fault

TEXT = "The Nile is a river."
TEXTS = [f"{number} rivers flow to the sea" for number in range(25)]
MANY = [f"text {number}" for number in range(200)]

EAST, NORTH = [1.0, 0.0], [0.0, 1.0]

Vectors = list[list[float]]


def _one_by_one(model: BaseEmbedding, texts: list[str]) -> Vectors:
    return [model.get_text_embedding(text) for text in texts]


def _batch(model: BaseEmbedding, texts: list[str]) -> Vectors:
    return model.get_text_embedding_batch(texts)


def _abatch(model: BaseEmbedding, texts: list[str]) -> Vectors:
    return asyncio.run(model.aget_text_embedding_batch(texts))


Embed = Callable[[BaseEmbedding, list[str]], Vectors]
#: Ways of embedding several texts, and what a package has to offer for them.
BATCHES: dict[str, tuple[Embed, tuple[str, ...]]] = {
    "get_text_embedding_batch": (_batch, ()),
    "aget_text_embedding_batch": (_abatch, ("supports_async",)),
}
BROKEN = {"a page": Fault("html"), "no answer": Fault("drop"), "cut": Fault("cut")}

by_batch = pytest.mark.parametrize("way", BATCHES.values(), ids=BATCHES)


class EmbeddingConformance(Conformance):
    """What LlamaIndex and its users expect of an embedding, one rule a test. Write `embedding`.

    Attributes:
        supports_async: The asynchronous methods.
        supports_batches: Several texts are sent in one request.
        supports_retries: `max_retries` is obeyed.
        distinguishes_queries: The service is told whether a text is a query or a document.

    Example:
        >>> class TestMine(EmbeddingConformance):
        ...     def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        ...         return OpenAILikeEmbedding(api_base=url, model_name="m", max_retries=max_retries)
    """

    supports_async: bool = True
    supports_batches: bool = True
    supports_retries: bool = True
    distinguishes_queries: bool = False

    def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
        """The embedding under test; to be written.

        Args:
            url: Where the service listens.
            max_retries: How often it may ask again.
        """
        raise NotImplementedError(f"{type(self).__name__}.embedding(url, max_retries) is to return the one under test")

    @pytest.fixture
    def model(self, emulator: Emulator) -> BaseEmbedding:
        """The embedding, which asks once."""
        return self.create_model(emulator)

    def create_model(self, emulator: Emulator, max_retries: int = 0) -> BaseEmbedding:
        """An embedding that asks this server."""
        return self.embedding(self.service_under_test.address(emulator), max_retries)

    def _read(self, way: tuple[Embed, tuple[str, ...]], model: BaseEmbedding, texts: list[str]) -> Vectors:
        embed, needed = way
        self.require(*needed)
        return embed(model, texts)

    def _fails(self, way: tuple[Embed, tuple[str, ...]], model: BaseEmbedding, texts: list[str]) -> Exception:
        found: Vectors = []
        with CapturedError() as ended:
            found = self._read(way, model, texts)
        if ended.error is None:
            pytest.fail(f"{len(found)} vectors came of {len(texts)} texts, and no error")
        return ended.error

    def test_a_vector_is_a_list_of_numbers(self, model: BaseEmbedding) -> None:
        """
        Vector stores take lists of floats, of one length, the same for the same text.
        """
        first, again = (model.get_text_embedding(TEXT) for _ in range(2))
        query = model.get_query_embedding(TEXT)

        assert first == pytest.approx(again)
        assert {list} == {type(first), type(query)}
        assert {float} == {type(number) for number in [*first, *query]}
        assert len(first) == len(query) > 1

    @requires("supports_async")
    def test_async_says_the_same(self, model: BaseEmbedding) -> None:
        """
        `aget_text_embedding` and `aget_query_embedding` give the same vectors.
        """

        async def ask() -> Sequence[list[float]]:
            return await asyncio.gather(model.aget_text_embedding(TEXT), model.aget_query_embedding(TEXT))

        text, query = asyncio.run(ask())

        assert text == pytest.approx(model.get_text_embedding(TEXT))
        assert query == pytest.approx(model.get_query_embedding(TEXT))

    @by_batch
    def test_a_batch_keeps_the_order(self, model: BaseEmbedding, way: Any) -> None:
        """
        Each text gets its own vector, over several requests too.
        """
        for found, alone in zip(self._read(way, model, TEXTS), _one_by_one(model, TEXTS), strict=True):
            assert found == pytest.approx(alone)

    @by_batch
    @requires("supports_batches")
    def test_a_batch_is_one_request(self, emulator: Emulator, model: BaseEmbedding, way: Any) -> None:
        """
        25 texts in batches of 10 are three requests at most, asynchronous ones too.
        """
        model.embed_batch_size = 10
        self._read(way, model, TEXTS)

        assert len(emulator.requests) <= 3

    @by_batch
    def test_more_texts_than_the_service_takes(self, model: BaseEmbedding, way: Any) -> None:
        """
        The service's limit counts more than a larger `embed_batch_size`.
        """
        model.embed_batch_size = len(MANY)
        found = self._read(way, model, MANY)

        assert len(MANY) == len(found)
        assert found[-1] == pytest.approx(model.get_text_embedding(MANY[-1]))

    @by_batch
    @requires("supports_batches")
    def test_vectors_are_ordered_by_index(self, emulator: Emulator, model: BaseEmbedding, way: Any) -> None:
        """
        A server may answer in another order; the index says which text is meant.
        """
        if not self.service_under_test.has_indices:
            pytest.skip(f"vectors of {self.service} have no number")
        emulator.always(self.service_under_test.embedding_fault((1, NORTH), (0, EAST)))

        assert [EAST, NORTH] == self._read(way, model, TEXTS[:2])

    @by_batch
    @requires("supports_batches")
    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_another_number_of_vectors_is_an_error(
        self, emulator: Emulator, model: BaseEmbedding, way: Any, count: int
    ) -> None:
        """
        LlamaIndex joins texts and vectors by position, and drops the rest without a word.
        """
        emulator.always(self.service_under_test.embedding_fault(*((index, EAST) for index in range(count))))

        self._fails(way, model, TEXTS[:2])

    @requires("distinguishes_queries")
    def test_a_query_is_told_from_a_document(self, emulator: Emulator, model: BaseEmbedding) -> None:
        """
        What is sent for the same text is not the same.
        """
        model.get_query_embedding(TEXT)
        model.get_text_embedding(TEXT)
        query, document = emulator.requests

        assert query.json != document.json

    def test_a_text_is_sent_as_it_is(self, emulator: Emulator, model: BaseEmbedding) -> None:
        """
        Line ends are part of it.
        """
        model.get_text_embedding("one\ntwo")

        assert "one\ntwo" in set(_texts(emulator.last.json))

    @by_batch
    @pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
    def test_what_is_no_answer_is_an_error(
        self, emulator: Emulator, model: BaseEmbedding, way: Any, fault: Fault
    ) -> None:
        """
        A page, nothing at all, half a body.
        """
        emulator.always(fault)

        self._fails(way, model, TEXTS[:2])

    @by_batch
    @requires("supports_retries")
    def test_a_refusal_is_an_error(self, emulator: Emulator, model: BaseEmbedding, way: Any) -> None:
        """
        And with `max_retries=0` one request is one request.
        """
        emulator.always(self.service_under_test.transient_error)
        self._fails(way, model, TEXTS[:1])

        assert 1 == len(emulator.requests)

    @by_batch
    @requires("supports_retries")
    def test_a_refusal_that_passes_is_not_seen(self, emulator: Emulator, way: Any) -> None:
        """
        It is asked again.
        """
        emulator.script(self.service_under_test.transient_error)

        assert 1 == len(self._read(way, self.create_model(emulator, max_retries=1), TEXTS[:1]))
        assert 2 == len(emulator.requests)

    @requires("supports_async")
    def test_one_model_serves_several_event_loops(self, emulator: Emulator, model: BaseEmbedding) -> None:
        """
        Two `asyncio.run` in a row send one request each.
        """
        first, second = (asyncio.run(model.aget_text_embedding(TEXT)) for _ in range(2))

        assert first == pytest.approx(second)
        assert 2 == len(emulator.requests)

    @requires("supports_async")
    def test_async_does_not_block_the_loop(self, emulator: Emulator, model: BaseEmbedding) -> None:
        """
        While an answer is waited for, other tasks run.
        """
        emulator.script(Fault("slow_head", seconds=0.5))

        assert asyncio.run(count_ticks(model.aget_text_embedding_batch(TEXTS[:2]))) > 10

    @by_batch
    def test_a_batch_is_told_once(self, model: BaseEmbedding, way: Any) -> None:
        """
        Observers hear one start and one end with the vectors, and the rate limiter is asked once.
        """
        observer, limiter = RecordingCallbackHandler(CBEventType.EMBEDDING), CountingRateLimiter()
        model.callback_manager, model.rate_limiter = CallbackManager([observer]), limiter
        with record_events() as listener:
            found = self._read(way, model, TEXTS[:2])
        end = observer.ends[-1]

        assert (1, 1, 1) == (len(observer.starts), len(observer.ends), limiter.count)
        assert found == end[EventPayload.EMBEDDINGS]
        assert (1, 1) == (listener.count("StartEvent"), listener.count("EndEvent"))

    @pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
    def test_a_pickled_model_embeds(self, model: BaseEmbedding, used: bool) -> None:
        """
        Ingestion in several processes sends the embedding there.
        """
        before = model.get_text_embedding(TEXT) if used else None
        copied = pickle.loads(pickle.dumps(model))  # noqa: S301  # our own bytes
        with self.other_process():
            after = copied.get_text_embedding(TEXT)

        assert after == pytest.approx(before or model.get_text_embedding(TEXT))

    def test_a_model_is_built_again_from_its_dictionary(self, model: BaseEmbedding) -> None:
        """
        `from_dict(to_dict())` embeds as before; secrets are given again.
        """
        written = json.loads(json.dumps(model.to_dict()))
        again = type(model).from_dict({**written, **self.credentials})

        assert again.get_text_embedding(TEXT) == pytest.approx(model.get_text_embedding(TEXT))

    def test_secrets_are_not_shown(self, model: BaseEmbedding) -> None:
        """
        Neither in `to_dict` nor in `repr`.
        """
        assert [] == self.find_secrets(model.to_dict(), repr(model), model)

    def test_an_index_finds_the_right_text(self, model: BaseEmbedding) -> None:
        """
        `Settings.embed_model = model` accepts it, and what an index retrieves has to do with the question.
        """
        documents = [Document(text=text) for text in ("Bread is baked in ovens.", TEXT, "Cats sleep all day.")]
        index = VectorStoreIndex.from_documents(documents, embed_model=resolve_embed_model(model))
        (found,) = index.as_retriever(similarity_top_k=1).retrieve("Which river is the Nile?")

        assert isinstance(found.node, TextNode)
        assert TEXT == found.node.text


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
