"""Totals of processed batches: rows, failures by code, tokens."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mdstream_core.batching.tables import open_table

#: Columns that are counted, without their prefix.
_COUNTED = ("error", "input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """Totals of processed rows. `+` adds two of them.

    >>> print(BatchSummary(10, {"RateLimited TooManyRequests": 2}, 500, 120))
    10 rows: 8 succeeded, 2 failed (RateLimited TooManyRequests: 2); 500 input and 120 output tokens
    """

    rows: int = 0
    """Number of rows."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Number of failed rows for each class and code of an error, the most frequent first."""
    input_tokens: int = 0
    """Tokens of all inputs, as far as the server reported them."""
    output_tokens: int = 0
    """Tokens of all outputs, as far as the server reported them."""

    @property
    def failed(self) -> int:
        """Number of failed rows."""
        return sum(self.failures.values())

    @property
    def succeeded(self) -> int:
        """Number of rows without an error."""
        return self.rows - self.failed

    def __add__(self, other: "BatchSummary") -> "BatchSummary":
        if not isinstance(other, BatchSummary):
            return NotImplemented
        failures = Counter(self.failures) + Counter(other.failures)
        return BatchSummary(
            self.rows + other.rows,
            dict(failures.most_common()),
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )

    def __str__(self) -> str:
        codes = ", ".join(f"{code}: {count}" for code, count in self.failures.items())
        failed = f"{self.failed} failed ({codes})" if codes else "0 failed"
        tokens = f"{self.input_tokens} input and {self.output_tokens} output tokens"
        return f"{self.rows} rows: {self.succeeded} succeeded, {failed}; {tokens}"


def summarize(batches: Any, *, prefix: str = "") -> BatchSummary:
    """Count rows, failures and tokens of processed batches.

    Args:
        batches: One batch of any kind that a column returns, or an iterable of batches; only one is held at a time.
        prefix: The column's `prefix`.

    Raises:
        ValueError: A batch has no column of errors.

    >>> print(summarize({"error": [None], "input_tokens": [3], "output_tokens": [None]}))
    1 rows: 1 succeeded, 0 failed; 3 input and 0 output tokens
    """
    total = BatchSummary()
    for batch in _iter_batches(batches):
        total += _summarize_batch(batch, prefix)
    return total


def _iter_batches(batches: Any) -> Iterable[Any]:
    """Return the batches; a frame or a table is iterable too, by its columns."""
    is_batch = isinstance(batches, Mapping) or hasattr(batches, "columns")
    return (batches,) if is_batch else batches


def _summarize_batch(batch: Any, prefix: str) -> BatchSummary:
    table = open_table(batch)
    columns = {name: table.read(f"{prefix}{name}") for name in _COUNTED if f"{prefix}{name}" in table.names}
    if "error" not in columns:
        raise ValueError(
            f"the batch has no column {f'{prefix}error'!r} (hint: pass the output of a column, and its prefix=)"
        )
    failures = Counter(str(error).partition(":")[0] for error in columns["error"] if error is not None)
    return BatchSummary(
        len(columns["error"]),
        dict(failures.most_common()),
        *(sum(int(count) for count in columns.get(name, ()) if count is not None) for name in _COUNTED[1:]),
    )
