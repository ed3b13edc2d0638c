"""Check: read everything a study has stored and name what is wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from analysis.store import layout
from analysis.store.common_columns import OUTCOMES
from analysis.store.errors import CorruptedPart, KeyAbsent
from analysis.store.journal import Journal
from analysis.store.parallel import in_parallel
from analysis.store.parquet import decoded
from analysis.store.renames import former, renamed, value_now
from analysis.store.schema import StudySchema
from analysis.store.snapshot import Source, StudyReader, files
from analysis.store.stages import read_stage, stage_origins
from analysis.store.sweeps import broken_sweeps


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: What kind of thing, in a word or two.
        where: The file or trial.
        message: One sentence: what is wrong and what to do.
    """

    kind: str
    where: str
    message: str


def findings(reader: StudyReader) -> list[Finding]:
    """Return what is wrong with a study. A sweep that is at work may show as unfinished packs or plans."""
    try:
        schema = reader.schema()
        found = list(_plans(reader))
    except CorruptedPart as corrupted:
        return [Finding("corrupted", reader.study, str(corrupted))]
    if schema is None:
        return [Finding("no schema", reader.study, "nothing declares its columns; write a trial or restore schemas/")]
    found += [*_sweeps(reader), *_packs(reader), *_parts(reader), *_stages(reader)]
    names = files(reader.storage, reader.study)
    sources = [(name, True) for name in names.parts] + [(name, False) for name in names.packs]
    checked = in_parallel(lambda entry: _source(reader, *entry, schema), sources)
    found += [finding for _, each in checked for finding in each]
    return [*found, *_doubles([source for source, _ in checked if source is not None])]


def _plans(reader: StudyReader) -> Iterator[Finding]:
    unfinished, _ = Journal(reader.storage, reader.study).agenda()
    for plan in unfinished:
        where = f"{layout.journal(reader.study)}/{plan.number:06d}.json"
        yield Finding("interrupted", where, "a compaction or removal has not come to its end; compact to finish it")


def _sweeps(reader: StudyReader) -> Iterator[Finding]:
    for key, reason in broken_sweeps(reader.storage, reader.study).items():
        yield Finding("corrupted", key, reason)


def _packs(reader: StudyReader) -> Iterator[Finding]:
    found = files(reader.storage, reader.study)
    for pack in found.without_trials + found.without_measurements:
        where = f"{layout.inbox(reader.study)}/{pack}"
        yield Finding("unfinished pack", where, "one of its two files is missing: a writer is at work or has crashed")
    for name in reader.storage.listing(layout.inbox(reader.study)):
        if not layout.is_pack_file(name):
            yield Finding(
                "foreign file", f"{layout.inbox(reader.study)}/{name}", "raysweep did not write it; remove it"
            )


def _parts(reader: StudyReader) -> Iterator[Finding]:
    """Compare the two tables' file names: a part has the same in both."""
    trials, measurements = (reader.storage.listing(f"{reader.study}/{table}") for table in ("trials", "measurements"))
    for table, names in (("trials", trials), ("measurements", measurements)):
        for name in names:
            if layout.part_number(name) is None:
                yield Finding("foreign file", f"{reader.study}/{table}/{name}", "raysweep did not write it; remove it")
    for name in sorted(set(trials) ^ set(measurements)):
        table = "measurements" if name in trials else "trials"
        yield Finding("lonely part", f"{reader.study}/{table}/{name}", "is missing; compact, or restore it")


def _stages(reader: StudyReader) -> Iterator[Finding]:
    for fingerprint in filter(layout.is_token, reader.storage.folders(f"{reader.study}/stages")):
        for origin in stage_origins(reader.storage, reader.study, fingerprint):
            try:
                read_stage(reader.storage, reader.study, fingerprint, origin)
            except CorruptedPart as corrupted:
                yield Finding("corrupted", layout.stage(reader.study, fingerprint), str(corrupted))


