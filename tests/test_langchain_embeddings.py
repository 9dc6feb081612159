"""LangChain embedding models on every platform: order, batches, concurrency, errors, usage."""

import asyncio
import copy
import pickle
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from _embedding_platforms import EMBEDDING
from _langchain import SECRET
from _langchain_platforms import EMBEDDINGS, embeddings_at
from _platforms import AWS, PlatformCase, emulator, shared_emulator
from _raw_server import Peer, RawServer, serving
from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import ModelError
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from pydantic import ValidationError

from langchain_mdstream import (
    ModelArtsEmbeddings,
    OCIGenAIEmbeddings,
    OCIModelDeploymentEmbeddings,
    OCIModelDeploymentEndpointEmbeddings,
    SagemakerEndpointEmbeddings,
)
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import InvalidRequest, MalformedStream, MDStreamError, RateLimited, ServerError

__all__ = ["emulator", "shared_emulator"]  # fixtures

PIXEL = b"\x89PNG\r\n\x1a\n and so on"

each_platform = pytest.mark.parametrize("platform_case", EMBEDDING.values(), ids=EMBEDDING)


class _Unit(EmbeddingsUnitTests):
    model_class: type[Embeddings]
    params: ClassVar[dict[str, Any]]
    environment: ClassVar[tuple[dict[str, str], dict[str, Any], dict[str, Any]]]

    @property
    def embeddings_class(self) -> type[Embeddings]:
        """Return the class under test."""
        return self.model_class

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        """Return its constructor arguments."""
        return self.params

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        """Return the environment and the expected fields."""
        return self.environment


class TestOCIModelDeploymentUnit(_Unit):
    """Without a service."""

    model_class = OCIModelDeploymentEmbeddings
    params: ClassVar = {"endpoint": "https://h/ocid1.x"}
    environment: ClassVar = ({"OCI_LLM_ENDPOINT": "https://h/ocid1.x"}, {}, {"endpoint": "https://h/ocid1.x"})


class TestOCIModelDeploymentEndpointUnit(TestOCIModelDeploymentUnit):
    """Under its older name."""

    model_class = OCIModelDeploymentEndpointEmbeddings


class TestOCIGenAIUnit(_Unit):
    """Without a service."""

    model_class = OCIGenAIEmbeddings
    params: ClassVar = {
        "model_id": "cohere.embed-v4.0",
        "region": "us-chicago-1",
        "compartment_id": "ocid1.compartment.oc1..a",
    }
    environment: ClassVar = ({"MDSTREAM_API_KEY": "key"}, params, {"api_key": "key"})


class TestSagemakerUnit(_Unit):
    """Without a service."""

    model_class = SagemakerEndpointEmbeddings
    params: ClassVar = {"endpoint_name": "e", "region_name": "us-east-1"}
    environment: ClassVar = ({}, params, {})


class TestModelArtsUnit(_Unit):
    """Without a service."""

    model_class = ModelArtsEmbeddings
    params: ClassVar = {"endpoint": "https://h/v1/infers/8e1b"}
    environment: ClassVar = ({"MODELARTS_API_KEY": "key"}, params, {"endpoint": "https://h/v1/infers/8e1b"})


class _Integration(EmbeddingsIntegrationTests):
    platform_case: PlatformCase
    emulator: Emulator

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _platform(cls) -> Iterator[Emulator]:
        """One emulator for the class."""
        with Emulator(aws_keys=AWS) as cls.emulator:
            yield cls.emulator

    @property
    def embeddings_class(self) -> type[Embeddings]:
        """Return the class under test."""
        return EMBEDDINGS[self.platform_case.kind]  # type: ignore[no-any-return]

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        """Return its constructor arguments."""
        return self.platform_case.fields(self.emulator)


class TestOCIModelDeploymentIntegration(_Integration):
    """vLLM on a model deployment."""

    platform_case = EMBEDDING["OCI model deployment, vLLM"]


class TestOCIGenAIIntegration(_Integration):
    """OCI Generative AI."""

    platform_case = EMBEDDING["OCI GenAI"]


class TestSagemakerTEIIntegration(_Integration):
    """TEI on SageMaker."""

    platform_case = EMBEDDING["SageMaker TEI"]


class TestSagemakerVLLMIntegration(_Integration):
    """vLLM on SageMaker, detected with the first request."""

    platform_case = EMBEDDING["SageMaker vLLM"]


class TestModelArtsIntegration(_Integration):
    """A real-time service."""

    platform_case = EMBEDDING["ModelArts"]


TEXTS = [f"text number {number}" for number in range(200)]


