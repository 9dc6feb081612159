"""Embedding classes, one per platform."""

from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Sequence
from contextlib import aclosing, closing
from typing import Any, ClassVar, Literal, Self

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.embeddings.loading import RECOGNIZED_EMBEDDINGS
from pydantic import Field, model_validator

from llamaindex_mdstream._aliases import EmbeddingAliases
from llamaindex_mdstream._array_embeddings import ArrayEmbeddings
from llamaindex_mdstream._connection_fields import ConnectionFields
from llamaindex_mdstream._content_handlers import handler_embedding_dialect
from llamaindex_mdstream._image_embeddings import ImageEmbeddings, to_vectors
from llamaindex_mdstream._modelarts import ModelArtsMixin
from llamaindex_mdstream._oci import OCIGenerativeAIMixin, OCIModelDeploymentMixin
from llamaindex_mdstream._rows import EmbeddingRows
from llamaindex_mdstream._sagemaker import SageMakerMixin
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


class OCIDataScienceEmbedding(OCIModelDeploymentMixin, MDStreamEmbedding):
    """Embeddings of OCI Data Science model deployments (vLLM, llama.cpp, infinity, TEI).

    TEI needs `dialect="tei-embeddings"`. Install, authentication and connection fields are those of `OCIDataScience`.

    Example:
        >>> embedding = OCIDataScienceEmbedding(endpoint="http://127.0.0.1:8080/ocid1.x", auth_type="none")
        >>> embedding.class_name()
        'mdstream_oci_model_deployment_embedding'
        >>> vectors = embedding.get_text_embedding_batch(["The Nile", "The Alps"])  # doctest: +SKIP
    """

    model_name: str = Field(default="odsc-llm", description="Name of the model on the server.")

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_oci_model_deployment_embedding"


#: Embedding models of OCI Generative AI, as documented by Oracle ("Embed models", read 2026-11).
_OCI_GENAI_MODELS = (
    "cohere.embed-v4.0",
    "cohere.embed-english-v3.0",
    "cohere.embed-english-light-v3.0",
    "cohere.embed-multilingual-v3.0",
    "cohere.embed-multilingual-light-v3.0",
    "cohere.embed-english-image-v3.0",
    "cohere.embed-english-light-image-v3.0",
    "cohere.embed-multilingual-image-v3.0",
    "cohere.embed-multilingual-light-image-v3.0",
    "cohere.embed-english-light-v2.0",
)


class OCIGenAIEmbeddings(OCIGenerativeAIMixin, MDStreamEmbedding):
    """Embeddings of OCI Generative AI, for texts and images.

    Queries and documents are embedded with their own input type. Install, authentication and connection fields are
    those of `OCIGenAI`.

    Example:
        >>> embedding = OCIGenAIEmbeddings(
        ...     model_name="cohere.embed-v4.0", region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa"
        ... )
        >>> embedding.model_name
        'cohere.embed-v4.0'
        >>> vector = embedding.get_query_embedding("Which river is the longest?")  # doctest: +SKIP
    """

    truncate: Literal["NONE", "START", "END"] | None = Field(
        default="END",
        description="Which end of a text that is too long for the model is truncated: `START` or `END`. With `NONE` "
        "the service rejects it.",
    )
    input_type: str | None = Field(
        default=None,
        description="Input type of all texts, such as `CLUSTERING`. Default: queries and documents by their use.",
    )

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_oci_genai_embedding"

    @staticmethod
    def list_supported_models() -> list[str]:
        """Return the names of the service's embedding models, those for images included. Other names work too."""
        return list(_OCI_GENAI_MODELS)

    def _build_params(self, input_type: str) -> dict[str, Any]:
        is_text = input_type != "IMAGE"
        kind = self.input_type if self.input_type and is_text else input_type
        return {"truncate": self.truncate if is_text else None, **super()._build_params(kind)}

    def _validate_fields(self) -> None:
        super()._validate_fields()
        if not self.model_name:
            raise ValueError(
                "model_name is missing (hint: set a name such as 'cohere.embed-v4.0', or an endpoint's OCID)"
            )
        if not self.compartment_id:
            raise ValueError(
                "compartment_id is missing (hint: set the OCID of the compartment to bill, ocid1.compartment.oc1..…)"
            )


class SageMakerEmbedding(SageMakerMixin, MDStreamEmbedding):
    """Embeddings of Amazon SageMaker endpoints (TEI, LMI, vLLM, JumpStart).

    The API format of the container is detected from its first response; `dialect` sets it. Install, authentication and
    connection fields are those of `SageMakerLLM`.

    Example:
        >>> embedding = SageMakerEmbedding(endpoint_name="my-endpoint", region_name="us-east-1")
        >>> embedding.endpoint_name
        'my-endpoint'
        >>> vector = embedding.get_query_embedding("Which river is the longest?")  # doctest: +SKIP
    """

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_sagemaker_embedding"

    def _resolve_dialect(self) -> ListDialect:
        if self.content_handler is None:
            return super()._resolve_dialect()
        return handler_embedding_dialect(self.content_handler)


class ModelArtsEmbedding(ModelArtsMixin, MDStreamEmbedding):
    """Embeddings of Huawei ModelArts real-time services and of MaaS.

    MaaS requires `model_name`. Install, authentication and connection fields are those of `ModelArts`.

    Example:
        >>> embedding = ModelArtsEmbedding(
        ...     endpoint="https://api.modelarts-maas.com/v1", model_name="bge-m3", api_key="..."
        ... )
        >>> embedding.model_name
        'bge-m3'
        >>> vector = embedding.get_query_embedding("Which river is the longest?")  # doctest: +SKIP
    """

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_modelarts_embedding"


def _register(*classes: type[BaseEmbedding]) -> None:
    """Make the classes known to `llama_index.core.embeddings.loading.load_embed_model`."""
    RECOGNIZED_EMBEDDINGS.update({cls.class_name(): cls for cls in classes})


_register(OCIDataScienceEmbedding, OCIGenAIEmbeddings, SageMakerEmbedding, ModelArtsEmbedding)
