"""The lines that open a study's trials without raysweep."""

from __future__ import annotations

import re

from analysis.store.errors import StoreError
from analysis.store.results import Results


def reading_lines(results: Results, study: str) -> str:
    """Return the lines that open the trials in pandas, Polars and DuckDB, or one that says why nothing opens.

    What a lost sweep had stored and not yet moved to the tables is moved first, so that the lines read all of it.
    """
    behind = ""
    try:
        results.compact(study)
    except StoreError as error:  # readers of a store that they may not write see what is in its tables
        behind = f"\nthese tables may lack the latest trials ({error}); raysweep's own readers see all"
        if not results.has_tables(study):
            return f"no table to open yet ({error}); raysweep query reads the trials ({study}.trials)"
    if not results.finished(study):
        return f"no table to open yet: every stored trial failed; raysweep query reads them ({study}.trials)"
    place = f"{results.root.rstrip('/')}/{study}/trials"
    every = re.sub(r"([*?\[])", r"[\1]", place) + "/part-*.parquet"  # of the path itself no character is a pattern
    in_sql = every.replace("'", "''")
    query = f"from read_parquet('{in_sql}', hive_partitioning=false)"
    return "\n".join(
        (
            f"pandas:  import pandas; pandas.read_parquet({place!r}, partitioning=None)",
            f"polars:  import polars; polars.read_parquet({every!r}, hive_partitioning=False)",
            f"duckdb:  import duckdb; duckdb.sql({query!r}){behind}",
        )
    )
