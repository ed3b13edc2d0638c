"""Compaction: settled trials go from many small packs into few large parts; and removal, by the same protocol."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from analysis.store import layout
from analysis.store.declarations import stored_schemas
from analysis.store.execution import execute
from analysis.store.journal import Journal, Plan
from analysis.store.parallel import in_parallel
from analysis.store.renames import former
from analysis.store.snapshot import RANKING, Files, Source, StudyReader, consistently, files, superseded, winners

_BATCH_BYTES = 256 * 2**20


@dataclass(frozen=True, kw_only=True)
class Compaction:
    """What a compaction did.

    Attributes:
        trials: Trials that are now in parts and were not before.
        packs: Packs removed from the inbox.
    """

    trials: int = 0
    packs: int = 0


def compact(reader: StudyReader, at_least: int = 1) -> Compaction:
    """Move every settled trial of the inbox into parts; what failed stays, gathered in one pack.

    Safe beside readers, writers and other compactors, and after a crash at any point.

    Args:
        reader: The study.
        at_least: Do nothing while fewer packs are in the inbox.
    """
    done = Compaction()
    if at_least > 1 and len(consistently(lambda: files(reader.storage, reader.study)).packs) < at_least:
        return done
    while True:
        number = finish(reader)
        plan = consistently(partial(planned, reader, number))
        if plan is None:
            reader.storage.clean()
            return done
        if Journal(reader.storage, reader.study).claim(plan):
            execute(reader.storage, reader.study, plan)
            settled = sum(len(identities) for identities in plan.settle.values())
            done = Compaction(trials=done.trials + settled, packs=done.packs + len(plan.packs))


def remove(reader: StudyReader, identities: Collection[str]) -> int:
    """Take trials out of the store; return how many there were. A sweep that runs meanwhile may write them again."""
    while True:
        number = finish(reader)
        plan, count = consistently(partial(_removal, reader, number, set(identities)))
        if not count:
            return 0
        if Journal(reader.storage, reader.study).claim(plan):
            execute(reader.storage, reader.study, plan)
            return count


def finish(reader: StudyReader) -> int:
    """Bring plans to their end that a crashed or concurrent process has begun; return the number of the next plan.

    The number follows those that were looked at, and no later look: if a rival enters a plan meanwhile, it takes that
    number, and ours, made from what was there before, cannot be claimed.
    """
    journal = Journal(reader.storage, reader.study)
    unfinished, following = journal.agenda()
    for plan in unfinished:
        execute(reader.storage, reader.study, plan)
    return following


def planned(reader: StudyReader, number: int) -> Plan | None:
    """Return the next compaction, or None if nothing is to be done.

    Raises:
        KeyAbsent: A file moved; see `consistently`.
    """
    found = files(reader.storage, reader.study)
    sources = reader.sources(RANKING)
    chosen = winners(sources)
    ranked = list(zip(sources, chosen, strict=True))
    batch = _batch(reader, found, [source.name for source in sources if not source.compacted])
    aside = _superseded(ranked, batch)
    settle = {source.name: _named(source, rows, failed=False) for source, rows in ranked if source.name in batch}
    keep = {source.name: _named(source, rows, failed=True) for source, rows in ranked if source.name in batch}
    plan = Plan(
        number=number,
        schemas=list(stored_schemas(reader.storage, reader.study)),
        rewrite=_schemas_changed(reader),
        settle=_non_empty(settle),
        keep=_non_empty(keep),
        aside=_non_empty(aside),
        drop=_non_empty(_copies(ranked)),
        packs=[*batch, *_needless_halves(reader, found, sources)],
        renamed=dict(former(reader.study)),
    )
    return plan if _worthwhile(plan) else None


def _worthwhile(plan: Plan) -> bool:
    """Whether a plan changes more than the name of the one pack that holds what failed."""
    only_renames = len(plan.packs) == 1 and list(plan.keep) == plan.packs and not plan.settle
    return plan.rewrite or bool(plan.drop or plan.aside) or bool(plan.packs and not only_renames)


def _batch(reader: StudyReader, found: Files, readable: Sequence[str]) -> list[str]:
    """Return the packs of one plan, the smallest first: two at least, then as many as memory allows.

    With `skip_corrupted`, a pack whose measurements cannot be read is left where it is, for `check` to name.
    """
    batch: list[str] = []
    size = 0
    for name in sorted(set(readable) & set(found.packs), key=lambda name: (found.packs[name], name)):
        size += found.packs[name]
        if len(batch) > 1 and size > _BATCH_BYTES:
            break
        batch.append(name)
    return [name for name, is_whole in zip(batch, in_parallel(reader.is_whole, batch), strict=True) if is_whole]


def _removal(reader: StudyReader, number: int, identities: set[str]) -> tuple[Plan, int]:
    sources = reader.sources(RANKING)
    touched = [source for source in sources if identities & set(_ids(source))]
    packs = [source.name for source in touched if not source.compacted]
    ranked = list(zip(sources, winners(sources), strict=True))
    staying = {source.name: sorted(set(_chosen(source, rows)) - identities) for source, rows in ranked}
    older = {name: names for name, names in _superseded(ranked, packs).items() if name in packs}
    plan = Plan(
        number=number,
        schemas=list(stored_schemas(reader.storage, reader.study)),
        rewrite=_schemas_changed(reader),
        keep=_non_empty({name: staying[name] for name in packs}),
        aside=_non_empty({name: sorted(set(names) - identities) for name, names in older.items()}),
        drop={source.name: sorted(set(_ids(source)) & identities) for source in touched if source.compacted},
        packs=packs,
        renamed=dict(former(reader.study)),
    )
    return plan, len(identities & {identity for source in touched for identity in _ids(source)})


def _schemas_changed(reader: StudyReader) -> bool:
    """Whether a column was declared or renamed since the last plan that could have brought the parts up to date."""
    last = Journal(reader.storage, reader.study).last()
    if last is None:
        return False
    declared = set(last.schemas) != set(stored_schemas(reader.storage, reader.study))
    return declared or last.renamed != former(reader.study)


def _needless_halves(reader: StudyReader, found: Files, sources: Sequence[Source]) -> list[str]:
    """Return packs of one file that nobody needs.

    Measurements alone are needless once each of their trials is compacted; before, they may belong to a writer
    between its two files, however long ago it began. Trials alone come from one who repeated what was compacted
    meanwhile: each of them is somewhere else.
    """
    compacted = {identity for source in sources if source.compacted for identity in _ids(source)}
    known = {identity for source in sources for identity in _ids(source)}
    halves = [(pack, layout.pack_measurements(reader.study, pack), compacted) for pack in found.without_trials]
    halves += [(pack, layout.pack_trials(reader.study, pack), known) for pack in found.without_measurements]
    return [pack for pack, key, elsewhere in halves if (inside := reader.trials_in(key)) and inside <= elsewhere]


def _ids(source: Source) -> list[str]:
    return list(source.trials.column("trial_id").to_pylist())


def _named(source: Source, rows: Sequence[int], *, failed: bool) -> list[str]:
    """Return the ids of a pack's counting rows that failed, or of those that did not."""
    if source.compacted:
        return []
    outcomes = source.trials.column("outcome").to_pylist()
    identities = _ids(source)
    return [identities[row] for row in rows if (outcomes[row] == "failed") == failed]


