"""Base class of the columns: picklable callables that add the results of a model to a batch of rows."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, ClassVar, get_args

from mdstream_core import _log
from mdstream_core._choices import find_choice
from mdstream_core.batching.background_loop import background_loop
from mdstream_core.batching.rows import OnError, RowCollector, RowError, RowResult
from mdstream_core.batching.tables import ColumnType, Table, arrow_type, missing_column, open_table
from mdstream_core.batching.unpickled import compute_digest, shared_objects
from mdstream_core.errors import AuthenticationError, MDStreamError, extend_message

#: Default of `max_concurrency`.
MAX_CONCURRENCY = 16

#: Output columns beside the value: their types.
_RESULT_COLUMNS: dict[str, ColumnType] = {
    "error": "text",
    "partial": "text",
    "input_tokens": "integer",
    "output_tokens": "integer",
    "request_id": "text",
}


class Column:
    """Base class of the columns: reads a batch, runs the requests on the background loop, builds the new batch."""

    _value_type: ClassVar[ColumnType]

    #: Name of the attribute with the model.
    _model_attribute: ClassVar[str]

    def __init__(self, column: str, into: str, prefix: str, max_concurrency: int, on_error: OnError) -> None:
        for name, value in (("column", column), ("into", into)):
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name}={value!r} is no name of a column (hint: pass a text)")
        if not isinstance(prefix, str):
            raise ValueError(f"prefix={prefix!r} has the type {type(prefix).__name__} (hint: pass a text)")
        if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int) or max_concurrency < 1:
            raise ValueError(f"max_concurrency={max_concurrency!r} must be an integer of 1 or more")
        self.column = column
        self.into = into
        self.prefix = prefix
        self.max_concurrency = max_concurrency
        self.on_error = find_choice("on_error", on_error, get_args(OnError))
        self._is_unpickled = False
        self._digest: bytes | None = None
        self._result_names = {name: f"{prefix}{name}" for name in _RESULT_COLUMNS}
        if repeated := {column, into} & set(self._result_names.values()) or {column} & {into}:
            raise ValueError(
                f"the column {repeated.pop()!r} has two uses: column={column!r}, into={into!r}, and the results "
                f"{', '.join(self._result_names.values())} (hint: choose another into= or prefix=)"
            )

    def __call__(self, batch: Any) -> Any:
        """Process a batch. Threads, actors and code inside of a running event loop may call it.

        Args:
            batch: A dict of columns (lists or numpy arrays), a pandas DataFrame, a pyarrow Table or RecordBatch.

        Returns:
            A new batch of the same kind, with the output columns.

        Raises:
            ValueError: The column is missing, or an output column exists; or the model's credentials are missing.
            MDStreamError: An error that ends the batch (`on_error`). Its attribute `batch` is the new batch with the
                rows that were finished before.
        """
        table, rows, collector = self._open(batch)
        if rows:
            try:
                background_loop.run(self._process_all(rows, collector))
            except MDStreamError as error:
                self._attach_batch(error, table, collector)
                raise
        return self._build_batch(table, collector)

    async def acall(self, batch: Any) -> Any:
        """Process a batch without blocking the running asyncio event loop; see `__call__`."""
        table, rows, collector = self._open(batch)
        if rows:
            try:
                await asyncio.wrap_future(background_loop.submit(self._process_all(rows, collector)))
            except MDStreamError as error:
                self._attach_batch(error, table, collector)
                raise
        return self._build_batch(table, collector)

    @property
    def output_names(self) -> list[str]:
        """Names of the output columns."""
        return [self.into, *self._result_names.values()]

    def arrow_schema(self, schema: Any = None) -> Any:
        """Return the Arrow schema of the output, such as the one that Spark's `mapInArrow` needs.

        Args:
            schema: The `pyarrow.Schema` of the input. `None` returns the output columns alone.

        Example:
            ```python
            from pyspark.sql.pandas.types import from_arrow_schema

            schema = StructType([*frame.schema.fields, *from_arrow_schema(column.arrow_schema()).fields])
            ```
        """
        import pyarrow as pa  # noqa: PLC0415  # optional

        fields = {name: pa.field(name, arrow_type(kind)) for name, kind in self._output_types().items()}
        own = [fields.pop(field.name, field) for field in schema or ()]
        return pa.schema([*own, *fields.values()])

    def pandas_meta(self, frame: Any = None) -> Any:
        """Return an empty DataFrame with the types of the output, such as Dask's `meta`.

        Args:
            frame: A DataFrame with the columns of the input, such as Dask's `frame._meta`. `None` returns the output
                columns alone.
        """
        import pandas as pd  # noqa: PLC0415  # optional

        table = open_table(pd.DataFrame() if frame is None else frame.iloc[:0])
        return self._build_batch(table, RowCollector(0, self.on_error))

    def __getstate__(self) -> dict[str, Any]:
        """Return the arguments; the model's pickle has no credentials."""
        return {**self.__dict__, "_digest": compute_digest(self.__dict__[self._model_attribute])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        model = shared_objects.share(state["_digest"], state[self._model_attribute])
        self.__dict__.update({**state, self._model_attribute: model, "_is_unpickled": True})

    def _open(self, batch: Any) -> tuple[Table, dict[int, Any], RowCollector]:
        """Read a batch: the values of the rows to process, and the results of those that are finished."""
        table = open_table(batch)
        names = table.names
        if names.count(self.column) != 1:
            raise _wrong_column(self.column, names)
        values = table.read(self.column)
        collector = RowCollector(len(values), self.on_error)
        self._read_finished(table, collector)
        rows: dict[int, Any] = {}
        for index, value in enumerate(values):
            if collector.results[index] is None:
                problem = self._find_problem(value)
                if problem is None:
                    rows[index] = value
                elif self.on_error == "raise":
                    raise problem
                else:
                    collector.add_error(index, problem)
        return table, rows, collector

    def _read_finished(self, table: Table, collector: RowCollector) -> None:
        """Take over the results of rows that have a value and no error, if the batch is the output of an earlier run.

        Raises:
            ValueError: The batch has some of the output columns, so they belong to something else.
        """
        existing = [name for name in self.output_names if name in table.names]
        if not existing:
            return
        if missing := [name for name in self.output_names if name not in existing]:
            raise ValueError(
                f"the batch already has the output columns {', '.join(existing)} and not {', '.join(missing)} (hint: "
                "set into= or prefix= to other names; a batch with all of them is processed again where a row failed)"
            )
        values = table.read(self.into)
        results = {name: table.read(column) for name, column in self._result_names.items()}
        for index, value in enumerate(values):
            if value is not None and results["error"][index] is None:
                collector.add(index, RowResult(value, **{name: column[index] for name, column in results.items()}))

    def _build_batch(self, table: Table, collector: RowCollector) -> Any:
        results = [result or _NOT_SENT for result in collector.results]
        columns: dict[str, tuple[ColumnType, list[Any]]] = {
            self.into: (self._value_type, [self._output_value(result.value) for result in results])
        }
        for name, column in self._result_names.items():
            columns[column] = (_RESULT_COLUMNS[name], [getattr(result, name) for result in results])
        return table.with_columns({name: columns[name] for name in self._output_types()})

    def _output_types(self) -> dict[str, ColumnType]:
        return {
            self.into: self._value_type,
            **{self._result_names[name]: kind for name, kind in _RESULT_COLUMNS.items()},
        }

    def _attach_batch(self, error: MDStreamError, table: Table, collector: RowCollector) -> None:
        """Attach what was received to an error that ends the batch."""
        if any(result is not None and result.error is None for result in collector.results):
            vars(error)["batch"] = self._build_batch(table, collector)

    def _output_value(self, value: Any) -> Any:
        return value

    def _find_problem(self, value: Any) -> RowError | None:
        """Return the error of a value that cannot be sent."""
        raise NotImplementedError

    async def _process_all(self, rows: Mapping[int, Any], collector: RowCollector) -> None:
        try:
            await self._process(rows, collector)
        except (AuthenticationError, ValueError) as error:
            if self._is_unpickled:
                error.args = (extend_message(str(error), hint=_PICKLE_HINT), *error.args[1:])
            raise
        finally:
            _log_results(collector)

    async def _process(self, rows: Mapping[int, Any], collector: RowCollector) -> None:
        raise NotImplementedError


def _log_results(collector: RowCollector) -> None:
    if not _log.BATCHES.isEnabledFor(logging.INFO):
        return
    rows = len(collector.results)
    succeeded = sum(result is not None and result.error is None for result in collector.results)
    text = f"batch of {rows} rows: {succeeded} succeeded, {rows - succeeded} failed"
    _log.log(_log.BATCHES, logging.INFO, "batch", text, {"rows": rows, "failed": rows - succeeded})


#: The result of a row that was not sent because an error ended the batch.
_NOT_SENT = RowResult(error="RowError NotSent: another row's error ended the batch before this row was finished")


#: Added to errors of credentials in another process.
_PICKLE_HINT = "a pickled model holds no secrets: set them in the environment of this process"


def _wrong_column(column: str, names: list[str]) -> ValueError:
    """Create the error of a column that is missing or that exists several times."""
    if column in names:
        return ValueError(f"the batch has {names.count(column)} columns {column!r} (hint: rename the others)")
    return missing_column("the batch", column, names)


def missing_value(column: str) -> RowError:
    """Create the error of a null."""
    return RowError(f"the value of {column!r} is null (hint: fill it, or remove the row)", code="MissingValue")
