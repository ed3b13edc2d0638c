"""The network, how its Jacobian is held and how steps are solved, all by sizes alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from trials.core.data.knobs import training_extent
from trials.core.losses.classification import LOSSES
from trials.core.networks.cnn import cnn_large, cnn_small
from trials.core.networks.mlp import mlp
from trials.gauss_newton_damping.jacobians import Jacobian, dense_jacobian, matrix_free_jacobian
from trials.gauss_newton_damping.mlp_jacobian import perceptron_jacobian
from trials.gauss_newton_damping.objective import CODINGS, Objective
from trials.gauss_newton_damping.solver_choice import (
    MATRIX_FREE,
    MEMORY_LIMIT_GIB,
    Choice,
    SystemSize,
    choose_solver,
    jacobian_gibibytes,
)

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.data.arrays import Arrays
    from trials.core.networks.network import Network
    from trials.gauss_newton_damping.knobs import DampingKnobs

NETWORKS: Mapping[str, Callable[[tuple[int, ...], int, DampingKnobs], Network]] = MappingProxyType(
    {
        "mlp": lambda shape, outputs, knobs: mlp(shape, outputs, width=knobs.width, depth=knobs.depth),
        "cnn_xs": lambda shape, outputs, knobs: cnn_small(shape, outputs, second_channels=24),
        "cnn_s": lambda shape, outputs, knobs: cnn_small(shape, outputs),
        "cnn_l": lambda shape, outputs, knobs: cnn_large(shape, outputs),
    }
)
_DENSE_LIMIT_GIB = 0.5
"""A Jacobian up to this size is held as a matrix even where nothing needs it: its products are the fastest."""


def chosen(knobs: DampingKnobs, samples: int, outputs: int, shape: tuple[int, ...]) -> tuple[Objective, Choice]:
    """Return what is minimised and how.

    Args:
        knobs: Of the trial.
        samples: Training examples.
        outputs: Outputs of the network.
        shape: Of an input.

    Raises:
        ValueError: The solver asked for, or the Jacobian of the probe, would need too much memory.
    """
    network = NETWORKS[knobs.network](shape, outputs, knobs)
    units = knobs.width * knobs.depth + outputs if knobs.network == "mlp" else 0
    size = SystemSize(knobs.batch_size or samples, outputs, network.parameter_count, units)
    choice = choose_solver(knobs.solver, size, direct=knobs.precision == "float64", spectral=knobs.wants_spectrum)
    objective = Objective(network=network, loss=LOSSES[knobs.loss], jacobian=_jacobian_for(choice, size))
    _refuse_large_probe(objective, knobs.probe_size, outputs)
    return objective, choice


def refuse_large(knobs: DampingKnobs, arrays: Arrays) -> None:
    """Compare the sizes of the data and of the network with the memory that the solver and the probe may take.

    Raises:
        ValueError: They need more.
    """
    samples, classes, shape = training_extent(arrays, knobs.data)
    chosen(knobs, samples, CODINGS[knobs.target_coding](torch.zeros(1, dtype=torch.int64), classes).shape[1], shape)


def _jacobian_for(choice: Choice, size: SystemSize) -> Callable[[Network, Tensor, Tensor], Jacobian]:
    """Return how a training's Jacobians are held: by layers where there is a closed form, else as small as need be."""
    if size.units:
        return perceptron_jacobian
    needs_no_matrix = choice.solver in MATRIX_FREE and jacobian_gibibytes(size) > _DENSE_LIMIT_GIB
    return matrix_free_jacobian if needs_no_matrix else dense_jacobian


def _refuse_large_probe(objective: Objective, probe_size: int, outputs: int) -> None:
    parameters = objective.network.parameter_count
    gibibytes = jacobian_gibibytes(SystemSize(probe_size, outputs, parameters))
    if objective.jacobian is not perceptron_jacobian and gibibytes > MEMORY_LIMIT_GIB:
        raise ValueError(
            f"probe_size={probe_size} would take {gibibytes:.3g} GiB for {parameters} parameters, "
            f"the limit is {MEMORY_LIMIT_GIB:g}; probe_size=0 measures no kernel"
        )