@each_platform
async def test_long_lists_keep_their_order(emulator: Emulator, platform_case: PlatformCase) -> None:
    """More texts than fit into one request: one vector each, in order, sync and async, with few connections."""
    embeddings = embeddings_at(emulator, platform_case)
    vectors = embeddings.embed_documents(TEXTS)
    single = [embeddings.embed_documents([TEXTS[index]])[0] for index in (0, 1, 127, 199)]

    assert 200 == len(vectors)
    assert single == [vectors[index] for index in (0, 1, 127, 199)]
    assert vectors == await embeddings.aembed_documents(TEXTS)
    assert {float} == {type(number) for number in vectors[0]}


@each_platform
async def test_queries(emulator: Emulator, platform_case: PlatformCase) -> None:
    """One vector, equal to that of a document here, of the same length, sync and async."""
    embeddings = embeddings_at(emulator, platform_case)
    vector = embeddings.embed_query("a river")

    assert vector == await embeddings.aembed_query("a river") == embeddings.embed_documents(["a river"])[0]
    assert [] == embeddings.embed_documents([]) == await embeddings.aembed_documents([])


def test_batch_sizes_of_the_services(emulator: Emulator) -> None:
    """96 texts on OCI Generative AI, 32 on TEI, 128 elsewhere, and never more bytes than the service accepts."""

    def sizes(name: str, texts: list[str], **options: Any) -> list[int]:
        emulator.reset()
        embeddings_at(emulator, EMBEDDING[name], **options).embed_documents(texts)
        inputs = (request.json.get("input") or request.json.get("inputs") for request in emulator.requests)
        return sorted(len(texts) for texts in inputs)

    assert [8, 96, 96] == sizes("OCI GenAI", TEXTS)
    assert [8, *[32] * 6] == sizes("SageMaker TEI", TEXTS)
    assert [72, 128] == sizes("OCI model deployment, vLLM", TEXTS)
    assert [50] * 4 == sizes("OCI model deployment, vLLM", TEXTS, chunk_size=50)
    assert [1, 2] == sizes("OCI model deployment, vLLM", ["x " * 1_000_000] * 3)


def test_queries_and_documents_are_distinguished(emulator: Emulator) -> None:
    """OCI Generative AI gets the input type and `truncate` with each request."""
    embeddings = embeddings_at(emulator, EMBEDDING["OCI GenAI"], dimensions=64)
    embeddings.embed_query("a")
    query = emulator.last.json
    vector = embeddings.embed_documents(["a"])[0]
    document = emulator.last.json

    assert ("SEARCH_QUERY", "END", 64) == (query["inputType"], query["truncate"], query["outputDimensions"])
    assert "SEARCH_DOCUMENT" == document["inputType"]
    assert 64 == len(vector)
    embeddings_at(emulator, EMBEDDING["OCI GenAI"], input_type="CLUSTERING").embed_query("a")
    assert "CLUSTERING" == emulator.last.json["inputType"]


async def test_images(emulator: Emulator, tmp_path: Any) -> None:
    """Images are sent as data URIs, one per request, from bytes, a file or a URI; other data is rejected."""
    embeddings = embeddings_at(emulator, EMBEDDING["OCI GenAI"], model="cohere.embed-v4.0")
    file = tmp_path / "pixel.png"
    file.write_bytes(PIXEL)
    vectors = embeddings.embed_images([PIXEL, file, str(file)])

    assert 3 == len(emulator.requests)
    assert ("IMAGE", None) == (emulator.last.json["inputType"], emulator.last.json.get("truncate"))
    assert emulator.last.json["inputs"][0].startswith("data:image/png;base64,")
    assert vectors[0] == vectors[1] == await embeddings.aembed_image(file)
    with pytest.raises(ValueError, match="PNG, JPEG, GIF or WebP"):
        embeddings.embed_image(b"words")


ODD: dict[str, tuple[bytes, str]] = {
    "a chat response": (
        b'{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}',
        "another shape",
    ),
    "not a number": (b"[[NaN,NaN],[NaN,NaN]]", "another shape"),
    "no numbers": (b"[[],[]]", "another shape"),
    "text": (b'[["a"],["b"]]', "another shape"),
    "one twice": (b'{"data":[{"index":0,"embedding":[1.0]},{"index":0,"embedding":[1.0]}]}', "another shape"),
    "unequal": (b"[[1.0,2.0],[1.0]]", "different lengths"),
}


@pytest.mark.parametrize(("body", "message"), ODD.values(), ids=ODD)
async def test_malformed_vectors_are_an_error(emulator: Emulator, body: bytes, message: str) -> None:
    """The error names the problem and has the vectors of the other requests in the partial."""
    embeddings = embeddings_at(emulator, batch_size=2, max_concurrency=1)
    for send_request in (_embed, _aembed):
        emulator.reset()
        emulator.script(None, Fault("body", data=body))
        with pytest.raises(MalformedStream, match=message) as caught:
            await send_request(embeddings, ["a", "b", "c", "d"])
        assert [0, 1] == [one.index for one in caught.value.partial.embeddings]  # type: ignore[union-attr]


