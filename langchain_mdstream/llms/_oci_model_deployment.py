"""Completion models on OCI Data Science model deployments."""

from langchain_mdstream._oci_model_deployment import OCIModelDeploymentMixin
from langchain_mdstream.llms._base import CompletionModel


class OCIModelDeploymentLLM(OCIModelDeploymentMixin, CompletionModel):
    """Completion model on an OCI Data Science model deployment.

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain,oci-lite]"
        export OCI_LLM_ENDPOINT="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1…"  # or endpoint=
        ```

    Instantiate:
        >>> llm = OCIModelDeploymentLLM(endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x")

    Invoke:
        ```python
        llm.invoke("The capital of France is")
        ```

    Stream:
        ```python
        for text in llm.stream("The capital of France is"):
            print(text, end="", flush=True)
        ```

    Streaming errors:
        A stream that failed or was interrupted raises, with the output so far in `error.partial`; see
        `ChatOCIModelDeployment`.
    """

    __module__ = "langchain_mdstream.llms"  # where it is imported from, pickled and serialized
