"""`ArrayEmbeddings`: methods of the embedding models that return numpy arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

from mdstream_core import Image, ImageURIs


class ArrayEmbeddings:
    """Embeds texts and images as the rows of one numpy array, without lists of numbers in between."""

    batch_size: int | None
    max_image_bytes: int

    def embed_array(
        self, texts: Sequence[str], input_type: str = "document", *, chunk_size: int | None = None, **kwargs: Any
    ) -> Any:
        """Embed texts as the rows of one numpy array of 32-bit floats, an eighth of the memory of lists.

        Args:
            texts: Any number of texts.
            input_type: `document` or `query`; OCI also supports `CLASSIFICATION` and `CLUSTERING`.
            chunk_size: Maximum number of texts per request; overrides `batch_size`.
            kwargs: Additional fields of the requests.

        Returns:
            A `numpy.ndarray` of the shape `(len(texts), dimensions)`; `(0, 0)` without texts.

        Raises:
            ModelError: A request failed; `partial.embeddings` has the vectors of the others as arrays, each with the
                `index` of its text.
            MissingExtra: numpy is not installed.

        Example:
            >>> from langchain_mdstream import OCIModelDeploymentEmbeddings
            >>> embeddings = OCIModelDeploymentEmbeddings(endpoint="http://127.0.0.1:1/ocid1.x", auth_type="none")
            >>> embeddings.embed_array([]).shape
            (0, 0)
        """
        params = self._build_params(input_type, kwargs)
        return self._gather_array(texts, params, chunk_size or self.batch_size, kwargs)

    async def aembed_array(
        self, texts: Sequence[str], input_type: str = "document", *, chunk_size: int | None = None, **kwargs: Any
    ) -> Any:
        """Embed texts asynchronously as the rows of one numpy array; see `embed_array`."""
        params = self._build_params(input_type, kwargs)
        return await self._agather_array(texts, params, chunk_size or self.batch_size, kwargs)

    def embed_images_array(self, images: Sequence[Image], mime_type: str | None = None) -> Any:
        """Embed images as the rows of one numpy array of 32-bit floats; see `embed_array` and `embed_images`."""
        uris = ImageURIs(images, mime_type, self.max_image_bytes)
        return self._gather_array(uris, self._build_params("IMAGE", {}), 1, {})

    async def aembed_images_array(self, images: Sequence[Image], mime_type: str | None = None) -> Any:
        """Embed images asynchronously as the rows of one numpy array; see `embed_images_array`."""
        uris = ImageURIs(images, mime_type, self.max_image_bytes)
        return await self._agather_array(uris, self._build_params("IMAGE", {}), 1, {})

    def _gather_array(
        self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None, arguments: Mapping[str, Any]
    ) -> Any:
        raise NotImplementedError

    async def _agather_array(
        self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None, arguments: Mapping[str, Any]
    ) -> Any:
        raise NotImplementedError

    def _build_params(self, input_type: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError
