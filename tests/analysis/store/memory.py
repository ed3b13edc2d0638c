"""A storage in memory that crashes, pauses and loses answers where a test wants it."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pyarrow as pa

from analysis.store.errors import KeyAbsent
from analysis.store.storage import Storage

CHANGES = ("create", "replace", "delete")
LOOKS = ("exists", "listing")
"""What tells a process where the store stands; reads of contents go side by side, in no order that could be counted."""


class Crash(BaseException):
    """The process dies here."""


class Memory:
    """A `Storage` that is a dictionary.

    Attributes:
        conditional: Whether `create` refuses existing keys, as rclone does not.
    """

    def __init__(self, conditional: bool = True) -> None:
        self.root = "memory"
        self.conditional = conditional
        self.objects: dict[str, bytes] = {}

    def create(self, key: str, content: bytes) -> bool:
        if self.conditional and key in self.objects:
            return False
        self.objects[key] = content
        return True

    def replace(self, key: str, content: bytes) -> None:
        self.objects[key] = content

    def read(self, key: str, most: int | None = None) -> pa.Buffer:
        if key not in self.objects:
            raise KeyAbsent(key)
        return pa.py_buffer(self.objects[key][:most])

    def exists(self, key: str) -> bool:
        return key in self.objects

    def listing(self, folder: str) -> dict[str, int]:
        inside = {key.removeprefix(f"{folder}/"): key for key in sorted(self.objects) if key.startswith(f"{folder}/")}
        return {name: len(self.objects[key]) for name, key in inside.items() if "/" not in name}

    def folders(self, folder: str = "") -> list[str]:
        prefix = f"{folder}/" if folder else ""
        inside = [key.removeprefix(prefix) for key in self.objects if key.startswith(prefix)]
        return sorted({name.split("/")[0] for name in inside if "/" in name})

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def probe(self) -> bool:
        return self.conditional

    def clean(self) -> None:
        pass


class Interrupted:
    """Another storage of which one operation is preceded, or followed, by an event.

    Args:
        storage: Does the work.
        at: Which operation it is, from 0; later ones find the process dead if the event was a `Crash`.
        event: What happens there.
        after: True to let the operation take effect first: its answer is lost.
        operations: Those that count: what changes something, if not said otherwise.
    """

    def __init__(
        self,
        storage: Storage,
        at: int,
        event: Callable[[], None],
        *,
        after: bool = False,
        operations: Collection[str] = CHANGES,
    ) -> None:
        self._storage = storage
        self._at = at
        self._event = event
        self._after = after
        self._operations = operations
        self._dead = False
        self.done = 0

    def __getattr__(self, name: str) -> object:
        method = getattr(self._storage, name)
        return self._counted(method) if name in self._operations else method

    def _counted(self, method: Callable[..., object]) -> Callable[..., object]:
        def operate(*arguments: object) -> object:
            if self._dead:
                raise Crash
            number, self.done = self.done, self.done + 1
            if number == self._at and not self._after:
                self._happen()
            answer = method(*arguments)
            if number == self._at and self._after:
                self._happen()
            return answer

        return operate

    def _happen(self) -> None:
        try:
            self._event()
        except Crash:
            self._dead = True
            raise


def crash() -> None:
    raise Crash
