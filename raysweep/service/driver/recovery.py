"""Recovery: what of a lost pack is durable all the same."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.store.results import Results
from raysweep.service.messages import PlannedTrial, TrialReport, Work, teaches


def stored_reports(work: Work, trials: Sequence[PlannedTrial]) -> list[TrialReport]:
    """Return the reports of those trials whose rows the store has, as their actor would have sent them.

    A failed row may be an earlier run's, so a trial that failed is not among them: it is run once more.
    """
    results = Results(work.results).only([trial.trial_id for trial in trials])
    if not results.finished(work.schema.study):
        return []
    reruns = {trial.trial_id: trial.rerun for trial in trials}
    runs = results.runs(work.schema.study)
    rows = results.trials(work.schema.study).to_dict("records")
    return [
        TrialReport(
            trial_id=row["trial_id"],
            outcome=row["outcome"],
            wall_seconds=row["wall_seconds"],
            error=row["error"],
            cost_dollars=row["cost_dollars"],
            values={name: row[name] for name in row if teaches(name)} if work.learning else {},
        )
        for row in rows
        if row["outcome"] != "failed" and runs[row["trial_id"]].rerun >= reruns[row["trial_id"]]
    ]
