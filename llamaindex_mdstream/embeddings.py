"""The embedding models, one class for each platform."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.embeddings.loading import RECOGNIZED_EMBEDDINGS
from llama_index.core.embeddings.multi_modal_base import MultiModalEmbedding
from llama_index.core.schema import ImageType
from pydantic import Field, model_validator

from llamaindex_mdstream._aliases import EmbeddingAliases
from llamaindex_mdstream._connection_fields import ConnectionFields
from llamaindex_mdstream._platforms import ModelArtsMixin, OCIGenerativeAIMixin, OCIModelDeploymentMixin, SageMakerMixin
from mdstream_core import ListDialect, ModelResponse, Timeout, data_uri, embedding_dialect
from mdstream_core.options import EmbeddingDialect


class MDStreamEmbedding(EmbeddingAliases, ConnectionFields, BaseEmbedding):
    """An embedding model that a cloud hosts: a vector for each text, in order, or an error.

    Core hands over `embed_batch_size` texts at a time; these are cut further into what the service takes, and at most
    `max_concurrency` requests are under way, whoever asks. Each is asked again on its own (`max_retries`). Where one
    fails for good, `error.partial.embeddings` has what the others gave, each with the `index` of its text.
    """

    dialect: EmbeddingDialect | None = Field(
        default=None, description="The API format of the endpoint; default: that of the platform's models."
    )
    model_name: str = Field(default="", description="The model's name; not sent where it is empty.")
    embed_batch_size: int = Field(default=512, gt=0, le=2048, description="Texts that core hands over at once.")
    batch_size: int | None = Field(default=None, gt=0, description="Texts of one request; default: the service's most.")
    max_concurrency: int = Field(default=4, gt=0, description="How many requests may be under way at once.")
    dimensions: int | None = Field(
        default=None, gt=0, description="The vectors' length, if the model can shorten them."
    )
    additional_kwargs: dict[str, Any] = Field(default_factory=dict, description="Further fields of each request.")

    _other_names: ClassVar[dict[str, str]] = {
        "model": "model_name",
        "model_id": "model_name",
        "request_timeout": "timeout",
    }

    def embed(self, texts: Sequence[str], input_type: str = "document") -> ModelResponse:
        """The vectors with what is known of them: `reply.embeddings`, `reply.usage`, `reply.served.model`.

        Args:
            texts: Any number of texts.
            input_type: `document` or `query`; OCI also knows `CLASSIFICATION`, `CLUSTERING`.

        Raises:
            MDStreamError: A request failed for good; `partial` has what the others gave.
        """
        return self._gather(texts, self._build_params(input_type), self.batch_size)

    async def aembed(self, texts: Sequence[str], input_type: str = "document") -> ModelResponse:
        """`embed`, awaited."""
        return await self._agather(texts, self._build_params(input_type), self.batch_size)

    def _get_query_embedding(self, query: str) -> Embedding:
        (vector,) = _vectors(self.embed([query], "query"))
        return vector

    async def _aget_query_embedding(self, query: str) -> Embedding:
        (vector,) = _vectors(await self.aembed([query], "query"))
        return vector

    def _get_text_embedding(self, text: str) -> Embedding:
        (vector,) = _vectors(self.embed([text]))
        return vector

    async def _aget_text_embedding(self, text: str) -> Embedding:
        (vector,) = _vectors(await self.aembed([text]))
        return vector

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return _vectors(self.embed(texts))

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return _vectors(await self.aembed(texts))

    def _gather(self, inputs: Sequence[str], question: dict[str, Any], batch_size: int | None) -> ModelResponse:
        return self._get_service().gather(
            self._resolve_dialect(), question, inputs, batch_size=batch_size, max_concurrency=self.max_concurrency
        )

    async def _agather(self, inputs: Sequence[str], question: dict[str, Any], batch_size: int | None) -> ModelResponse:
        await self._prepare_service()
        return await self._get_service().agather(
            self._resolve_dialect(), question, inputs, batch_size=batch_size, max_concurrency=self.max_concurrency
        )

    def _build_params(self, input_type: str) -> dict[str, Any]:
        said = {"model": self.model_name or None, "dimensions": self.dimensions, "input_type": input_type}
        return {**said, **self.additional_kwargs, **(self.extra_body or {})}

    def _resolve_dialect(self) -> ListDialect:
        return embedding_dialect(self.dialect or self._default_dialect(self.model_name, "embeddings"))

    @model_validator(mode="after")
    def _validate(self) -> Self:
        Timeout.from_value(self.timeout)
        self._validate_fields()
        self._resolve_dialect()
        return self


def _vectors(response: ModelResponse) -> list[Embedding]:
    return [one.vector for one in response.embeddings]


class OCIDataScienceEmbedding(OCIModelDeploymentMixin, MDStreamEmbedding):
    """Embeddings of an OCI Data Science model deployment: vLLM, llama.cpp, infinity, or TEI (`dialect`).

    Args:
        endpoint: The deployment's URL or OCID.
        model_name: The model's name, as the server knows it.

    The fields of the connection are those of `OCIDataScience`.

    Example:
        >>> embedding = OCIDataScienceEmbedding(endpoint="http://127.0.0.1:8080/ocid1.x", auth_type="none")
        >>> embedding.class_name()
        'mdstream_oci_model_deployment_embedding'
    """

    model_name: str = Field(default="odsc-llm", description="The model's name, as the server knows it.")

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_oci_model_deployment_embedding"


class OCIGenAIEmbeddings(OCIGenerativeAIMixin, MDStreamEmbedding, MultiModalEmbedding):
    """Embeddings of OCI Generative AI, of texts and of images; queries and documents are told apart.

    Args:
        model_name: Such as `cohere.embed-v4.0`, or the OCID of a dedicated cluster's endpoint.
        truncate: Which end of a text is cut off that is longer than the model takes: `START`, `END`; `NONE` refuses.
        input_type: What all inputs are, such as `CLUSTERING`; default: queries and documents.

    The fields of the connection are those of `OCIGenAI`.

    Example:
        >>> embedding = OCIGenAIEmbeddings(
        ...     model_name="cohere.embed-v4.0", region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa"
        ... )
        >>> embedding.model_name
        'cohere.embed-v4.0'
    """

    truncate: Literal["NONE", "START", "END"] | None = Field(default="END", description="Which end may be cut off.")
    input_type: str | None = Field(default=None, description="What all inputs are; default: queries and documents.")

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_oci_genai_embedding"

    def _get_image_embedding(self, img_file_path: ImageType) -> Embedding:
        (vector,) = self._get_image_embeddings([img_file_path])
        return vector

    async def _aget_image_embedding(self, img_file_path: ImageType) -> Embedding:
        (vector,) = await self._aget_image_embeddings([img_file_path])
        return vector

    def _get_image_embeddings(self, img_file_paths: list[ImageType]) -> list[Embedding]:
        return _vectors(self._gather([_image(one) for one in img_file_paths], self._build_params("IMAGE"), 1))

    async def _aget_image_embeddings(self, img_file_paths: list[ImageType]) -> list[Embedding]:
        return _vectors(await self._agather([_image(one) for one in img_file_paths], self._build_params("IMAGE"), 1))

    def _build_params(self, input_type: str) -> dict[str, Any]:
        is_text = input_type != "IMAGE"
        kind = self.input_type if self.input_type and is_text else input_type
        return {"truncate": self.truncate if is_text else None, **super()._build_params(kind)}

    def _validate_fields(self) -> None:
        super()._validate_fields()
        if not self.model_name:
            raise ValueError("model_name is missing: give one such as 'cohere.embed-v4.0', or an endpoint's OCID")
        if not self.compartment_id:
            raise ValueError("compartment_id is missing: the service bills a compartment, ocid1.compartment.oc1..…")


class SageMakerEmbedding(SageMakerMixin, MDStreamEmbedding):
    """Embeddings of an Amazon SageMaker endpoint: TEI, LMI, vLLM or JumpStart, found out; `dialect` says it at once.

    Args:
        endpoint_name: The endpoint's name.

    The fields of the connection are those of `SageMakerLLM`.

    Example:
        >>> SageMakerEmbedding(endpoint_name="my-endpoint", region_name="us-east-1").endpoint_name
        'my-endpoint'
    """

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_sagemaker_embedding"


class ModelArtsEmbedding(ModelArtsMixin, MDStreamEmbedding):
    """Embeddings of a Huawei ModelArts real-time service, or of MaaS.

    Args:
        endpoint: The service's address, or MaaS's base.
        model_name: The model's name; MaaS needs it.

    The fields of the connection are those of `ModelArts`.

    Example:
        >>> embedding = ModelArtsEmbedding(
        ...     endpoint="https://api.modelarts-maas.com/v1", model_name="bge-m3", api_key="..."
        ... )
        >>> embedding.model_name
        'bge-m3'
    """

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_modelarts_embedding"


def _image(image: ImageType) -> str:
    return data_uri(image.getvalue() if isinstance(image, BytesIO) else Path(image))


def _register(*kinds: type[BaseEmbedding]) -> None:
    """Make `llama_index.core.embeddings.loading.load_embed_model` know them."""
    RECOGNIZED_EMBEDDINGS.update({kind.class_name(): kind for kind in kinds})


_register(OCIDataScienceEmbedding, OCIGenAIEmbeddings, SageMakerEmbedding, ModelArtsEmbedding)