def _source(
    reader: StudyReader, name: str, compacted: bool, schema: StudySchema
) -> tuple[Source | None, list[Finding]]:
    """Return a source with what is wrong in it; no source where its trials cannot be read."""
    key = (layout.part_trials if compacted else layout.pack_trials)(reader.study, name)
    try:
        table = decoded(reader.storage.read(key), key)
    except CorruptedPart as corrupted:
        return None, [Finding("corrupted", key, str(corrupted))]
    except KeyAbsent:  # compacted while we read
        return None, []
    source = Source(name, compacted, renamed(table, reader.study))
    found = [] if not compacted else list(_schema(key, table, schema))
    return source, [*found, *_trials(reader.study, key, source), *_measured(reader, source, schema)]


def _schema(key: str, trials: pa.Table, schema: StudySchema) -> Iterator[Finding]:
    if not trials.schema.equals(schema.trials_schema()):
        yield Finding("old schema", key, "lacks columns that were declared or renamed since; compact to add them")


def _trials(study: str, key: str, source: Source) -> Iterator[Finding]:
    for row in source.trials.to_pylist():
        where = f"{key}: {row['trial_id']}"
        if row["study"] != study:
            yield Finding("foreign trial", where, f"belongs to study {row['study']}")
        if row["outcome"] not in OUTCOMES or (source.compacted and row["outcome"] == "failed"):
            yield Finding("outcome", where, f"has outcome {row['outcome']}, which no trial has here")
        if not _agrees(row, study):
            yield Finding("knobs", where, "its knobs_json contradicts its columns, so its id may be another's")


def _agrees(row: Mapping[str, Any], study: str) -> bool:
    """Whether the knobs as JSON and as columns are the same, where the trial has both."""
    if row.get("knobs_json") is None:
        return True
    try:
        knobs = json.loads(row["knobs_json"])
    except ValueError:
        return False
    if not isinstance(knobs, dict):
        return False
    now = {former(study).get(name, name): value_now(study, name, value) for name, value in knobs.items()}
    return all(_same(row[name], value) for name, value in now.items() if name in row)


def _same(column: Any, knob: Any) -> bool:
    """Whether two values are equal, where the column may have widened to text since."""
    return bool(column == knob) or (isinstance(column, str) and not isinstance(knob, str))


def _measured(reader: StudyReader, source: Source, schema: StudySchema) -> Iterator[Finding]:
    key = source.measurements_key(reader.study)
    try:
        rows = decoded(reader.storage.read(key), key)
    except CorruptedPart as corrupted:
        yield Finding("corrupted", key, str(corrupted))
        return
    except KeyAbsent:
        return
    if source.compacted and not rows.schema.equals(schema.measurements_schema()):
        yield Finding("old schema", key, "lacks columns that were declared since; compact to add them")
    yield from _counts(key, source.trials, Counter(rows.column("trial_id").to_pylist()))


def _counts(key: str, trials: pa.Table, counted: Counter[str]) -> Iterator[Finding]:
    recorded = dict(zip(*(trials.column(name).to_pylist() for name in ("trial_id", "steps_recorded")), strict=True))
    for identity in sorted(set(recorded) | set(counted)):
        if recorded.get(identity, 0) != counted[identity]:
            message = f"has {counted[identity]} rows where its trial says {recorded.get(identity, 0)}"
            yield Finding("row count", f"{key}: {identity}", message)


def _doubles(sources: Iterable[Source]) -> Iterator[Finding]:
    """Find trials that a reader of the parts alone would see twice; readers of raysweep see one."""
    places: dict[str, list[str]] = {}
    for source in (source for source in sources if source.compacted):
        for identity in source.trials.column("trial_id").to_pylist():
            places.setdefault(identity, []).append(source.name)
    for identity, names in sorted(places.items()):
        if len(names) > 1:
            yield Finding("double", identity, f"is in {' and '.join(names)}; compact to leave one")
