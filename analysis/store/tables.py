"""Tables: a study's trials and measurements, parts and inbox together, in Arrow or as its reader works with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from analysis.store.errors import StoreMissing
from analysis.store.parallel import in_parallel
from analysis.store.parquet import concatenated
from analysis.store.renames import told
from analysis.store.schema import StudySchema
from analysis.store.snapshot import RANKING, Source, StudyReader, are_distinct, of_trials, taken, winners

Frame = Literal["pandas", "polars", "arrow"]


class Run(NamedTuple):
    """The run of a trial that counts.

    Attributes:
        outcome: How it ended.
        rerun: How many times the trial had been computed anew.
        code_hash: Hash of the modules that it ran, None where it was not written down.
        data_hash: Fingerprint of the data that it read, None for none.
        data_name: Their name, None where the study has no such knob.
    """

    outcome: str
    rerun: int
    code_hash: str | None
    data_hash: str | None
    data_name: str | None = None


def runs_of(table: pa.Table) -> dict[str, Run]:
    """Return the run that counts of every trial of a table of trials, by id."""
    reruns = [number or 0 for number in table.column("rerun").to_pylist()]
    # Of a million trials few have hashes of their own: let them share the strings.
    texts = [name for name in ("code_hash", "data_hash", "data_name") if name in table.schema.names]
    shared = [table.column(name).dictionary_encode().to_pylist() for name in texts]
    outcomes = table.column("outcome").to_pylist()
    runs = (Run(*values) for values in zip(outcomes, reruns, *shared, strict=True))
    return dict(zip(table.column("trial_id").to_pylist(), runs, strict=True))


def trials_table(
    reader: StudyReader, revision: int | None = None, columns: Sequence[str] | None = None
) -> pa.Table | None:
    """Return one row a trial, or None for a study or revision that was never written.

    Raises:
        KeyAbsent: A file moved; see `consistently`.
    """
    wanted = None if columns is None else list(dict.fromkeys([*RANKING, "revision", *columns]))
    sources = reader.sources(wanted)
    schema = reader.schema(revision)
    if schema is None:
        return None
    arrow = schema.trials_schema()
    if columns is not None:
        arrow = pa.schema([arrow.field(name) for name in columns])
    counting = [source.trials for source in _counting(sources)]
    return concatenated([_of_revision(table, revision) for table in counting], arrow)


def measurements_table(reader: StudyReader, revision: int | None = None) -> pa.Table | None:
    """Return the measured rows of every trial, or None for a study or revision that was never written.

    Raises:
        KeyAbsent: A file moved; see `consistently`.
    """
    counting = [source for source in _measured(reader, revision) if source.trials.num_rows]

    def rows(source: Source) -> pa.Table | None:
        trials = _of_revision(source.trials, revision)
        table = reader.measurements_of(source) if trials.num_rows else None
        return None if table is None else of_trials(table, trials)

    loaded = in_parallel(rows, counting)
    schema = reader.schema(revision)
    if schema is None:
        return None
    return concatenated([table for table in loaded if table is not None], schema.measurements_schema())


def joined_with_knobs(
    rows: pa.Table, trials: pa.Table, schema: StudySchema | None, knobs: bool | Sequence[str]
) -> pa.Table:
    """Return measured `rows` with columns of their trials.

    Raises:
        StoreMissing: A name is no column of the trials.
    """
    declared = [column.name for column in schema.knob_columns] if schema else []
    names = list(knobs) if not isinstance(knobs, bool) else ["seed", *declared, "outcome"]
    unknown = sorted(set(names) - set(trials.schema.names))
    if unknown:
        renamed = told(schema.study, unknown) if schema else ""
        has = renamed or f"they have {', '.join(trials.schema.names)}"
        raise StoreMissing(f"trials have no columns {', '.join(unknown)}; {has}")
    places = pc.index_in(rows.column("trial_id"), trials.column("trial_id").combine_chunks())
    beside = trials.select([name for name in names if name not in rows.schema.names]).take(places)
    for field, column in zip(beside.schema, beside.columns, strict=True):
        rows = rows.append_column(field, column)
    return rows


def _measured(reader: StudyReader, revision: int | None) -> list[Source]:
    """Return the sources with the rows that count, and of their columns few unless a trial is in two of them."""
    asked = [] if revision is None else ["revision"]
    sources = reader.sources(["trial_id", "steps_recorded", *asked])
    return sources if are_distinct(sources) else _counting(reader.sources([*RANKING, *asked]))


def _counting(sources: Sequence[Source]) -> list[Source]:
    """Return `sources` with only those rows that count, every trial once."""
    chosen = winners(sources)
    return [
        Source(source.name, source.compacted, taken(source.trials, rows))
        for source, rows in zip(sources, chosen, strict=True)
    ]


def _of_revision(trials: pa.Table, revision: int | None) -> pa.Table:
    return trials if revision is None else trials.filter(pc.equal(trials.column("revision"), revision))


def as_frame(frame: Frame, table: pa.Table) -> Any:
    """Return `table` as a pandas or Polars dataframe, or as it is; only what is asked for is imported."""
    if frame == "arrow":
        return table
    if frame == "polars":
        import polars

        return polars.from_arrow(table)
    return table.to_pandas()
