"""The store against a dictionary: any interleaving of writes, crashes, compactions, removals and reads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from analysis.store.compaction import compact, remove
from analysis.store.declarations import declare
from analysis.store.packs import packed, stored
from analysis.store.snapshot import StudyReader
from analysis.store.storage import Storage
from tests.analysis.store.memory import Crash, Interrupted, Memory, crash
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial
from tests.analysis.store.views import View, part_schemas, seen, seen_bare

NAMES = st.sampled_from(["a", "b", "c"])
OUTCOMES = st.sampled_from(["finished", "diverged", "failed"])
SCALES = st.sampled_from([1.0, 2.0])
MINUTES = st.sampled_from([-10.0, 0.0, 10.0])  # clocks may be this wrong
CHANGES = st.integers(0, 12)


class Store(RuleBasedStateMachine):
    """Applies operations to a store and to a dictionary: id -> every run that may have been stored.

    Which of several runs of a trial counts depends on clocks and chance; that it is one of them, whole, that a run
    reported as done keeps the trial there, and that a settled trial never changes once compacted unless it is computed
    anew, does not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.storage = Memory()
        self.done: dict[str, set[str]] = {}
        self.tried: dict[str, list[tuple[str, list[float]]]] = {}
        self.compacted: View = {}
        self.reruns: dict[str, int] = {}

    @initialize()
    def begin(self) -> None:
        declare(self.storage, SCHEMA)

    @rule(name=NAMES, outcome=OUTCOMES, scale=SCALES, minute=MINUTES)
    def write(self, name: str, outcome: str, scale: float, minute: float) -> None:
        self._write(self.storage, name, outcome, scale, minute)
        self.done.setdefault(name, set()).add(outcome)

    @rule(name=NAMES, outcome=OUTCOMES, scale=SCALES, at=CHANGES)
    def crash_in_write(self, name: str, outcome: str, scale: float, at: int) -> None:
        self._crashing(lambda storage: self._write(storage, name, outcome, scale, 0.0), at)

    @rule(name=NAMES, scale=SCALES, minute=MINUTES)
    def rerun(self, name: str, scale: float, minute: float) -> None:
        """Compute a trial anew: whatever clocks say, this run counts from now on."""
        self.reruns[name] = self.reruns.get(name, 0) + 1
        self._write(self.storage, name, "finished", scale, minute)
        self.done.setdefault(name, set()).add("finished")
        self.compacted.pop(name, None)
        assert seen(self.storage)[name] == self.tried[name][-1]

    @rule()
    def compact(self) -> None:
        compact(StudyReader(self.storage, STUDY))
        settled = {name: view for name, view in seen(self.storage).items() if view[0] != "failed"}
        assert seen_bare(self.storage) == settled

    @rule(at=CHANGES, after=st.booleans())
    def crash_in_compaction(self, at: int, after: bool) -> None:
        self._crashing(lambda storage: compact(StudyReader(storage, STUDY)), at, after)

    @rule(at=CHANGES)
    def compact_beside_a_compaction(self, at: int) -> None:
        rival = Interrupted(self.storage, at, lambda: self.compact())
        compact(StudyReader(rival, STUDY))

    @rule(at=CHANGES, name=NAMES, outcome=OUTCOMES, scale=SCALES)
    def write_beside_a_compaction(self, at: int, name: str, outcome: str, scale: float) -> None:
        rival = Interrupted(self.storage, at, lambda: self.write(name, outcome, scale, 0.0))
        compact(StudyReader(rival, STUDY))

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        remove(StudyReader(self.storage, STUDY), [name])
        assert name not in seen(self.storage)
        self._forget(name)

    @invariant()
    def every_trial_is_there_once_and_whole(self) -> None:
        view = seen(self.storage)
        assert view.keys() >= self.done.keys()
        for name, run in view.items():
            assert run in self.tried[name]
            if self.done.get(name, set()) - {"failed"}:
                assert run[0] != "failed"

    @invariant()
    def what_is_compacted_never_changes(self) -> None:
        bare = seen_bare(self.storage)
        for name, run in self.compacted.items():
            assert bare[name] == run
        counting = seen(self.storage)
        self.compacted = {name: run for name, run in bare.items() if run == counting.get(name)}
        assert all(len(schemas) <= 1 for schemas in part_schemas(self.storage))

    def _write(self, storage: Storage, name: str, outcome: str, scale: float, minute: float) -> None:
        row = trial(name, outcome, minute=minute, rerun=self.reruns.get(name, 0))
        self.tried.setdefault(name, []).append((outcome, [entry["loss"] for entry in rows(scale)]))
        stored(storage, STUDY, packed(SCHEMA, [row], {name: rows(scale)}))

    def _crashing(self, action: Callable[[Storage], object], at: int, after: bool = False) -> None:
        with suppress(Crash):
            action(Interrupted(self.storage, at, crash, after=after))

    def _forget(self, name: str) -> None:
        """A half-written run stays, and may be completed by the same work later; it must not be assumed gone."""
        self.done.pop(name, None)
        self.compacted.pop(name, None)


Store.TestCase.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStore = Store.TestCase
