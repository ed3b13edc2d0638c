"""The store through a crash, or a rival, at every operation: nothing lost, nothing twice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from functools import cache, partial

import pytest

from analysis.store.compaction import compact, remove
from analysis.store.declarations import declare
from analysis.store.execution import discard_superseded
from analysis.store.packs import packed, stored
from analysis.store.parquet import decoded
from analysis.store.snapshot import StudyReader
from analysis.store.storage import Storage
from tests.analysis.store.memory import CHANGES, LOOKS, Crash, Interrupted, Memory, crash
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial
from tests.analysis.store.views import View, part_schemas, seen, seen_bare

Action = Callable[[Storage], object]


def write(
    storage: Storage, name: str, outcome: str = "finished", scale: float = 1.0, minute: float = 0.0, rerun: int = 0
) -> None:
    declare(storage, SCHEMA)
    row = trial(name, outcome, minute=minute, rerun=rerun)
    stored(storage, STUDY, packed(SCHEMA, [row], {name: rows(scale)}))


def write_mixed(storage: Storage) -> None:
    """Write one pack with a finished and a failed trial."""
    declare(storage, SCHEMA)
    stored(storage, STUDY, packed(SCHEMA, [trial("m1"), trial("m2", "failed")], {"m1": rows(5.0), "m2": rows(6.0, 1)}))


def compacted(storage: Storage) -> object:
    return compact(StudyReader(storage, STUDY))


def removed(storage: Storage) -> object:
    return remove(StudyReader(storage, STUDY), ["a", "d", "m1"])


def furnished(conditional: bool = True) -> Memory:
    """Return a store with a part, duplicates, failures, reruns and a mixed pack."""
    storage = Memory(conditional)
    storage.objects = dict(furnished_objects())
    return storage


@cache
def furnished_objects() -> dict[str, bytes]:
    storage = Memory()
    for name in "abrt":
        write(storage, name)
    compacted(storage)
    write(storage, "a", scale=2.0)  # late, of an id that is compacted
    write(storage, "c", "failed")
    write(storage, "c", scale=3.0, minute=5)
    write(storage, "d")
    write(storage, "d", scale=4.0, minute=-10)  # a clock 10 minutes slow: the first to finish
    write(storage, "e", "failed")
    write(storage, "r", scale=6.0, minute=30, rerun=1)  # supersedes what is compacted
    write(storage, "s", minute=-30)
    write(storage, "s", scale=8.0, rerun=2)
    write(storage, "s", scale=7.0, minute=-20, rerun=1)
    write(storage, "t", "failed", rerun=1)  # a rerun that failed supersedes nothing
    write_mixed(storage)
    return storage.objects


EXPECTED: View = {
    "a": ("finished", [0.0, 1.0, 2.0]),
    "b": ("finished", [0.0, 1.0, 2.0]),
    "c": ("finished", [0.0, 3.0, 6.0]),
    "d": ("finished", [0.0, 4.0, 8.0]),
    "e": ("failed", [0.0, 1.0, 2.0]),
    "m1": ("finished", [0.0, 5.0, 10.0]),
    "m2": ("failed", [0.0]),
    "r": ("finished", [0.0, 6.0, 12.0]),
    "s": ("finished", [0.0, 8.0, 16.0]),
    "t": ("finished", [0.0, 1.0, 2.0]),
}
SUPERSEDED = {"r": [0.0, 1.0, 2.0], "s": [0.0, 1.0, 2.0, 0.0, 7.0, 14.0]}
SETTLED = {name: view for name, view in EXPECTED.items() if view[0] != "failed"}


def crashing(action: Action) -> Iterator[Memory]:
    """Yield a furnished store after a crash of `action` before, and one after, each of its changes."""
    for after in (False, True):
        for at in range(1000):
            storage = furnished()
            interrupted = Interrupted(storage, at, crash, after=after)
            try:
                action(interrupted)
            except Crash:
                yield storage
                continue
            break


def paused(action: Action, intrusion: Action, operations: Collection[str] = CHANGES) -> Iterator[Memory]:
    """Yield a furnished store on which `intrusion` ran while `action` paused, for each of its changes."""
    for at in range(1000):
        storage = furnished()
        interrupted = Interrupted(storage, at, partial(intrusion, storage), operations=operations)
        action(interrupted)
        if interrupted.done <= at:
            break
        yield storage


def is_within(part: View, whole: View) -> bool:
    """Whether one view has nothing but what another has, or what a rerun has not yet superseded."""
    return all(view == whole.get(name) or view == BEFORE.get(name) for name, view in part.items())


def set_aside(storage: Storage) -> dict[str, list[float]]:
    """Return the losses of superseded runs that are kept, by trial, as they come."""
    losses: dict[str, list[float]] = {}
    for name in storage.listing(f"{STUDY}/superseded"):
        if name.endswith(".measurements.parquet"):
            key = f"{STUDY}/superseded/{name}"
            for row in decoded(storage.read(key), key).select(["trial_id", "loss"]).to_pylist():
                losses.setdefault(row["trial_id"], []).append(row["loss"])
    return losses


BEFORE = {"r": ("finished", [0.0, 1.0, 2.0])}


def settled(storage: Storage) -> None:
    """Assert that one compaction brings the store to rest."""
    compacted(storage)
    listed = list(storage.listing(f"{STUDY}/inbox"))
    assert len(listed) <= 2, listed
    assert all(len(schemas) <= 1 for schemas in part_schemas(storage))


def test_the_reader_takes_the_right_row_of_each_trial() -> None:
    assert seen(furnished()) == EXPECTED


def test_compaction_changes_nothing_that_raysweep_sees_and_shows_the_rest_everything_settled() -> None:
    storage = furnished()
    settled(storage)
    assert seen(storage) == EXPECTED
    assert seen_bare(storage) == SETTLED
    assert set_aside(storage).keys() == SUPERSEDED.keys()
    assert {name: sorted(losses) for name, losses in set_aside(storage).items()} == {
        name: sorted(losses) for name, losses in SUPERSEDED.items()
    }
    assert discard_superseded(storage, STUDY) == 1
    assert set_aside(storage) == {}
    assert seen(storage) == EXPECTED


def test_a_crash_anywhere_in_compaction() -> None:
    count = 0
    for storage in crashing(compacted):
        count += 1
        assert seen(storage) == EXPECTED
        assert is_within(seen_bare(storage), SETTLED)
        settled(storage)
        assert seen(storage) == EXPECTED
        assert seen_bare(storage) == SETTLED
        assert set_aside(storage).keys() == SUPERSEDED.keys()
    assert count > 20


def test_a_crash_anywhere_in_removal() -> None:
    remaining = {name: view for name, view in EXPECTED.items() if name not in ("a", "d", "m1")}
    for storage in crashing(removed):
        assert {name: seen(storage)[name] for name in remaining} == remaining
        assert seen(storage).keys() <= EXPECTED.keys()
        assert is_within(seen_bare(storage), SETTLED)
        removed(storage)
        assert seen(storage) == remaining
        settled(storage)
        assert seen(storage) == remaining


def test_a_crash_anywhere_in_a_write() -> None:
    for storage in crashing(partial(write, name="n", scale=7.0)):
        assert is_within(EXPECTED, seen(storage))
        write(storage, "n", scale=7.0)
        assert seen(storage) == {**EXPECTED, "n": ("finished", [0.0, 7.0, 14.0])}


def test_a_crash_in_a_write_is_made_good_by_other_rows_of_the_same_trial() -> None:
    """A retry on other hardware has its own complete pack; the rows of the two never mix."""
    for storage in crashing(partial(write, name="n", scale=7.0)):
        write(storage, "n", scale=8.0)
        compacted(storage)
        write(storage, "n", scale=7.0)
        settled(storage)
        assert seen(storage)["n"][1] in ([0.0, 7.0, 14.0], [0.0, 8.0, 16.0])
        assert seen_bare(storage).keys() == {*SETTLED, "n"}


@pytest.mark.parametrize("intrusion", [compacted, partial(write, name="n"), partial(write, name="a", scale=9.0)])
def test_a_rival_anywhere_in_compaction(intrusion: Action) -> None:
    for storage in paused(compacted, intrusion):
        added = {"n": ("finished", [0.0, 1.0, 2.0])} if "n" in seen(storage) else {}
        assert seen(storage) == {**EXPECTED, **added}
        assert is_within(seen_bare(storage), {**SETTLED, **added})
        settled(storage)
        assert seen(storage) == {**EXPECTED, **added}
        assert seen_bare(storage) == {**SETTLED, **added}


@pytest.mark.parametrize("reached", [1, 2, 4, 8])
@pytest.mark.parametrize("action", [compacted, removed])
def test_a_rival_that_stops_midway_wherever_one_looks(action: Action, reached: int) -> None:
    """Its plan is entered and not done, maybe since the last look: it must be finished, not planned past."""

    def stops(storage: Storage) -> None:
        with contextlib.suppress(Crash):
            compacted(Interrupted(storage, reached, crash))

    kept = {name: view for name, view in EXPECTED.items() if action is compacted or name not in ("a", "d", "m1")}
    for storage in paused(action, stops, LOOKS):
        compacted(storage)
        settled(storage)
        assert seen(storage) == kept
        assert seen_bare(storage).keys() == SETTLED.keys() & kept.keys()


def test_a_compactor_that_wakes_up_after_several_others() -> None:
    def meanwhile(storage: Storage) -> None:
        compacted(storage)
        write(storage, "e", scale=2.0, minute=20)
        write(storage, "n")
        compacted(storage)

    for storage in paused(compacted, meanwhile):
        expected = {**EXPECTED, "e": ("finished", [0.0, 2.0, 4.0]), "n": ("finished", [0.0, 1.0, 2.0])}
        assert seen(storage) == expected
        settled(storage)
        assert seen(storage) == expected
        assert seen_bare(storage).keys() == expected.keys() - {"m2"}


@pytest.mark.parametrize("intrusion", [compacted, removed])
def test_a_rival_anywhere_in_a_write(intrusion: Action) -> None:
    for storage in paused(partial(write, name="n", scale=7.0), intrusion):
        assert seen(storage)["n"] == ("finished", [0.0, 7.0, 14.0])


def test_a_duplicate_write_beside_a_removal_of_the_first() -> None:
    for storage in paused(partial(write, name="d", scale=4.0), removed):
        assert seen(storage)["d"] == ("finished", [0.0, 4.0, 8.0])


def test_a_duplicate_write_beside_a_compaction_of_the_first() -> None:
    for storage in paused(partial(write, name="d"), compacted):
        settled(storage)
        assert seen(storage) == EXPECTED


def test_without_conditional_writes_two_compactors_may_double_but_never_lose() -> None:
    """raysweep's reader shows every trial once all the same, and the next compaction removes the copies."""
    for at in range(1000):
        storage = furnished(conditional=False)
        interrupted = Interrupted(storage, at, partial(compacted, storage))
        compacted(interrupted)
        if interrupted.done <= at:
            break
        assert seen(storage) == EXPECTED
        settled(storage)
        assert seen(storage) == EXPECTED
        assert set(seen_bare(storage)) == set(SETTLED)
