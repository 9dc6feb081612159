"""Rerankers of OCI Generative AI."""

from llamaindex_mdstream._oci_genai import OCIGenerativeAIMixin
from llamaindex_mdstream.rerankers._base import MDStreamRerank


class OCIGenAIRerank(OCIGenerativeAIMixin, MDStreamRerank):
    """Reranker for OCI Generative AI (`rerankText`).

    Install, authentication and connection fields are those of `OCIGenAI`.

    Example:
        >>> OCIGenAIRerank(
        ...     model="cohere.rerank.v3.5", region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa"
        ... ).model
        'cohere.rerank.v3.5'
    """

    __module__ = "llamaindex_mdstream.rerankers"  # where it is imported from, pickled and serialized

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "mdstream_oci_genai_rerank"

    def _validate_fields(self) -> None:
        super()._validate_fields()
        if not self.model:
            raise ValueError("model is missing (hint: set a name such as 'cohere.rerank.v3.5', or an endpoint's OCID)")
        if not self.compartment_id:
            raise ValueError(
                "compartment_id is missing (hint: set the OCID of the compartment to bill, ocid1.compartment.oc1..…)"
            )
