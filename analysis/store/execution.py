"""Execution: carry out one plan of the journal; every step may be repeated, by anyone, after any crash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from analysis.store import layout
from analysis.store.declarations import stored_schemas
from analysis.store.errors import KeyAbsent
from analysis.store.journal import Journal, Plan
from analysis.store.packs import Pack, stored
from analysis.store.parallel import in_parallel
from analysis.store.parquet import concatenated, conformed, decoded, encoded
from analysis.store.renames import renamed
from analysis.store.schema import StudySchema, unified
from analysis.store.snapshot import consistently, files
from analysis.store.storage import Storage


def execute(storage: Storage, study: str, plan: Plan) -> None:
    """Bring `plan` to its end.

    The order of the steps is the protocol: a part's measurements before its trials, so that whoever sees a trial
    finds its rows; both before a pack is deleted, so that a trial is always somewhere.
    """
    if consistently(lambda: _written(storage, study, plan)):
        in_parallel(lambda pack: delete_pack(storage, study, pack), plan.packs)
        _take_out(storage, study, plan.drop, _schema(storage, study, plan))
        Journal(storage, study).mark_done(plan)


def _written(storage: Storage, study: str, plan: Plan) -> bool:
    """Write all that `plan` asks for; return False if another has brought it to its end meanwhile.

    Raises:
        KeyAbsent: A pack has gone. Another is at the same plan and has written what needed the pack: look again.
    """
    schema = _schema(storage, study, plan)
    try:
        _update_parts(storage, study, plan, schema)
        _set_aside(storage, study, plan, schema)
        _write_part(storage, study, plan, schema)
        _write_kept_pack(storage, study, plan, schema)
    except KeyAbsent:
        if not Journal(storage, study).is_done(plan):
            raise
        return False
    return True


def delete_pack(storage: Storage, study: str, pack: str) -> None:
    """Delete a pack, its trials first: without them the rest is an unfinished pack, which nobody reads."""
    storage.delete(layout.pack_trials(study, pack))
    storage.delete(layout.pack_measurements(study, pack))


def _schema(storage: Storage, study: str, plan: Plan) -> StudySchema:
    declared = stored_schemas(storage, study)
    return unified([declared[name] for name in plan.schemas])


def _update_parts(storage: Storage, study: str, plan: Plan, schema: StudySchema) -> None:
    """Bring older parts to `schema`, each atomically under its own name, before a part of that schema appears."""
    if not plan.rewrite:
        return
    for part in files(storage, study).parts:
        if (layout.part_number(part) or 0) < plan.number:
            _rewrite(storage, study, layout.part_trials(study, part), schema.trials_schema())
            _rewrite(storage, study, layout.part_measurements(study, part), schema.measurements_schema())


def _set_aside(storage: Storage, study: str, plan: Plan, schema: StudySchema) -> None:
    """Keep superseded runs in files of their own and take them out of parts, before a part has the later runs.

    Until then a reader of the folders misses these trials, and never sees one twice.
    """
    trials_key, measurements_key = (
        f"{layout.superseded(study)}/{plan.aside_name}{ending}" for ending in (layout.TRIALS, layout.MEASUREMENTS)
    )
    if not plan.aside:
        return
    if not storage.exists(trials_key):
        pack = _gathered(storage, study, plan.aside, plan.aside_name, schema)
        if pack.trials.num_rows == sum(map(len, plan.aside.values())):  # or else another has done it meanwhile
            storage.create(measurements_key, encoded(pack.measurements))
            storage.create(trials_key, encoded(pack.trials))
    _take_out(storage, study, {name: ids for name, ids in plan.aside.items() if _is_part(name)}, schema)


def discard_superseded(storage: Storage, study: str) -> int:
    """Delete superseded runs for good; return how many files of trials there were."""
    listed = storage.listing(layout.superseded(study))
    names = [name for name in listed if name.endswith((layout.TRIALS, layout.MEASUREMENTS))]
    for name in sorted(names, key=lambda name: not name.endswith(layout.TRIALS)):
        storage.delete(f"{layout.superseded(study)}/{name}")
    return sum(name.endswith(layout.TRIALS) for name in names)


def _take_out(storage: Storage, study: str, dropped: Mapping[str, Sequence[str]], schema: StudySchema) -> None:
    """Take trials out of parts, each atomically under its own name.

    Trials go first, so that no reader finds a trial without its rows. An emptied part stays, as an empty table: its
    name must not become free for a compactor that wakes up late.
    """
    for part, identities in sorted(dropped.items()):
        _rewrite(storage, study, layout.part_trials(study, part), schema.trials_schema(), identities)
        _rewrite(storage, study, layout.part_measurements(study, part), schema.measurements_schema(), identities)


def _is_part(name: str) -> bool:
    return layout.part_number(name) is not None


def _rewrite(storage: Storage, study: str, key: str, schema: pa.Schema, dropped: Sequence[str] = ()) -> None:
    before = decoded(storage.read(key), key)
    after = conformed(renamed(before, study), schema)
    if dropped:
        after = after.filter(pc.invert(_belongs(after, dropped)))
    if after.num_rows < before.num_rows or not before.schema.equals(after.schema, check_metadata=True):
        storage.replace(key, encoded(after))


def _write_part(storage: Storage, study: str, plan: Plan, schema: StudySchema) -> None:
    trials_key = layout.part_trials(study, plan.part)
    if not plan.settle or storage.exists(trials_key):
        return
    pack = _gathered(storage, study, plan.settle, plan.part, schema)
    measurements_key = layout.part_measurements(study, plan.part)
    if not storage.exists(measurements_key):
        storage.create(measurements_key, encoded(pack.measurements))
    storage.create(trials_key, encoded(pack.trials))


def _write_kept_pack(storage: Storage, study: str, plan: Plan, schema: StudySchema) -> None:
    if plan.keep and not storage.exists(layout.pack_trials(study, plan.kept_pack)):
        stored(storage, study, _gathered(storage, study, plan.keep, plan.kept_pack, schema))


def _gathered(
    storage: Storage, study: str, chosen: Mapping[str, Sequence[str]], name: str, schema: StudySchema
) -> Pack:
    """Return the chosen trials of several packs and parts as one pack, sorted by id."""
    trials = _rows(storage, {_trials_key(study, source): ids for source, ids in chosen.items()})
    trials = [renamed(table, study) for table in trials]
    rows = _rows(storage, {_measurements_key(study, source): ids for source, ids in chosen.items()})
    return Pack(
        name,
        concatenated(trials, schema.trials_schema()).sort_by("trial_id"),
        concatenated(rows, schema.measurements_schema()).sort_by("trial_id"),
    )


def _trials_key(study: str, source: str) -> str:
    return (layout.part_trials if _is_part(source) else layout.pack_trials)(study, source)


def _measurements_key(study: str, source: str) -> str:
    return (layout.part_measurements if _is_part(source) else layout.pack_measurements)(study, source)


def _rows(storage: Storage, chosen: Mapping[str, Sequence[str]]) -> Iterable[pa.Table]:
    def read(key: str) -> pa.Table:
        table = decoded(storage.read(key), key)
        return table.filter(_belongs(table, chosen[key]))

    return in_parallel(read, list(chosen))


def _belongs(table: pa.Table, identities: Sequence[str]) -> pa.ChunkedArray:
    return pc.is_in(table.column("trial_id"), pa.array(identities, pa.string()))
