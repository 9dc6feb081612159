"""Rerankers on OCI Data Science model deployments."""

from pydantic import Field

from llamaindex_mdstream._oci_model_deployment import OCIModelDeploymentMixin
from llamaindex_mdstream.rerankers._base import MDStreamRerank


class OCIDataScienceRerank(OCIModelDeploymentMixin, MDStreamRerank):
    """Reranker for OCI Data Science model deployments (vLLM, infinity, TEI).

    Requests go to `/v1/rerank`; `dialect="score"` uses vLLM's `/v1/score`, `dialect="tei-rerank"` TEI's API. Install,
    authentication and connection fields are those of `OCIDataScience`.

    Example:
        >>> OCIDataScienceRerank(endpoint="http://127.0.0.1:8080/ocid1.x", auth_type="none", top_n=5).top_n
        5
    """

    __module__ = "llamaindex_mdstream.rerankers"  # where it is imported from, pickled and serialized

    model: str = Field(default="odsc-llm", description="Name of the model on the server.")

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_oci_model_deployment_rerank"
