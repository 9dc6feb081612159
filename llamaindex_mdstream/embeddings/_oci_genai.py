"""Embeddings of OCI Generative AI."""

from typing import Any, Literal

from pydantic import Field

from llamaindex_mdstream._oci_genai import OCIGenerativeAIMixin
from llamaindex_mdstream._registration import register
from llamaindex_mdstream.embeddings._base import MDStreamEmbedding

#: Embedding models of OCI Generative AI, as documented by Oracle ("Embed models", read 2026-11).
_OCI_GENAI_MODELS = (
    "cohere.embed-v4.0",
    "cohere.embed-english-v3.0",
    "cohere.embed-english-light-v3.0",
    "cohere.embed-multilingual-v3.0",
    "cohere.embed-multilingual-light-v3.0",
    "cohere.embed-english-image-v3.0",
    "cohere.embed-english-light-image-v3.0",
    "cohere.embed-multilingual-image-v3.0",
    "cohere.embed-multilingual-light-image-v3.0",
    "cohere.embed-english-light-v2.0",
)


class OCIGenAIEmbeddings(OCIGenerativeAIMixin, MDStreamEmbedding):
    """Embeddings of OCI Generative AI, for texts and images.

    Queries and documents are embedded with their own input type. Install, authentication and connection fields are
    those of `OCIGenAI`.

    Example:
        >>> embedding = OCIGenAIEmbeddings(
        ...     model_name="cohere.embed-v4.0", region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa"
        ... )
        >>> embedding.model_name
        'cohere.embed-v4.0'
        >>> vector = embedding.get_query_embedding("Which river is the longest?")  # doctest: +SKIP
    """

    __module__ = "llamaindex_mdstream.embeddings"  # where it is imported from, pickled and serialized

    truncate: Literal["NONE", "START", "END"] | None = Field(
        default="END",
        description="Which end of a text that is too long for the model is truncated: `START` or `END`. With `NONE` "
        "the service rejects it.",
    )
    input_type: str | None = Field(
        default=None,
        description="Input type of all texts, such as `CLUSTERING`. Default: queries and documents by their use.",
    )

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_oci_genai_embedding"

    @staticmethod
    def list_supported_models() -> list[str]:
        """Return the names of the service's embedding models, those for images included. Other names work too."""
        return list(_OCI_GENAI_MODELS)

    def _build_params(self, input_type: str) -> dict[str, Any]:
        is_text = input_type != "IMAGE"
        kind = self.input_type if self.input_type and is_text else input_type
        return {"truncate": self.truncate if is_text else None, **super()._build_params(kind)}

    def _validate_fields(self) -> None:
        super()._validate_fields()
        if not self.model_name:
            raise ValueError(
                "model_name is missing (hint: set a name such as 'cohere.embed-v4.0', or an endpoint's OCID)"
            )
        if not self.compartment_id:
            raise ValueError(
                "compartment_id is missing (hint: set the OCID of the compartment to bill, ocid1.compartment.oc1..…)"
            )


register(OCIGenAIEmbeddings)
