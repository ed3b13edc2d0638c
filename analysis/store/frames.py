"""Frames: an Arrow table as the dataframe that its reader works with."""

from __future__ import annotations

from typing import Any, Literal

import pyarrow as pa

Frame = Literal["pandas", "polars", "arrow"]


def as_frame(frame: Frame, table: pa.Table) -> Any:
    """Return `table` as a pandas or Polars dataframe, or as it is; only what is asked for is imported."""
    if frame == "arrow":
        return table
    if frame == "polars":
        import polars

        return polars.from_arrow(table)
    return table.to_pandas()
