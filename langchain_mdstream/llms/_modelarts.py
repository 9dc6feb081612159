"""Completion models of Huawei ModelArts."""

from langchain_mdstream._modelarts import ModelArtsMixin
from langchain_mdstream.llms._base import CompletionModel


class ModelArtsLLM(ModelArtsMixin, CompletionModel):
    """Completion model on a Huawei ModelArts real-time service, or on MaaS.

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain]"
        export MODELARTS_API_KEY="…"  # or HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK
        ```

    Instantiate:
        >>> llm = ModelArtsLLM(endpoint="https://api.modelarts-maas.com/v1", api_key="...")

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
        A stream that failed or was interrupted raises, with the output so far in `error.partial`; see `ChatModelArts`.
    """

    __module__ = "langchain_mdstream.llms"  # where it is imported from, pickled and serialized
