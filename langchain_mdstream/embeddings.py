"""Embeddings: texts in, vectors out."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, model_validator

from langchain_mdstream._aliases import EmbeddingAliases
from langchain_mdstream._connection_fields import ConnectionFields, ModelKind, reject_connection_options
from langchain_mdstream._errors import map_errors
from langchain_mdstream._platforms import ModelArtsMixin, OCIGenerativeAIMixin, OCIModelDeploymentMixin, SageMakerMixin
from mdstream_core import ListDialect, ModelResponse, data_uri, embedding_dialect, progress_bar
from mdstream_core.options import EmbeddingDialect

InputType = Literal["document", "query"]

#: A data URI, bytes, or a file.
Image = str | bytes | Path


class EmbeddingModel(EmbeddingAliases, ConnectionFields, Embeddings):
    """An embedding model on any platform: what differs is where it is asked.

    A list of any length is cut into requests that the service takes, a few of which are under way at once; the vectors
    come in the order of the texts, one for each, or an error comes. Each request is asked again on its own
    (`max_retries`). Where one fails for good, the vectors of the others are in `error.partial.embeddings`, each with
    the `index` of its text.
    """

    # A misspelt option is told, not swallowed, and no value is shown with it: it may be a secret.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    dialect: EmbeddingDialect | None = None
    """The API format of the endpoint; by default that of the platform's models. See `mdstream_core.dialects`."""

    dimensions: int | None = None
    """The length of the vectors, for models that can shorten them."""

    batch_size: int | None = None
    """Texts of one request; also accepted as `chunk_size`. By default what the service takes: 96 on OCI Generative AI,
    32 on TEI, 128 elsewhere; less where the server reports a lower limit."""

    max_concurrency: int = 4
    """How many requests may be under way, in synchronous code (threads) and asynchronous (tasks)."""

    show_progress_bar: bool = False
    """Whether `embed_documents` shows a bar, with tqdm."""

    model_kind: ClassVar[ModelKind] = "embeddings"
    aliases: ClassVar[Mapping[str, str]] = {
        **ConnectionFields.aliases,
        "chunk_size": "batch_size",
        "output_dimensions": "dimensions",
    }

    def embed_documents(self, texts: list[str], chunk_size: int | None = None, **kwargs: Any) -> list[list[float]]:
        """One vector for each text, in order.

        Args:
            texts: Any number of texts.
            chunk_size: Texts of one request, this time.
            kwargs: Further fields of the requests.

        Returns:
            `len(texts)` vectors of equal length.

        Raises:
            ModelError: A request failed for good; `partial.embeddings` has what the others gave.

        Example:
            >>> embeddings = OCIModelDeploymentEmbeddings(endpoint="http://127.0.0.1:1/ocid1.x", auth_type="none")
            >>> embeddings.embed_documents([])
            []
        """
        return _vectors(self.embed(texts, "document", chunk_size=chunk_size, **kwargs))

    def embed_query(self, text: str, **kwargs: Any) -> list[float]:
        """The vector of a question. Models that tell questions from documents are told which it is."""
        (vector,) = _vectors(self.embed([text], "query", **kwargs))
        return vector

    async def aembed_documents(
        self, texts: list[str], chunk_size: int | None = None, **kwargs: Any
    ) -> list[list[float]]:
        """One vector for each text, in order, without a thread."""
        return _vectors(await self.aembed(texts, "document", chunk_size=chunk_size, **kwargs))

    async def aembed_query(self, text: str, **kwargs: Any) -> list[float]:
        """The vector of a question, without a thread."""
        (vector,) = _vectors(await self.aembed([text], "query", **kwargs))
        return vector

    def embed(
        self, texts: Sequence[str], input_type: str = "document", *, chunk_size: int | None = None, **kwargs: Any
    ) -> ModelResponse:
        """The vectors with what is known of them: `reply.embeddings`, `reply.usage`, `reply.served.model`.

        Args:
            texts: Any number of texts.
            input_type: `document` or `query`; OCI also knows `CLASSIFICATION`, `CLUSTERING`.
            chunk_size: Texts of one request, this time.
            kwargs: Further fields of the requests.
        """
        return self._gather(texts, self._build_params(input_type, kwargs), chunk_size or self.batch_size)

    async def aembed(
        self, texts: Sequence[str], input_type: str = "document", *, chunk_size: int | None = None, **kwargs: Any
    ) -> ModelResponse:
        """The same, for asynchronous code."""
        return await self._agather(texts, self._build_params(input_type, kwargs), chunk_size or self.batch_size)

    def _gather(self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None) -> ModelResponse:
        with map_errors(), self._progress_bar(len(inputs)) as told:
            return self.service.gather(
                self._embedding_dialect(params),
                params,
                inputs,
                batch_size=batch_size,
                max_concurrency=self.max_concurrency,
                on_progress=told,
            )

    async def _agather(self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None) -> ModelResponse:
        await self._prepare_service()
        with map_errors(), self._progress_bar(len(inputs)) as told:
            return await self.service.agather(
                self._embedding_dialect(params),
                params,
                inputs,
                batch_size=batch_size,
                max_concurrency=self.max_concurrency,
                on_progress=told,
            )

    def _progress_bar(self, count: int) -> AbstractContextManager[Callable[[int], object]]:
        return progress_bar(count, "Embedding", enabled=self.show_progress_bar and count > 1)

    def _build_params(self, input_type: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        kwargs = {self.aliases.get(name, name): value for name, value in kwargs.items()}
        reject_connection_options(kwargs)
        said = {"model": self.model or None, "dimensions": self.dimensions, "input_type": input_type}
        return {**said, **self.model_kwargs, **kwargs, **(self.extra_body or {})}

    def _embedding_dialect(self, params: Mapping[str, Any]) -> ListDialect:
        return embedding_dialect(self.dialect or self._default_dialect(str(params.get("model") or "")))

    @model_validator(mode="after")
    def _mdstream_dialect(self) -> Self:
        self._embedding_dialect({})
        return self


def _vectors(response: ModelResponse) -> list[list[float]]:
    return [one.vector for one in response.embeddings]


class OCIModelDeploymentEmbeddings(OCIModelDeploymentMixin, EmbeddingModel):
    """Embeddings of an OCI Data Science model deployment: vLLM, llama.cpp, infinity (`/v1/embeddings`), or TEI.

    Numbers travel as base64 where the server knows how. TEI's own form is `dialect="tei-embeddings"`.

    Example:
        >>> embeddings = OCIModelDeploymentEmbeddings(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.datasciencemodeldeployment.x",
        ...     auth_type="resource_principal",
        ... )
    """

    @classmethod
    def _translate_aliases(cls, values: dict[str, Any]) -> dict[str, Any]:
        """langchain-oci's `endpoint_kwargs`, which go to `requests.post` there, as our fields."""
        given = values.pop("endpoint_kwargs", None) or {}
        if unknown := given.keys() - _REQUESTS_OPTIONS.keys():
            raise ValueError(
                f"endpoint_kwargs: {', '.join(sorted(unknown))} cannot be said there; known are "
                f"{', '.join(_REQUESTS_OPTIONS)}: the rest are fields, such as proxy and http_client"
            )
        told = {_REQUESTS_OPTIONS[name]: value for name, value in given.items()}
        return {**values, **{name: value for name, value in told.items() if values.get(name) is None}}


#: The same class under the name that langchain-oci has for it.
OCIModelDeploymentEndpointEmbeddings = OCIModelDeploymentEmbeddings

#: Arguments of `requests.post` by our names.
_REQUESTS_OPTIONS = {"headers": "default_headers", "timeout": "timeout", "verify": "verify"}


class OCIGenAIEmbeddings(OCIGenerativeAIMixin, EmbeddingModel):
    """Embeddings of OCI Generative AI, 96 texts to a request, told apart as queries and documents; and of images.

    Example:
        >>> embeddings = OCIGenAIEmbeddings(
        ...     model="cohere.embed-v4.0", region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa"
        ... )
    """

    truncate: Literal["NONE", "START", "END"] | None = "END"
    """Which end of a text is cut off that is longer than the model takes (512 tokens); `NONE` refuses it."""

    input_type: str | None = None
    """What all inputs are, such as `CLUSTERING`; by default queries and documents are told apart."""

    def embed_image(self, image: Image, mime_type: str | None = None) -> list[float]:
        """The vector of an image, comparable to those of texts where the model embeds both.

        Args:
            image: A data URI, the image's bytes, or its file.
            mime_type: Such as `image/png`; by default what the image begins with says it.
        """
        return self.embed_images([image], mime_type)[0]

    async def aembed_image(self, image: Image, mime_type: str | None = None) -> list[float]:
        """The vector of an image, without a thread."""
        return (await self.aembed_images([image], mime_type))[0]

    def embed_images(self, images: Sequence[Image], mime_type: str | None = None) -> list[list[float]]:
        """One vector for each image. The service takes one image a request."""
        uris = [data_uri(image, mime_type) for image in images]
        return _vectors(self._gather(uris, self._build_params("IMAGE", {}), 1))

    async def aembed_images(self, images: Sequence[Image], mime_type: str | None = None) -> list[list[float]]:
        """One vector for each image, without a thread."""
        uris = [data_uri(image, mime_type) for image in images]
        return _vectors(await self._agather(uris, self._build_params("IMAGE", {}), 1))

    def embed_image_batch(self, images: Sequence[Image], mime_type: str | None = None) -> list[list[float]]:
        """The same as `embed_images`, under langchain-oci's name."""
        return self.embed_images(images, mime_type)

    async def aembed_image_batch(self, images: Sequence[Image], mime_type: str | None = None) -> list[list[float]]:
        """The same as `aembed_images`, under langchain-oci's name."""
        return await self.aembed_images(images, mime_type)

    def _build_params(self, input_type: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        is_text = input_type != "IMAGE"
        kind = self.input_type if self.input_type and is_text else input_type
        return super()._build_params(kind, {"truncate": self.truncate if is_text else None, **kwargs})


class SagemakerEndpointEmbeddings(SageMakerMixin, EmbeddingModel):
    """Embeddings of an Amazon SageMaker endpoint: TEI, LMI, Hugging Face's toolkit, vLLM, or JumpStart.

    The request has `inputs`, and, where the container rejects that, `input` (vLLM) or `text_inputs` (JumpStart);
    `dialect="openai-embeddings"` or `"jumpstart-embeddings"` sends these at once.

    Example:
        >>> embeddings = SagemakerEndpointEmbeddings(endpoint_name="my-endpoint", region_name="us-east-1")
    """

    def _embedding_dialect(self, params: Mapping[str, Any]) -> ListDialect:
        if self.content_handler is None:
            return super()._embedding_dialect(params)
        spoken: Any = self._resolve_dialect(params, stream=False)
        handled: ListDialect = spoken
        return handled


class ModelArtsEmbeddings(ModelArtsMixin, EmbeddingModel):
    """Embeddings of a Huawei ModelArts real-time service, or of MaaS.

    Example:
        >>> embeddings = ModelArtsEmbeddings(
        ...     endpoint="https://api.modelarts-maas.com/v1", model="bge-m3", api_key="..."
        ... )
    """
