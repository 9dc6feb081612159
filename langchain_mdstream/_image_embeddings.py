"""`ImageEmbeddings`: image methods of the embedding models."""

from collections.abc import Mapping, Sequence
from typing import Any

from mdstream_core import Image, ImageURIs, ModelResponse


class ImageEmbeddings:
    """Embeds images, each in a request of its own, as the services require.

    Models for both texts and images return comparable vectors. An image is checked before the first request.
    """

    max_image_bytes: int

    def embed_image(self, image: Image, mime_type: str | None = None) -> list[float]:
        """Embed an image. Models for both texts and images return comparable vectors.

        Args:
            image: A data URI, the image's bytes, or the path of its file.
            mime_type: Media type, such as `image/png`. `None` detects it from the first bytes.

        Raises:
            ValueError: The image is larger than `max_image_bytes`, or its format is unknown.
        """
        return self.embed_images([image], mime_type)[0]

    async def aembed_image(self, image: Image, mime_type: str | None = None) -> list[float]:
        """Embed an image asynchronously; see `embed_image`."""
        return (await self.aembed_images([image], mime_type))[0]

    def embed_images(self, images: Sequence[Image], mime_type: str | None = None) -> list[list[float]]:
        """Embed images, each in a request of its own, as the service requires.

        A file is read when its request is sent, so that a long list of files needs little memory.

        Raises:
            ValueError: An image is larger than `max_image_bytes`, or its format is unknown; the error has its index.
            ModelError: A request failed; `partial.embeddings` has the vectors of the others.
        """
        uris = ImageURIs(images, mime_type, self.max_image_bytes)
        return to_vectors(self._gather(uris, self._build_params("IMAGE", {}), 1, {}))

    async def aembed_images(self, images: Sequence[Image], mime_type: str | None = None) -> list[list[float]]:
        """Embed images asynchronously; see `embed_images`."""
        uris = ImageURIs(images, mime_type, self.max_image_bytes)
        return to_vectors(await self._agather(uris, self._build_params("IMAGE", {}), 1, {}))

    def embed_image_batch(self, images: Sequence[Image], mime_type: str | None = None) -> list[list[float]]:
        """Embed images: langchain-oci's name of `embed_images`."""
        return self.embed_images(images, mime_type)

    async def aembed_image_batch(self, images: Sequence[Image], mime_type: str | None = None) -> list[list[float]]:
        """Embed images asynchronously: langchain-oci's name of `aembed_images`."""
        return await self.aembed_images(images, mime_type)

    def _gather(
        self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None, arguments: Mapping[str, Any]
    ) -> ModelResponse:
        raise NotImplementedError

    async def _agather(
        self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None, arguments: Mapping[str, Any]
    ) -> ModelResponse:
        raise NotImplementedError

    def _build_params(self, input_type: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


def to_vectors(response: ModelResponse) -> list[list[float]]:
    """Return the vectors of a response."""
    return [embedding.vector for embedding in response.embeddings]
