"""Parquet: tables to bytes and back, and old rows in a newer schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.store.errors import CorruptedPart

_ROW_GROUP = 262_144  # rows, so that readers can share out a part and skip what they filter
_PASSING: dict[str, Any] = {
    "compression": "lz4",
    "use_dictionary": ["trial_id"],
    "write_statistics": False,
    "store_schema": False,
}
_THREADS_PAY_FROM_BYTES = 1_000_000


def encoded(table: pa.Table) -> bytes:
    """Return `table` as a Parquet file that DuckDB, Polars, Spark 3 and Athena read."""
    return _written(table, compression="zstd", row_group_size=_ROW_GROUP)


def encoded_pack(table: pa.Table, *, without_nulls: bool) -> bytes:
    """Return `table` as a Parquet file for many small ones to be read at once, until compaction replaces it.

    Args:
        table: The rows.
        without_nulls: Leave out columns that hold only nulls, where `conformed` fills them with nulls again.
    """
    return _written(_lean(table, without_nulls), **_PASSING)


def _written(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def decoded(content: pa.Buffer, key: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the table of a Parquet file, or those of `columns` that it has.

    Raises:
        CorruptedPart: The bytes are no whole Parquet file; the message names `key`.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False)
        return file.read(columns=columns, use_threads=content.size > _THREADS_PAY_FROM_BYTES)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise _corrupted(key, error) from error


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return `table` with exactly the columns of `schema`.

    A column that the table lacks is filled with the default in the schema's metadata, or nulls: its rows are older
    than the column. Other types are cast, and columns that the schema lacks are left out.

    Raises:
        pa.ArrowInvalid: A value has no counterpart in the type asked for.
    """
    if table.schema.types == schema.types and table.schema.names == schema.names:
        return pa.Table.from_arrays(table.columns, schema=schema)
    return pa.Table.from_arrays([_column(table, field) for field in schema], schema=schema)


def concatenated(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """Return all rows in one table of `schema`; neighbours that are alike are conformed at once."""
    alike: list[list[pa.Table]] = []
    for table in tables:
        if alike and table.schema.equals(alike[-1][0].schema):
            alike[-1].append(table)
        else:
            alike.append([table])
    empty = pa.Table.from_batches([], schema)  # schema.empty_table() would import pandas
    return pa.concat_tables([empty, *(conformed(pa.concat_tables(group), schema) for group in alike)])


def _lean(table: pa.Table, without_nulls: bool) -> pa.Table:
    """Return `table` without what its readers take from the declared schema, or would look for in vain: nulls."""
    rows, fields, columns = table.num_rows, [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        nulls = column.null_count
        if nulls < rows or not without_nulls:
            fields.append(pa.field(field.name, field.type, nulls > 0))
            columns.append(column)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=table.schema.metadata))


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    if field.name not in table.schema.names:
        return _filled(field, table.num_rows)
    return table.column(field.name).cast(field.type)


def _corrupted(key: str, error: Exception) -> CorruptedPart:
    return CorruptedPart(
        f"{key} is no readable Parquet file ({type(error).__name__}); restore it, or skip_corrupted=True"
    )


def _filled(field: pa.Field, length: int) -> pa.Array:
    stored = (field.metadata or {}).get(b"default")
    if stored is None:
        return pa.nulls(length, field.type)
    return pa.repeat(pc.cast(pa.scalar(json.loads(stored)), field.type), length)
