"""LLMs on OCI Data Science model deployments."""

from pydantic import Field

from llamaindex_mdstream._base import MDStreamLLM
from llamaindex_mdstream._oci_model_deployment import OCIModelDeploymentMixin
from llamaindex_mdstream._registration import register


class OCIDataScience(OCIModelDeploymentMixin, MDStreamLLM):
    """LLM for OCI Data Science model deployments.

    Field names follow `llama-index-llms-oci-data-science`. Every field is a constructor argument and has its own
    description.

    Install:
        `pip install "mdstream-llm[llamaindex,oci-lite]"`; with `oci` instead of `oci-lite` for instance principals and
        OKE workload identity.

    Authentication:
        Without `auth`, `auth_type` and `api_key`: `MDSTREAM_API_KEY` as a bearer key, the method named by
        `OCI_IAM_TYPE`, the resource principal of the environment, or the OCI config file (`~/.oci/config`).

    Streaming errors:
        A stream that fails raises a subclass of `mdstream_core.MDStreamError` where it is read, such as `StreamFailure`
        or `StreamInterrupted`. `error.partial_response` holds what was received.

    Raises:
        ValueError: A field is invalid. The message names the field and shows no other value.

    Example:
        >>> from llama_index.core.llms import ChatMessage
        >>> llm = OCIDataScience(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/<deployment-ocid>",
        ...     auth_type="resource_principal",
        ...     temperature=0,
        ... )
        >>> llm.metadata.model_name
        'odsc-llm'

        Complete a prompt:

        >>> print(llm.complete("The capital of France is").text)  # doctest: +SKIP

        Stream a chat response:

        >>> for response in llm.stream_chat([ChatMessage("Name three rivers.")]):  # doctest: +SKIP
        ...     print(response.delta, end="", flush=True)

        Call a tool:

        >>> response = llm.chat_with_tools([tool], user_msg="What is 2 + 3?")  # doctest: +SKIP
        >>> llm.get_tool_calls_from_response(response)  # doctest: +SKIP
    """

    __module__ = "llamaindex_mdstream.llms"  # where it is imported from, pickled and serialized

    model: str = Field(
        default="odsc-llm",
        description="Name of the model on the server.",
    )

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_oci_model_deployment_llm"


register(OCIDataScience)
