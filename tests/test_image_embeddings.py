"""Embeddings of images: requests, bounds and failures in both frameworks, and LlamaIndex's multi-modal index."""

import asyncio
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from _langchain_platforms import embeddings_at
from _llamaindex_embeddings import embedding_at
from _platforms import PlatformCase, emulator, shared_emulator
from llama_index.core import StorageContext
from llama_index.core.embeddings.multi_modal_base import MultiModalEmbedding
from llama_index.core.indices import MultiModalVectorStoreIndex
from llama_index.core.indices.multi_modal.retriever import MultiModalVectorIndexRetriever
from llama_index.core.schema import ImageNode, NodeWithScore, TextNode
from llama_index.core.vector_stores import SimpleVectorStore

from mdstream_core import MAX_IMAGE_BYTES, ImageURIs, dialect
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import InvalidRequest, MalformedStream, MDStreamError

__all__ = ["emulator", "shared_emulator"]  # fixtures


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def png(description: str) -> bytes:
    """A picture of one pixel, whose description the emulator's model sees."""
    head = _chunk(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    text = _chunk(b"tEXt", b"Description\0" + description.encode("latin-1"))
    return b"\x89PNG\r\n\x1a\n" + head + text + _chunk(b"IDAT", zlib.compress(b"\0\0")) + _chunk(b"IEND", b"")


RIVER, BREAD, CAT = png("a long river"), png("fresh bread"), png("a sleeping cat")

#: The servers that embed images.
CASES = {
    "OCI GenAI": PlatformCase("oci-genai", {"model": "cohere.embed-v4.0"}),
    "OCI model deployment, vLLM": PlatformCase("oci-model-deployment"),
    "SageMaker vLLM": PlatformCase("sagemaker"),
    "ModelArts": PlatformCase("modelarts"),
    "MaaS": PlatformCase("modelarts-maas"),
}
each_case = pytest.mark.parametrize("platform_case", CASES.values(), ids=CASES)

Vectors = list[list[float]]
Embed = Callable[..., Vectors]


def _langchain(emulator: Emulator, platform_case: PlatformCase, images: Sequence[Any], **options: Any) -> Vectors:
    return embeddings_at(emulator, platform_case, **options).embed_images(images)


def _alangchain(emulator: Emulator, platform_case: PlatformCase, images: Sequence[Any], **options: Any) -> Vectors:
    return asyncio.run(embeddings_at(emulator, platform_case, **options).aembed_images(images))


def _llamaindex(emulator: Emulator, platform_case: PlatformCase, images: Sequence[Any], **options: Any) -> Vectors:
    buffers = [BytesIO(image) if isinstance(image, bytes) else image for image in images]
    return embedding_at(emulator, platform_case, **options).get_image_embedding_batch(buffers)


def _allamaindex(emulator: Emulator, platform_case: PlatformCase, images: Sequence[Any], **options: Any) -> Vectors:
    buffers = [BytesIO(image) if isinstance(image, bytes) else image for image in images]
    return asyncio.run(embedding_at(emulator, platform_case, **options).aget_image_embedding_batch(buffers))


METHODS: dict[str, Embed] = {
    "LangChain": _langchain,
    "LangChain, async": _alangchain,
    "LlamaIndex": _llamaindex,
    "LlamaIndex, async": _allamaindex,
}
each_method = pytest.mark.parametrize("embed", METHODS.values(), ids=METHODS)


def _url(payload: Any) -> str:
    """The data URI of a request, in OCI's format or in vLLM's."""
    if "messages" in payload:
        return str(payload["messages"][0]["content"][0]["image_url"]["url"])
    assert "IMAGE" == payload["inputType"]
    return str(payload["inputs"][0])


@each_method
@each_case
def test_each_image_gets_its_vector(
    emulator: Emulator, platform_case: PlatformCase, embed: Embed, tmp_path: Path
) -> None:
    """
    From bytes, a file or a data URI; in order, one image in a request; comparable with the vector of a text.
    """
    (tmp_path / "bread.png").write_bytes(BREAD)
    uri = ImageURIs([CAT])[0]
    vectors = embed(emulator, platform_case, [RIVER, str(tmp_path / "bread.png"), uri])
    sent = {_url(request.json) for request in emulator.requests}
    texts = embeddings_at(emulator, platform_case).embed_documents(["a long river", "fresh bread", "a sleeping cat"])

    assert set(ImageURIs([RIVER, BREAD, CAT])) == sent
    for image, text in zip(vectors, texts, strict=True):
        assert text == pytest.approx(image)


@pytest.mark.parametrize("name", ["tei-embeddings", "jumpstart-embeddings"])
def test_dialects_without_images_reject_them(name: str) -> None:
    """
    The error names the dialect that has them.
    """
    with pytest.raises(InvalidRequest, match="openai-embeddings"):
        dialect(name).build_payload({"input": ["data:image/png;base64,QQ=="], "input_type": "IMAGE"}, stream=False)


def test_one_request_has_one_image() -> None:
    """
    Two images would be one vector on vLLM.
    """
    with pytest.raises(InvalidRequest, match="2 images"):
        dialect("openai-embeddings").build_payload({"input": ["data:", "data:"], "input_type": "IMAGE"}, stream=False)


LARGE = RIVER + bytes(MAX_IMAGE_BYTES)
UNFIT: dict[str, tuple[Any, str]] = {
    "too large": (LARGE, "image 1 has .* are the maximum .*max_image_bytes"),
    "a large data URI": (f"data:image/png;base64,{'A' * (MAX_IMAGE_BYTES * 4 // 3 + 8)}", "image 1 has .* maximum"),
    "empty": (b"", "image 1 has 0 bytes.*empty"),
    "a URL": ("https://example.org/a.png", "image 1 is a URL .*download"),
    "a text": (b"words", "image 1 has an unknown format .*PNG, JPEG, GIF or WebP"),
    "a sound": (b"RIFF\0\0\0\0WAVEfmt ", "image 1 has an unknown format"),
}


@each_method
@pytest.mark.parametrize(("image", "message"), UNFIT.values(), ids=UNFIT)
def test_an_unfit_image_is_found_before_a_request(emulator: Emulator, embed: Embed, image: Any, message: str) -> None:
    """
    The error has the index of the image, and nothing is sent or billed.
    """
    with pytest.raises(ValueError, match=message):
        embed(emulator, CASES["OCI GenAI"], [RIVER, image])

    assert [] == emulator.requests


@each_method
def test_files_are_measured_before_they_are_read(emulator: Emulator, embed: Embed, tmp_path: Path) -> None:
    """
    A file larger than the maximum is not read; a missing one is an error of the system.
    """
    file = tmp_path / "large.png"
    with file.open("wb") as large:
        large.write(RIVER)
        large.truncate(2**40)  # a file with a hole, which needs no space
    with pytest.raises(ValueError, match=f"image 0 has {2**40} bytes"):
        embed(emulator, CASES["OCI GenAI"], [str(file)])
    with pytest.raises(FileNotFoundError):
        embed(emulator, CASES["OCI GenAI"], [str(tmp_path / "none.png")])


@each_method
def test_the_maximum_can_be_changed(emulator: Emulator, embed: Embed) -> None:
    """
    `max_image_bytes` of the object.
    """
    with pytest.raises(ValueError, match="100 are the maximum"):
        embed(emulator, CASES["OCI GenAI"], [RIVER, RIVER + bytes(100)], max_image_bytes=100)
    with pytest.raises(MDStreamError, match="invalid image"):  # the service's own limit
        embed(emulator, CASES["OCI GenAI"], [LARGE], max_image_bytes=2 * MAX_IMAGE_BYTES)


def test_a_long_list_of_files_needs_little_memory(tmp_path: Path) -> None:
    """
    Each file is read when its data URI is needed.
    """
    file = tmp_path / "river.png"
    file.write_bytes(RIVER + bytes(1_000_000))
    tracemalloc.start()
    uris = ImageURIs([file] * 100)
    lengths = [len(uri) for uri in uris]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 10_000_000
    assert all(abs(size - length) < 4 for size, length in zip(uris.sizes, lengths, strict=True))


@each_method
def test_models_for_texts_reject_images(emulator: Emulator, embed: Embed) -> None:
    """
    The error of the service is raised.
    """
    with pytest.raises(InvalidRequest, match="IMAGE"):
        embed(emulator, PlatformCase("oci-genai", {"model": "cohere.embed-english-v3.0"}), [RIVER])


@each_method
@each_case
def test_a_failed_image_raises(emulator: Emulator, platform_case: PlatformCase, embed: Embed) -> None:
    """
    The error has the vectors of the others, each with the index of its image.
    """
    emulator.script(None, Fault("html"))
    with pytest.raises(MDStreamError) as caught:
        embed(emulator, platform_case, [RIVER, BREAD, CAT], max_concurrency=1, max_retries=0)

    assert [0] == [one.index for one in caught.value.partial.embeddings]  # type: ignore[union-attr]


@each_method
def test_a_missing_vector_raises(emulator: Emulator, embed: Embed) -> None:
    """
    A response without a vector is no success.
    """
    emulator.always(Fault("body", data=b'{"id": "1", "modelId": "m", "modelVersion": "1", "embeddings": []}'))
    with pytest.raises(MalformedStream):
        embed(emulator, CASES["OCI GenAI"], [RIVER], max_retries=0)


# LlamaIndex's index of texts and images

TEXTS = [TextNode(text="The Nile is a river.", id_="nile"), TextNode(text="Bread is baked.", id_="baked")]


def image_nodes(folder: Path) -> list[ImageNode]:
    """Nodes whose images are files, and one with its data. LlamaIndex drops nodes with neither text nor metadata."""
    for name, data in {"river": RIVER, "bread": BREAD}.items():
        (folder / f"{name}.png").write_bytes(data)
    files = [
        ImageNode(id_=name, image_path=str(folder / f"{name}.png"), metadata={"file": name})
        for name in ("river", "bread")
    ]
    return [*files, ImageNode(id_="cat", image=ImageURIs([CAT])[0].partition(",")[2], metadata={"file": "cat"})]


def index_of(model: MultiModalEmbedding, nodes: Sequence[Any], **options: Any) -> MultiModalVectorStoreIndex:
    return MultiModalVectorStoreIndex(list(nodes), embed_model=model, image_embed_model=model, **options)


def ids(nodes: list[NodeWithScore]) -> list[str]:
    return [node.node_id for node in nodes]


@each_case
@pytest.mark.parametrize("use_async", [False, True], ids=["sync", "async"])
def test_a_multi_modal_index(emulator: Emulator, platform_case: PlatformCase, tmp_path: Path, use_async: bool) -> None:
    """
    Images are found by text and by image, texts by text, sync and async.
    """
    model: Any = embedding_at(emulator, platform_case)
    index = index_of(model, [*TEXTS, *image_nodes(tmp_path)], use_async=use_async)
    retriever: Any = index.as_retriever(similarity_top_k=1, image_similarity_top_k=1)
    (tmp_path / "query.png").write_bytes(png("a cat"))
    image = str(tmp_path / "query.png")

    async def search() -> list[list[str]]:
        return [
            ids(await retriever.aretrieve("Which river is long?")),
            ids(await retriever.atext_to_image_retrieve("some bread")),
            ids(await retriever.aimage_to_image_retrieve(image)),
        ]

    assert isinstance(retriever, MultiModalVectorIndexRetriever)
    expected = [["nile", "river"], ["bread"], ["cat"]]
    assert expected == asyncio.run(search())
    assert expected == [
        ids(retriever.retrieve("Which river is long?")),
        ids(retriever.text_to_image_retrieve("some bread")),
        ids(retriever.image_to_image_retrieve(image)),
    ]


@pytest.mark.parametrize("use_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("fault", [Fault("html"), Fault("drop"), Fault("cut")], ids=lambda fault: fault.kind)
def test_a_failed_image_gives_no_index(emulator: Emulator, tmp_path: Path, fault: Fault, use_async: bool) -> None:
    """
    The constructor raises, and no image is in the vector store; the same with an index that exists.
    """
    model: Any = embedding_at(emulator, CASES["OCI GenAI"], max_retries=0, max_concurrency=1)
    images, store = SimpleVectorStore(), SimpleVectorStore()
    context = StorageContext.from_defaults(vector_store=store, image_store=images)
    emulator.script(None, None, fault)  # the texts, the first image, the second
    with pytest.raises(MDStreamError) as caught:
        index_of(model, [*TEXTS, *image_nodes(tmp_path)], storage_context=context, use_async=use_async)

    assert {} == images.data.embedding_dict
    assert [0] == [one.index for one in caught.value.partial.embeddings]  # type: ignore[union-attr]

    index = index_of(model, image_nodes(tmp_path)[:1], image_vector_store=images)
    emulator.script(fault)
    with pytest.raises(MDStreamError):
        index.insert_nodes(image_nodes(tmp_path)[1:])
    assert {"river"} == set(images.data.embedding_dict)
