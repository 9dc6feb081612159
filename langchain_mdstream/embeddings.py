"""Embedding models, which convert texts to vectors."""

from collections.abc import Mapping
from typing import Any, Literal

from langchain_mdstream._embedding_model import EmbeddingModel
from langchain_mdstream._modelarts import ModelArtsMixin
from langchain_mdstream._oci_genai import OCIGenerativeAIMixin
from langchain_mdstream._oci_model_deployment import OCIModelDeploymentMixin
from langchain_mdstream._sagemaker import SageMakerMixin
from mdstream_core import ListDialect

InputType = Literal["document", "query"]


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

#: Alias: the name of the class in oracle-ads (`ads.llm`).
OCIDataScienceEmbedding = OCIModelDeploymentEmbeddings

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
