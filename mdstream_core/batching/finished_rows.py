"""Resume a job: the ids of the rows that are finished in its Parquet files, and the rows that remain."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mdstream_core.batching.tables import missing_column, open_table


def finished_ids(
    path: str | Path, id_column: str, *, prefix: str = "", filesystem: Any = None, remove_incomplete: bool = False
) -> Any:
    """Read the ids of the rows that an earlier run finished: those in its Parquet files whose `error` is null.

    Only the columns of ids and errors are read, one file after the other. The ids of all finished rows are in memory:
    8 bytes each for integers.

    Args:
        path: Directory or file with the output, or its URI (`s3://bucket/folder`). If it does not exist, nothing is
            finished. Files and folders whose names start with `_` or `.` are not read.
        id_column: Name of the column with the ids, which are unique and not null.
        prefix: The column's `prefix`: errors are in `f"{prefix}error"`.
        filesystem: A `pyarrow.fs.FileSystem`, for a path that is no URI.
        remove_incomplete: Delete files that a killed process did not finish, while no other process writes. By default
            they are only reported by a warning; other readers raise an error for them.

    Returns:
        A `pyarrow.Array` of the ids, each once.

    Raises:
        ValueError: A file does not have the columns.

    Example:
        ```python
        finished = finished_ids("out", "id")
        frame = remaining_rows(frame, finished, "id")
        ```
    """
    import pyarrow as pa  # noqa: PLC0415  # optional
    import pyarrow.compute as pc  # noqa: PLC0415  # optional

    filesystem, folder = _resolve(path, filesystem)
    chunks: list[Any] = []
    for fragment in _iter_fragments(folder, filesystem):
        try:
            schema = fragment.physical_schema
        except pa.ArrowInvalid as error:  # a Parquet file has its schema at its end
            _report_incomplete(fragment.path, filesystem, error, remove=remove_incomplete)
            continue
        for name in (id_column, f"{prefix}error"):
            if name not in schema.names:
                raise missing_column(fragment.path, name, schema.names)
        is_finished = pc.is_null(pc.field(f"{prefix}error")) & pc.is_valid(pc.field(id_column))
        ids = fragment.to_table(columns=[id_column], filter=is_finished)[id_column]
        chunks += [chunk.cast(chunks[0].type) if chunks else chunk for chunk in ids.chunks if len(chunk)]
    return pc.unique(pa.chunked_array(chunks)) if chunks else pa.array([], pa.null())


def remaining_rows(batch: Any, finished: Any, id_column: str) -> Any:
    """Return the rows of a batch whose ids are not finished.

    Args:
        batch: A dict of columns (lists or numpy arrays), a pandas DataFrame, a pyarrow Table or RecordBatch.
        finished: The ids that `finished_ids` returned.
        id_column: Name of the column with the ids.

    Returns:
        A batch of the same kind.

    Raises:
        ValueError: The batch has no such column, or its ids have another type than those that are finished.

    Example:
        ```python
        remaining_rows({"id": [1, 2, 3], "text": ["a", "b", "c"]}, finished_ids("out", "id"), "id")
        ```
    """
    import pyarrow as pa  # noqa: PLC0415  # optional
    import pyarrow.compute as pc  # noqa: PLC0415  # optional

    table = open_table(batch)
    if id_column not in table.names:
        raise missing_column("the batch", id_column, table.names)
    ids = pa.array(table.read(id_column))
    if not len(finished) or not len(ids):
        return batch
    if pa.types.is_string(ids.type) != _is_text(finished.type):
        raise ValueError(
            f"the ids of {id_column!r} have the type {ids.type} in the batch and {finished.type} in the output of the "
            "earlier run (hint: both must be numbers, or both texts)"
        )
    is_finished = pc.is_in(ids, value_set=finished.cast(ids.type))
    return table.select_rows([index for index, value in enumerate(is_finished.to_pylist()) if not value])


def _is_text(kind: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415  # optional

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _resolve(path: str | Path, filesystem: Any) -> tuple[Any, str]:
    """Return the file system of a path or URI, and the path in it."""
    from pyarrow import fs  # noqa: PLC0415  # optional

    if filesystem is not None:
        return filesystem, str(path)
    text = str(path)
    return fs.FileSystem.from_uri(text if "://" in text else str(Path(text).absolute()))  # type: ignore[no-any-return]


def _iter_fragments(path: str, filesystem: Any) -> Iterator[Any]:
    """Return the Parquet files of a directory, or the file; nothing if it does not exist."""
    from pyarrow import dataset, fs  # noqa: PLC0415  # optional

    info = filesystem.get_file_info(path)
    if info.type == fs.FileType.NotFound:
        return
    parquet = dataset.ParquetFileFormat()
    names = [path]
    if info.type == fs.FileType.Directory:
        files = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
        names = sorted(file.path for file in files if file.type == fs.FileType.File and _is_data(file.path, path))
    for name in names:
        yield parquet.make_fragment(name, filesystem)


def _is_data(name: str, folder: str) -> bool:
    """Whether a file is no metadata: `_SUCCESS`, `_temporary/…`, `.part-0.parquet.crc`."""
    parts = name.removeprefix(folder).strip("/").split("/")
    return name.endswith(".parquet") and not any(part.startswith(("_", ".")) for part in parts)


def _report_incomplete(name: str, filesystem: Any, error: Exception, *, remove: bool) -> None:
    if remove:
        filesystem.delete_file(name)
        return
    warnings.warn(
        f"{name} is not a complete Parquet file, so its rows are not finished: {error} (hint: a killed process leaves "
        "such a file; delete it, or pass remove_incomplete=True)",
        RuntimeWarning,
        stacklevel=3,
    )
