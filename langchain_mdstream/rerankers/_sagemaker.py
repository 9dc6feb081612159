"""Rerankers of Amazon SageMaker."""

from langchain_mdstream._sagemaker import SageMakerMixin
from langchain_mdstream.rerankers._base import Reranker


class SagemakerEndpointRerank(SageMakerMixin, Reranker):
    """Reranker on an Amazon SageMaker endpoint: TEI or vLLM.

    The API format of the container is detected with the first request; `dialect` sets it.

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain,aws]"
        export AWS_PROFILE="my-profile"  # or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY …
        ```

    Instantiate:
        >>> reranker = SagemakerEndpointRerank(endpoint_name="my-endpoint", region_name="us-east-1")

    Rerank:
        ```python
        documents = reranker.compress_documents(documents, "Where is Rome?")
        ```
    """

    __module__ = "langchain_mdstream.rerankers"  # where it is imported from, pickled and serialized
