"""What a call of `raysweep.sweep` or `raysweep.plan` returns: tables, figures, and what a person reads of them."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rich.console import Console

from analysis.store.results import Results
from raysweep.service.commands import summary
from raysweep.service.commands.configuration import Settings
from raysweep.service.commands.drawing import drawings
from raysweep.service.driver.plan import FINISHED
from raysweep.service.messages import PlannedTrial
from raysweep.service.study import Study

if TYPE_CHECKING:
    import pandas as pd

    from analysis.core.figures import Figures

MISSING = "missing"
_PAGE = "<pre style='line-height:normal;font-family:monospace'>{code}</pre>"


class Readable(ABC):
    """What Python's prompt shows in the words of the command line, and a notebook as HTML."""

    @abstractmethod
    def tell(self, console: Console) -> None:
        """Print it."""

    def __repr__(self) -> str:
        return self._recorded().export_text().rstrip()

    def _repr_html_(self) -> str:
        page: str = self._recorded().export_html(inline_styles=True, code_format=_PAGE)
        return page

    def _recorded(self) -> Console:
        console = recorder()
        self.tell(console)
        return console


def recorder() -> Console:
    """Return a console that prints nowhere and keeps what it was told."""
    return Console(file=io.StringIO(), record=True, width=120, force_jupyter=False, highlight=False)


@dataclass(frozen=True, kw_only=True, repr=False)
class SweepPlan(Readable):
    """What a sweep would run, and what of it is stored.

    Attributes:
        study: The study.
        planned: Every trial asked for; of a search, those that are known so far.
        outcomes: Outcome of each of them that is stored, by id.
        printed: What the command line prints of this plan.
    """

    study: Study
    planned: Sequence[PlannedTrial]
    outcomes: Mapping[str, str]
    printed: str

    def __len__(self) -> int:
        return len(self.planned)

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials by outcome, `missing` among them; failed ones run again."""
        return dict(Counter(self.outcomes.get(trial.trial_id, MISSING) for trial in self.planned))

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial in the order in which they run: `trial_id`, `outcome` or `missing`, and every knob."""
        import pandas as pd

        rows = [
            {"trial_id": trial.trial_id, "outcome": self.outcomes.get(trial.trial_id, MISSING), **trial.knobs.columns()}
            for trial in self.planned
        ]
        return pd.DataFrame(rows)

    def tell(self, console: Console) -> None:
        """Print the plan."""
        console.print(self.printed.rstrip(), soft_wrap=True, markup=False)


@dataclass(frozen=True, kw_only=True, repr=False)
class SweepRun(Readable):
    """What a sweep has come to: its trials in the store, from this run or before.

    Attributes:
        study: The study.
        settings: What the call asked for, resolved.
        planned: Every trial asked for.
        results: The store, cut to these trials: `results.sql(...)`, `results.polars()` and all else of `raysweep.open`.
        spent: What of the budget ran out before the end, empty if nothing did.
        interrupted: Whether it was interrupted. The same call goes on, as it does after the end of a budget.
        printed: What would have been printed on the way, where `progress` is false.
    """

    study: Study
    settings: Settings
    planned: Sequence[PlannedTrial]
    results: Results
    spent: str = ""
    interrupted: bool = False
    printed: str = ""

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a stored trial: knobs, outcome, final measurements, provenance."""
        return self.results.trials(self.study.name)

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """One row a measured step, with the knobs and the outcome of its trial."""
        return self.results.measurements(self.study.name, knobs=True)

    @cached_property
    def figures(self) -> Figures:
        """The study's figures of these trials, drawn now; a notebook shows them."""
        from analysis.core.figures import Figures

        return Figures(drawings(self.study, self.settings, self.results))

    @cached_property
    def best(self) -> pd.DataFrame:
        """The best setting by its mean over seeds; of a search for two objectives one row for each of the front.

        Best is what the search looks for, or else the study's headline (`analysis.core.best_settings`).
        """
        from analysis.core.best_settings import best_settings

        return best_settings(self.trials, self.settings.objective or {self.study.headline: self.study.direction})

    @cached_property
    def failures(self) -> pd.DataFrame:
        """One row a failed trial: its id, `seed` and the knobs that vary, its error and the command that reproduces it.

        `error` is the last line of `traceback`.
        """
        from analysis.core.panels import knob_names

        failed = self.trials[self.trials["outcome"] == "failed"]
        knobs = {trial.trial_id: trial.knobs for trial in self.planned}
        varying = [name for name in knob_names(self.trials) if self.trials[name].nunique(dropna=False) > 1]
        table = failed[["trial_id", "seed", *varying]].reset_index(drop=True)
        return table.assign(
            error=[str(text).rstrip().rpartition("\n")[2] for text in failed["error"]],
            traceback=failed["error"].to_numpy(),
            reproduce=[
                summary.reproducing(self.study, self.settings, knobs[trial_id]) for trial_id in failed["trial_id"]
            ],
        )

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials by outcome; `missing` are those that are not stored."""
        counts = {str(outcome): int(count) for outcome, count in self.trials["outcome"].value_counts().items()}
        return {**dict.fromkeys((*FINISHED[:2], "failed"), 0), **counts, MISSING: len(self.planned) - len(self.trials)}

    def tell(self, console: Console) -> None:
        """Print the counts, the summary and where the rest is."""
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items())
        _line(console, f"{self.study.name}, space {self.settings.space}: {len(self.planned)} trials, {counts}")
        if self.interrupted or self.spent:
            _line(console, f"{f'{self.spent} is spent' if self.spent else 'interrupted'}; the same call goes on")
        if len(self.trials):
            summary.print_outcome(self.study, self.settings, self.results, console)
        _line(console, f"stored in {self.results.root}; .trials .measurements .figures .best .failures .results")


def _line(console: Console, text: Any) -> None:
    console.print(text, soft_wrap=True, markup=False)
