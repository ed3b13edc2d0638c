"""What a training by damped steps consists of, apart from where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from trials.core.curvature.flat import flattened
from trials.core.curvature.jacobians import Jacobian, dense_jacobian, matrix_free_jacobian
from trials.core.curvature.kernel_probe import KernelProbe, kernel_probe
from trials.core.curvature.mlp_jacobian import perceptron_jacobian
from trials.core.curvature.objective import Fit, Objective, Split
from trials.core.curvature.solver_choice import MATRIX_FREE, MEMORY_LIMIT_GIB, Choice, Sizes, jacobian_gibibytes
from trials.core.curvature.solvers import NOTHING
from trials.core.curvature.step_columns import finite
from trials.core.curvature.surroundings import StepSettings, Surroundings, surroundings
from trials.core.streams import generator

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.curvature.progress import Progress
    from trials.core.curvature.solvers import Memory
    from trials.core.networks.network import Network
    from trials.core.rows import Value

_DENSE_LIMIT_GIB = 0.5
"""A Jacobian up to this size is held as a matrix even where nothing needs it: its products are the fastest."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DampedTraining:
    """What is trained, on what, and how.

    Attributes:
        objective: What is minimised.
        train: Training examples.
        test: Test examples.
        initial: Parameters at initialisation.
        probe: Where the tangent kernel is measured, None for nowhere.
        choice: The solver.
        settings: How steps are computed.
    """

    objective: Objective
    train: Split
    test: Split
    initial: Float[Tensor, " p"]
    probe: KernelProbe | None
    choice: Choice
    settings: StepSettings

    def surroundings(self, theta: Float[Tensor, " p"], batch: Split, memory: Memory = NOTHING) -> Surroundings:
        """Return the objective around a point, on one batch, for inner steps that begin with a memory."""
        settings = replace(self.settings, inner=replace(self.settings.inner, memory=memory))
        return surroundings(self.objective, theta, batch, settings)

    @property
    def method(self) -> dict[str, Value]:
        """The columns that name the solver."""
        return {"method": self.choice.solver, "method_reason": self.choice.reason}

    def columns(self, now: Progress, fitted: Fit, tested: Fit) -> dict[str, Value]:
        """Return the columns of a row, but for its step and status."""
        moved, norm = (torch.linalg.vector_norm(value) for value in (now.theta - self.initial, self.initial))
        return {
            **self.method,
            "train_loss": finite(fitted.loss),
            "train_acc": fitted.accuracy,
            "test_loss": finite(tested.loss),
            "test_acc": tested.accuracy,
            "best_test_acc": now.best_test_acc,
            **now.last_step(),
            "param_dist": float(moved / norm),
            "param_path": now.path,
            **(self.probe.measured(now.theta) if self.probe else {}),
            **now.matched,
        }


def damped_training(
    objective: Objective,
    splits: tuple[Split, Split],
    choice: Choice,
    settings: StepSettings,
    *,
    seed: int,
    probe_size: int,
) -> DampedTraining:
    """Return the training of an objective from the initialisation of a seed.

    Args:
        objective: What is minimised.
        splits: Training and test examples.
        choice: The solver.
        settings: How steps are computed.
        seed: Of the initialisation and of the choice of the probe.
        probe_size: Training inputs on which the tangent kernel is measured; 0 measures none.

    Raises:
        ValueError: The Jacobian of the probe would take too much memory.
    """
    refuse_large_probe(objective, probe_size, splits[0].targets.shape[1])
    train, test = splits
    initial = flattened(objective.network.initial(generator(seed, "initialisation"))).to(train.inputs)
    probed = torch.randperm(len(train.inputs), generator=generator(seed, "probe"))[:probe_size]
    return DampedTraining(
        objective=objective,
        train=train,
        test=test,
        initial=initial,
        probe=kernel_probe(objective, initial, train.at(probed.to(initial.device))) if probe_size else None,
        choice=choice,
        settings=settings,
    )


def jacobian_for(choice: Choice, sizes: Sizes) -> Callable[[Network, Tensor, Tensor], Jacobian]:
    """Return how a training's Jacobians are held: by layers where there is a closed form, else as small as need be."""
    if sizes.units:
        return perceptron_jacobian
    needs_no_matrix = choice.solver in MATRIX_FREE and jacobian_gibibytes(sizes) > _DENSE_LIMIT_GIB
    return matrix_free_jacobian if needs_no_matrix else dense_jacobian


def refuse_large_probe(objective: Objective, probe_size: int, outputs: int) -> None:
    """Compare the Jacobian of a probe with the memory that it may take.

    Raises:
        ValueError: It is larger.
    """
    parameters = objective.network.parameter_count
    gibibytes = jacobian_gibibytes(Sizes(probe_size, outputs, parameters))
    if objective.jacobian is not perceptron_jacobian and gibibytes > MEMORY_LIMIT_GIB:
        raise ValueError(
            f"probe_size={probe_size} would take {gibibytes:.3g} GiB for {parameters} parameters, "
            f"the limit is {MEMORY_LIMIT_GIB:g}; probe_size=0 measures no kernel"
        )
