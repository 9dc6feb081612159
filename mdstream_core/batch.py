"""Rows: add the results of a model to batches of Ray Data, Spark, Dask, pandas or plain Python.

`EmbedColumn` and `GenerateColumn` are picklable callables. They take a batch (a dict of columns, a pandas DataFrame, a
pyarrow Table or RecordBatch) and return a new one of the same kind. A row that fails has its `error`; the others of its
batch have their results. All columns of a process send their requests on one background event loop, so that connections
are reused.
"""

from mdstream_core.batching.embed_column import EmbedColumn, RowEmbedder
from mdstream_core.batching.finished_rows import finished_ids, remaining_rows
from mdstream_core.batching.generate_column import GenerateColumn, GenerateRow, RowGenerator
from mdstream_core.batching.rows import OnError, RowCollector, RowError, RowResult, resend_interrupted
from mdstream_core.batching.summary import BatchSummary, summarize

__all__ = [
    "BatchSummary",
    "EmbedColumn",
    "GenerateColumn",
    "GenerateRow",
    "OnError",
    "RowCollector",
    "RowEmbedder",
    "RowError",
    "RowGenerator",
    "RowResult",
    "finished_ids",
    "remaining_rows",
    "resend_interrupted",
    "summarize",
]