async def _embed(embeddings: Any, texts: list[str]) -> Any:
    return embeddings.embed_documents(texts)


async def _aembed(embeddings: Any, texts: list[str]) -> Any:
    return await embeddings.aembed_documents(texts)


def test_vectors_of_different_lengths_are_an_error(emulator: Emulator) -> None:
    """A vector store could not hold both."""
    embeddings = embeddings_at(emulator, batch_size=1, max_concurrency=1)
    emulator.script(Fault("body", data=b"[[1.0,2.0]]"), Fault("body", data=b"[[1.0]]"))

    with pytest.raises(MalformedStream, match="different lengths"):
        embeddings.embed_documents(["a", "b"])


def test_a_rejected_text_does_not_change_the_format(emulator: Emulator) -> None:
    """A container that accepts the format but rejects the text gets no other formats."""
    emulator.script(Fault("refuse", "invalid_parameter"))
    with pytest.raises(InvalidRequest):
        embeddings_at(emulator, EMBEDDING["SageMaker TEI"], dialect=None).embed_documents(["a"])
    assert 1 == len(emulator.requests)


async def test_a_format_is_detected_once(emulator: Emulator) -> None:
    """A container with another format rejects one request, not one per batch; another container is detected anew."""
    platform_case = EMBEDDING["SageMaker vLLM"]
    embeddings = embeddings_at(emulator, platform_case, batch_size=10, max_concurrency=1)
    assert 40 == len(embeddings.embed_documents(TEXTS[:40]))
    assert 5 == len(emulator.requests)
    await embeddings.aembed_query("a")
    assert 6 == len(emulator.requests)

    emulator.script(Fault("refuse", "invalid_parameter"))
    with pytest.raises(InvalidRequest):
        embeddings.embed_query("a")
    emulator.reset()
    embeddings.embed_query("a")
    assert ["inputs", "input"] == [
        next(iter(request.json.keys() & {"inputs", "input"})) for request in emulator.requests
    ]


def test_names_of_other_packages_in_a_call(emulator: Emulator) -> None:
    """As in the constructor."""
    embeddings = embeddings_at(emulator)
    embeddings.embed(["a"], model_name="other")

    assert "other" == emulator.last.json["model"]


@pytest.mark.parametrize("max_concurrency", [1, 4])
async def test_one_failed_batch_does_not_lose_the_others(emulator: Emulator, max_concurrency: int) -> None:
    """The error has the vectors of the other batches in the partial, by the indices of their texts."""
    embeddings = embeddings_at(emulator, batch_size=10, max_concurrency=max_concurrency)
    whole = embeddings.embed_documents(TEXTS[:50])
    steps = (None, None, Fault("refuse", "internal"), None, None)
    emulator.script(*steps)
    with pytest.raises(ServerError) as caught:
        embeddings.embed_documents(TEXTS[:50])
    emulator.reset()
    emulator.script(*steps)
    with pytest.raises(ServerError) as again:
        await embeddings.aembed_documents(TEXTS[:50])

    for error in (caught.value, again.value):
        partial = error.partial.embeddings  # type: ignore[union-attr]
        assert len(partial) >= 20
        assert [whole[one.index] for one in partial] == [one.vector for one in partial]
        assert isinstance(error, ModelError)


def test_each_batch_is_retried_on_its_own(emulator: Emulator) -> None:
    """A retryable error costs one more request, not all of them."""
    embeddings = embeddings_at(emulator, batch_size=10, max_retries=2, max_concurrency=1)
    emulator.script(None, Fault("refuse", "lb_bandwidth"), None)

    assert 50 == len(embeddings.embed_documents(TEXTS[:50]))
    assert 6 == len(emulator.requests)


def test_a_missing_vector_is_an_error(emulator: Emulator) -> None:
    """Fewer vectors than texts raise."""
    emulator.script(Fault("body", data=b'{"data":[{"index":0,"embedding":[1.0]}]}'))

    with pytest.raises(MDStreamError, match="2 inputs were sent, and results were received for 1"):
        embeddings_at(emulator).embed_documents(["a", "b"])


async def test_requests_are_concurrent(emulator: Emulator) -> None:
    """Up to `max_concurrency` requests run at once, in threads or tasks, over as many connections."""
    embeddings = embeddings_at(emulator, batch_size=10, max_concurrency=4)
    slow = [Fault("slow_head", seconds=0.2)] * 4  # so that no worker finishes all requests before the others start
    before = emulator.connections
    emulator.script(*slow)
    embeddings.embed_documents(TEXTS)
    threads = emulator.connections - before
    emulator.script(*slow)
    await embeddings.aembed_documents(TEXTS)

    assert 1 < threads <= 4
    assert 1 < emulator.connections - before - threads <= 4
    sequential = embeddings_at(emulator, batch_size=10, max_concurrency=1)
    before = emulator.connections
    sequential.embed_documents(TEXTS)
    assert 1 == emulator.connections - before


