"""The journal: numbered plans that change what is compacted, one at a time and each to its end."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field

from analysis.store import layout
from analysis.store.errors import CorruptedPart
from analysis.store.storage import Storage, stored_first


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything one compaction or removal does, decided before its first change so that anyone can finish it.

    Attributes:
        number: Place in the journal.
        token: Makes what this plan writes distinct from what a rival plan of the same number would write.
        schemas: Names of the declarations whose union the parts have afterwards.
        rewrite: Whether older parts must be brought to that union.
        settle: Trials that go from packs into the new part.
        keep: Trials that go from packs into one pack that stays in the inbox.
        aside: Superseded runs, by the part or pack that has them: kept in a file of their own and taken out of parts.
        drop: Trials to take out of older parts.
        packs: Packs to delete at the end.
        renamed: Former columns, each with its name in the parts afterwards.
    """

    number: int
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    schemas: list[str]
    rewrite: bool = False
    settle: dict[str, list[str]] = field(default_factory=dict)
    keep: dict[str, list[str]] = field(default_factory=dict)
    aside: dict[str, list[str]] = field(default_factory=dict)
    drop: dict[str, list[str]] = field(default_factory=dict)
    packs: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)

    @property
    def part(self) -> str:
        return layout.part_name(self.number, self.token)

    @property
    def aside_name(self) -> str:
        return f"{self.number:06d}-{self.token}"

    @property
    def kept_pack(self) -> str:
        return f"kept-{self.number:06d}-{self.token}"


class Journal:
    """The plans of one study, by number. Only a plan whose predecessors are done may begin."""

    def __init__(self, storage: Storage, study: str) -> None:
        self._storage = storage
        self._folder = layout.journal(study)

    def last(self) -> Plan | None:
        """Return the latest plan."""
        numbers = self._numbers(".json")
        return self._plan(max(numbers)) if numbers else None

    def agenda(self) -> tuple[list[Plan], int]:
        """Return the plans that nobody has marked as done, oldest first, and the number after all that are entered."""
        entered = self._numbers(".json")
        unfinished = sorted(entered - self._numbers(".done"))
        return [self._plan(number) for number in unfinished], max(entered, default=0) + 1

    def is_done(self, plan: Plan) -> bool:
        return self._storage.exists(self._key(plan.number, ".done"))

    def claim(self, plan: Plan) -> bool:
        """Enter `plan` as the next; return False if another plan has that number."""
        key = self._key(plan.number, ".json")
        # Without renames and reruns a plan is one that an older raysweep beside this one can carry out.
        entries = {name: value for name, value in asdict(plan).items() if name not in ("aside", "renamed") or value}
        content = json.dumps(entries, sort_keys=True).encode()
        return not self._storage.exists(key) and stored_first(self._storage, key, content)

    def mark_done(self, plan: Plan) -> None:
        self._storage.create(self._key(plan.number, ".done"), b"done\n")

    def _numbers(self, ending: str) -> set[int]:
        names = self._storage.listing(self._folder)
        return {number for name in names if (number := layout.entry_number(name, ending)) is not None}

    def _plan(self, number: int) -> Plan:
        key = self._key(number, ".json")
        try:
            return Plan(**json.loads(self._storage.read(key).to_pybytes()))
        except (ValueError, TypeError) as error:
            raise CorruptedPart(f"{key} is no readable plan ({type(error).__name__}); restore it") from error

    def _key(self, number: int, ending: str) -> str:
        return f"{self._folder}/{number:06d}{ending}"
