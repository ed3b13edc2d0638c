"""How far a training by damped steps has come: all that the steps and rows to come depend on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from trials.core.rows import Measurement, Measurements, Value

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.checkpoints import State
    from trials.core.curvature.solvers import Memory
    from trials.core.curvature.step_rules import Taken

RUNNING, CONVERGED, UNCONVERGED, DIVERGED, BUDGET = "running", "converged", "unconverged", "diverged", "budget"
GROWTH_LIMIT = 1e8  # times the initial loss
STEPS_ABOVE = 5
"""Steps in a row above the limit that make a divergence: a Gauss-Newton step may raise the loss a thousandfold and the
next ones recover, so that one high loss says nothing."""

_NUMBERS: Mapping[str, type] = MappingProxyType(
    {"damping": float, "path": float, "stalled": bool, "above": int, "best_test_acc": float}
)
_ROUNDING = 1e-15  # of a step, relative to the parameters


@dataclass(frozen=True, kw_only=True, eq=False)
class Progress:
    """Where a training stands at the beginning of a step.

    Attributes:
        theta: Parameters.
        damping: Of the step to come.
        path: Sum of the norms of the steps taken.
        stalled: Whether the last step was too short to change anything.
        above: Steps in a row, up to the last, whose training loss was above the limit of divergence.
        best_test_acc: Largest test accuracy measured so far.
        last_step: Gives what is known of the last step, by the names of columns; asked where a row is written.
        matched: Test accuracy and step at the first crossing of each training loss, by the names of columns.
        memory: What the inner optimiser remembers of the last step.
    """

    theta: Float[Tensor, " p"]
    damping: float
    path: float = 0.0
    stalled: bool = False
    above: int = 0
    best_test_acc: float = 0.0
    last_step: Callable[[], Mapping[str, Value]] = dict
    matched: Mapping[str, Value] = field(default_factory=dict)
    memory: Memory = field(default_factory=dict)

    def judged(self, train_loss: float, initial_loss: float) -> Progress:
        """Return the progress with the training loss of this step counted if it is above the limit of divergence."""
        return replace(self, above=self.above + 1 if train_loss > GROWTH_LIMIT * initial_loss else 0)

    def has_diverged(self, train_loss: float) -> bool:
        """Return whether training is over: its loss is not finite, or has been above the limit for too long."""
        return not math.isfinite(train_loss) or self.above >= STEPS_ABOVE

    def status(self, train_loss: float, *, tolerance: float, last: bool) -> str:
        """Return what becomes of the training here, where its training loss is known."""
        ends = {
            DIVERGED: self.has_diverged(train_loss),
            CONVERGED: train_loss < tolerance,
            UNCONVERGED: self.stalled,
            BUDGET: last,
        }
        return next((status for status, reached in ends.items() if reached), RUNNING)

    def crosses(self, losses: Sequence[float], train_loss: float) -> list[float]:
        """Return which of some training losses are crossed here for the first time."""
        return [loss for loss in losses if train_loss < loss and step_column(loss) not in self.matched]

    def tested(self, step: int, test_acc: float, crossed: Sequence[float]) -> Progress:
        """Return the progress with a test accuracy, which is that at the training losses just crossed."""
        accuracies: dict[str, Value] = {accuracy_column(loss): test_acc for loss in crossed}
        steps: dict[str, Value] = {step_column(loss): step for loss in crossed}
        best = max(self.best_test_acc, test_acc)
        return replace(self, best_test_acc=best, matched={**self.matched, **accuracies, **steps})

    def moved(self, taken: Taken, columns: Callable[[], Mapping[str, Value]]) -> Progress:
        """Return the progress after a step, which `columns` describes when asked.

        A step that vanishes is the last: nothing would change after it.
        """
        tried = abs(taken.alpha) * torch.linalg.vector_norm(taken.solution.displacement)
        return replace(
            self,
            theta=self.theta + taken.displacement,
            damping=taken.next_damping,
            path=self.path + float(torch.linalg.vector_norm(taken.displacement)),
            stalled=bool(tried <= _ROUNDING * torch.linalg.vector_norm(self.theta)),
            last_step=columns,
            memory=taken.solution.memory,
        )

    def state(self) -> State:
        """Return the state that a checkpoint keeps; None is kept as NaN."""
        return {
            "theta": self.theta,
            "numbers": _tensors({name: getattr(self, name) for name in _NUMBERS}),
            "last_step": _tensors(self.last_step()),
            "matched": _tensors(self.matched),
            "memory": dict(self.memory),
        }


def restored(state: Any, measurements: Measurements) -> Progress:
    """Return the progress that `Progress.state` kept, with columns of the types that they are declared with."""
    numbers: dict[str, Any] = {name: kind(state["numbers"][name].item()) for name, kind in _NUMBERS.items()}
    last_step, matched = (
        {name: _value(value.item(), measurements[name].type) for name, value in state.get(part, {}).items()}
        for part in ("last_step", "matched")
    )
    return Progress(
        theta=state["theta"], memory=state.get("memory", {}), matched=matched, last_step=lambda: last_step, **numbers
    )


def counted(step: int, status: str) -> dict[str, Value]:
    """Return the columns that say where a training stands after a number of steps, each of which linearised once."""
    updates = max(step - 1, 0)
    return {"step": step, "status": status, "num_linearisations": step, "num_feature_updates": updates}


def accuracy_column(loss: float) -> str:
    """Return the column of the test accuracy at a training loss."""
    return f"test_acc_at_loss_{_spelt(loss)}"


def step_column(loss: float) -> str:
    """Return the column of the step at which a training loss was crossed."""
    return f"step_at_loss_{_spelt(loss)}"


def matched_measurements(losses: Sequence[float]) -> dict[str, Measurement]:
    """Return the columns of what is measured at matched training losses."""
    columns: dict[str, Measurement] = {}
    for loss in losses:
        columns[accuracy_column(loss)] = Measurement(meaning=f"test accuracy when the training loss fell below {loss}")
        columns[step_column(loss)] = Measurement(
            meaning=f"steps after which the training loss first was below {loss}", unit="steps", type=int
        )
    return columns


def _spelt(loss: float) -> str:
    return f"{loss:g}".replace(".", "_")


def _tensors(values: Mapping[str, Value]) -> State:
    return {
        name: torch.tensor(math.nan if value is None else float(value), dtype=torch.float64)
        for name, value in values.items()
    }


def _value(number: float, kind: type) -> Value:
    return None if math.isnan(number) else kind(number)
