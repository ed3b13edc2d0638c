"""SQL: read-only queries over the tables of all studies, by a DuckDB that can touch nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from analysis.store.errors import QueryRefused
from analysis.store.renames import former, told

_SEALED: dict[str, Any] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}
_TABLES = ("trials", "measurements")


def queried(query: str, studies: Sequence[str], table_of: Callable[[str, str], pa.Table]) -> pa.Table:
    """Return the answer to one SELECT over `<study>.trials` and `<study>.measurements`.

    Only tables whose names occur in the query are loaded.

    Args:
        query: The SQL.
        studies: Names of all studies.
        table_of: Loads a study's table by the names of both.

    Raises:
        QueryRefused: It is not one SELECT, or DuckDB cannot run it; the message is DuckDB's first line.
    """
    import duckdb

    _refuse_effects(query, duckdb)
    connection = duckdb.connect(":memory:", config=_SEALED)
    try:
        _present(connection, query.lower(), studies, table_of)
        connection.execute("SET lock_configuration = true")
        return connection.sql(query).to_arrow_table()
    except duckdb.Error as error:
        raise QueryRefused(_told(error, [study for study in studies if study in query.lower()], studies)) from error
    finally:
        connection.close()


def _refuse_effects(query: str, duckdb: Any) -> None:
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise QueryRefused(str(error).split("\n")[0]) from error
    kinds = [statement.type for statement in statements]
    if kinds not in ([duckdb.StatementType.SELECT], [duckdb.StatementType.EXPLAIN]):
        named = ", ".join(kind.name for kind in kinds) or "nothing"
        raise QueryRefused(f"a query must be one SELECT, got {named}")


def _present(connection: Any, query: str, studies: Sequence[str], table_of: Callable[[str, str], pa.Table]) -> None:
    for study in (study for study in studies if study in query):
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{study}"')
        for table in (table for table in _TABLES if table in query):
            connection.register(f"{study}__{table}", table_of(study, table))
            connection.execute(f'CREATE VIEW "{study}"."{table}" AS SELECT * FROM "{study}__{table}"')


def _told(error: Exception, asked: Sequence[str], studies: Sequence[str]) -> str:
    message = str(error).split("\n")[0]
    for study in asked:
        if renamed := told(study, [name for name in former(study) if f'"{name}"' in message.lower()]):
            return f"{renamed} in {study}"
    if "does not exist" in message:
        tables = ", ".join(f"{study}.{table}" for study in studies for table in _TABLES)
        return f"{message} The store has {tables or 'no studies yet'}"
    return message
