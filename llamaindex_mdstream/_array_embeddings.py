"""`ArrayEmbeddings`: methods of the embedding models that return numpy arrays."""

from collections.abc import Sequence
from typing import Any

from llama_index.core.schema import ImageType

from mdstream_core import ImageURIs


class ArrayEmbeddings:
    """Embeds texts and images as the rows of one numpy array, without lists of numbers in between.

    LlamaIndex's own methods return lists; these send no events of LlamaIndex.
    """

    batch_size: int | None
    max_image_bytes: int

    def embed_array(self, texts: Sequence[str], input_type: str = "document") -> Any:
        """Embed texts as the rows of one numpy array of 32-bit floats, an eighth of the memory of lists.

        Args:
            texts: Any number of texts; they are sent in batches.
            input_type: `document` or `query`; OCI Generative AI also accepts `CLASSIFICATION` and `CLUSTERING`.

        Returns:
            A `numpy.ndarray` of the shape `(len(texts), dimensions)`; `(0, 0)` without texts.

        Raises:
            MDStreamError: A request failed after its retries. `error.partial.embeddings` has the vectors of the others
                as arrays, each with the `index` of its text.
            MissingExtra: numpy is not installed.

        Example:
            >>> from llamaindex_mdstream import OCIDataScienceEmbedding
            >>> embedding = OCIDataScienceEmbedding(endpoint="http://127.0.0.1:1/ocid1.x", auth_type="none")
            >>> embedding.embed_array([]).shape
            (0, 0)
        """
        return self._gather_array(texts, self._build_params(input_type), self.batch_size)

    async def aembed_array(self, texts: Sequence[str], input_type: str = "document") -> Any:
        """Async variant of `embed_array`."""
        return await self._agather_array(texts, self._build_params(input_type), self.batch_size)

    def embed_images_array(self, images: Sequence[ImageType]) -> Any:
        """Embed images as the rows of one numpy array of 32-bit floats; see `embed_array`."""
        uris = ImageURIs(images, max_bytes=self.max_image_bytes)
        return self._gather_array(uris, self._build_params("IMAGE"), 1)

    async def aembed_images_array(self, images: Sequence[ImageType]) -> Any:
        """Async variant of `embed_images_array`."""
        uris = ImageURIs(images, max_bytes=self.max_image_bytes)
        return await self._agather_array(uris, self._build_params("IMAGE"), 1)

    def _gather_array(self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None) -> Any:
        raise NotImplementedError

    async def _agather_array(self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None) -> Any:
        raise NotImplementedError

    def _build_params(self, input_type: str) -> dict[str, Any]:
        raise NotImplementedError