def _superseded(ranked: Sequence[tuple[Source, Sequence[int]]], batch: Collection[str]) -> dict[str, list[str]]:
    """Return the superseded runs of a plan's packs, and those of parts whose later run is in these or compacted."""
    sources, chosen = zip(*ranked, strict=True) if ranked else ((), ())
    going = [(source, rows) for source, rows in ranked if source.compacted or source.name in batch]
    settled = {name for source, rows in going for name in _chosen(source, rows)}
    return {
        source.name: [name for name in names if not source.compacted or name in settled]
        for source, names in zip(sources, superseded(sources, chosen), strict=True)
        if source.compacted or source.name in batch
    }


def _chosen(source: Source, rows: Sequence[int]) -> list[str]:
    identities = _ids(source)
    return [identities[row] for row in rows]


def _copies(ranked: Sequence[tuple[Source, Sequence[int]]]) -> dict[str, list[str]]:
    """Return what parts have of trials that count in another source, but for superseded runs."""
    sources, chosen = zip(*ranked, strict=True) if ranked else ((), ())
    copies = {}
    for (source, rows), older in zip(ranked, superseded(sources, chosen), strict=True):
        if source.compacted:
            copies[source.name] = sorted({*_ids(source)} - {*_chosen(source, rows)} - {*older})
    return copies


def _non_empty(mapping: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: identities for name, identities in mapping.items() if identities}
