"""The objective of a training by curvature, and how it is solved: all that follows from sizes alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from trials.core.data.arrays import Arrays
from trials.core.data.knobs import training_extent
from trials.core.linearisation import linearised
from trials.core.losses.classification import LOSSES
from trials.core.losses.loss import Loss
from trials.core.networks.feedforward import cnn_large, cnn_small, mlp
from trials.core.networks.network import Network
from trials.core.probes.fit import Fit
from trials.gauss_newton_damping.jacobians import Jacobian, dense_jacobian, matrix_free_jacobian, unflattened
from trials.gauss_newton_damping.mlp_jacobian import perceptron_jacobian
from trials.gauss_newton_damping.solver_choice import (
    MATRIX_FREE,
    MEMORY_LIMIT_GIB,
    Choice,
    SystemSize,
    choose_solver,
    jacobian_gibibytes,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

    from trials.gauss_newton_damping.knobs import DampingKnobs

_CHUNK = 1000  # samples a pass where only outputs are wanted


class CodedExamples(NamedTuple):
    """Examples with the outputs that they should have."""

    inputs: Float[Tensor, "n ..."]
    targets: Float[Tensor, "n c"]

    def at(self, indices: Int64[Tensor, " m"]) -> CodedExamples:
        """Return some of the examples."""
        return CodedExamples(self.inputs[indices], self.targets[indices])


def one_hot(labels: Int64[Tensor, " n"], classes: int) -> Float[Tensor, "n classes"]:
    """Return targets with one output a class, 1 at the label and 0 elsewhere."""
    return functional.one_hot(labels, classes).to(torch.float64)


def signs(labels: Int64[Tensor, " n"], classes: int) -> Float[Tensor, "n 1"]:
    """Return targets with one output, -1 for the first of two classes and +1 for the second.

    Raises:
        ValueError: There are not two classes.
    """
    if classes != 2:
        raise ValueError(f"target_coding=sign needs two classes, the data have {classes}")
    return (2.0 * labels - 1)[:, None].to(torch.float64)


CODINGS: Mapping[str, Callable[[Tensor, int], Tensor]] = MappingProxyType({"one_hot": one_hot, "sign": signs})


@dataclass(frozen=True, kw_only=True, eq=False)
class Objective:
    """What is minimised of a network's outputs, as a function of its parameters as one vector.

    `jacobian` makes of (network, theta, inputs) the Jacobian there.
    """

    network: Network
    loss: Loss
    jacobian: Callable[[Network, Tensor, Tensor], Jacobian]

    def outputs(self, theta: Float[Tensor, " p"], inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n c"]:
        """Return the network's outputs."""
        return self.network.forward(unflattened(theta, self.network.shapes), inputs)

    def value(self, theta: Float[Tensor, " p"], examples: CodedExamples) -> float:
        """Return the mean loss."""
        outputs = self._in_chunks(lambda inputs: self.outputs(theta, inputs), examples)
        return float(self.loss.mean(outputs, examples.targets))

    def fit(self, theta: Float[Tensor, " p"], examples: CodedExamples) -> Fit:
        """Return how well the network fits."""
        return self._fit(lambda inputs: self.outputs(theta, inputs), examples)

    def linearised_fit(self, anchor: Float[Tensor, " p"], theta: Float[Tensor, " p"], examples: CodedExamples) -> Fit:
        """Return how well the network's linearisation around `anchor` fits at `theta`."""
        shapes = self.network.shapes
        model = linearised(self.network.forward, unflattened(anchor, shapes))
        return self._fit(lambda inputs: model(unflattened(theta, shapes), inputs), examples)

    def probed(self, theta: Float[Tensor, " p"], inputs: Float[Tensor, "n ..."]) -> Jacobian:
        """Return the Jacobian on a few inputs, by the closed form or as a matrix: what its kernel wants."""
        build = dense_jacobian if self.jacobian is matrix_free_jacobian else self.jacobian
        return build(self.network, theta, inputs)

    def _fit(self, function: Callable[[Tensor], Tensor], examples: CodedExamples) -> Fit:
        outputs = self._in_chunks(function, examples)
        right = self.loss.right(outputs, examples.targets).to(outputs.dtype).mean()
        return Fit(float(self.loss.mean(outputs, examples.targets)), float(right))

    def _in_chunks(self, function: Callable[[Tensor], Tensor], examples: CodedExamples) -> Float[Tensor, "n c"]:
        with torch.no_grad():
            return torch.cat([function(inputs) for inputs in examples.inputs.split(_CHUNK)])


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
    """Return what is minimised and how, from the number of training examples, that of outputs, and an input's shape.

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
    """Raise a `ValueError` where solver or probe need more memory than they may take, by sizes of data and network."""
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
