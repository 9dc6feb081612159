"""Names that other packages use for our fields: accepted by constructors and type checkers, readable as attributes."""

from typing import TYPE_CHECKING

from mdstream_core.options import Alias

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mdstream_core import Timeout
    from mdstream_core.options import ModelFamily

    class ConnectionAliases(BaseModel):
        """Aliases of every class, as type checkers see them: fields of the constructor."""

        model_name: str = ""
        model_id: str = ""
        base_url: str | None = None
        request_timeout: float | Timeout | None = None

    class GenerationAliases(BaseModel):
        """Aliases of chat and completion models."""

        max_completion_tokens: int | None = None
        stop_sequences: list[str] | str | None = None
        is_stream: bool = False
        k: int | None = None
        p: float | None = None

    class EmbeddingAliases(BaseModel):
        """Aliases of embeddings."""

        chunk_size: int | None = None
        output_dimensions: int | None = None

    class OCIGenerativeAIAliases(BaseModel):
        """Aliases of models on OCI Generative AI."""

        provider: ModelFamily | None = None

else:

    class ConnectionAliases:
        """Aliases of every class."""

        model_name, model_id, base_url, request_timeout = Alias(), Alias(), Alias(), Alias()

    class GenerationAliases:
        """Aliases of chat and completion models."""

        max_completion_tokens, stop_sequences, is_stream = Alias(), Alias(), Alias()
        k, p = Alias(), Alias()

    class EmbeddingAliases:
        """Aliases of embeddings."""

        chunk_size, output_dimensions = Alias(), Alias()

    class OCIGenerativeAIAliases:
        """Aliases of models on OCI Generative AI."""

        provider = Alias()
