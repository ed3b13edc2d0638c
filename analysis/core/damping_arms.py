"""Trainings by damped steps apart by what they vary beside the damping, and each at its place on that axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.core.panels import described

DAMPING, STEP_DAMPING, ARM, RATE = "effective_damping", "step_effective_damping", "arm", "learning_rate"
ARM_OF_RATES = "arm_of_rates"
DESCENDING = ("gradient_descent", "gradient_descent_spectral")
PROXIMAL = "linearisation with proximal term"
_NO_ARM = {"seed", "damping", "steps", "inner_steps", "inner_tolerance", "reset_optimizer_on_relinearisation"}


def with_arms(rows: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with columns of their trial: `outcome`, `effective_damping` and what names the other knobs.

    `arm` names all of those that vary, `arm_of_rates` all but the learning rate.
    """
    names = list(trials.columns)
    knobs = [name for name in names[names.index("knobs_json") + 1 :] if not name.startswith("final_")]
    named = trials.assign(solver=trials.apply(_way, axis=1))
    varying = [name for name in knobs if name not in _NO_ARM and named[name].nunique() > 1]
    cut_short = np.where(
        trials["solver"].isin(DESCENDING), 1 / (trials["inner_learning_rate"] * trials["inner_steps"]), 0.0
    )
    columns = {
        "outcome": trials["outcome"],
        ARM: _arms(named, varying),
        ARM_OF_RATES: _arms(named, [name for name in varying if name != RATE]),
        DAMPING: trials["damping"] + cut_short,
    }
    own = rows.drop(columns="outcome", errors="ignore").rename(columns={DAMPING: STEP_DAMPING})
    return own.merge(trials[["trial_id"]].assign(**columns), on="trial_id")


def _way(trial: pd.Series) -> str:
    """Return how a trial finds its steps, in words."""
    solver = trial["solver"]
    if solver in DESCENDING:
        return PROXIMAL if trial["damping"] > 0 else "linearisation, K gradient steps"
    if solver == "adam":
        return "Adam, K = 1" if trial["inner_steps"] == 1 else "linearisation, rounds of Adam"
    return f"damped step by {solver}"


def _arms(trials: pd.DataFrame, varying: Sequence[str]) -> pd.Series | str:
    return trials[list(varying)].apply(_in_words, axis=1) if varying else "all"


def _in_words(knobs: pd.Series) -> str:
    """Return the values of knobs, those that are no words with their names."""
    return ", ".join(
        value if isinstance(value, str) else described({str(name): value}) for name, value in knobs.items()
    )
