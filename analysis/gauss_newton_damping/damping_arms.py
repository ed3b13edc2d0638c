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
BY_CONJUGATE_GRADIENTS = "damped step by conjugate gradients"
_ENDS = {"gradient_descent": "by gradient steps", "gradient_descent_spectral": "in closed form"}
_OF_A_WAY = {"inner_learning_rate"}
_NO_ARM = {
    "seed",
    "damping",
    "steps",
    "loss_tolerance",
    "inner_steps",
    "inner_tolerance",
    "reset_optimizer_on_relinearisation",
}


def with_arms(rows: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with columns of their trial: `outcome`, `effective_damping` and what names the other knobs.

    `arm` names all of those that vary, `arm_of_rates` all but the learning rate.
    """
    names = list(trials.columns)
    knobs = [name for name in names[names.index("knobs_json") + 1 :] if not name.startswith("final_")]
    named = trials.assign(solver=trials.apply(_way, axis=1, compared=_are_compared(trials)))
    varying = [name for name in knobs if name not in _NO_ARM and _varies(named, name)]
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


def _are_compared(trials: pd.DataFrame) -> bool:
    """Return whether a damping was solved in several of the ways that agree: else they make one curve."""
    agreeing = trials[~trials["solver"].isin([*DESCENDING, "adam"])]
    return bool((agreeing.groupby("damping")["solver"].nunique() > 1).any())


def _varies(named: pd.DataFrame, knob: str) -> bool:
    """Return whether a knob tells arms apart; one of inner steps does so only among trials of one way."""
    values = named.groupby("solver")[knob] if knob in _OF_A_WAY else named[knob]
    return bool(np.max(values.nunique()) > 1)


def _way(trial: pd.Series, *, compared: bool) -> str:
    """Return how a trial finds its steps, in words; which of the solvers that agree only where they are compared."""
    solver = trial["solver"]
    if solver in DESCENDING:
        return f"{PROXIMAL}, {_ENDS[solver]}" if trial["damping"] > 0 else "linearisation, K gradient steps"
    if solver == "adam":
        return "Adam, K = 1" if trial["inner_steps"] == 1 else "linearisation, rounds of Adam"
    if not compared:
        return "damped step"
    return BY_CONJUGATE_GRADIENTS if solver == "cg" else f"damped step by {solver}"


def _arms(trials: pd.DataFrame, varying: Sequence[str]) -> pd.Series | str:
    return trials[list(varying)].apply(_in_words, axis=1) if varying else "all"


def _in_words(knobs: pd.Series) -> str:
    """Return the values of knobs, those that are no words with their names."""
    return ", ".join(
        value if isinstance(value, str) else described({str(name): value}) for name, value in knobs.items()
    )
