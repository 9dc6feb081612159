"""Chat models on OCI Data Science model deployments."""

from langchain_mdstream._chat_model import ChatModel
from langchain_mdstream._oci_model_deployment import OCIModelDeploymentMixin


class ChatOCIModelDeployment(OCIModelDeploymentMixin, ChatModel):
    """Chat model on an OCI Data Science model deployment.

    Setup:
        Install `mdstream-llm` with the extra `oci-lite`, or `oci` for instance principals and OKE workloads.

        ```bash
        pip install -U "mdstream-llm[langchain,oci-lite]"
        export OCI_LLM_ENDPOINT="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1…"  # or endpoint=
        ```

    Instantiate:
        >>> chat = ChatOCIModelDeployment(
        ...     endpoint="https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.datasciencemodeldeployment.x",
        ...     auth_type="resource_principal",
        ...     temperature=0.2,
        ...     max_tokens=512,
        ... )

    Invoke:
        ```python
        chat.invoke("Name three rivers.").text
        ```

    Stream:
        ```python
        for chunk in chat.stream("Name three rivers."):
            print(chunk.text, end="", flush=True)
        ```

    Async:
        ```python
        async for chunk in chat.astream("Name three rivers."):
            print(chunk.text, end="", flush=True)
        ```

    Tool calling:
        ```python
        chat.bind_tools([get_weather]).invoke("What is the weather in Paris?").tool_calls
        ```

    Structured output:
        ```python
        chat.with_structured_output(Joke).invoke("Tell me a joke about cats.")
        ```

    Token usage:
        ```python
        chat.invoke("Hello").usage_metadata
        ```

    Streaming errors:
        A stream that the service ends with its `StreamFailure` trailer raises `StreamFailure` (`StreamTimeout` for
        timeouts). Interrupted streams raise `StreamInterrupted`. Errors have `error.partial` (the output so far),
        `error.code` and `error.request_id`, and `on_llm_error` gets the partial output too.
    """

    __module__ = "langchain_mdstream.chat_models"  # where it is imported from, pickled and serialized
