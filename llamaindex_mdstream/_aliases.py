"""Other packages' names of our fields: constructors accept them, and type checkers know them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mdstream_core import Timeout
    from mdstream_core.options import ModelFamily

    class ConnectionAliases(BaseModel):
        """What a type checker sees: fields of the constructor."""

        base_url: str | None = None
        request_timeout: float | Timeout | None = None

    class GenerationAliases(BaseModel):
        """The same of models that write text."""

        model_name: str = ""
        model_id: str = ""
        max_completion_tokens: int | None = None
        stop_sequences: list[str] | str | None = None

    class EmbeddingAliases(BaseModel):
        """The same of embeddings."""

        model: str = ""
        model_id: str = ""

    class RerankAliases(BaseModel):
        """The same of rerankers."""

        model_name: str = ""
        model_id: str = ""

    class OCIGenerativeAIAliases(BaseModel):
        """The same of LLMs on OCI Generative AI."""

        provider: ModelFamily | None = None
        context_size: int | None = None

    class SageMakerAliases(BaseModel):
        """The same of Amazon SageMaker."""

        aws_region_name: str | None = None
        credentials_profile_name: str | None = None
        model_kwargs: dict[str, Any] | None = None
        endpoint_kwargs: dict[str, Any] | None = None

else:

    class ConnectionAliases:
        """Names of every class, see `_accepted_names`."""

    class GenerationAliases:
        """Names of models that write text."""

    class EmbeddingAliases:
        """Names of embeddings."""

    class RerankAliases:
        """Names of rerankers."""

    class OCIGenerativeAIAliases:
        """Names of LLMs on OCI Generative AI."""

    class SageMakerAliases:
        """Names of Amazon SageMaker."""
