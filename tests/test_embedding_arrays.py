"""`embed_array` and `embed_images_array`: the vectors of the methods that return lists, as the rows of one array."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from _embedding_platforms import EMBEDDING
from _json_server import CLASSES, Embedder, responding
from _langchain_platforms import embeddings_at
from _llamaindex_embeddings import embedding_at
from _platforms import PlatformCase, emulator, shared_emulator
from test_image_embeddings import BREAD, CASES, CAT, RIVER

from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import InvalidRequest, MalformedStream, MDStreamError, MissingExtra, ServerError

__all__ = ["emulator", "shared_emulator"]  # fixtures

#: Each framework: how its models are created.
MODELS: dict[str, Callable[..., Any]] = {"LangChain": embeddings_at, "LlamaIndex": embedding_at}
each_framework = pytest.mark.parametrize("create", MODELS.values(), ids=MODELS)


def _sync(model: Any, inputs: Any, method: str = "embed_array", **options: Any) -> Any:
    return getattr(model, method)(inputs, **options)


def _async(model: Any, inputs: Any, method: str = "embed_array", **options: Any) -> Any:
    async def main() -> Any:
        try:
            return await getattr(model, f"a{method}")(inputs, **options)
        finally:
            await model.aclose()

    return asyncio.run(main())


STYLES: dict[str, Callable[..., Any]] = {"sync": _sync, "async": _async}
each_style = pytest.mark.parametrize("call", STYLES.values(), ids=STYLES)


def lists(model: Any, texts: list[str], input_type: str = "document") -> list[list[float]]:
    return [one.vector for one in model.embed(texts, input_type).embeddings]


@each_framework
@each_style
@pytest.mark.parametrize("platform_case", EMBEDDING.values(), ids=EMBEDDING)
def test_rows_are_the_vectors(
    emulator: Emulator, create: Callable[..., Any], call: Callable[..., Any], platform_case: PlatformCase
) -> None:
    """On every platform, in the order of the texts, although several requests of two texts are in progress."""
    model = create(emulator, platform_case, batch_size=2)
    texts = [f"text {'long ' * number}" for number in range(7)]
    array = call(model, texts)
    assert (np.float32, 7) == (array.dtype, len(array))
    assert np.array(lists(model, texts), "float32").tobytes() == array.tobytes()
    assert array.flags.owndata
    assert array.flags.writeable


@each_framework
@each_style
def test_the_input_type_is_sent(emulator: Emulator, create: Callable[..., Any], call: Callable[..., Any]) -> None:
    """Queries have other vectors than documents where the service distinguishes them."""
    model = create(emulator, EMBEDDING["OCI GenAI"])
    for kind in ("query", "document"):
        assert (
            np.array(lists(model, ["a river"], kind), "float32").tolist()
            == call(model, ["a river"], input_type=kind).tolist()
        )
        assert {"query": "SEARCH_QUERY", "document": "SEARCH_DOCUMENT"}[kind] in str(emulator.requests[-1].body)


@each_framework
@each_style
@pytest.mark.parametrize("platform_case", CASES.values(), ids=CASES)
def test_images(
    emulator: Emulator, create: Callable[..., Any], call: Callable[..., Any], platform_case: PlatformCase, tmp_path: Any
) -> None:
    """Each image in its own request, in order."""
    files = []
    for number, data in enumerate((RIVER, BREAD, CAT)):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(data)
    model = create(emulator, platform_case)
    embed = model.embed_images if hasattr(model, "embed_images") else model.get_image_embedding_batch
    paths = list(map(str, files))
    array = call(model, paths, "embed_images_array")
    assert np.array(embed(paths), "float32").tolist() == array.tolist()
    assert np.float32 == array.dtype


@each_framework
@each_style
def test_no_texts(emulator: Emulator, create: Callable[..., Any], call: Callable[..., Any]) -> None:
    """An empty array, without a request."""
    before = len(emulator.requests)
    array = call(create(emulator), [])
    assert ((0, 0), np.float32) == (array.shape, array.dtype)
    assert before == len(emulator.requests)


@each_framework
@each_style
def test_a_failure_keeps_the_other_vectors(
    emulator: Emulator, create: Callable[..., Any], call: Callable[..., Any]
) -> None:
    """They are arrays with the index of their text, as those of lists are."""
    model = create(emulator, batch_size=2, max_concurrency=1)
    texts = ["a", "b", "c", "d", "e"]
    expected = np.array(lists(model, texts), "float32")
    emulator.script(None, Fault("refuse", "internal"))
    with pytest.raises(ServerError) as caught:
        call(model, texts)
    assert isinstance(caught.value, MDStreamError)
    partial: Any = caught.value.partial
    assert [0, 1] == [one.index for one in partial.embeddings]
    assert expected[:2].tolist() == [one.vector.tolist() for one in partial.embeddings]
    emulator.script(Fault("refuse", "internal"))
    with pytest.raises(ServerError) as caught:
        call(model, texts)
    assert caught.value.partial is None


@each_framework
@each_style
def test_wrong_inputs(emulator: Emulator, create: Callable[..., Any], call: Callable[..., Any]) -> None:
    """The same errors as with lists."""
    model = create(emulator)
    with pytest.raises(TypeError, match="text 1 has the type int"):
        call(model, ["a", 5])
    with pytest.raises(TypeError, match="the texts are a single string"):
        call(model, "abc")


@each_framework
@each_style
def test_numpy_is_optional(
    emulator: Emulator, create: Callable[..., Any], call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes before any request, and lists work without it."""
    monkeypatch.setitem(sys.modules, "numpy", None)
    model = create(emulator)
    before = len(emulator.requests)
    for texts in (["a"], []):
        with pytest.raises(MissingExtra, match=r"numpy is not installed \(hint: pip install numpy\)"):
            call(model, texts)
    assert before == len(emulator.requests)
    assert 1 == len(lists(model, ["a"]))


