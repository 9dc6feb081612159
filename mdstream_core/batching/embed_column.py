"""A column of vectors."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from mdstream_core.batching.column import MAX_CONCURRENCY, Column, missing_value
from mdstream_core.batching.rows import OnError, RowCollector, RowError


@runtime_checkable
class RowEmbedder(Protocol):
    """An embedding model that `EmbedColumn` accepts: those of langchain_mdstream and llamaindex_mdstream."""

    async def aembed_rows(
        self, texts: Sequence[str], collector: RowCollector, *, input_type: str, max_concurrency: int
    ) -> None:
        """Embed texts, and collect the vector or the error of each."""
        ...


class EmbedColumn(Column):
    """A picklable callable that embeds a column of texts.

    The rows of a batch are sent in as few requests as the service allows. If a request is rejected because of its
    content, it is divided until the bad texts are alone: these rows get their `error`, all others their vector.

    The new batch has all columns of the old one and these:

    | column | content |
    |---|---|
    | `into` | the vector, as 32-bit floats; null if the row failed |
    | `error` | null, or class, code and message of the error |
    | `partial` | null (texts are embedded as a whole) |
    | `input_tokens` | tokens of the text; a request's count is distributed over its texts by their length |
    | `output_tokens` | null |
    | `request_id` | request id of the service, if it sends one |

    A batch that has all of these columns already is the output of an earlier run: only rows without a vector, or with
    an error, are sent again.

    Args:
        embeddings: An embedding model of langchain_mdstream or llamaindex_mdstream.
        column: Name of the column with the texts.
        into: Name of the new column with the vectors.
        prefix: Prefix of the names of the other new columns, for several columns in a row, such as `"vector_"`.
        input_type: `document` or `query`, for models that distinguish them.
        max_concurrency: Maximum number of requests at once, of all calls in this process.
        on_error: What happens to errors. `"auto"`: those that every row would get (authentication, permission, 404, a
            header that cannot be sent) are raised at once, all others are the `error` of their rows. `"row"`: all
            are. `"raise"`: all are raised.

    Raises:
        TypeError: `embeddings` is not such a model.
        ValueError: An argument is invalid.

    Example:
        ```python
        column = EmbedColumn(embeddings, "text", into="vector")
        out = column({"text": ["Rome is in Italy.", "Paris is in France."]})
        frame = column(frame)  # a pandas DataFrame, a pyarrow Table …
        ```
    """

    _value_type = "vector"
    _model_attribute = "embeddings"

    def __init__(
        self,
        embeddings: RowEmbedder,
        column: str,
        *,
        into: str = "vector",
        prefix: str = "",
        input_type: str = "document",
        max_concurrency: int = MAX_CONCURRENCY,
        on_error: OnError = "auto",
    ) -> None:
        if not isinstance(embeddings, RowEmbedder):
            raise TypeError(
                f"embeddings has the type {type(embeddings).__name__} (hint: pass an embedding model of "
                "langchain_mdstream or llamaindex_mdstream)"
            )
        super().__init__(column, into, prefix, max_concurrency, on_error)
        self.embeddings = embeddings
        self.input_type = input_type

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.embeddings!r}, {self.column!r}, into={self.into!r})"

    def _find_problem(self, value: Any) -> RowError | None:
        if value is None:
            return missing_value(self.column)
        if not isinstance(value, str):
            message = f"the value of {self.column!r} has the type {type(value).__name__} (hint: pass a text)"
            return RowError(message, code="InvalidValue")
        return None

    async def _process(self, rows: Mapping[int, Any], collector: RowCollector) -> None:
        received = RowCollector(len(rows), self.on_error)
        try:
            await self.embeddings.aembed_rows(
                list(rows.values()), received, input_type=self.input_type, max_concurrency=self.max_concurrency
            )
        finally:
            for index, result in zip(rows, received.results, strict=True):
                collector.results[index] = result
