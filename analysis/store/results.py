"""Results: the store of everything that finished trials leave, in both directions."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from analysis.store import packs, sql
from analysis.store.check import Finding, findings
from analysis.store.compaction import Compaction, compact, remove
from analysis.store.declarations import declare, stored_studies
from analysis.store.errors import StoreMissing, StoreWarning
from analysis.store.execution import discard_superseded
from analysis.store.packs import Row
from analysis.store.records import Records
from analysis.store.schema import StudySchema, checked_name
from analysis.store.snapshot import StudyReader, consistently, files
from analysis.store.storage import open_storage
from analysis.store.tables import Frame, Run, as_frame, joined_with_knobs, measurements_table, runs_of, trials_table

Stored = TypeVar("Stored")


class Results(Records):
    """The results below one root, a local folder or `s3://bucket/prefix`.

    Dataframes are pandas unless asked of `polars()` or `arrow()`. Instances may be pickled and shared by threads.

    Args:
        root: Where the results lie. It need not exist before the first write.
        skip_corrupted: Leave out files that cannot be read, with a warning that names each, rather than raise.
        expected: A schema whose columns readers see before it is declared, which takes no right to write.

    Raises:
        ValueError: The root is neither a path nor `s3://bucket/prefix`.
    """

    def __init__(
        self, root: str | os.PathLike[str], *, skip_corrupted: bool = False, expected: StudySchema | None = None
    ) -> None:
        super().__init__(open_storage(root))
        self._skip_corrupted, self._expected = skip_corrupted, expected
        self._frame: Frame = "pandas"
        self._declared: set[StudySchema] = set()
        self._only: pa.Array | None = None

    @property
    def root(self) -> str:
        """The root as it was given, with the home folder where it said `~`."""
        return self._storage.root

    def only(self, trial_ids: Collection[str]) -> Self:
        """Return these results with dataframes that hold no other trials than these: those of one sweep, say."""
        other = copy.copy(self)
        other._only = pa.array(sorted(trial_ids), pa.string())
        return other

    def polars(self) -> Self:
        """Return these results with Polars dataframes."""
        return self._as("polars")

    def arrow(self) -> Self:
        """Return these results with Arrow tables."""
        return self._as("arrow")

    def prepare(self, schema: StudySchema) -> None:
        """Find out, before anything expensive, whether trials of `schema` can be stored, and declare it.

        Raises:
            StoreError: The root cannot be reached or written, or a column has changed its type.
        """
        if not self._storage.probe():
            message = "ignores conditional writes: readers remove duplicates; run one compaction at a time"
            warnings.warn(f"{self.root} {message}", StoreWarning, stacklevel=2)
        self._declare(schema)

    def write(self, schema: StudySchema, trials: Sequence[Row], measurements: Mapping[str, Sequence[Row]]) -> None:
        """Store one pack of trials with their rows; it is durable, whole and visible when this returns.

        The same work written again is left as it is. Columns of `trials` that the caller leaves out are null, those of
        knobs at their defaults; `study`, `revision` and `steps_recorded` are filled in.

        Args:
            schema: The columns.
            trials: One row a trial, any outcome.
            measurements: The measured rows by trial id, in the order of steps.

        Raises:
            ValueError: A row does not fit the schema.
            StoreError: The pack could not be stored; no part of it counts.
        """
        pack = packs.packed(schema, trials, measurements)
        self._declare(schema)
        packs.stored(self._storage, schema.study, pack)

    def studies(self) -> list[str]:
        """Return the names of the studies in the store; what else lies beside them is left out."""
        return stored_studies(self._storage)

    def outcomes(self, study: str) -> dict[str, str]:
        """Return the outcome of every trial by its id; none for a study that was never written."""
        table = self._columns(study, "trial_id", "outcome")
        if table is None:
            return {}
        return dict(zip(table.column("trial_id").to_pylist(), table.column("outcome").to_pylist(), strict=True))

    def runs(self, study: str) -> dict[str, Run]:
        """Return outcome and origin of every trial by its id; none for a study that was never written."""
        schema = self._reader(study).schema()
        known = schema.trials_schema().names if schema else ()
        table = self._columns(study, "trial_id", *(name for name in Run._fields if name in known))
        return {} if table is None else runs_of(table)

    def finished(self, study: str) -> set[str]:
        """Return the ids of the trials that need not run again: finished, diverged or stopped."""
        return {identity for identity, outcome in self.outcomes(study).items() if outcome != "failed"}

    def schema(self, study: str, revision: int | None = None) -> StudySchema:
        """Return the columns of a study, of all its revisions together or of one.

        Raises:
            StoreMissing: The store has no such study or revision.
        """
        return self._present(study, self._reader(study).schema(revision))

    def trials(self, study: str, revision: int | None = None) -> Any:
        """Return one row a trial, by id: common columns, knobs, final measurements.

        Args:
            study: Name of the study.
            revision: Only trials of this revision, with its columns; all by default.

        Raises:
            StoreMissing: The store has no such study.
        """
        return as_frame(self._frame, self._trials(study, revision))

    def measurements(self, study: str, knobs: bool | Sequence[str] = False, revision: int | None = None) -> Any:
        """Return the measured rows, those of a trial together and in the order written.

        Args:
            study: Name of the study.
            knobs: True to join every knob, `seed` and `outcome` to the rows, or the columns of the trials to join.
            revision: Only trials of this revision, with its columns; all by default.

        Raises:
            StoreMissing: The store has no such study.
        """
        reader = self._reader(study)
        rows = self._chosen(self._present(study, consistently(lambda: measurements_table(reader, revision))))
        if knobs is not False:
            rows = joined_with_knobs(rows, self._trials(study, revision), reader.schema(revision), knobs)
        return as_frame(self._frame, rows)

    def sql(self, query: str) -> Any:
        """Return the answer to one SELECT over the tables `<study>.trials` and `<study>.measurements` of all studies.

        The query can neither write nor reach anything outside these tables.

        Raises:
            QueryRefused: It is not one SELECT, or does not run.
        """
        tables = self.arrow()
        answer = sql.queried(query, self.studies(), lambda study, table: getattr(tables, table)(study))
        return as_frame(self._frame, answer)

    def compact(self, study: str, at_least: int = 1) -> Compaction:
        """Move finished trials from the inbox into the two tables that readers without raysweep see.

        Each call that does something adds a part to both: one that is called often asks for more to be there. Runs that
        a rerun has superseded leave the two tables and are kept aside; see `discard_superseded`.

        Args:
            study: Name of the study.
            at_least: Do nothing while fewer packs are in the inbox.
        """
        return compact(self._reader(study), at_least)

    def discard_superseded(self, study: str) -> int:
        """Delete the runs that compaction has set aside, for good; return how many files there were."""
        return discard_superseded(self._storage, checked_name(study, "study"))

    def has_tables(self, study: str) -> bool:
        """Return whether compaction has made the two tables, which readers without raysweep see."""
        return bool(files(self._storage, checked_name(study, "study")).parts)

    def remove(self, study: str, trial_ids: Collection[str]) -> int:
        """Take trials out of the store for good; return how many there were."""
        return remove(self._reader(study), trial_ids)

    def check(self, study: str) -> list[Finding]:
        """Read everything a study has stored and return what is wrong with it."""
        return findings(self._reader(study))

    def _declare(self, schema: StudySchema) -> None:
        """Store the declaration, once an instance, so that readers know every column."""
        if schema not in self._declared:
            declare(self._storage, schema)
            self._declared.add(schema)

    def _columns(self, study: str, *names: str) -> pa.Table | None:
        reader = self._reader(study)
        table = consistently(lambda: trials_table(reader, columns=names))
        return None if table is None else self._chosen(table)

    def _trials(self, study: str, revision: int | None) -> pa.Table:
        reader = self._reader(study)
        table = self._chosen(self._present(study, consistently(lambda: trials_table(reader, revision))))
        return table.take(pc.sort_indices(table, sort_keys=[("trial_id", "ascending")]))

    def _present(self, study: str, stored: Stored | None) -> Stored:
        if stored is None:
            known = ", ".join(self.studies()) or "no studies yet"
            raise StoreMissing(f"{self.root} has no such study or revision of {study}; it has {known}")
        return stored

    def _chosen(self, table: pa.Table) -> pa.Table:
        if self._only is None:
            return table
        return table.filter(pc.is_in(table.column("trial_id"), self._only))

    def _reader(self, study: str) -> StudyReader:
        checked_name(study, "study")
        return StudyReader(self._storage, study, skip_corrupted=self._skip_corrupted, expected=self._expected)

    def _as(self, frame: Frame) -> Self:
        other = copy.copy(self)
        other._frame = frame
        return other


def open_results(root: str | os.PathLike[str], *, skip_corrupted: bool = False) -> Results:
    """Return the results below `root`, a local folder or `s3://bucket/prefix`; nothing is read yet."""
    return Results(root, skip_corrupted=skip_corrupted)
