"""Embeddings of OCI Data Science model deployments."""

from pydantic import Field

from llamaindex_mdstream._oci_model_deployment import OCIModelDeploymentMixin
from llamaindex_mdstream._registration import register
from llamaindex_mdstream.embeddings._base import MDStreamEmbedding


class OCIDataScienceEmbedding(OCIModelDeploymentMixin, MDStreamEmbedding):
    """Embeddings of OCI Data Science model deployments (vLLM, llama.cpp, infinity, TEI).

    TEI needs `dialect="tei-embeddings"`. Install, authentication and connection fields are those of `OCIDataScience`.

    Example:
        >>> embedding = OCIDataScienceEmbedding(endpoint="http://127.0.0.1:8080/ocid1.x", auth_type="none")
        >>> embedding.class_name()
        'mdstream_oci_model_deployment_embedding'
        >>> vectors = embedding.get_text_embedding_batch(["The Nile", "The Alps"])  # doctest: +SKIP
    """

    __module__ = "llamaindex_mdstream.embeddings"  # where it is imported from, pickled and serialized

    model_name: str = Field(default="odsc-llm", description="Name of the model on the server.")

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_oci_model_deployment_embedding"


register(OCIDataScienceEmbedding)
