"""What a sweep leaves in the store beside its trials: which it asks for, how it was called, where its data lay."""

from __future__ import annotations

import contextlib
import os
import shlex
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.store.errors import AccessDenied, StoreUnwritable
from analysis.store.results import Results
from raysweep.service.provenance import Provenance, captured
from trials.core.data.contents import noted_content
from trials.core.fingerprints import fingerprint

if TYPE_CHECKING:
    from raysweep.service.commands.configuration import Settings
    from raysweep.service.commands.reuse import Reuse
    from raysweep.service.driver.supply import AskedTrials
    from raysweep.service.messages import PlannedTrial
    from raysweep.service.study import Study
    from trials.core.data.arrays import Arrays

REUSED = "reused"
"""Entry of a sweep's record: pairs of hashes, of older code or data and of that of the day, that it goes on with."""
ANNOUNCED = "RAYSWEEP_ANNOUNCED"
"""Variable in which a job finds the record that its submission left, for `watch` to know that a plan will come."""


def id_of(trial_ids: Iterable[str]) -> str:
    """Return the id under which a sweep of these trials is recorded."""
    return fingerprint(sorted(trial_ids))


def record(
    study: Study, settings: Settings, trials: Iterable[PlannedTrial], results: Results, origin: Provenance
) -> str:
    """Leave in the store which trials a sweep asks for, so that others see what is missing; return the record's id."""
    ids = [trial.trial_id for trial in trials]
    sweep_id = id_of(ids)
    results.record_sweep(study.name, sweep_id, _document(study, settings, origin), ids)
    forget_announcement(study, results)
    return sweep_id


def origin(
    study: Study,
    settings: Settings,
    arrays: Mapping[str, Arrays],
    trials: Iterable[PlannedTrial],
    decision: Reuse,
    results: Results,
) -> Provenance:
    """Return where code and data of a sweep come from, and leave in the store which modules its trials run."""
    hashes = {name: noted_content(name, settings.data_path, held) for name, held in arrays.items()}
    declare_code(study, trials, decision, results)
    return captured(hashes, decision.code)


def declare_code(study: Study, trials: Iterable[PlannedTrial], decision: Reuse, results: Results) -> None:
    """Leave in the store which modules trials run, so that it can be said which of them has changed."""
    for trial in trials:
        decision.code.hash_of(trial.knobs)
    for code_hash, modules in decision.code.known.values():
        results.declare_code(study.name, code_hash, modules)


def remember(
    study: Study, settings: Settings, trials: Iterable[PlannedTrial], decision: Reuse, results: Results
) -> None:
    """Leave in a sweep's record which older code and data it goes on with; where the store is read-only, nowhere."""
    if not decision.accepted or settings.plan_only:
        return
    with contextlib.suppress(StoreUnwritable, AccessDenied):
        sweep_id = record(study, settings, trials, results, captured(code=decision.code))
        before = next((sweep.document for sweep in results.sweeps(study.name) if sweep.sweep_id == sweep_id), {})
        pairs = sorted({*map(tuple, before.get(REUSED, ())), *decision.accepted})
        results.amend_sweep(study.name, sweep_id, {REUSED: pairs})


@contextlib.contextmanager
def recorded_search(
    study: Study, settings: Settings, supply: AskedTrials, results: Results, origin: Provenance
) -> Iterator[None]:
    """Record a search, whose trials are known at its end alone; until then its record says how many may come."""
    document = _document(study, settings, origin)
    started = f"search-{settings.asked}"  # what a search that was killed left open, its successor closes
    results.record_sweep(study.name, started, {**document, "open": True, "at_most": supply.remaining}, [])
    forget_announcement(study, results)
    try:
        yield
    finally:
        record(study, settings, supply.known, results, origin)
        results.forget_sweep(study.name, started)


def announce(study: Study, settings: Settings, command: str, results: Results) -> str:
    """Record that the plan of a job will come; return the id of the record."""
    results.prepare(study.schema)
    identity = f"submitted-{uuid.uuid4().hex[:12]}"
    document = {"space": settings.space, "command": command, "started_at": _now(), "module": study.module, "open": True}
    results.record_sweep(study.name, identity, document, [])
    return identity


def forget_announcement(study: Study, results: Results) -> None:
    """Remove the record that the submission of this process left, if it is a job: there is a plan, or will be none."""
    if identity := os.environ.get(ANNOUNCED):
        results.forget_sweep(study.name, identity)


def _document(study: Study, settings: Settings, origin: Provenance) -> dict[str, Any]:
    path = settings.data_path
    local = path is not None and "://" not in path
    return {
        "space": settings.space,
        "module": study.module,
        # A rerun that is broken off goes on without being asked for again.
        "command": shlex.join([*study.command, *(each for each in settings.overrides if each != "rerun=true")]),
        "started_at": _now(),
        "data_path": str(Path(path).absolute()) if path is not None and local else path,
        "git_commit": origin.git_commit,
        "source_hash": origin.source_hash,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
