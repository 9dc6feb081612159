"""Rerankers on OCI Data Science model deployments."""

from langchain_mdstream._oci_model_deployment import OCIModelDeploymentMixin
from langchain_mdstream.rerankers._base import Reranker


class OCIModelDeploymentRerank(OCIModelDeploymentMixin, Reranker):
    """Reranker on an OCI Data Science model deployment: vLLM, infinity or TEI.

    Requests use `/v1/rerank`. `dialect="score"` uses vLLM's `/v1/score`, `dialect="tei-rerank"` TEI's own API.

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain,oci-lite]"
        export OCI_LLM_ENDPOINT="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1…"  # or endpoint=
        ```

    Instantiate:
        >>> reranker = OCIModelDeploymentRerank(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.datasciencemodeldeployment.x",
        ...     top_n=5,
        ... )

    Rerank:
        ```python
        documents = reranker.compress_documents(documents, "Where is Rome?")
        ```
    """

    __module__ = "langchain_mdstream.rerankers"  # where it is imported from, pickled and serialized
