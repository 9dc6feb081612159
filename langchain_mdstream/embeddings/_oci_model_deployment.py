"""Embedding models on OCI Data Science model deployments."""

from typing import Any

from langchain_mdstream._oci_model_deployment import OCIModelDeploymentMixin
from langchain_mdstream.embeddings._base import EmbeddingModel


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

    __module__ = "langchain_mdstream.embeddings"  # where it is imported from, pickled and serialized

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
