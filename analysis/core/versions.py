"""Versions: whether trials that are shown together were computed by different code, or from different data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.core.figures import Drawing
    from analysis.store.results import Results
    from analysis.store.tables import Run

    Modules = Mapping[str, str]


def mixture(results: Results, study: str) -> str:
    """Return what versions of code and data the trials of a study's results mix; empty where they are of one each."""
    return mixture_of(results.runs(study).values(), Versions(results, study))


def mixture_of(runs: Iterable[Run], versions: Versions) -> str:
    """Return what versions of code and data some runs mix; those that failed have no say."""
    shown = [run for run in runs if run.outcome != "failed"]
    codes = versions.of_code(Counter(run.code_hash for run in shown))
    parts = [f"{len(codes)} versions of the code ({_counts(codes)})"] if len(codes) > 1 else []
    for name, contents in _by_name(shown).items():
        if len(contents) > 1:
            parts.append(f"{len(contents)} versions of the data {name} ({_counts([*contents.values()])})")
    return f"mixes {' and '.join(parts)}" if parts else ""


def told_on(drawings: Sequence[Drawing], mixture: str) -> Sequence[Drawing]:
    """Say at the head of each figure what versions its trials mix."""
    for drawing in drawings if mixture else ():
        title = drawing.figure.get_suptitle()
        drawing.figure.suptitle(f"{title}\n{mixture}" if title else mixture, x=0.01, ha="left", fontsize=10)
    return drawings


class Versions:
    """Tells versions of code apart by the modules that the store has of each hash.

    Trials may run different modules, to read other data, say. That makes no other version: a module that differs does.

    Args:
        results: The store.
        study: Name of the study.
    """

    def __init__(self, results: Results, study: str) -> None:
        self._results = results
        self._study = study
        self._known: dict[str, Modules] = {}

    def of_code(self, hashes: Mapping[str | None, int]) -> list[int]:
        """Return how many trials there are of each version; those of unknown code are of one version."""
        versions: list[tuple[dict[str, str], int]] = []
        for code_hash, trials in hashes.items():
            modules = self._modules(code_hash)
            for place, (known, count) in enumerate(versions):
                if all(known.get(name, modules[name]) == modules[name] for name in modules):
                    versions[place] = ({**known, **modules}, count + trials)
                    break
            else:
                versions.append((dict(modules), trials))
        return [count for _, count in versions]

    def _modules(self, code_hash: str | None) -> Modules:
        """Return the modules of a hash; where nobody said which, one that stands for all of them."""
        name = code_hash or "unknown"
        if name not in self._known:
            stored = self._results.code(self._study, name) if code_hash else None
            self._known[name] = {"": "known", **stored} if stored else {"": name}
        return self._known[name]


def _by_name(runs: Iterable[Run]) -> Mapping[str, Counter[str]]:
    """Return, for each data set, how many trials read which content."""
    found: dict[str, Counter[str]] = {}
    for run in runs:
        if run.data_hash is not None:
            found.setdefault(run.data_name or "", Counter())[run.data_hash] += 1
    return found


def _counts(numbers: Sequence[int]) -> str:
    *others, last = (str(number) for number in sorted(numbers, reverse=True))
    return f"{', '.join(others)} and {last} trials"
