"""The base class of the embedding classes."""

from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Sequence
from contextlib import aclosing, closing
from typing import Any, ClassVar, Self

from llama_index.core.base.embeddings.base import Embedding
from pydantic import Field, model_validator

from llamaindex_mdstream._aliases import EmbeddingAliases
from llamaindex_mdstream._array_embeddings import ArrayEmbeddings
from llamaindex_mdstream._connection_fields import ConnectionFields
from llamaindex_mdstream._image_embeddings import ImageEmbeddings, to_vectors
from llamaindex_mdstream._rows import EmbeddingRows
from mdstream_core import ListDialect, ModelResponse, Timeout, embedding_dialect
from mdstream_core.options import EmbeddingDialect


class MDStreamEmbedding(EmbeddingRows, EmbeddingAliases, ConnectionFields, ArrayEmbeddings, ImageEmbeddings):
    """Base class of the embedding models of all platforms: one vector per text, in order, or an error.

    LlamaIndex passes `embed_batch_size` texts at a time. They are split into batches of the size that the service
    accepts, and at most `max_concurrency` requests are sent at once by all callers of the object. Each request is
    retried on its own (`max_retries`). If one fails after its retries, `error.partial.embeddings` holds the vectors of
    the others, each with the `index` of its text.

    The classes are LlamaIndex's `MultiModalEmbedding`s, for models that embed images too, in the same way.
    """

    __module__ = "llamaindex_mdstream.embeddings"  # where it is imported from, pickled and serialized

    dialect: EmbeddingDialect | None = Field(
        default=None,
        description="API format of the endpoint, such as `openai-embeddings`. Default: that of the platform's models.",
    )
    model_name: str = Field(
        default="",
        description="Name of the model on the server. Not sent if empty. `model` and `model_id` are aliases.",
    )
    embed_batch_size: int = Field(
        default=512, gt=0, le=2048, description="Number of texts that LlamaIndex passes to one call."
    )
    batch_size: int | None = Field(
        default=None,
        gt=0,
        description="Maximum number of texts of one request. Default: the maximum of the API, such as 96 for OCI "
        "Generative AI.",
    )
    max_concurrency: int = Field(
        default=4, gt=0, description="Maximum number of requests at the same time, for all callers of the object."
    )
    dimensions: int | None = Field(
        default=None, gt=0, description="Length of the vectors, for models that can shorten them, such as `256`."
    )
    additional_kwargs: dict[str, Any] = Field(
        default_factory=dict, description='Further parameters of each request, such as `{"user": "indexer"}`.'
    )

    _other_names: ClassVar[dict[str, str]] = {
        "model": "model_name",
        "model_id": "model_name",
        "output_dimensions": "dimensions",
        "request_timeout": "timeout",
    }

    def embed(self, texts: Sequence[str], input_type: str = "document") -> ModelResponse:
        """Embed texts and return the response with its metadata: `embeddings`, `usage`, `metadata.model`.

        Args:
            texts: Any number of texts; they are sent in batches.
            input_type: `document` or `query`; OCI Generative AI also accepts `CLASSIFICATION` and `CLUSTERING`.

        Raises:
            MDStreamError: A request failed after its retries. `error.partial` holds the vectors of the others.
        """
        return self._gather(texts, self._build_params(input_type), self.batch_size)

    async def aembed(self, texts: Sequence[str], input_type: str = "document") -> ModelResponse:
        """Async variant of `embed`."""
        return await self._agather(texts, self._build_params(input_type), self.batch_size)

    def embed_stream(
        self, texts: Iterable[str], input_type: str = "document", *, as_array: bool = False
    ) -> Generator[tuple[int, Any]]:
        """Embed the texts of an iterable of any length, and yield the index and the vector of each, in order.

        `max_concurrency` requests are in progress while the iterable is read and vectors are yielded, so millions of
        texts need no more memory than `4 * batch_size * max_concurrency`. Closing the generator, for example by leaving
        its loop, cancels the requests in progress.

        Args:
            texts: The texts. A generator is read in the calling thread.
            input_type: `document` or `query`; OCI Generative AI also accepts `CLASSIFICATION` and `CLUSTERING`.
            as_array: Whether the vectors are numpy arrays of 32-bit floats; lists of floats by default.

        Raises:
            MDStreamError: A request failed after its retries. Everything before it was yielded; `partial.embeddings`
                has the vectors after it that were received, each with the `index` of its text.
            TypeError: A text is no string. Everything before it was yielded, also if `texts` raises an exception.
            MissingExtra: `as_array`, and numpy is not installed.

        Example:
            >>> embedding = OCIDataScienceEmbedding(endpoint="http://127.0.0.1:1/ocid1.x", auth_type="none")
            >>> for index, vector in embedding.embed_stream(text for text in []):
            ...     print(index, len(vector))
        """
        params = self._build_params(input_type)
        results = self._get_service().embed_stream(
            self._resolve_dialect(),
            params,
            texts,
            batch_size=self.batch_size,
            max_concurrency=self.max_concurrency,
            as_array=as_array,
        )
        with closing(results):
            for result in results:  # noqa: UP028  # parallel to the async variant
                yield result

    async def aembed_stream(
        self, texts: Iterable[str] | AsyncIterable[str], input_type: str = "document", *, as_array: bool = False
    ) -> AsyncGenerator[tuple[int, Any]]:
        """Async variant of `embed_stream`, which also takes async iterables.

        Use `contextlib.aclosing` where the loop may be left early, so that the requests in progress end at once.
        """
        await self._prepare_service()
        params = self._build_params(input_type)
        results = self._get_service().aembed_stream(
            self._resolve_dialect(),
            params,
            texts,
            batch_size=self.batch_size,
            max_concurrency=self.max_concurrency,
            as_array=as_array,
        )
        async with aclosing(results):
            async for result in results:
                yield result

    def _get_query_embedding(self, query: str) -> Embedding:
        (vector,) = self._embed([query], "query")
        return vector

    async def _aget_query_embedding(self, query: str) -> Embedding:
        (vector,) = await self._aembed([query], "query")
        return vector

    def _get_text_embedding(self, text: str) -> Embedding:
        (vector,) = self._embed([text])
        return vector

    async def _aget_text_embedding(self, text: str) -> Embedding:
        (vector,) = await self._aembed([text])
        return vector

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._embed(texts)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await self._aembed(texts)

    def _embed(self, texts: list[str], input_type: str = "document") -> list[Embedding]:
        """Embed texts for LlamaIndex, which has acquired `rate_limiter` for the first request."""
        params = self._build_params(input_type)
        return to_vectors(self._gather(texts, params, self.batch_size, limiter_acquired=True))

    async def _aembed(self, texts: list[str], input_type: str = "document") -> list[Embedding]:
        """Async variant of `_embed`."""
        params = self._build_params(input_type)
        return to_vectors(await self._agather(texts, params, self.batch_size, limiter_acquired=True))

    def _gather(
        self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None, *, limiter_acquired: bool = False
    ) -> ModelResponse:
        return self._get_service().gather(
            self._resolve_dialect(),
            params,
            inputs,
            batch_size=batch_size,
            max_concurrency=self.max_concurrency,
            limiter_acquired=limiter_acquired,
        )

    async def _agather(
        self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None, *, limiter_acquired: bool = False
    ) -> ModelResponse:
        await self._prepare_service()
        return await self._get_service().agather(
            self._resolve_dialect(),
            params,
            inputs,
            batch_size=batch_size,
            max_concurrency=self.max_concurrency,
            limiter_acquired=limiter_acquired,
        )

    def _gather_array(self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None) -> Any:
        return self._get_service().gather_array(
            self._resolve_dialect(), params, inputs, batch_size=batch_size, max_concurrency=self.max_concurrency
        )

    async def _agather_array(self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None) -> Any:
        await self._prepare_service()
        return await self._get_service().agather_array(
            self._resolve_dialect(), params, inputs, batch_size=batch_size, max_concurrency=self.max_concurrency
        )

    def _build_params(self, input_type: str) -> dict[str, Any]:
        fields = {"model": self.model_name or None, "dimensions": self.dimensions, "input_type": input_type}
        return {**fields, **self.additional_kwargs, **(self.extra_body or {})}

    def _resolve_dialect(self) -> ListDialect:
        return embedding_dialect(self.dialect or self._default_dialect(self.model_name, "embeddings"))

    @model_validator(mode="after")
    def _validate(self) -> Self:
        Timeout.from_value(self.timeout)
        self._validate_fields()
        self._resolve_dialect()
        return self
