"""What a training by damped steps consists of, apart from where it stands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.linalg import vector_norm

from trials.core.networks.precision import PRECISIONS
from trials.core.streams import generator
from trials.gauss_newton_damping.jacobians import flattened
from trials.gauss_newton_damping.kernel_probe import KernelProbe
from trials.gauss_newton_damping.measurements import STEP_MEASUREMENTS
from trials.gauss_newton_damping.objective import CODINGS, CodedExamples, chosen
from trials.gauss_newton_damping.solvers import InnerSettings
from trials.gauss_newton_damping.step import GaussNewton
from trials.gauss_newton_damping.step_rules import STEP_RULES, logarithmic_dampings
from trials.gauss_newton_damping.surroundings import StepSettings

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.context import TrialContext
    from trials.core.probes.fit import Fit
    from trials.core.rows import Value
    from trials.core.training.slopes import Told
    from trials.gauss_newton_damping.knobs import DampingKnobs
    from trials.gauss_newton_damping.solver_choice import Choice
    from trials.gauss_newton_damping.standing import Reached

_LINEAR = tuple(STEP_MEASUREMENTS).index("test_loss_lin")


@dataclass(frozen=True, kw_only=True, eq=False)
class DampedTraining:
    """What is trained, on what, and how.

    Attributes:
        train: Training examples.
        test: Test examples.
        initial: Parameters at initialisation.
        probe: Where the tangent kernel is measured, None for nowhere.
        choice: The solver.
        step: The damped step, with the objective that it lowers.
    """

    train: CodedExamples
    test: CodedExamples
    initial: Float[Tensor, " p"]
    probe: KernelProbe | None
    choice: Choice
    step: GaussNewton

    @property
    def method(self) -> dict[str, Value]:
        """The columns that name the solver."""
        return {"method": self.choice.solver, "method_reason": self.choice.reason}

    def noted(self, told: Told) -> Float[Tensor, " columns"]:
        """Return the numbers of `STEP_MEASUREMENTS` of a step; the test examples are looked at here alone."""
        columns = told.notes["columns"].clone()
        linear = self.step.objective.linearised_fit(told.notes["anchor"], told.notes["tried"], self.test)
        columns[_LINEAR : _LINEAR + 2] = torch.tensor(linear, dtype=columns.dtype)
        return columns

    def columns(
        self,
        theta: Float[Tensor, " p"],
        fits: tuple[Fit, Fit],
        reached: Reached,
        sums: Tensor | None,
        noted: Tensor | None,
    ) -> dict[str, Value]:
        """Return the columns of a row, but for its step and status.

        Args:
            theta: Where training is.
            fits: How well training and test examples are fitted there.
            reached: What rows so far, this one included, have reached.
            sums: What `GaussNewton.told` says of the steps so far, added up; None before the first.
            noted: What is noted of the last step; None before the first.
        """
        train, test = fits
        moved, norm = vector_norm(theta - self.initial), vector_norm(self.initial)
        return {
            **self.method,
            "train_loss": _finite(train.loss),
            "train_acc": train.accuracy,
            "test_loss": _finite(test.loss),
            "test_acc": test.accuracy,
            **({} if noted is None else _named(noted)),
            "param_dist": float(moved / norm),
            "param_path": 0.0 if sums is None else float(sums[0]),
            **(self.probe.measured(theta) if self.probe else {}),
            **reached.columns,
        }


def damped_training(knobs: DampingKnobs, context: TrialContext) -> DampedTraining:
    """Return the training that the knobs ask for, from the initialisation of its seed.

    Raises:
        ValueError: The data do not suit the knobs, or the solver or the probe would need too much memory.
    """
    dtype, code = PRECISIONS[knobs.precision], CODINGS[knobs.target_coding]
    train, test = (
        CodedExamples(examples.inputs.to(dtype), code(examples.labels, examples.classes).to(dtype))
        for examples in context.data(knobs.data)
    )
    objective, choice = chosen(knobs, len(train.inputs), train.targets.shape[1], tuple(train.inputs.shape[1:]))
    settings = StepSettings(
        kind=knobs.step_kind,
        inner=InnerSettings(knobs.inner_tolerance, knobs.inner_steps, knobs.inner_learning_rate),
        learning_rate=knobs.learning_rate,
        dampings=logarithmic_dampings(knobs.search_lowest, knobs.search_highest, knobs.search_count),
        solver=choice.solver,
    )
    rule, forgets = STEP_RULES[knobs.step_rule], knobs.reset_optimizer_on_relinearisation
    initial = flattened(objective.network.initial(generator(knobs.seed, "initialisation"))).to(train.inputs)
    probed = torch.randperm(len(train.inputs), generator=generator(knobs.seed, "probe"))[: knobs.probe_size]
    return DampedTraining(
        train=train,
        test=test,
        initial=initial,
        probe=KernelProbe(objective, train.at(probed.to(initial.device)), initial) if knobs.probe_size else None,
        choice=choice,
        step=GaussNewton(objective, settings, rule, floor=knobs.damping_floor, forgets=forgets),
    )


def _named(noted: Float[Tensor, " columns"]) -> dict[str, Value]:
    """Return the columns of the last step by name."""
    columns = zip(STEP_MEASUREMENTS.items(), noted.tolist(), strict=True)
    return {name: column.type(value) if math.isfinite(value) else None for (name, column), value in columns}


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
