"""The knobs of the study of damping, and what of them excludes what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trials.core.choices import LOSSES, refuse_batch_normalisation
from trials.core.data.knobs import DataKnobs
from trials.core.knobs import TrialKnobs, knob
from trials.gauss_newton_damping.solver_choice import DEFINITE, DESCENTS, MATRIX_FREE, SOLVERS

if TYPE_CHECKING:
    from trials.core.data.arrays import Arrays

_DATA = DataKnobs(train_size=300)
STEP_KINDS, CODINGS = ("ggn", "prox_linear"), ("one_hot", "sign")
STEP_RULES = ("full", "line_search", "lm_adaptive", "damping_search")
NETWORKS, PRECISIONS = ("mlp", "cnn_xs", "cnn_s", "cnn_l"), ("float32", "float64")


@dataclass(frozen=True, kw_only=True)
class DampingKnobs(TrialKnobs):
    """All that decides the outcome of one training."""

    damping: float = knob("lambda, added to the curvature of the mean loss", 0.01, unit="mean loss", at_least=0)
    damping_floor: float = knob("least damping, as a part of the largest curvature", 0.0, at_least=0)
    step_kind: str = knob("model that a step minimises", "ggn", choices=STEP_KINDS)
    step_rule: str = knob("how far a step goes, and the next damping", "full", choices=STEP_RULES)
    learning_rate: float = knob("alpha, the part of a damped step that is taken", 1.0, above=0)
    solver: str = knob("how steps are solved; the direct ones and cg agree", "auto", choices=SOLVERS)
    inner_steps: int = knob("most inner steps; gradient descent, adam and cg", 1000, unit="steps", at_least=1)
    inner_learning_rate: float = knob("rate of inner steps; gradient descent and adam", 0.1, above=0)
    inner_tolerance: float = knob("residual that ends inner steps, over the first one; 0 = never", 1e-6, at_least=0)
    reset_optimizer_on_relinearisation: bool = knob("forget what adam knows at each step; kept, adam only", True)
    steps: int = knob("most steps: the budget", 200, unit="steps", at_least=1)
    loss_tolerance: float = knob("training loss at which training has converged", 1e-3, above=0)
    batch_size: int = knob("samples a step, 0 = all; less than all is another experiment", 0, at_least=0)
    loss: str = knob("what is minimised", "mse", choices=LOSSES)
    target_coding: str = knob("one output a class, or one of -1 and +1", "one_hot", choices=CODINGS)
    network: str = knob("architecture", "mlp", choices=NETWORKS)
    width: int = knob("units in a hidden layer; mlp only", 32, unit="units", at_least=1)
    depth: int = knob("hidden layers, 0 = linear classifier; mlp only", 1, unit="layers", at_least=0)
    precision: str = knob("floating-point numbers of the training", "float64", choices=PRECISIONS)
    first_steps: bool = knob("take only first steps from the initialisation, one at each searched damping", False)
    search_lowest: float = knob("smallest damping of first_steps and damping_search", 1e-6, above=0)
    search_highest: float = knob("largest damping of first_steps and damping_search", 100.0, above=0)
    search_count: int = knob("dampings of first_steps and damping_search, log-spaced", 33, at_least=2)
    probe_size: int = knob("training inputs on which the tangent kernel is measured, 0 = none", 64, at_least=0)
    measurements_per_decade: int = knob("rows a factor of ten in steps", 20, at_least=1)
    data: DataKnobs = _DATA

    def __post_init__(self) -> None:
        refuse_batch_normalisation(str(self.network))
        super().__post_init__()
        for message, contradictory in _contradictions(self).items():
            if contradictory:
                raise ValueError(message)

    def refuse_unfit(self, arrays: Mapping[str, Arrays]) -> None:
        """Compare the sizes of the data and of the network with the memory that the solver and the probe may take."""
        # Networks need PyTorch, which knobs do without.
        from trials.gauss_newton_damping.objective import refuse_large

        refuse_large(self, arrays[self.data.name])

    @property
    def wants_spectrum(self) -> bool:
        """Whether many dampings share a point, or none is added and a pseudo-inverse must be."""
        return self.first_steps or self.step_rule == "damping_search" or self.damping == self.damping_floor == 0


def _contradictions(knobs: DampingKnobs) -> Mapping[str, bool]:
    """Return what to say of knobs that exclude each other -> whether they do."""
    undamped = knobs.damping == knobs.damping_floor == 0 and not knobs.first_steps
    classified = knobs.loss == "cross_entropy"
    solver, batch, size = knobs.solver, knobs.batch_size, knobs.data.train_size
    low, high = knobs.search_lowest, knobs.search_highest
    return {
        "damping=0 with loss=cross_entropy is singular, since equal shifts of all outputs change nothing; "
        "use damping_floor=1e-8, relative to the largest curvature": undamped and classified and solver not in DESCENTS,
        f"damping=0 is singular for solver={solver}; use auto, spectral or cg, or damping_floor=1e-8": undamped
        and solver in DEFINITE,
        "step_rule=lm_adaptive multiplies the damping, which must be above 0": undamped
        and knobs.step_rule == "lm_adaptive",
        f"target_coding=sign has one output and needs loss=mse, got loss={knobs.loss}": classified
        and knobs.target_coding == "sign",
        "solver=gradient_descent_spectral needs a quadratic model: step_kind=ggn or loss=mse": classified
        and (solver, knobs.step_kind) == ("gradient_descent_spectral", "prox_linear"),
        f"solver={solver} needs precision=float64; in float32 there are {', '.join(MATRIX_FREE)}": (
            knobs.precision == "float32" and solver not in ("auto", *MATRIX_FREE)
        ),
        f"reset_optimizer_on_relinearisation=False needs solver=adam, which alone remembers, got solver={solver}": (
            not knobs.reset_optimizer_on_relinearisation and solver != "adam"
        ),
        f"search_lowest={low:g} must be below search_highest={high:g}": low >= high,
        f"batch_size={batch} exceeds data_train_size={size}": 0 < size < batch,
    }
