"""LlamaIndex embeddings on every platform: order, batches, concurrency, failures, serialization."""

import asyncio
import copy
import pickle
import subprocess
import sys
from io import BytesIO
from typing import Any

import pytest
from _embedding_platforms import EMBEDDING
from _langchain import SECRET
from _llamaindex_embeddings import embedding_at
from _platforms import AWS, PlatformCase, emulator, shared_emulator
from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.embeddings.loading import load_embed_model
from llama_index.core.embeddings.multi_modal_base import MultiModalEmbedding
from llama_index.core.ingestion import IngestionPipeline
from pydantic import ValidationError

import llamaindex_mdstream
from llamaindex_mdstream import MDStreamEmbedding, OCIDataScienceEmbedding, OCIGenAIEmbeddings
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import MDStreamError, ServerError

__all__ = ["emulator", "shared_emulator"]  # fixtures

TEXTS = [f"text number {number}" for number in range(200)]
PIXEL = b"\x89PNG\r\n\x1a\n and so on"

each_platform = pytest.mark.parametrize("platform_case", EMBEDDING.values(), ids=EMBEDDING)


@each_platform
async def test_long_lists_keep_their_order(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    More texts than one request allows return a vector each, in order, sync and async.
    """
    embedding = embedding_at(emulator, platform_case)
    vectors = embedding.get_text_embedding_batch(TEXTS)
    single = [embedding.get_text_embedding(TEXTS[platform_case]) for platform_case in (0, 127, 199)]

    assert 200 == len(vectors)
    assert single == [vectors[platform_case] for platform_case in (0, 127, 199)]
    assert vectors == await embedding.aget_text_embedding_batch(TEXTS)
    assert single[0] == await embedding.aget_text_embedding(TEXTS[0])


@each_platform
async def test_queries(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    A query is embedded, sync and async.
    """
    embedding = embedding_at(emulator, platform_case)

    assert embedding.get_query_embedding("a river") == await embedding.aget_query_embedding("a river")
    assert embedding.get_agg_embedding_from_queries(["a river"]) == embedding.get_query_embedding("a river")


def test_queries_and_documents_are_distinguished(emulator: Emulator) -> None:
    """
    OCI Generative AI receives the input type of a text.
    """
    embedding = embedding_at(emulator, EMBEDDING["OCI GenAI"], dimensions=64)
    embedding.get_query_embedding("a")
    query = emulator.last.json
    vector = embedding.get_text_embedding("a")

    assert ("SEARCH_QUERY", "END", 64) == (query["inputType"], query["truncate"], query["outputDimensions"])
    assert "SEARCH_DOCUMENT" == emulator.last.json["inputType"]
    assert 64 == len(vector)


def test_batches_do_not_exceed_the_services_limits(emulator: Emulator) -> None:
    """
    Requests have at most 96 texts on OCI Generative AI, 32 on TEI, 128 elsewhere.
    """
    for name, most in (("OCI GenAI", 96), ("SageMaker TEI", 32), ("OCI model deployment, vLLM", 128)):
        emulator.reset()
        embedding_at(emulator, EMBEDDING[name]).get_text_embedding_batch(TEXTS)
        sizes = [len(request.json.get("input") or request.json["inputs"]) for request in emulator.requests]
        assert most == max(sizes)
        assert 200 == sum(sizes)


async def test_concurrent_requests_are_limited(emulator: Emulator) -> None:
    """
    LlamaIndex starts all batches at once; at most `max_concurrency` requests are in progress in a loop.
    """
    embedding = embedding_at(emulator, embed_batch_size=5, max_concurrency=3)
    emulator.script(*[Fault("slow_head", seconds=0.2)] * 3)  # so that all requests start before the first response
    before = emulator.connections
    await embedding.aget_text_embedding_batch(TEXTS)

    assert 40 == len(emulator.requests)
    assert 1 < emulator.connections - before <= 3


async def test_a_failure_keeps_the_vectors_of_other_requests(emulator: Emulator) -> None:
    """
    The error has the vectors of the other requests with the indices of their texts, sync and async.
    """
    embedding = embedding_at(emulator, batch_size=10, max_concurrency=1)
    whole = embedding.get_text_embedding_batch(TEXTS[:50])
    steps = (None, None, Fault("refuse", "internal"))
    emulator.script(*steps)
    with pytest.raises(ServerError) as caught:
        embedding.embed(TEXTS[:50])
    emulator.script(*steps)
    with pytest.raises(ServerError) as again:
        await embedding.aembed(TEXTS[:50])

    for error in (caught.value, again.value):
        assert whole[:20] == [one.vector for one in error.partial.embeddings]  # type: ignore[union-attr]


def test_a_missing_vector_is_an_error(emulator: Emulator) -> None:
    """
    LlamaIndex would leave a node without a vector.
    """
    emulator.script(Fault("body", data=b'{"data":[{"index":0,"embedding":[1.0]}]}'))

    with pytest.raises(MDStreamError, match="2 inputs were sent, and results were received for 1"):
        embedding_at(emulator).get_text_embedding_batch(["a", "b"])


def test_vectors_are_ordered_by_index(emulator: Emulator) -> None:
    """
    Vectors are ordered by the `index` of the response.
    """
    emulator.script(Fault("body", data=b'{"data":[{"index":1,"embedding":[1]},{"index":0,"embedding":[0]}]}'))

    assert [[0], [1]] == embedding_at(emulator).get_text_embedding_batch(["a", "b"])


async def test_images(emulator: Emulator, tmp_path: Any) -> None:
    """
    Images are embedded from a file or bytes, sync and async.
    """
    embedding = embedding_at(emulator, EMBEDDING["OCI GenAI"], model="cohere.embed-v4.0")
    file = tmp_path / "pixel.png"
    file.write_bytes(PIXEL)

    assert isinstance(embedding, MultiModalEmbedding)
    first, second = embedding.get_image_embedding_batch([str(file), BytesIO(PIXEL)])
    assert first == second == await embedding.aget_image_embedding(str(file))
    assert "IMAGE" == emulator.last.json["inputType"]


def test_callbacks_and_progress(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """
    LlamaIndex's events come in pairs, and its progress bar is shown if enabled.
    """
    debug = LlamaDebugHandler(print_trace_on_end=False)
    embedding = embedding_at(emulator, callback_manager=CallbackManager([debug]), embed_batch_size=100)
    embedding.get_text_embedding_batch(TEXTS, show_progress=True)

    assert [2, 2] == [len(pair) for pair in debug.get_event_pairs(CBEventType.EMBEDDING)]
    assert "200/200" in capsys.readouterr().err


def test_an_index_of_several_processes(emulator: Emulator) -> None:
    """
    Ingestion pickles the model for its worker processes.
    """
    embedding = embedding_at(emulator)
    pipeline = IngestionPipeline(
        transformations=[embedding]
    )  # a SentenceSplitter waits forever in a worker, whatever embeds
    nodes = pipeline.run(documents=[Document(text=text) for text in TEXTS[:8]], num_workers=2)

    assert 2 == len(emulator.requests)
    assert [embedding.get_text_embedding(text) for text in TEXTS[:8]] == [node.embedding for node in nodes]


_CHILD = """
import pickle, sys
print(sum(pickle.loads(bytes.fromhex(sys.argv[1])).get_text_embedding("a")))
"""


def test_a_pickled_embedding_sends_the_same_request(emulator: Emulator) -> None:
    """
    A pickle has no connection and no credential, and resolves them anew.
    """
    embedding = embedding_at(emulator, default_headers={"authorization": SECRET})
    pickled = pickle.dumps(embedding)
    content = subprocess.check_output([sys.executable, "-c", _CHILD, pickled.hex()], text=True)

    assert SECRET.encode() not in pickled
    assert sum(embedding.get_text_embedding("a")) == float(content)


@each_platform
def test_serialization_round_trip(emulator: Emulator, platform_case: PlatformCase) -> None:
    """
    `to_dict`, LlamaIndex's loader and deep copies work and contain no secret.
    """
    embedding = embedding_at(emulator, platform_case)
    saved = embedding.to_dict()
    again = load_embed_model(saved)

    assert type(embedding) is type(again)
    assert saved == again.to_dict()
    assert not [secret for secret in AWS.values() if secret in str(saved) + repr(embedding)]
    assert copy.deepcopy(embedding).get_text_embedding("a") == embedding.get_text_embedding("a")


def test_settings_and_names(emulator: Emulator) -> None:
    """
    `Settings.embed_model` accepts the model, and aliases of other packages work.
    """
    before = Settings._embed_model
    try:
        Settings.embed_model = embedding_at(emulator)
        assert Settings.embed_model.get_text_embedding("a")
    finally:
        Settings._embed_model = before
    fields = EMBEDDING["OCI GenAI"].fields(emulator)
    assert "m" == OCIGenAIEmbeddings(**{**fields, "model": "m"}).model_name
    assert set(llamaindex_mdstream.__all__) <= set(dir(llamaindex_mdstream))


def test_several_event_loops(emulator: Emulator) -> None:
    """
    One object works in several event loops, and in those that LlamaIndex starts in threads.
    """
    embedding = embedding_at(emulator)
    first = asyncio.run(embedding.aget_text_embedding("a"))

    assert first == asyncio.run(embedding.aget_text_embedding("a"))
    index = VectorStoreIndex.from_documents([Document(text="a")], embed_model=embedding, use_async=True)
    assert index.as_retriever().retrieve("a")


BAD: dict[str, tuple[type[MDStreamEmbedding], dict[str, Any], str]] = {
    "a chat dialect": (
        OCIDataScienceEmbedding,
        {"endpoint": "https://h/ocid1.x", "dialect": "openai-chat"},
        "use one of openai-embeddings",
    ),
    "a misspelt option": (OCIDataScienceEmbedding, {"endpoint": "https://h/ocid1.x", "batchsize": 3}, "batchsize"),
    "no model": (
        OCIGenAIEmbeddings,
        {"region": "us-chicago-1", "compartment_id": "ocid1.compartment.oc1..a"},
        "model_name is missing",
    ),
    "no compartment": (
        OCIGenAIEmbeddings,
        {"region": "us-chicago-1", "model_name": "cohere.embed-v4.0"},
        "compartment_id is missing",
    ),
}


@pytest.mark.parametrize(("kind", "options", "words"), BAD.values(), ids=BAD)
def test_wrong_options_are_named(kind: Any, options: dict[str, Any], words: str) -> None:
    """
    Invalid options are rejected when the object is created.
    """
    with pytest.raises(ValidationError, match=words):
        kind(**options)
