"""The base class of the embedding models, which convert texts to vectors."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, aclosing, closing
from typing import Any, ClassVar, Self

from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, model_validator

from langchain_mdstream._aliases import EmbeddingAliases
from langchain_mdstream._array_embeddings import ArrayEmbeddings
from langchain_mdstream._call_arguments import reject_connection_options
from langchain_mdstream._connection_fields import ConnectionFields, ModelKind
from langchain_mdstream._errors import map_errors
from langchain_mdstream._image_embeddings import ImageEmbeddings, to_vectors
from langchain_mdstream._rows import EmbeddingRows
from mdstream_core import MAX_IMAGE_BYTES, ListDialect, ModelResponse, Service, embedding_dialect, progress_bar
from mdstream_core.options import EmbeddingDialect


class EmbeddingModel(EmbeddingRows, EmbeddingAliases, ConnectionFields, ArrayEmbeddings, ImageEmbeddings, Embeddings):
    """Base class of the embedding models. The platform's mixin adds the endpoint and the authentication.

    Texts are split into batches of `batch_size`, and up to `max_concurrency` requests run at once. The result has one
    vector for each text, in order, or an error is raised. Each request is retried on its own (`max_retries`). If one
    fails, `error.partial.embeddings` has the vectors of the others, each with the `index` of its text.
    """

    __module__ = "langchain_mdstream.embeddings"  # where it is imported from, pickled and serialized

    # Unknown options are errors, without their values, which may be secrets.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    dialect: EmbeddingDialect | None = None
    """API format of the endpoint, such as `openai-embeddings`. `None` uses the default of the platform."""

    dimensions: int | None = None
    """Length of the vectors, for models that support shorter ones; also accepted as `output_dimensions`. `None` uses
    the model's length."""

    batch_size: int | None = None
    """Maximum number of texts per request; also accepted as `chunk_size`. `None` uses the limit of the service: 96
    on OCI Generative AI, 32 on TEI, 128 elsewhere, or a lower limit that the server reports."""

    max_concurrency: int = 4
    """Maximum number of requests at once, in threads (synchronous methods) or tasks (asynchronous methods)."""

    max_image_bytes: int = MAX_IMAGE_BYTES
    """Maximum size of an image in bytes; larger ones are rejected before a request. The default is 5 MiB, Cohere's
    limit."""

    show_progress_bar: bool = False
    """Whether to show a progress bar, which requires tqdm."""

    model_kind: ClassVar[ModelKind] = "embeddings"
    aliases: ClassVar[Mapping[str, str]] = {
        **ConnectionFields.aliases,
        "chunk_size": "batch_size",
        "output_dimensions": "dimensions",
    }

    def embed_documents(self, texts: list[str], chunk_size: int | None = None, **kwargs: Any) -> list[list[float]]:
        """Embed texts.

        Args:
            texts: Any number of texts.
            chunk_size: Maximum number of texts per request; overrides `batch_size`.
            kwargs: Additional fields of the requests.

        Returns:
            One vector for each text, in order and of equal length.

        Raises:
            ModelError: A request failed; `partial.embeddings` has the vectors of the others.

        Example:
            >>> from langchain_mdstream import OCIModelDeploymentEmbeddings
            >>> embeddings = OCIModelDeploymentEmbeddings(endpoint="http://127.0.0.1:1/ocid1.x", auth_type="none")
            >>> embeddings.embed_documents([])
            []
        """
        return to_vectors(self.embed(texts, "document", chunk_size=chunk_size, **kwargs))

    def embed_query(self, text: str, **kwargs: Any) -> list[float]:
        """Embed a query, with the input type `query` for models that distinguish it from documents."""
        (vector,) = to_vectors(self.embed([text], "query", **kwargs))
        return vector

    async def aembed_documents(
        self, texts: list[str], chunk_size: int | None = None, **kwargs: Any
    ) -> list[list[float]]:
        """Embed texts asynchronously; see `embed_documents`."""
        return to_vectors(await self.aembed(texts, "document", chunk_size=chunk_size, **kwargs))

    async def aembed_query(self, text: str, **kwargs: Any) -> list[float]:
        """Embed a query asynchronously; see `embed_query`."""
        (vector,) = to_vectors(await self.aembed([text], "query", **kwargs))
        return vector

    def embed(
        self, texts: Sequence[str], input_type: str = "document", *, chunk_size: int | None = None, **kwargs: Any
    ) -> ModelResponse:
        """Embed texts and return the whole response, with `embeddings`, `usage` and `metadata`.

        Args:
            texts: Any number of texts.
            input_type: `document` or `query`; OCI also supports `CLASSIFICATION` and `CLUSTERING`.
            chunk_size: Maximum number of texts per request; overrides `batch_size`.
            kwargs: Additional fields of the requests.
        """
        return self._gather(texts, self._build_params(input_type, kwargs), chunk_size or self.batch_size, kwargs)

    async def aembed(
        self, texts: Sequence[str], input_type: str = "document", *, chunk_size: int | None = None, **kwargs: Any
    ) -> ModelResponse:
        """Embed texts asynchronously and return the whole response; see `embed`."""
        return await self._agather(texts, self._build_params(input_type, kwargs), chunk_size or self.batch_size, kwargs)

    def embed_stream(
        self,
        texts: Iterable[str],
        input_type: str = "document",
        *,
        chunk_size: int | None = None,
        as_array: bool = False,
        **kwargs: Any,
    ) -> Generator[tuple[int, Any]]:
        """Embed the texts of an iterable of any length, and yield the index and the vector of each, in order.

        `max_concurrency` requests are in progress while the iterable is read and vectors are yielded, so millions of
        texts need no more memory than `4 * batch_size * max_concurrency`. Closing the generator, for example by leaving
        its loop, cancels the requests in progress.

        Args:
            texts: The texts. A generator is read in the calling thread.
            input_type: `document` or `query`; OCI also supports `CLASSIFICATION` and `CLUSTERING`.
            chunk_size: Maximum number of texts per request; overrides `batch_size`.
            as_array: Whether the vectors are numpy arrays of 32-bit floats; lists of floats by default.
            kwargs: Additional fields of the requests.

        Raises:
            ModelError: A request failed after its retries. Everything before it was yielded; `partial.embeddings` has
                the vectors after it that were received, each with the `index` of its text.
            TypeError: A text is no string. Everything before it was yielded, also if `texts` raises an exception.
            MissingExtra: `as_array`, and numpy is not installed.

        Example:
            >>> from langchain_mdstream import OCIModelDeploymentEmbeddings
            >>> embeddings = OCIModelDeploymentEmbeddings(endpoint="http://127.0.0.1:1/ocid1.x", auth_type="none")
            >>> for index, vector in embeddings.embed_stream(text for text in []):
            ...     print(index, len(vector))
        """
        params = self._build_params(input_type, kwargs)
        with map_errors(), self._progress_bar(_length(texts)) as on_progress:
            results = self._service_for(kwargs).embed_stream(
                self._embedding_dialect(params),
                params,
                texts,
                batch_size=chunk_size or self.batch_size,
                max_concurrency=self.max_concurrency,
                as_array=as_array,
                on_progress=on_progress,
            )
            with closing(results):
                yield from results

    async def aembed_stream(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        input_type: str = "document",
        *,
        chunk_size: int | None = None,
        as_array: bool = False,
        **kwargs: Any,
    ) -> AsyncGenerator[tuple[int, Any]]:
        """Embed the texts of an iterable or async iterable asynchronously; see `embed_stream`.

        Use `contextlib.aclosing` where the loop may be left early, so that the requests in progress end at once.
        """
        await self._prepare_service()
        params = self._build_params(input_type, kwargs)
        with map_errors(), self._progress_bar(_length(texts)) as on_progress:
            results = self._service_for(kwargs).aembed_stream(
                self._embedding_dialect(params),
                params,
                texts,
                batch_size=chunk_size or self.batch_size,
                max_concurrency=self.max_concurrency,
                as_array=as_array,
                on_progress=on_progress,
            )
            async with aclosing(results):
                async for result in results:
                    yield result

    def _gather(
        self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None, arguments: Mapping[str, Any]
    ) -> ModelResponse:
        with map_errors(), self._progress_bar(len(inputs)) as on_progress:
            return self._service_for(arguments).gather(
                self._embedding_dialect(params),
                params,
                inputs,
                batch_size=batch_size,
                max_concurrency=self.max_concurrency,
                on_progress=on_progress,
            )

    async def _agather(
        self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None, arguments: Mapping[str, Any]
    ) -> ModelResponse:
        await self._prepare_service()
        with map_errors(), self._progress_bar(len(inputs)) as on_progress:
            return await self._service_for(arguments).agather(
                self._embedding_dialect(params),
                params,
                inputs,
                batch_size=batch_size,
                max_concurrency=self.max_concurrency,
                on_progress=on_progress,
            )

    def _gather_array(
        self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None, arguments: Mapping[str, Any]
    ) -> Any:
        with map_errors(), self._progress_bar(len(inputs)) as on_progress:
            return self._service_for(arguments).gather_array(
                self._embedding_dialect(params),
                params,
                inputs,
                batch_size=batch_size,
                max_concurrency=self.max_concurrency,
                on_progress=on_progress,
            )

    async def _agather_array(
        self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None, arguments: Mapping[str, Any]
    ) -> Any:
        await self._prepare_service()
        with map_errors(), self._progress_bar(len(inputs)) as on_progress:
            return await self._service_for(arguments).agather_array(
                self._embedding_dialect(params),
                params,
                inputs,
                batch_size=batch_size,
                max_concurrency=self.max_concurrency,
                on_progress=on_progress,
            )

    def _progress_bar(self, count: int | None) -> AbstractContextManager[Callable[[int], object]]:
        return progress_bar(count, "Embedding", enabled=self.show_progress_bar and count not in {0, 1})

    def _service_for(self, arguments: Mapping[str, Any]) -> Service:
        """Return the service for the arguments of a call, of which the platform may send some as headers."""
        return self.service.with_headers(self._call_headers(arguments))

    def _build_params(self, input_type: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        sent = kwargs.keys() - self.header_arguments
        kwargs = {self.aliases.get(name, name): kwargs[name] for name in kwargs if name in sent}
        reject_connection_options(kwargs)
        params = {"model": self.model or None, "dimensions": self.dimensions, "input_type": input_type}
        return {**params, **self.model_kwargs, **kwargs, **(self.extra_body or {})}

    def _embedding_dialect(self, params: Mapping[str, Any]) -> ListDialect:
        return embedding_dialect(self.dialect or self._default_dialect(str(params.get("model") or "")))

    @model_validator(mode="after")
    def _mdstream_dialect(self) -> Self:
        self._embedding_dialect({})
        return self


def _length(texts: object) -> int | None:
    return len(texts) if isinstance(texts, Sized) else None
