"""Embedding models, which convert texts to vectors."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, model_validator

from langchain_mdstream._aliases import EmbeddingAliases
from langchain_mdstream._connection_fields import ConnectionFields, ModelKind, reject_connection_options
from langchain_mdstream._errors import map_errors
from langchain_mdstream._modelarts import ModelArtsMixin
from langchain_mdstream._oci import OCIGenerativeAIMixin, OCIModelDeploymentMixin
from langchain_mdstream._rows import EmbeddingRows
from langchain_mdstream._sagemaker import SageMakerMixin
from mdstream_core import ListDialect, ModelResponse, data_uri, embedding_dialect, progress_bar
from mdstream_core.options import EmbeddingDialect

InputType = Literal["document", "query"]

#: An image: a data URI, its bytes, or the path of its file.
Image = str | bytes | Path


class EmbeddingModel(EmbeddingRows, EmbeddingAliases, ConnectionFields, Embeddings):
    """Base class of the embedding models. The platform's mixin adds the endpoint and the authentication.

    Texts are split into batches of `batch_size`, and up to `max_concurrency` requests run at once. The result has one
    vector for each text, in order, or an error is raised. Each request is retried on its own (`max_retries`). If one
    fails, `error.partial.embeddings` has the vectors of the others, each with the `index` of its text.
    """

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
            >>> embeddings = OCIModelDeploymentEmbeddings(endpoint="http://127.0.0.1:1/ocid1.x", auth_type="none")
            >>> embeddings.embed_documents([])
            []
        """
        return _vectors(self.embed(texts, "document", chunk_size=chunk_size, **kwargs))

    def embed_query(self, text: str, **kwargs: Any) -> list[float]:
        """Embed a query, with the input type `query` for models that distinguish it from documents."""
        (vector,) = _vectors(self.embed([text], "query", **kwargs))
        return vector

    async def aembed_documents(
        self, texts: list[str], chunk_size: int | None = None, **kwargs: Any
    ) -> list[list[float]]:
        """Embed texts asynchronously; see `embed_documents`."""
        return _vectors(await self.aembed(texts, "document", chunk_size=chunk_size, **kwargs))

    async def aembed_query(self, text: str, **kwargs: Any) -> list[float]:
        """Embed a query asynchronously; see `embed_query`."""
        (vector,) = _vectors(await self.aembed([text], "query", **kwargs))
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
        return self._gather(texts, self._build_params(input_type, kwargs), chunk_size or self.batch_size)

    async def aembed(
        self, texts: Sequence[str], input_type: str = "document", *, chunk_size: int | None = None, **kwargs: Any
    ) -> ModelResponse:
        """Embed texts asynchronously and return the whole response; see `embed`."""
        return await self._agather(texts, self._build_params(input_type, kwargs), chunk_size or self.batch_size)

    def _gather(self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None) -> ModelResponse:
        with map_errors(), self._progress_bar(len(inputs)) as on_progress:
            return self.service.gather(
                self._embedding_dialect(params),
                params,
                inputs,
                batch_size=batch_size,
                max_concurrency=self.max_concurrency,
                on_progress=on_progress,
            )

    async def _agather(self, inputs: Sequence[str], params: dict[str, Any], batch_size: int | None) -> ModelResponse:
        await self._prepare_service()
        with map_errors(), self._progress_bar(len(inputs)) as on_progress:
            return await self.service.agather(
                self._embedding_dialect(params),
                params,
                inputs,
                batch_size=batch_size,
                max_concurrency=self.max_concurrency,
                on_progress=on_progress,
            )

    def _progress_bar(self, count: int) -> AbstractContextManager[Callable[[int], object]]:
        return progress_bar(count, "Embedding", enabled=self.show_progress_bar and count > 1)

    def _build_params(self, input_type: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        kwargs = {self.aliases.get(name, name): value for name, value in kwargs.items()}
        reject_connection_options(kwargs)
        params = {"model": self.model or None, "dimensions": self.dimensions, "input_type": input_type}
        return {**params, **self.model_kwargs, **kwargs, **(self.extra_body or {})}

    def _embedding_dialect(self, params: Mapping[str, Any]) -> ListDialect:
        return embedding_dialect(self.dialect or self._default_dialect(str(params.get("model") or "")))

    @model_validator(mode="after")
    def _mdstream_dialect(self) -> Self:
        self._embedding_dialect({})
        return self


def _vectors(response: ModelResponse) -> list[list[float]]:
    return [embedding.vector for embedding in response.embeddings]


class OCIModelDeploymentEmbeddings(OCIModelDeploymentMixin, EmbeddingModel):
    """Embedding model on an OCI Data Science model deployment: vLLM, llama.cpp, infinity or TEI.

    Requests use `/v1/embeddings`, and base64 for the vectors where the server supports it. `dialect="tei-embeddings"`
    uses TEI's own API.

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain,oci-lite]"
        export OCI_LLM_ENDPOINT="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1…"  # or endpoint=
        ```

    Instantiate:
        >>> embeddings = OCIModelDeploymentEmbeddings(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.datasciencemodeldeployment.x",
        ...     auth_type="resource_principal",
        ... )

    Embed:
        ```python
        vectors = embeddings.embed_documents(["Rome is in Italy.", "Paris is in France."])
        vector = embeddings.embed_query("Where is Rome?")
        ```

    Async:
        ```python
        vectors = await embeddings.aembed_documents(["Rome is in Italy.", "Paris is in France."])
        ```
    """

    @classmethod
    def _translate_aliases(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Translate langchain-oci's `endpoint_kwargs`, arguments of `requests.post`, to fields."""
        arguments = values.pop("endpoint_kwargs", None) or {}
        if unknown := arguments.keys() - _REQUESTS_OPTIONS.keys():
            raise ValueError(
                f"endpoint_kwargs: unsupported arguments: {', '.join(sorted(unknown))} "
                f"(hint: use {', '.join(_REQUESTS_OPTIONS)}, and fields such as proxy and http_client for the rest)"
            )
        fields = {_REQUESTS_OPTIONS[name]: value for name, value in arguments.items()}
        return {**values, **{name: value for name, value in fields.items() if values.get(name) is None}}


#: Alias: langchain-oci's name of the class.
OCIModelDeploymentEndpointEmbeddings = OCIModelDeploymentEmbeddings

#: Arguments of `requests.post`, and the fields that they correspond to.
_REQUESTS_OPTIONS = {"headers": "default_headers", "timeout": "timeout", "verify": "verify"}


class OCIGenAIEmbeddings(OCIGenerativeAIMixin, EmbeddingModel):
    """Embedding model of OCI Generative AI, for texts and images.

    Texts are sent as queries or documents, up to 96 per request.

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain,oci-lite]"
        oci setup config  # or auth_type=
        ```

    Instantiate:
        >>> embeddings = OCIGenAIEmbeddings(
        ...     model="cohere.embed-v4.0", region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa"
        ... )

    Embed:
        ```python
        vectors = embeddings.embed_documents(["Rome is in Italy.", "Paris is in France."])
        vector = embeddings.embed_query("Where is Rome?")
        ```

    Async:
        ```python
        vectors = await embeddings.aembed_documents(["Rome is in Italy.", "Paris is in France."])
        ```
    """

    truncate: Literal["NONE", "START", "END"] | None = "END"
    """Which end of a text to truncate if it is longer than the model's limit (512 tokens): `START` or `END`. `NONE`
    raises an error instead."""

    input_type: str | None = None
    """Input type of all texts, such as `CLUSTERING`. `None` distinguishes queries and documents."""

    def embed_image(self, image: Image, mime_type: str | None = None) -> list[float]:
        """Embed an image. Models for both texts and images return comparable vectors.

        Args:
            image: A data URI, the image's bytes, or the path of its file.
            mime_type: Media type, such as `image/png`. `None` detects it from the first bytes.
        """
        return self.embed_images([image], mime_type)[0]

    async def aembed_image(self, image: Image, mime_type: str | None = None) -> list[float]:
        """Embed an image asynchronously; see `embed_image`."""
        return (await self.aembed_images([image], mime_type))[0]

    def embed_images(self, images: Sequence[Image], mime_type: str | None = None) -> list[list[float]]:
        """Embed images, each in a request of its own, as the service requires."""
        uris = [data_uri(image, mime_type) for image in images]
        return _vectors(self._gather(uris, self._build_params("IMAGE", {}), 1))

    async def aembed_images(self, images: Sequence[Image], mime_type: str | None = None) -> list[list[float]]:
        """Embed images asynchronously; see `embed_images`."""
        uris = [data_uri(image, mime_type) for image in images]
        return _vectors(await self._agather(uris, self._build_params("IMAGE", {}), 1))

    def embed_image_batch(self, images: Sequence[Image], mime_type: str | None = None) -> list[list[float]]:
        """Embed images: langchain-oci's name of `embed_images`."""
        return self.embed_images(images, mime_type)

    async def aembed_image_batch(self, images: Sequence[Image], mime_type: str | None = None) -> list[list[float]]:
        """Embed images asynchronously: langchain-oci's name of `aembed_images`."""
        return await self.aembed_images(images, mime_type)

    def _build_params(self, input_type: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        is_text = input_type != "IMAGE"
        kind = self.input_type if self.input_type and is_text else input_type
        return super()._build_params(kind, {"truncate": self.truncate if is_text else None, **kwargs})


class SagemakerEndpointEmbeddings(SageMakerMixin, EmbeddingModel):
    """Embedding model on an Amazon SageMaker endpoint: TEI, LMI, Hugging Face's toolkit, vLLM or JumpStart.

    Requests have `inputs`; if the container rejects that, `input` (vLLM) or `text_inputs` (JumpStart) is tried.
    `dialect="openai-embeddings"` or `"jumpstart-embeddings"` uses these directly.

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain,aws]"
        export AWS_PROFILE="my-profile"  # or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY …
        ```

    Instantiate:
        >>> embeddings = SagemakerEndpointEmbeddings(endpoint_name="my-endpoint", region_name="us-east-1")

    Embed:
        ```python
        vectors = embeddings.embed_documents(["Rome is in Italy.", "Paris is in France."])
        vector = embeddings.embed_query("Where is Rome?")
        ```

    Async:
        ```python
        vectors = await embeddings.aembed_documents(["Rome is in Italy.", "Paris is in France."])
        ```
    """

    def _embedding_dialect(self, params: Mapping[str, Any]) -> ListDialect:
        if self.content_handler is None:
            return super()._embedding_dialect(params)
        resolved: Any = self._resolve_dialect(params, stream=False)
        dialect: ListDialect = resolved
        return dialect


class ModelArtsEmbeddings(ModelArtsMixin, EmbeddingModel):
    """Embedding model on a Huawei ModelArts real-time service, or on MaaS.

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain]"
        export MODELARTS_API_KEY="…"  # or HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK
        ```

    Instantiate:
        >>> embeddings = ModelArtsEmbeddings(
        ...     endpoint="https://api.modelarts-maas.com/v1", model="bge-m3", api_key="..."
        ... )

    Embed:
        ```python
        vectors = embeddings.embed_documents(["Rome is in Italy.", "Paris is in France."])
        vector = embeddings.embed_query("Where is Rome?")
        ```

    Async:
        ```python
        vectors = await embeddings.aembed_documents(["Rome is in Italy.", "Paris is in France."])
        ```
    """
