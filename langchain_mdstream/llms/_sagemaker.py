"""Completion models of Amazon SageMaker."""

from langchain_mdstream._sagemaker import SageMakerMixin
from langchain_mdstream.llms._base import CompletionModel


class SagemakerEndpoint(SageMakerMixin, CompletionModel):
    """Completion model on an Amazon SageMaker endpoint.

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain,aws]"
        export AWS_PROFILE="my-profile"  # or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY …
        ```

    Instantiate:
        >>> llm = SagemakerEndpoint(endpoint_name="my-endpoint", region_name="us-east-1")

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
        `ChatSagemakerEndpoint`.
    """

    __module__ = "langchain_mdstream.llms"  # where it is imported from, pickled and serialized
