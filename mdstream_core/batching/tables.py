"""Tables that columns accept: a dictionary of lists or numpy arrays, a pandas DataFrame, an Arrow table or batch.

pandas, pyarrow and numpy are imported only for their own tables.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from typing import Any, Literal, Protocol

from mdstream_core import _json
from mdstream_core._choices import suggest_choice

#: What a column holds: a vector of 32-bit floats, structured output, a text, or an integer.
ColumnType = Literal["vector", "json", "text", "integer"]


class Table(Protocol):
    """A table of one kind."""

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        ...

    def read(self, name: str) -> list[Any]:
        """Return the values of a column; missing ones are `None`."""
        ...

    def with_columns(self, columns: Mapping[str, tuple[ColumnType, Sequence[Any]]]) -> Any:
        """Return a new table of the same kind with further columns; those with the same name are replaced."""
        ...

    def select_rows(self, indices: Sequence[int]) -> Any:
        """Return a new table of the same kind with some of the rows."""
        ...


def missing_column(table: str, column: str, names: Iterable[object]) -> ValueError:
    """Create the error of a table without a column.

    >>> missing_column("the batch", "txt", ["id", "text"])
    ValueError("the batch has no column 'txt'; did you mean 'text'? (hint: its columns are id, text)")
    """
    known = [str(name) for name in names]
    near = suggest_choice(column, known)
    return ValueError(f"{table} has no column {column!r}{near} (hint: its columns are {', '.join(known)})")


def open_table(batch: Any) -> Table:
    """Wrap a batch of any kind.

    Raises:
        TypeError: The batch is of another kind.
        ValueError: The columns of a dictionary have different lengths.
    """
    if isinstance(batch, Mapping):
        return DictTable(batch)
    pandas, arrow = sys.modules.get("pandas"), sys.modules.get("pyarrow")
    if pandas is not None and isinstance(batch, pandas.DataFrame):
        return PandasTable(batch)
    if arrow is not None and isinstance(batch, arrow.Table | arrow.RecordBatch):
        return ArrowTable(batch)
    raise TypeError(
        f"a batch has the type {type(batch).__name__} (hint: pass a dict of columns, a pandas DataFrame, a pyarrow "
        "Table or a pyarrow RecordBatch)"
    )


def _is_missing(value: Any) -> bool:
    """Whether a value of a list is a null of Python, numpy or pandas."""
    return value is None or (isinstance(value, float) and isnan(value)) or type(value).__name__ in _MISSING_TYPES


#: `pandas.NA` and `pandas.NaT`.
_MISSING_TYPES = frozenset({"NAType", "NaTType"})


class DictTable:
    """A dictionary of columns, each a list or a numpy array.

    With lists, vectors are lists of floats. If one of the columns is a numpy array, new columns are numpy arrays of
    objects, and vectors are arrays of 32-bit floats.
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        lengths = {str(name): len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the columns of the batch have different lengths: {lengths}")
        self._columns = columns

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    def read(self, name: str) -> list[Any]:
        """Return the values of a column."""
        values = self._columns[name]
        values = values.tolist() if hasattr(values, "tolist") else list(values)
        return [None if _is_missing(value) else value for value in values]

    def with_columns(self, columns: Mapping[str, tuple[ColumnType, Sequence[Any]]]) -> dict[str, Any]:
        """Return a new dictionary with further columns."""
        numpy = sys.modules.get("numpy")
        if numpy is None or not any(isinstance(values, numpy.ndarray) for values in self._columns.values()):
            return {**self._columns, **{name: list(values) for name, (_, values) in columns.items()}}
        return {**self._columns, **{name: _object_array(kind, values) for name, (kind, values) in columns.items()}}

    def select_rows(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return a new dictionary with some of the rows."""
        return {
            name: values[list(indices)] if hasattr(values, "dtype") else [values[index] for index in indices]
            for name, values in self._columns.items()
        }


class PandasTable:
    """A pandas DataFrame. Vectors are numpy arrays of 32-bit floats; texts and integers have nullable types."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._frame.columns)

    def read(self, name: str) -> list[Any]:
        """Return the values of a column."""
        series = self._frame[name]
        return [None if missing else value for value, missing in zip(series, series.isna(), strict=True)]

    def with_columns(self, columns: Mapping[str, tuple[ColumnType, Sequence[Any]]]) -> Any:
        """Return a new frame with further columns and the same index."""
        import pandas as pd  # noqa: PLC0415  # optional

        frame = self._frame.copy(deep=False)
        for name, (kind, values) in columns.items():
            dtype = {"text": "string", "integer": "Int64"}.get(kind)
            data = pd.array(list(values), dtype=dtype) if dtype else _object_array(kind, values)
            frame[name] = pd.Series(data, index=frame.index)
        return frame

    def select_rows(self, indices: Sequence[int]) -> Any:
        """Return a new frame with some of the rows, and their index."""
        return self._frame.iloc[list(indices)]


class ArrowTable:
    """A pyarrow Table or RecordBatch. Structured output is JSON text, so that the schema is the same in each batch."""

    def __init__(self, table: Any) -> None:
        self._table = table

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._table.schema.names)

    def read(self, name: str) -> list[Any]:
        """Return the values of a column."""
        return [None if _is_missing(value) else value for value in self._table.column(name).to_pylist()]

    def with_columns(self, columns: Mapping[str, tuple[ColumnType, Sequence[Any]]]) -> Any:
        """Return a new table with further columns."""
        table = self._table
        for name, (kind, values) in columns.items():
            array = _arrow_array(kind, values)
            index = table.schema.get_field_index(name)
            table = table.append_column(name, array) if index < 0 else table.set_column(index, name, array)
        return table

    def select_rows(self, indices: Sequence[int]) -> Any:
        """Return a new table with some of the rows."""
        import pyarrow as pa  # noqa: PLC0415  # optional

        return self._table.take(pa.array(indices, type=pa.int64()))


def arrow_type(kind: ColumnType) -> Any:
    """Return the Arrow type of a column."""
    import pyarrow as pa  # noqa: PLC0415  # optional

    return {
        "vector": pa.list_(pa.float32()),
        "json": pa.string(),
        "text": pa.string(),
        "integer": pa.int64(),
    }[kind]


def to_json_text(value: Any) -> str | None:
    """Return a value of structured output as JSON text; text is not changed."""
    return value if value is None or isinstance(value, str) else _json.dumps(value).decode()


def _arrow_array(kind: ColumnType, values: Sequence[Any]) -> Any:
    import pyarrow as pa  # noqa: PLC0415  # optional

    if kind == "vector":
        return _arrow_vectors(values)
    if kind == "json":
        values = [to_json_text(value) for value in values]
    return pa.array(values, type=arrow_type(kind))


def _arrow_vectors(values: Sequence[Any]) -> Any:
    """Build a list array from one flat array of numbers."""
    import numpy as np  # noqa: PLC0415  # optional
    import pyarrow as pa  # noqa: PLC0415  # optional

    vectors = [np.asarray(value, dtype=np.float32) for value in values if value is not None]
    flat = np.concatenate(vectors) if vectors else np.empty(0, dtype=np.float32)
    lengths = np.fromiter((0 if value is None else len(value) for value in values), np.int64, len(values))
    offsets = np.zeros(len(values) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    missing = np.fromiter((value is None for value in values), np.bool_, len(values))
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(flat), type=arrow_type("vector"), mask=pa.array(missing)
    )


def _object_array(kind: ColumnType, values: Iterable[Any]) -> Any:
    """Build a numpy array of objects, in which vectors are arrays of their own."""
    import numpy as np  # noqa: PLC0415  # optional

    values = list(values)
    array = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        is_vector = kind == "vector" and value is not None
        array[index] = np.asarray(value, dtype=np.float32) if is_vector else value
    return array
