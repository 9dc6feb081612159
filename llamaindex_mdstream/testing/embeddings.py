"""The conformance suite for embeddings."""

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
from llamaindex_mdstream.testing._conformance import CapturedError, requires
from llamaindex_mdstream.testing._image_rules import ImageEmbeddingRules
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
#: Methods that embed several texts, and the features that they require.
BATCHES: dict[str, tuple[Embed, tuple[str, ...]]] = {
    "get_text_embedding_batch": (_batch, ()),
    "aget_text_embedding_batch": (_abatch, ("supports_async",)),
}
INVALID_RESPONSES = {"HTML page": Fault("html"), "no response": Fault("drop"), "cut": Fault("cut")}

each_batch_method = pytest.mark.parametrize("method", BATCHES.values(), ids=BATCHES)


class EmbeddingConformance(ImageEmbeddingRules):
    """Conformance suite for embeddings: one test per rule of LlamaIndex and its users.

    Subclasses implement `embedding`. With `supports_images = True` the rules for images are run too.

    Attributes:
        supports_async: Whether the async methods exist.
        supports_batches: Whether several texts are sent in one request.
        supports_retries: Whether `max_retries` has an effect.
        distinguishes_queries: Whether requests for queries and for documents differ.

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
        """Create the embedding model under test. Subclasses implement this method.

        Args:
            url: URL of the service.
            max_retries: Maximum number of retries of a request.
        """
        raise NotImplementedError(f"{type(self).__name__}.embedding(url, max_retries) must return the model under test")

    @pytest.fixture
    def model(self, emulator: Emulator) -> BaseEmbedding:
        """The model under test, without retries."""
        return self.create_model(emulator)

    def create_model(self, emulator: Emulator, max_retries: int = 0) -> BaseEmbedding:
        """Create a model that sends its requests to this emulator."""
        return self.embedding(self.service_under_test.address(emulator), max_retries)

    def _read(self, method: tuple[Embed, tuple[str, ...]], model: BaseEmbedding, texts: list[str]) -> Vectors:
        embed, needs = method
        self.require(*needs)
        return embed(model, texts)

    def _read_error(self, method: tuple[Embed, tuple[str, ...]], model: BaseEmbedding, texts: list[str]) -> Exception:
        found: Vectors = []
        with CapturedError() as captured:
            found = self._read(method, model, texts)
        if captured.error is None:
            pytest.fail(f"{len(texts)} texts returned {len(found)} vectors without an error")
        return captured.error

    def test_vectors_are_lists_of_floats(self, model: BaseEmbedding) -> None:
        """
        Vectors are lists of floats of one length, as vector stores require, and equal for equal texts.
        """
        first, again = (model.get_text_embedding(TEXT) for _ in range(2))
        query = model.get_query_embedding(TEXT)

        assert first == pytest.approx(again)
        assert {list} == {type(first), type(query)}
        assert {float} == {type(number) for number in [*first, *query]}
        assert len(first) == len(query) > 1

    @requires("supports_async")
    def test_async_vectors_are_equal(self, model: BaseEmbedding) -> None:
        """
        `aget_text_embedding` and `aget_query_embedding` return the same vectors as the sync methods.
        """

        async def embed() -> Sequence[list[float]]:
            return await asyncio.gather(model.aget_text_embedding(TEXT), model.aget_query_embedding(TEXT))

        text, query = asyncio.run(embed())

        assert text == pytest.approx(model.get_text_embedding(TEXT))
        assert query == pytest.approx(model.get_query_embedding(TEXT))

    @each_batch_method
    def test_batch_keeps_the_order(self, model: BaseEmbedding, method: Any) -> None:
        """
        Each text gets its own vector, also over several requests.
        """
        for batched, single in zip(self._read(method, model, TEXTS), _one_by_one(model, TEXTS), strict=True):
            assert batched == pytest.approx(single)

    @each_batch_method
    @requires("supports_batches")
    def test_batch_is_one_request(self, emulator: Emulator, model: BaseEmbedding, method: Any) -> None:
        """
        25 texts in batches of 10 are sent in at most three requests.
        """
        model.embed_batch_size = 10
        self._read(method, model, TEXTS)

        assert len(emulator.requests) <= 3

    @each_batch_method
    def test_large_batches_are_split(self, model: BaseEmbedding, method: Any) -> None:
        """
        A batch larger than the limit of the service is split, whatever `embed_batch_size` is.
        """
        model.embed_batch_size = len(MANY)
        found = self._read(method, model, MANY)

        assert len(MANY) == len(found)
        assert found[-1] == pytest.approx(model.get_text_embedding(MANY[-1]))

    @each_batch_method
    @requires("supports_batches")
    def test_vectors_are_ordered_by_index(self, emulator: Emulator, model: BaseEmbedding, method: Any) -> None:
        """
        Vectors that are returned in another order are assigned by their index.
        """
        if not self.service_under_test.has_indices:
            pytest.skip(f"vectors of {self.service} have no index")
        emulator.always(self.service_under_test.embedding_fault((1, NORTH), (0, EAST)))

        assert [EAST, NORTH] == self._read(method, model, TEXTS[:2])

    @each_batch_method
    @requires("supports_batches")
    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_wrong_number_of_vectors_raises(
        self, emulator: Emulator, model: BaseEmbedding, method: Any, count: int
    ) -> None:
        """
        A wrong number of vectors raises, because LlamaIndex assigns vectors by position and drops the rest silently.
        """
        emulator.always(self.service_under_test.embedding_fault(*((index, EAST) for index in range(count))))

        self._read_error(method, model, TEXTS[:2])

    @requires("distinguishes_queries")
    def test_queries_and_documents_differ(self, emulator: Emulator, model: BaseEmbedding) -> None:
        """
        Requests for a query and for a document differ for the same text.
        """
        model.get_query_embedding(TEXT)
        model.get_text_embedding(TEXT)
        query, document = emulator.requests

        assert query.json != document.json

    def test_text_is_sent_unchanged(self, emulator: Emulator, model: BaseEmbedding) -> None:
        """
        Newlines are sent as part of the text.
        """
        model.get_text_embedding("one\ntwo")

        assert "one\ntwo" in set(_texts(emulator.last.json))

    @each_batch_method
    @pytest.mark.parametrize("fault", INVALID_RESPONSES.values(), ids=INVALID_RESPONSES)
    def test_invalid_response_raises(self, emulator: Emulator, model: BaseEmbedding, method: Any, fault: Fault) -> None:
        """
        An HTML page, no response and a truncated body raise.
        """
        emulator.always(fault)

        self._read_error(method, model, TEXTS[:2])

    @each_batch_method
    @requires("supports_retries")
    def test_error_response_raises(self, emulator: Emulator, model: BaseEmbedding, method: Any) -> None:
        """
        With `max_retries=0` exactly one request is sent.
        """
        emulator.always(self.service_under_test.transient_error)
        self._read_error(method, model, TEXTS[:1])

        assert 1 == len(emulator.requests)

    @each_batch_method
    @requires("supports_retries")
    def test_retry_after_a_temporary_error(self, emulator: Emulator, method: Any) -> None:
        """
        After a temporary error response the request is retried.
        """
        emulator.script(self.service_under_test.transient_error)

        assert 1 == len(self._read(method, self.create_model(emulator, max_retries=1), TEXTS[:1]))
        assert 2 == len(emulator.requests)

    @requires("supports_async")
    def test_model_works_in_several_event_loops(self, emulator: Emulator, model: BaseEmbedding) -> None:
        """
        Two calls of `asyncio.run` send one request each.
        """
        first, second = (asyncio.run(model.aget_text_embedding(TEXT)) for _ in range(2))

        assert first == pytest.approx(second)
        assert 2 == len(emulator.requests)

    @requires("supports_async")
    def test_async_methods_do_not_block_the_event_loop(self, emulator: Emulator, model: BaseEmbedding) -> None:
        """
        Other tasks run while a response is awaited.
        """
        emulator.script(Fault("slow_head", seconds=0.5))

        assert asyncio.run(count_ticks(model.aget_text_embedding_batch(TEXTS[:2]))) > 10

    @each_batch_method
    def test_batch_is_reported_once(self, model: BaseEmbedding, method: Any) -> None:
        """
        Callbacks get one start event and one end event with the vectors, and the rate limiter is acquired once.
        """
        observer, limiter = RecordingCallbackHandler(CBEventType.EMBEDDING), CountingRateLimiter()
        model.callback_manager, model.rate_limiter = CallbackManager([observer]), limiter
        with record_events() as listener:
            found = self._read(method, model, TEXTS[:2])
        end = observer.ends[-1]

        assert (1, 1, 1) == (len(observer.starts), len(observer.ends), limiter.count)
        assert found == end[EventPayload.EMBEDDINGS]
        assert (1, 1) == (listener.count("StartEvent"), listener.count("EndEvent"))

    @pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
    def test_pickled_model_works(self, model: BaseEmbedding, used: bool) -> None:
        """
        A pickled model works in another process, as in parallel ingestion.
        """
        before = model.get_text_embedding(TEXT) if used else None
        copied = pickle.loads(pickle.dumps(model))  # noqa: S301  # trusted bytes
        with self.other_process():
            after = copied.get_text_embedding(TEXT)

        assert after == pytest.approx(before or model.get_text_embedding(TEXT))

    def test_from_dict_restores_the_model(self, model: BaseEmbedding) -> None:
        """
        A model of `from_dict(to_dict())` returns the same vectors, with its secrets passed again.
        """
        saved = json.loads(json.dumps(model.to_dict()))
        restored = type(model).from_dict({**saved, **self.credentials})

        assert restored.get_text_embedding(TEXT) == pytest.approx(model.get_text_embedding(TEXT))

    def test_secrets_are_hidden(self, model: BaseEmbedding) -> None:
        """
        Secrets appear neither in `to_dict` nor in `repr`.
        """
        assert [] == self.find_secrets(model.to_dict(), repr(model), model)

    def test_index_retrieves_the_right_text(self, model: BaseEmbedding) -> None:
        """
        `Settings.embed_model = model` accepts it, and an index retrieves the relevant text.
        """
        documents = [Document(text=text) for text in ("Bread is baked in ovens.", TEXT, "Cats sleep all day.")]
        index = VectorStoreIndex.from_documents(documents, embed_model=resolve_embed_model(model))
        (found,) = index.as_retriever(similarity_top_k=1).retrieve("Which river is the Nile?")

        assert isinstance(found.node, TextNode)
        assert TEXT == found.node.text


def _texts(value: Any) -> Iterator[str]:
    """Yield each string of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