def test_usage_is_reported(emulator: Emulator) -> None:
    """`embed` returns the usage of all requests and the model name; hooks get the events of each request."""
    reported: list[Any] = []
    separate = [embeddings_at(emulator).embed(TEXTS[at : at + 10]).usage.input for at in (0, 10, 20)]
    model_response = embeddings_at(emulator, batch_size=10, hooks=(reported.append,)).embed(TEXTS[:30])

    assert 30 == len(model_response.embeddings)
    assert 0 < sum(separate) == model_response.usage.input == model_response.usage.total
    assert "odsc-llm" == model_response.metadata.model
    assert 3 == sum(type(call_event).__name__ == "Completed" for call_event in reported)


def test_a_progress_bar_on_request(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """tqdm's, on standard error."""
    embeddings_at(emulator, batch_size=10).embed_documents(TEXTS[:30])
    assert "" == capsys.readouterr().err
    embeddings_at(emulator, batch_size=10, show_progress_bar=True).embed_documents(TEXTS[:30])
    assert "30/30" in capsys.readouterr().err


def test_a_server_without_base64() -> None:
    """A server that rejects `encoding_format` gets the request without it."""
    refused = b'{"detail":[{"type":"extra_forbidden","loc":["body","encoding_format"],"msg":"Extra inputs"}]}'
    vector = b'{"data":[{"index":0,"embedding":[0.5,-1]}]}'

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            known = b"encoding_format" not in request
            status, body = (b"200 OK", vector) if known else (b"422 Unprocessable Entity", refused)
            server.requests.append(request)
            peer.send(
                b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body)),
                body,
            )

    with serving(script) as server:
        embeddings = OCIModelDeploymentEmbeddings(endpoint=f"{server.url}/ocid1.x", auth_type="none", max_retries=0)
        assert [[0.5, -1]] == embeddings.embed_documents(["a"])
        assert 2 == len(server.requests)


def test_a_text_that_is_too_long_is_a_context_overflow(emulator: Emulator) -> None:
    """OCI's limit of 512 tokens, with `truncate="NONE"`."""
    with pytest.raises(InvalidRequest, match="512"):
        embeddings_at(emulator, EMBEDDING["OCI GenAI"], truncate="NONE").embed_documents(["word " * 600])


def test_rate_limits_have_their_own_class(emulator: Emulator) -> None:
    """The LangChain error for 429, with a hint."""
    emulator.always(Fault("refuse", "lb_bandwidth"))

    with pytest.raises(RateLimited, match="bandwidth") as caught:
        embeddings_at(emulator).embed_query("a")
    assert isinstance(caught.value, ModelError)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a chat dialect": (
        {"dialect": "openai-chat"},
        "dialect='openai-chat' is unknown .hint: use one of openai-embeddings",
    ),
    "a misspelt option": ({"chunksize": 3}, "chunksize"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    """Invalid options raise at construction."""
    with pytest.raises(ValidationError, match=message):
        OCIModelDeploymentEmbeddings(endpoint="https://h/ocid1.x", **options)


@pytest.mark.parametrize(
    ("options", "message"), [({"batch_size": 0}, "batch_size=0"), ({"max_concurrency": 0}, "max_concurrency=0")]
)
def test_invalid_batch_sizes_and_concurrency(emulator: Emulator, options: dict[str, Any], message: str) -> None:
    """They raise when they are used."""
    with pytest.raises(ValueError, match=message):
        embeddings_at(emulator, **options).embed_documents(["a"])


def test_copies_and_secrets(emulator: Emulator) -> None:
    """Copies and pickles send the same requests; no key is shown or pickled."""
    embeddings = embeddings_at(emulator, auth_type=None, api_key=SECRET)
    vector = embeddings.embed_query("a")

    assert f"Bearer {SECRET}" == emulator.last.headers["authorization"]
    assert SECRET not in repr(embeddings)
    assert SECRET.encode() not in pickle.dumps(embeddings)
    assert vector == copy.deepcopy(embeddings).embed_query("a")
    unsigned = embeddings_at(emulator)
    assert vector == pickle.loads(pickle.dumps(unsigned)).embed_query("a")


def test_several_event_loops(emulator: Emulator) -> None:
    """One object in several event loops, one after the other."""
    embeddings = embeddings_at(emulator)

    assert asyncio.run(embeddings.aembed_query("a")) == asyncio.run(embeddings.aembed_query("a"))
