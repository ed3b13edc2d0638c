"""What a training by damped steps consists of, apart from where it stands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.linalg import vector_norm

from trials.core.context import TrialContext
from trials.core.networks.precision import PRECISIONS
from trials.core.probes.fit import Fit
from trials.core.probes.tangent_kernel import centred_alignment, kernel_distance, trace_kernel
from trials.core.rows import Value
from trials.core.streams import generator
from trials.core.training.slopes import Told
from trials.gauss_newton_damping.jacobians import flattened
from trials.gauss_newton_damping.knobs import DampingKnobs
from trials.gauss_newton_damping.measurements import STEP_MEASUREMENTS
from trials.gauss_newton_damping.objective import CODINGS, CodedExamples, Objective, chosen
from trials.gauss_newton_damping.solver_choice import Choice
from trials.gauss_newton_damping.solvers import InnerSettings
from trials.gauss_newton_damping.standing import Reached
from trials.gauss_newton_damping.step import GaussNewton
from trials.gauss_newton_damping.step_rules import STEP_RULES, StepSettings, logarithmic_dampings

if TYPE_CHECKING:
    from jaxtyping import Float

_LINEAR = tuple(STEP_MEASUREMENTS).index("test_loss_lin")


@dataclass(frozen=True, eq=False)
class KernelProbe:
    """The tangent kernel on a few examples, against where it began and against the targets."""

    objective: Objective
    examples: CodedExamples
    initial: Float[Tensor, " p"]

    def columns_at(self, theta: Float[Tensor, " p"]) -> dict[str, float]:
        """Return `ntk_distance` and `ntk_cka_target` at a point."""
        kernel, targets = self._kernel(theta), self.examples.targets
        by_sample = trace_kernel(kernel, targets.shape[1])
        return {
            "ntk_distance": float(kernel_distance(kernel, self._first)),
            "ntk_cka_target": float(centred_alignment(by_sample, targets @ targets.T)),
        }

    @cached_property
    def _first(self) -> Float[Tensor, "mc mc"]:
        return self._kernel(self.initial)

    def _kernel(self, theta: Float[Tensor, " p"]) -> Float[Tensor, "mc mc"]:
        return self.objective.probed(theta, self.examples.inputs).kernel


@dataclass(frozen=True, kw_only=True, eq=False)
class DampedTraining:
    """What is trained from where, on what, by which solver, and the damped step with the objective that it lowers.

    The probe measures the tangent kernel; None where it is not asked for.
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
        """Return the columns of a row where training is at `theta`, but for its step and status.

        Args:
            theta: Where training is.
            fits: How well training and test examples are fitted there.
            reached: What rows so far, this one included, have reached.
            sums: What `GaussNewton.told` says of the steps so far, added up; None before the first, as `noted`.
            noted: What is noted of the last step.
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
            **(self.probe.columns_at(theta) if self.probe else {}),
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
