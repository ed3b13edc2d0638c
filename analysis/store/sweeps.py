"""Sweeps: which trials were planned, so that missing ones can be counted, and which are to be computed anew."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.store import layout
from analysis.store.errors import CorruptedPart, KeyAbsent, StoreWarning
from analysis.store.parallel import in_parallel
from analysis.store.storage import Storage, stored_first


@dataclass(frozen=True)
class Sweep:
    """A recorded sweep.

    Attributes:
        sweep_id: Its name.
        document: What its writer said about it, JSON-like.
        trial_ids: The trials it planned, whether they ran for it or were finished before.
    """

    sweep_id: str
    document: dict[str, Any]
    trial_ids: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether its trials are not known yet: a search that runs, or a job whose plan is still to come."""
        return bool(self.document.get("open"))


def record_sweep(
    storage: Storage, study: str, sweep_id: str, document: Mapping[str, Any], trial_ids: Sequence[str]
) -> bool:
    """Store a sweep's plan; return False and leave the first one where `sweep_id` is recorded."""
    key = _key(study, sweep_id)
    content = json.dumps({"document": dict(document), "trial_ids": list(trial_ids)}, sort_keys=True).encode()
    return not storage.exists(key) and stored_first(storage, key, content)


def recorded_sweeps(storage: Storage, study: str) -> list[Sweep]:
    """Return every recorded sweep, by id; records that cannot be read are left out, with a warning that names each."""

    def read(sweep_id: str) -> Sweep | None:
        try:
            return _sweep(storage, study, sweep_id)
        except CorruptedPart as corrupted:
            warnings.warn(f"left out: {corrupted}", StoreWarning, stacklevel=2)
        except KeyAbsent:  # removed meanwhile
            pass
        return None

    return [sweep for sweep in in_parallel(read, _sweep_ids(storage, study)) if sweep is not None]


def broken_sweeps(storage: Storage, study: str) -> dict[str, str]:
    """Return the keys of the records that cannot be read, each with the reason."""
    broken: dict[str, str] = {}
    for sweep_id in _sweep_ids(storage, study):
        try:
            _sweep(storage, study, sweep_id)
        except CorruptedPart as corrupted:
            broken[_key(study, sweep_id)] = str(corrupted)
    return broken


def amend_sweep(storage: Storage, study: str, sweep_id: str, changes: Mapping[str, Any]) -> None:
    """Change what a recorded sweep's writer said about it; of two who do so at once, the later is believed."""
    sweep = _sweep(storage, study, sweep_id)
    content = {"document": {**sweep.document, **changes}, "trial_ids": list(sweep.trial_ids)}
    storage.replace(_key(study, sweep_id), json.dumps(content, sort_keys=True).encode())


def forget_sweep(storage: Storage, study: str, sweep_id: str) -> None:
    """Remove the record of a sweep; its trials stay."""
    storage.delete(_key(study, sweep_id))


def _sweep_ids(storage: Storage, study: str) -> list[str]:
    names = [name.removesuffix(".json") for name in storage.listing(layout.sweeps(study)) if name.endswith(".json")]
    return [name for name in names if layout.is_token(name)]


def _sweep(storage: Storage, study: str, sweep_id: str) -> Sweep:
    key = _key(study, sweep_id)
    try:
        entry = json.loads(storage.read(key).to_pybytes())
        return Sweep(sweep_id, dict(entry["document"]), tuple(map(str, entry["trial_ids"])))
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptedPart(f"{key} is no readable record of a sweep; remove it") from error


def _key(study: str, sweep_id: str) -> str:
    return f"{layout.sweeps(study)}/{layout.checked_token(sweep_id, 'sweep id')}.json"


class Reruns:
    """Requests to compute trials anew, each of which stands until all its trials have been."""

    def __init__(self, storage: Storage, study: str) -> None:
        self._storage = storage
        self._folder = layout.reruns(study)

    def asked(self) -> dict[str, int]:
        """Return the number of the rerun that each trial asked for is to have at least."""
        numbers: dict[str, int] = {}
        for request in self._requests().values():
            for trial_id, number in request.items():
                numbers[trial_id] = max(number, numbers.get(trial_id, 0))
        return numbers

    def ask(self, numbers: Mapping[str, int]) -> None:
        """Ask for trials anew, each with the number of its rerun."""
        content = json.dumps(dict(numbers), sort_keys=True).encode()
        self._storage.create(f"{self._folder}/{hashlib.sha256(content).hexdigest()[:20]}.json", content)

    def settle(self, stored: Mapping[str, int]) -> None:
        """Take back the requests all of whose trials have been computed anew.

        Args:
            stored: The number of the rerun of every stored trial that did not fail.
        """
        for name, request in self._requests().items():
            if all(number <= stored.get(trial_id, 0) for trial_id, number in request.items()):
                self._storage.delete(f"{self._folder}/{name}")

    def _requests(self) -> dict[str, dict[str, int]]:
        names = filter(layout.is_request, self._storage.listing(self._folder))
        return {name: self._request(f"{self._folder}/{name}") for name in names}

    def _request(self, key: str) -> dict[str, int]:
        try:
            numbers = json.loads(self._storage.read(key).to_pybytes())
            return {str(trial_id): int(number) for trial_id, number in numbers.items()}
        except KeyAbsent:  # fulfilled meanwhile
            return {}
        except (ValueError, TypeError, AttributeError):
            message = f"left out: {key} is no readable request to compute trials anew; remove it"
            warnings.warn(message, StoreWarning, stacklevel=2)
            return {}
