"""Rules for embeddings of images: `MultiModalEmbedding` and its users."""

import asyncio
import base64
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.indices import MultiModalVectorStoreIndex
from llama_index.core.schema import ImageNode, TextNode

from llamaindex_mdstream.testing._concurrency import count_ticks
from llamaindex_mdstream.testing._conformance import CapturedError, Conformance, requires
from llamaindex_mdstream.testing._observers import RecordingCallbackHandler
from mdstream_core.emulator import Emulator, Fault

Vectors = list[list[float]]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def create_png(description: str) -> bytes:
    """Create a picture of one pixel, with a description that the emulated model sees."""
    head = _chunk(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    text = _chunk(b"tEXt", b"Description\0" + description.encode("latin-1"))
    return b"\x89PNG\r\n\x1a\n" + head + text + _chunk(b"IDAT", zlib.compress(b"\0\0")) + _chunk(b"IEND", b"")


RIVER, BREAD, CAT = create_png("a long river"), create_png("fresh bread"), create_png("a sleeping cat")
MANY = [create_png(f"picture {number} of a river") for number in range(12)]

#: Images that cannot be sent: no file, an address, no bytes, and a file of another kind.
WRONG_IMAGES: dict[str, Callable[[Path], Any]] = {
    "missing file": lambda folder: str(folder / "missing.png"),
    "URL": lambda folder: "https://example.invalid/river.png",
    "empty": lambda folder: BytesIO(),
    "no image": lambda folder: _write(folder / "notes.png", b"The Nile is a river."),
}


def _write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def _batch(model: Any, images: list[Any]) -> Vectors:
    vectors: Vectors = model.get_image_embedding_batch(images)
    return vectors


def _abatch(model: Any, images: list[Any]) -> Vectors:
    vectors: Vectors = asyncio.run(model.aget_image_embedding_batch(images))
    return vectors


Embed = Callable[[Any, list[Any]], Vectors]
#: Methods that embed several images, and the features that they require.
METHODS: dict[str, tuple[Embed, tuple[str, ...]]] = {
    "get_image_embedding_batch": (_batch, ()),
    "aget_image_embedding_batch": (_abatch, ("supports_async",)),
}
INVALID_RESPONSES = {"HTML page": Fault("html"), "no response": Fault("drop"), "cut": Fault("cut")}

each_image_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def _buffers(images: list[bytes]) -> list[BytesIO]:
    return [BytesIO(image) for image in images]


class ImageEmbeddingRules(Conformance):
    """Rules for embeddings of images.

    Attributes:
        supports_images: Whether the class is a `MultiModalEmbedding`.
    """

    supports_images: bool = False

    def create_model(self, emulator: Emulator, max_retries: int = 0) -> Any:
        """Create a model that sends its requests to this emulator."""
        raise NotImplementedError

    def _embed(self, method: tuple[Embed, tuple[str, ...]], model: Any, images: list[Any]) -> Vectors:
        embed, needs = method
        self.require(*needs)
        return embed(model, images)

    def _image_error(self, method: tuple[Embed, tuple[str, ...]], model: Any, images: list[Any]) -> Exception:
        found: Vectors = []
        with CapturedError() as captured:
            found = self._embed(method, model, images)
        if captured.error is None:
            pytest.fail(f"{len(images)} images returned {len(found)} vectors without an error")
        return captured.error

    @requires("supports_images")
    def test_image_vectors_are_lists_of_floats(self, model: Any) -> None:
        """
        Vectors of images are lists of floats, as long as those of texts, and equal for equal images.
        """
        first, again = (model.get_image_embedding(BytesIO(RIVER)) for _ in range(2))

        assert first == pytest.approx(again)
        assert list is type(first)
        assert {float} == {type(number) for number in first}
        assert len(first) == len(model.get_text_embedding("a long river")) > 1

    @requires("supports_images", "supports_async")
    def test_async_image_vectors_are_equal(self, model: Any) -> None:
        """
        `aget_image_embedding` returns the same vector as the sync method.
        """
        found = asyncio.run(model.aget_image_embedding(BytesIO(RIVER)))

        assert found == pytest.approx(model.get_image_embedding(BytesIO(RIVER)))

    @each_image_method
    @requires("supports_images")
    def test_images_keep_their_order(self, model: Any, method: Any) -> None:
        """
        Each image gets its own vector, also over several batches and requests.
        """
        model.embed_batch_size = 5
        found = self._embed(method, model, _buffers(MANY))

        assert len(MANY) == len(found)
        for vector, image in zip(found, MANY, strict=True):
            assert vector == pytest.approx(model.get_image_embedding(BytesIO(image)))

    @each_image_method
    @requires("supports_images")
    def test_equal_images_have_a_vector_each(self, model: Any, method: Any) -> None:
        """
        An image that is repeated in a list has a vector at each of its positions.
        """
        first, bread, again = self._embed(method, model, _buffers([RIVER, BREAD, RIVER]))

        assert first == pytest.approx(again)
        assert bread != pytest.approx(first)

    @each_image_method
    @requires("supports_images")
    def test_forms_of_an_image_are_equal(self, model: Any, method: Any, tmp_path: Path) -> None:
        """
        The path of a file, a buffer and a data URI of the same image have the same vector.
        """
        uri = f"data:image/png;base64,{base64.b64encode(RIVER).decode()}"
        vectors = self._embed(method, model, [_write(tmp_path / "river.png", RIVER), BytesIO(RIVER), uri])

        assert vectors[1:] == [pytest.approx(vectors[0])] * 2

    @each_image_method
    @requires("supports_images")
    def test_buffers_are_read_from_the_start(self, model: Any, method: Any) -> None:
        """
        A buffer that was written or read before is embedded whole, also by a second call.
        """
        buffer = BytesIO(RIVER)
        buffer.seek(0, 2)
        vectors = [self._embed(method, model, [buffer])[0] for _ in range(2)]

        assert vectors == [pytest.approx(model.get_image_embedding(BytesIO(RIVER)))] * 2

    @requires("supports_images")
    def test_image_is_sent_unchanged(self, emulator: Emulator, model: Any) -> None:
        """
        The request has exactly the bytes of the image, as base64.
        """
        model.get_image_embedding(BytesIO(RIVER))
        sent = [text.partition("base64,")[2] or text for text in _strings(emulator.last.json)]

        assert base64.b64encode(RIVER).decode() in sent

    @requires("supports_images")
    def test_images_and_texts_are_comparable(self, model: Any) -> None:
        """
        The vector of a text is more similar to that of the image that it describes than to those of others.
        """
        images = model.get_image_embedding_batch(_buffers([RIVER, BREAD, CAT]))
        for at, text in enumerate(("a long river", "fresh bread", "a sleeping cat")):
            query = model.get_query_embedding(text)
            scores = [model.similarity(query, image) for image in images]
            assert at == scores.index(max(scores))

    @each_image_method
    @requires("supports_images")
    @pytest.mark.parametrize("wrong", WRONG_IMAGES.values(), ids=WRONG_IMAGES)
    def test_wrong_images_raise(
        self, emulator: Emulator, model: Any, method: Any, wrong: Callable[[Path], Any], tmp_path: Path
    ) -> None:
        """
        A missing file, a URL, an empty buffer and a file of another kind raise before a request, also behind an image.
        """
        self._image_error(method, model, [BytesIO(RIVER), wrong(tmp_path)])

        assert [] == emulator.requests

    @each_image_method
    @requires("supports_images")
    def test_no_images_send_no_request(self, emulator: Emulator, model: Any, method: Any) -> None:
        """
        An empty list returns an empty list.
        """
        assert [] == self._embed(method, model, [])
        assert [] == emulator.requests

    @each_image_method
    @requires("supports_images")
    @pytest.mark.parametrize("count", [0, 2])
    def test_wrong_number_of_image_vectors_raises(
        self, emulator: Emulator, model: Any, method: Any, count: int
    ) -> None:
        """
        A wrong number of vectors raises: another image's vector would be assigned to an image.
        """
        emulator.always(self.service_under_test.embedding_fault(*((index, [1.0, 0.0]) for index in range(count))))

        self._image_error(method, model, [BytesIO(RIVER)])

    @each_image_method
    @requires("supports_images")
    @pytest.mark.parametrize("fault", INVALID_RESPONSES.values(), ids=INVALID_RESPONSES)
    def test_invalid_response_for_an_image_raises(
        self, emulator: Emulator, model: Any, method: Any, fault: Fault
    ) -> None:
        """
        An HTML page, no response and a truncated body raise.
        """
        emulator.always(fault)

        self._image_error(method, model, [BytesIO(RIVER)])

    @each_image_method
    @requires("supports_images", "supports_retries")
    def test_one_failed_image_raises(self, emulator: Emulator, model: Any, method: Any) -> None:
        """
        If one of several images fails, no shorter list and no other vector is returned.
        """
        emulator.script(self.service_under_test.transient_error)

        self._image_error(method, model, _buffers([RIVER, BREAD, CAT]))

    @each_image_method
    @requires("supports_images", "supports_retries")
    def test_images_are_retried_after_a_temporary_error(self, emulator: Emulator, method: Any) -> None:
        """
        After a temporary error response the request is sent again, with the same image.
        """
        emulator.script(self.service_under_test.transient_error)
        (vector,) = self._embed(method, self.create_model(emulator, max_retries=1), [BytesIO(RIVER)])
        first, second = (request.json for request in emulator.requests)

        assert first == second
        assert vector == pytest.approx(self.create_model(emulator).get_image_embedding(BytesIO(RIVER)))

    @each_image_method
    @requires("supports_images")
    def test_images_are_reported_once(self, model: Any, method: Any) -> None:
        """
        Callbacks get one start event and one end event with the vectors.
        """
        observer = RecordingCallbackHandler(CBEventType.EMBEDDING)
        model.callback_manager = CallbackManager([observer])
        found = self._embed(method, model, _buffers([RIVER, BREAD]))

        assert (1, 1) == (len(observer.starts), len(observer.ends))
        assert found == observer.ends[-1][EventPayload.EMBEDDINGS]

    @requires("supports_images", "supports_async")
    def test_async_image_methods_do_not_block_the_event_loop(self, emulator: Emulator, model: Any) -> None:
        """
        Other tasks run while a response is awaited.
        """
        emulator.script(Fault("slow_head", seconds=0.5))

        assert asyncio.run(count_ticks(model.aget_image_embedding_batch([BytesIO(RIVER)]))) > 10

    @requires("supports_images")
    def test_multi_modal_index_finds_the_right_image(self, model: Any, tmp_path: Path) -> None:
        """
        An index of texts and images finds an image by a text and by another image.
        """
        pictures = {"river": RIVER, "bread": BREAD, "cat": CAT}
        nodes = [
            ImageNode(id_=name, image_path=_write(tmp_path / f"{name}.png", data), metadata={"file": name})
            for name, data in pictures.items()
        ]
        text: list[Any] = [TextNode(text="Glass is made of sand.", id_="glass")]
        index = MultiModalVectorStoreIndex([*text, *nodes], embed_model=model, image_embed_model=model)
        retriever: Any = index.as_retriever(similarity_top_k=1, image_similarity_top_k=1)
        query = _write(tmp_path / "query.png", create_png("a cat"))

        assert ["bread"] == [found.node_id for found in retriever.text_to_image_retrieve("some bread")]
        assert ["cat"] == [found.node_id for found in retriever.image_to_image_retrieve(query)]


def _strings(value: Any) -> Iterator[str]:
    """Yield each string of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)
