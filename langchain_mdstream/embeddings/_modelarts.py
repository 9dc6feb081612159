"""Embedding models of Huawei ModelArts."""

from langchain_mdstream._modelarts import ModelArtsMixin
from langchain_mdstream.embeddings._base import EmbeddingModel


class ModelArtsEmbeddings(ModelArtsMixin, EmbeddingModel):
    """Embedding model on a Huawei ModelArts real-time service, or on MaaS.

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain]"
        export MODELARTS_API_KEY="…"  # or HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK
        ```

    Instantiate:
        >>> embeddings = ModelArtsEmbeddings(
        ...     endpoint="https://api.modelarts-maas.com/v1", model="bge-m3", api_key="..."
        ... )

    Embed:
        ```python
        vectors = embeddings.embed_documents(["Rome is in Italy.", "Paris is in France."])
        vector = embeddings.embed_query("Where is Rome?")
        ```

    Async:
        ```python
        vectors = await embeddings.aembed_documents(["Rome is in Italy.", "Paris is in France."])
        ```
    """

    __module__ = "langchain_mdstream.embeddings"  # where it is imported from, pickled and serialized