@pytest.mark.parametrize("call", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize(("framework", "platform"), CLASSES)
def test_wrong_vectors(framework: str, platform: str, call: Callable[..., Any]) -> None:
    """Vectors of several lengths, too few vectors, and wrong numbers are errors, whatever the platform."""
    responses: dict[str, tuple[Any, str]] = {
        "lengths": ([[1, 2], [3]], "the vectors have different lengths"),
        "too few": ([[1, 2]], "2 inputs were sent, and results were received for 1 of them"),
        "null": ([[1, 2], [3, None]], "vector 1 has None at 1"),
        "too large": ([[1, 2], [3, 1e39]], "vector 1 has a number that is not a 32-bit float"),
        "not finite": ({"data": [{"embedding": "AACAPw=="}, {"embedding": "AADAfw=="}]}, "vector 1 has nan at 0"),
        "broken": ({"data": [{"embedding": "AACAPw=="}, {"embedding": "?"}]}, "shape"),
    }
    for document, words in responses.values():
        with responding(lambda body, document=document: (200, document)) as server:
            model = Embedder(framework, platform, server).model
            with pytest.raises(MalformedStream, match=words):
                call(model, ["a", "b"])


@each_framework
@each_style
def test_lower_limits_of_the_server(create: Callable[..., Any], call: Callable[..., Any]) -> None:
    """A batch that is too large is divided; all rows are where they belong."""

    def respond(body: dict[str, Any]) -> tuple[int, Any]:
        texts = body["input"]
        if len(texts) > 3:
            return 422, {"error": f"batch size {len(texts)} > maximum allowed batch size 3", "error_type": "Validation"}
        return 200, {"data": [{"index": at, "embedding": [float(text), 0.5]} for at, text in enumerate(texts)][::-1]}

    framework = "LangChain" if create is embeddings_at else "LlamaIndex"
    with responding(respond) as server:
        model = Embedder(framework, "OCI", server).model
        array = call(model, list(map(str, range(20))))
    assert [[number, 0.5] for number in range(20)] == array.tolist()


def test_langchains_own_arguments(emulator: Emulator) -> None:
    """`chunk_size` and fields of the request, as for `embed_documents`."""
    model = embeddings_at(emulator)
    before = len(emulator.requests)
    assert (3, 8) == model.embed_array(["a", "b", "c"], chunk_size=1, dimensions=8).shape
    assert 3 == len(emulator.requests) - before
    with pytest.raises(InvalidRequest, match="dimensions"):
        model.embed_array(["a"], dimensions="many")
