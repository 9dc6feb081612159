"""Embedding models of OCI Generative AI."""

from typing import Any, Literal

from langchain_mdstream._oci_genai import OCIGenerativeAIMixin
from langchain_mdstream.embeddings._base import EmbeddingModel


class OCIGenAIEmbeddings(OCIGenerativeAIMixin, EmbeddingModel):
    """Embedding model of OCI Generative AI, for texts and images.

    Texts are sent as queries or documents, up to 96 per request.

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain,oci-lite]"
        oci setup config  # or auth_type=
        ```

    Instantiate:
        >>> embeddings = OCIGenAIEmbeddings(
        ...     model="cohere.embed-v4.0", region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa"
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

    truncate: Literal["NONE", "START", "END"] | None = "END"
    """Which end of a text to truncate if it is longer than the model's limit (512 tokens): `START` or `END`. `NONE`
    raises an error instead."""

    input_type: str | None = None
    """Input type of all texts, such as `CLUSTERING`. `None` distinguishes queries and documents."""

    def _build_params(self, input_type: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        is_text = input_type != "IMAGE"
        kind = self.input_type if self.input_type and is_text else input_type
        return super()._build_params(kind, {"truncate": self.truncate if is_text else None, **kwargs})
