"""`ImageEmbeddings`: LlamaIndex's methods for images."""

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.embeddings.multi_modal_base import MultiModalEmbedding
from llama_index.core.schema import ImageType
from pydantic import Field

from mdstream_core import MAX_IMAGE_BYTES, ImageURIs, ModelResponse


class ImageEmbeddings(MultiModalEmbedding):
    """Embeds images, each in a request of its own, as the services require.

    Images are paths of files, data URIs or `BytesIO` objects. They are checked before the first request, and a file is
    read when its request is sent, so that a long list of files needs little memory.
    """

    max_image_bytes: int = Field(
        default=MAX_IMAGE_BYTES,
        gt=0,
        description="Maximum size of an image in bytes; larger ones are rejected before a request. Default: 5 MiB, "
        "Cohere's limit.",
    )

    def _get_image_embedding(self, img_file_path: ImageType) -> Embedding:
        (vector,) = self._get_image_embeddings([img_file_path])
        return vector

    async def _aget_image_embedding(self, img_file_path: ImageType) -> Embedding:
        (vector,) = await self._aget_image_embeddings([img_file_path])
        return vector

    def _get_image_embeddings(self, img_file_paths: list[ImageType]) -> list[Embedding]:
        uris = ImageURIs(img_file_paths, max_bytes=self.max_image_bytes)
        return to_vectors(self._gather(uris, self._build_params("IMAGE"), 1))

    async def _aget_image_embeddings(self, img_file_paths: list[ImageType]) -> list[Embedding]:
        uris = ImageURIs(img_file_paths, max_bytes=self.max_image_bytes)
        return to_vectors(await self._agather(uris, self._build_params("IMAGE"), 1))

    def _gather(
        self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None, *, limiter_acquired: bool = False
    ) -> ModelResponse:
        raise NotImplementedError

    async def _agather(
        self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None, *, limiter_acquired: bool = False
    ) -> ModelResponse:
        raise NotImplementedError

    def _build_params(self, input_type: str) -> dict[str, Any]:
        raise NotImplementedError


def to_vectors(response: ModelResponse) -> list[Embedding]:
    """Return the vectors of a response."""
    return [embedding.vector for embedding in response.embeddings]
