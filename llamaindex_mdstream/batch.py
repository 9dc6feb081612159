"""Columns of tables: `mdstream_core.batch`, under the name of this package."""

from mdstream_core.batch import BatchSummary, EmbedColumn, GenerateColumn, RowError, summarize

__all__ = ["BatchSummary", "EmbedColumn", "GenerateColumn", "RowError", "summarize"]
