"""Names that other packages use for our fields: accepted by constructors and type checkers, readable as attributes."""

from typing import TYPE_CHECKING, Any

from mdstream_core.options import Alias

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mdstream_core import Timeout
    from mdstream_core.options import ModelFamily

    class ConnectionAliases(BaseModel):
        """Aliases of every class, as type checkers see them: fields of the constructor."""

        base_url: str | None = None
        request_timeout: float | Timeout | None = None

    class GenerationAliases(BaseModel):
        """Aliases of LLMs."""

        model_name: str = ""
        model_id: str = ""
        max_completion_tokens: int | None = None
        max_output_tokens: int | None = None
        stop_sequences: list[str] | str | None = None
        k: int | None = None
        p: float | None = None
        reasoning_options: dict[str, Any] | None = None

    class EmbeddingAliases(BaseModel):
        """Aliases of embeddings."""

        model: str = ""
        model_id: str = ""
        output_dimensions: int | None = None

    class RerankAliases(BaseModel):
        """Aliases of rerankers."""

        model_name: str = ""
        model_id: str = ""

    class OCIGenerativeAIAliases(BaseModel):
        """Aliases of LLMs on OCI Generative AI."""

        provider: ModelFamily | None = None
        context_size: int | None = None

    class SageMakerAliases(BaseModel):
        """Aliases of models on Amazon SageMaker."""

        aws_region_name: str | None = None
        credentials_profile_name: str | None = None
        model_kwargs: dict[str, Any] | None = None
        endpoint_kwargs: dict[str, Any] | None = None

else:

    class ConnectionAliases:
        """Aliases of every class."""

        base_url, request_timeout = Alias(), Alias()

    class GenerationAliases:
        """Aliases of LLMs."""

        model_name, model_id, max_completion_tokens, stop_sequences = Alias(), Alias(), Alias(), Alias()
        max_output_tokens, reasoning_options, k, p = Alias(), Alias(), Alias(), Alias()

    class EmbeddingAliases:
        """Aliases of embeddings."""

        model, model_id, output_dimensions = Alias(), Alias(), Alias()

    class RerankAliases:
        """Aliases of rerankers."""

        model_name, model_id = Alias(), Alias()

    class OCIGenerativeAIAliases:
        """Aliases of LLMs on OCI Generative AI."""

        provider, context_size = Alias(), Alias()

    class SageMakerAliases:
        """Aliases of models on Amazon SageMaker."""

        aws_region_name, credentials_profile_name, model_kwargs = Alias(), Alias(), Alias()
