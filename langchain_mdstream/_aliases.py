"""Names that other packages use for our fields: accepted by constructors and type checkers, readable as attributes."""

from typing import TYPE_CHECKING, Any

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

    class EmbeddingAliases(BaseModel):
        """Aliases of embeddings."""

        chunk_size: int | None = None
        output_dimensions: int | None = None

    class OCIGenerativeAIAliases(BaseModel):
        """Aliases of models on OCI Generative AI."""

        provider: ModelFamily | None = None

else:

    class _Alias:
        """Reads the field that an alias stands for."""

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        def __get__(self, model: Any, owner: type) -> Any:
            if model is None:
                return self
            field = model._accepted_names().get(self._name)
            if field not in type(model).model_fields:  # SageMaker's `base_url` is `endpoint_url`; some have none
                raise AttributeError(f"{type(model).__name__!r} object has no attribute {self._name!r}")
            return getattr(model, field)

    class ConnectionAliases:
        """Aliases of every class."""

        model_name, model_id, base_url, request_timeout = _Alias(), _Alias(), _Alias(), _Alias()

    class GenerationAliases:
        """Aliases of chat and completion models."""

        max_completion_tokens, stop_sequences, is_stream = _Alias(), _Alias(), _Alias()

    class EmbeddingAliases:
        """Aliases of embeddings."""

        chunk_size, output_dimensions = _Alias(), _Alias()

    class OCIGenerativeAIAliases:
        """Aliases of models on OCI Generative AI."""

        provider = _Alias()
