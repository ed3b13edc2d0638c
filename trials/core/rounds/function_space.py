"""Rounds in function space: steps on dual weights, one for each training sample and class, and no pass at all.

Within a round every gradient is J^T r with residuals r. Plain steps, momentum and weight decay add and scale vectors,
so that the parameters and the velocity stay combinations of where the round began and of the rows of J:

    theta = a theta_b + b v_b + J^T w,    f_lin = f_b + (a - 1) J theta_b + b J v_b + Theta w.

A damped round has the anchor theta_s as one more vector, whose share c adds c theta_s and c J theta_s. A step needs the
rows of Theta = J J^T that belong to its batch and changes (a, b, c, w). Adam divides entry by entry and leaves this
space; norms of gradients and penalties of parameters are not to be read in it. The kernel pairs every sample with every
other: a round holds what the anchor's pass kept of all of them, inputs included, also of rows that are formed by index.

Source: Jacot et al., arXiv 1806.07572, section 4 (training of the outputs by the kernel).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trials.core.networks.chain import Opened
from trials.core.parameters import Parameters, difference
from trials.core.probes.tangent_kernel import tangent_kernel
from trials.core.rounds.round import Round, chain_of, opened_everywhere
from trials.core.training.places import Place, Vector
from trials.core.training.slopes import Told

if TYPE_CHECKING:
    from jaxtyping import Float

    from trials.core.checkpoints import State
    from trials.core.training.batches import Batch


@dataclass(frozen=True)
class FunctionSpaceRound(Round):
    """Steps on dual weights. Coordinates: `basis`, the share of each basis vector, and `dual`, (samples, classes).

    The basis has the vectors of where the round begins. The anchor is one more in a damped round: one that goes on from
    a checkpoint cannot tell whether it began there.
    """

    @property
    def start(self) -> Place:
        """The basis vectors themselves."""
        return Place(self._unit(0), {name: self._unit(index) for index, name in enumerate(self.begun.memory, start=1)})

    @cached_property
    def anchor(self) -> Vector:
        """The last vector of a damped round's basis."""
        return self._unit(len(self._basis) - 1)

    def slope(self, point: Vector, batch: Batch, weights: Tensor | None = None) -> Told:
        """Return the gradient: the batch's residuals, over its size, as dual weights."""
        rows = batch.rows
        moved = point["basis"] - self.start.point["basis"]
        by_kernel = (self._kernel[rows].flatten(0, 1) @ point["dual"].flatten()).view(len(rows), -1)
        by_basis = torch.tensordot(moved, self._pushed[:, rows], 1)
        outputs = self._outputs[rows] + by_kernel + by_basis
        residuals = self.problem.loss.sensitivity(outputs, self.problem.rows.labels[rows], weights)
        # Added, for a draw with replacement may show a row twice.
        dual = torch.zeros_like(point["dual"]).index_add_(0, rows, residuals)
        return Told({"basis": torch.zeros_like(moved), "dual": dual})

    def norms(self, point: Vector, batch: Batch) -> Float[Tensor, " batch"]:
        """Refuse (TypeError): gradients have no norm of parameter space in these coordinates."""
        raise TypeError("round_method=function_space has no norms of samples' gradients: take jvp or cached")

    def parameters(self, vector: Vector) -> Parameters:
        """Return a theta_b + b v_b + J^T w, by one reverse pass over the training samples."""
        pulled = self._pulled_back(vector["dual"])
        shares = list(zip(vector["basis"], self._basis, strict=True))
        return {name: value + sum(share * each[name] for share, each in shares) for name, value in pulled.items()}

    def state(self) -> State:
        return self.begun.state()

    @cached_property
    def _basis(self) -> tuple[Parameters, ...]:
        return (self.begun.point, *self.begun.memory.values(), *([self.model.anchor] if self.damping else []))

    def _unit(self, index: int) -> Vector:
        train, first = self.problem.rows, next(iter(self.begun.point.values()))
        basis = first.new_zeros(len(self._basis))
        basis[index] = 1
        return {"basis": basis, "dual": first.new_zeros(len(train), train.classes)}

    @cached_property
    def _opened(self) -> Opened:
        return opened_everywhere(self.model, self.problem.rows)

    @cached_property
    def _kernel(self) -> Float[Tensor, "samples classes samples*classes"]:
        train = self.problem.rows
        (inputs,) = train.chunks(len(train))
        kernel = tangent_kernel(chain_of(self.model), self.model.anchor, inputs)
        return kernel.view(len(train), train.classes, -1)

    @cached_property
    def _outputs(self) -> Float[Tensor, "samples classes"]:
        """What the linearisation returns where the round began."""
        return self._opened.outputs + self._push(difference(self.begun.point, self.model.anchor))

    @cached_property
    def _pushed(self) -> Float[Tensor, "basis samples classes"]:
        """J times each basis vector."""
        return torch.stack([self._push(vector) for vector in self._basis])

    def _push(self, vector: Parameters) -> Float[Tensor, "samples classes"]:
        with torch.no_grad():
            return chain_of(self.model).tangent(self.model.anchor, self._opened.kept, vector)

    def _pulled_back(self, dual: Float[Tensor, "samples classes"]) -> Parameters:
        """Return J^T dual."""
        with torch.no_grad():
            return chain_of(self.model).pulled_back(self.model.anchor, self._opened.kept, dual)
