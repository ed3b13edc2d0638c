"""Snapshots: one consistent view of a study, parts and inbox together, every trial once."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from analysis.store import layout
from analysis.store.declarations import stored_schemas
from analysis.store.errors import CorruptedPart, KeyAbsent, StoreError, StoreWarning
from analysis.store.parallel import in_parallel
from analysis.store.parquet import decoded
from analysis.store.renames import asked_for, renamed
from analysis.store.schema import StudySchema, refuse_type_changes, unified
from analysis.store.storage import Storage

Answer = TypeVar("Answer")

RANKING = ("trial_id", "outcome", "finished_at", "steps_recorded", "rerun")
_LOOKS = 8
_LATEST = 2**63 - 1


@dataclass(frozen=True)
class Source:
    """A trials file with the place of its measured rows: a compacted part or a pack of the inbox.

    Attributes:
        name: Name of the part or pack.
        compacted: True for a part.
        trials: Its rows, with the columns asked for.
    """

    name: str
    compacted: bool
    trials: pa.Table

    def measurements_key(self, study: str) -> str:
        """Return where the measured rows of these trials are."""
        return (layout.part_measurements if self.compacted else layout.pack_measurements)(study, self.name)


@dataclass(frozen=True)
class Files:
    """What a study's folders held at one time.

    Attributes:
        packs: Sizes of the complete packs of the inbox.
        without_trials: Packs of which only the measurements exist: a writer is at work or has crashed.
        without_measurements: Packs of which only the trials exist, left by one who came late to a compacted pack.
        parts: Names of the parts that have trials.
    """

    packs: dict[str, int]
    without_trials: list[str]
    without_measurements: list[str]
    parts: list[str]


def files(storage: Storage, study: str) -> Files:
    """Return the files that make up a study.

    The inbox is listed before the parts, since compaction writes a part before it removes a pack: a pack that is
    already gone is then in a part that is seen.
    """
    listed = storage.listing(layout.inbox(study))
    trials = {pack: listed[pack + layout.TRIALS] for pack in _packs(listed, layout.TRIALS)}
    measured = set(_packs(listed, layout.MEASUREMENTS))
    parts = [name for name in storage.listing(f"{study}/trials") if layout.part_number(name) is not None]
    return Files(
        packs={name: size + listed[name + layout.MEASUREMENTS] for name, size in trials.items() if name in measured},
        without_trials=sorted(measured - set(trials)),
        without_measurements=sorted(set(trials) - measured),
        parts=parts,
    )


def _packs(names: Iterable[str], ending: str) -> list[str]:
    return [name.removesuffix(ending) for name in names if name.endswith(ending) and layout.is_pack_file(name)]


def consistently(read: Callable[[], Answer]) -> Answer:
    """Return what `read` returns, from the start again whenever a file it listed has moved meanwhile."""
    for look in range(_LOOKS):
        try:
            return read()
        except KeyAbsent as absent:
            gone = absent
            time.sleep(0.02 * 2**look)
    raise StoreError(f"{gone} is listed but cannot be read: a file was removed by hand, or the store lists stale names")


class StudyReader:
    """Reads one study of a storage.

    Attributes:
        skip_corrupted: Leave out files that cannot be read, with a warning that names each, rather than raise.
        expected: A schema that counts as declared if it is of this study; None for none.
    """

    def __init__(
        self, storage: Storage, study: str, *, skip_corrupted: bool = False, expected: StudySchema | None = None
    ) -> None:
        self.storage = storage
        self.study = study
        self.skip_corrupted = skip_corrupted
        self.expected = expected

    def schema(self, revision: int | None = None) -> StudySchema | None:
        """Return the schema of everything stored, or of one revision; None if there is none.

        Raises:
            SchemaConflict: What is expected contradicts what is stored.
        """
        declared = list(stored_schemas(self.storage, self.study).values())
        if self.expected is not None and self.expected.study == self.study:
            refuse_type_changes(self.expected, declared)
            declared.append(self.expected)
        chosen = [schema for schema in declared if revision in (None, schema.revision)]
        return unified(chosen) if chosen else None

    def sources(self, columns: Sequence[str] | None = None) -> list[Source]:
        """Return every trials file with the columns asked for; parts first, each group in the order of names.

        Raises:
            KeyAbsent: A file moved; see `consistently`.
        """
        found = files(self.storage, self.study)
        wanted = [(name, True) for name in found.parts] + [(name, False) for name in found.packs]
        loaded = in_parallel(lambda entry: self._source(*entry, columns), wanted)
        return [source for source in loaded if source is not None]

    def measurements_of(self, source: Source, columns: Sequence[str] | None = None) -> pa.Table | None:
        """Return the measured rows of `source`, or None where they are corrupted and skipped."""
        return self._read(source.measurements_key(self.study), columns)

    def is_whole(self, pack: str) -> bool:
        """Whether both files of `pack` can be read to their ends; where corrupted ones are not skipped, raise."""
        keys = layout.pack_trials(self.study, pack), layout.pack_measurements(self.study, pack)
        return all(self._read(key, None) is not None for key in keys)

    def trials_in(self, key: str) -> set[str]:
        """Return the ids in a file of either table; none if it is corrupted and skipped."""
        table = self._read(key, ["trial_id"])
        return set() if table is None else set(table.column("trial_id").to_pylist())

    def _source(self, name: str, compacted: bool, columns: Sequence[str] | None) -> Source | None:
        key = (layout.part_trials if compacted else layout.pack_trials)(self.study, name)
        table = self._read(key, None if columns is None else asked_for(columns, self.study))
        return None if table is None else Source(name, compacted, renamed(table, self.study))

    def _read(self, key: str, columns: Sequence[str] | None) -> pa.Table | None:
        try:
            return decoded(self.storage.read(key), key, columns)
        except CorruptedPart as corrupted:
            if not self.skip_corrupted:
                raise
            warnings.warn(f"skipped: {corrupted}", StoreWarning, stacklevel=2)
            return None


def winners(sources: Sequence[Source]) -> list[Sequence[int]]:
    """Return which rows of each source count, so that every trial is there once.

    A run that did not fail supersedes one that did, then a rerun the runs before it. Of runs that are alike in both a
    compacted one stands; otherwise the first to finish counts, then the name of the pack. Measured rows come from the
    source whose trial row won.
    """
    if are_distinct(sources):
        return [range(source.trials.num_rows) for source in sources]
    best: dict[str, tuple[tuple[Any, ...], int, int]] = {}
    for place, source in enumerate(sources):
        for row, (identity, rank) in enumerate(_ranked(source)):
            if identity not in best or rank < best[identity][0]:
                best[identity] = (rank, place, row)
    chosen: list[list[int]] = [[] for _ in sources]
    for _, place, row in best.values():
        chosen[place].append(row)
    return [sorted(rows) for rows in chosen]


def are_distinct(sources: Sequence[Source]) -> bool:
    """Return whether no trial is in two sources, so that all rows count."""
    identities = [chunk for source in sources for chunk in source.trials.column("trial_id").chunks]
    count: int = pc.count_distinct(pa.chunked_array(identities, pa.string())).as_py()
    return count == sum(len(chunk) for chunk in identities)


def superseded(sources: Sequence[Source], chosen: Sequence[Sequence[int]]) -> list[list[str]]:
    """Return of each source the trials of which a later rerun counts, `chosen` being what `winners` returns."""
    if are_distinct(sources):
        return [[] for _ in sources]
    columns = [
        list(zip(*(source.trials.column(name).to_pylist() for name in ("trial_id", "outcome")), strict=True))
        for source in sources
    ]
    reruns = [_whole_numbers(source.trials, "rerun", 0) for source in sources]
    latest = {
        listed[row][0]: numbers[row]
        for listed, numbers, rows in zip(columns, reruns, chosen, strict=True)
        for row in rows
    }
    return [
        [
            identity
            for (identity, outcome), number in zip(listed, numbers, strict=True)
            if outcome != "failed" and number < latest[identity]
        ]
        for listed, numbers in zip(columns, reruns, strict=True)
    ]


def _ranked(source: Source) -> Iterator[tuple[str, tuple[Any, ...]]]:
    identities, outcomes = (source.trials.column(name).to_pylist() for name in ("trial_id", "outcome"))
    moments = _whole_numbers(source.trials, "finished_at", _LATEST)
    reruns = _whole_numbers(source.trials, "rerun", 0)
    for identity, outcome, moment, rerun in zip(identities, outcomes, moments, reruns, strict=True):
        yield identity, (outcome == "failed", -rerun, not source.compacted, moment, source.name)


def _whole_numbers(trials: pa.Table, name: str, unknown: int) -> list[int]:
    """Return a column of numbers or times as numbers; a pack has no column of what none of its trials know."""
    if name not in trials.schema.names:
        return [unknown] * trials.num_rows
    numbers: list[int] = trials.column(name).cast(pa.int64()).fill_null(unknown).to_pylist()
    return numbers


def taken(table: pa.Table, rows: Sequence[int]) -> pa.Table:
    """Return the given rows of `table`, which itself if they are all."""
    return table if len(rows) == table.num_rows else table.take(pa.array(rows, pa.int64()))


def of_trials(measurements: pa.Table, trials: pa.Table) -> pa.Table:
    """Return the rows of `measurements` that belong to `trials`, which are of the same file.

    Equal counts mean that all rows belong, which spares comparing millions of ids.
    """
    if pc.sum(trials.column("steps_recorded")).as_py() in (measurements.num_rows, None):
        return measurements if trials.num_rows else measurements.slice(0, 0)
    return measurements.filter(pc.is_in(measurements.column("trial_id"), trials.column("trial_id").combine_chunks()))
