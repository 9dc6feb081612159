"""Rerankers of Huawei ModelArts."""

from langchain_mdstream._modelarts import ModelArtsMixin
from langchain_mdstream.rerankers._base import Reranker


class ModelArtsRerank(ModelArtsMixin, Reranker):
    """Reranker on a Huawei ModelArts real-time service, or on MaaS (`/v1/rerank`).

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain]"
        export MODELARTS_API_KEY="…"  # or HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK
        ```

    Instantiate:
        >>> reranker = ModelArtsRerank(
        ...     endpoint="https://api.modelarts-maas.com/v1", model="bge-reranker-v2-m3", api_key="..."
        ... )

    Rerank:
        ```python
        documents = reranker.compress_documents(documents, "Where is Rome?")
        ```
    """

    __module__ = "langchain_mdstream.rerankers"  # where it is imported from, pickled and serialized
