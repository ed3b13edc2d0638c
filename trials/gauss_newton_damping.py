"""Does a damped Gauss-Newton step generalise better the more it is damped? Levenberg-Marquardt over the damping.

Each step linearises the network, so that it is one feature update; the damping decides how far it goes along the
tangent features of the moment. The loss is a mean over samples, and the damping is absolute, in units of that mean.

Source: Goldwaser and Ge, arXiv 2211.12345.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from trials.core.choices import refuse_batch_normalisation
from trials.core.curvature.damped_training import DampedTraining, damped_training, jacobian_for, refuse_large_probe
from trials.core.curvature.first_steps import first_steps
from trials.core.curvature.kernel_probe import KERNEL_MEASUREMENTS
from trials.core.curvature.objective import Objective, Split
from trials.core.curvature.output_losses import CODINGS, OUTPUT_LOSSES
from trials.core.curvature.progress import DIVERGED, RUNNING, Progress, counted, matched_measurements, restored
from trials.core.curvature.proximal import DESCENTS, STEP_KINDS
from trials.core.curvature.solver_choice import DEFINITE, MATRIX_FREE, SOLVERS, Choice, Sizes, choose_solver
from trials.core.curvature.solvers import NOTHING, InnerSettings
from trials.core.curvature.step_columns import STEP_MEASUREMENTS, step_columns
from trials.core.curvature.step_rules import STEP_RULES, logarithmic_dampings
from trials.core.curvature.surroundings import StepSettings
from trials.core.data.knobs import DataKnobs, training_extent
from trials.core.knobs import TrialKnobs, knob
from trials.core.networks.cnn import cnn_large, cnn_small
from trials.core.networks.mlp import mlp
from trials.core.networks.network import Network
from trials.core.rows import Diverged, Measurement, Row
from trials.core.schedule import logarithmic_steps
from trials.core.streams import batch_indices

if TYPE_CHECKING:
    from trials.core.context import TrialContext
    from trials.core.data.arrays import Arrays

NETWORKS: Mapping[str, Callable[[tuple[int, ...], int, DampingKnobs], Network]] = MappingProxyType(
    {
        "mlp": lambda shape, outputs, knobs: mlp(shape, outputs, width=knobs.width, depth=knobs.depth),
        "cnn_xs": lambda shape, outputs, knobs: cnn_small(shape, outputs, second_channels=24),
        "cnn_s": lambda shape, outputs, knobs: cnn_small(shape, outputs),
        "cnn_l": lambda shape, outputs, knobs: cnn_large(shape, outputs),
    }
)
PRECISIONS: Mapping[str, torch.dtype] = MappingProxyType({"float32": torch.float32, "float64": torch.float64})
MATCHED_LOSSES = (0.1, 0.05, 0.02, 0.005, 0.001)
_DATA = DataKnobs(train_size=300)


@dataclass(frozen=True, kw_only=True)
class DampingKnobs(TrialKnobs):
    """All that decides the outcome of one training."""

    damping: float = knob("lambda, added to the curvature of the mean loss", 0.01, unit="mean loss", at_least=0)
    damping_floor: float = knob("least damping, as a part of the largest curvature", 0.0, at_least=0)
    step_kind: str = knob("model that a step minimises", "ggn", choices=tuple(STEP_KINDS))
    step_rule: str = knob("how far a step goes, and the next damping", "full", choices=tuple(STEP_RULES))
    learning_rate: float = knob("alpha, the part of a damped step that is taken", 1.0, above=0)
    solver: str = knob("how steps are solved; the direct ones and cg agree", "auto", choices=SOLVERS)
    inner_steps: int = knob("most inner steps; gradient descent, adam and cg", 1000, unit="steps", at_least=1)
    inner_learning_rate: float = knob("rate of inner steps; gradient descent and adam", 0.1, above=0)
    inner_tolerance: float = knob("residual that ends inner steps, over the first one; 0 = never", 1e-6, at_least=0)
    reset_optimizer_on_relinearisation: bool = knob("forget what adam knows at each step; kept, adam only", True)
    steps: int = knob("most steps: the budget", 200, unit="steps", at_least=1)
    loss_tolerance: float = knob("training loss at which training has converged", 1e-3, above=0)
    batch_size: int = knob("samples a step, 0 = all; less than all is another experiment", 0, at_least=0)
    loss: str = knob("what is minimised", "mse", choices=tuple(OUTPUT_LOSSES))
    target_coding: str = knob("one output a class, or one of -1 and +1", "one_hot", choices=tuple(CODINGS))
    network: str = knob("architecture", "mlp", choices=tuple(NETWORKS))
    width: int = knob("units in a hidden layer; mlp only", 32, unit="units", at_least=1)
    depth: int = knob("hidden layers, 0 = linear classifier; mlp only", 1, unit="layers", at_least=0)
    precision: str = knob("floating-point numbers of the training", "float64", choices=tuple(PRECISIONS))
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
        samples, classes, shape = training_extent(arrays[self.data.name], self.data)
        outputs = CODINGS[self.target_coding](torch.zeros(1, dtype=torch.int64), classes).shape[1]
        objective, _ = _chosen(self, samples, outputs, shape)
        refuse_large_probe(objective, self.probe_size, outputs)


MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "num_linearisations": Measurement(meaning="linearisations so far, one a step", type=int),
        "num_feature_updates": Measurement(meaning="linearisations after that at initialisation", type=int),
        "status": Measurement(meaning="running, converged, unconverged (steps vanish), diverged or budget", type=str),
        "method": Measurement(meaning="solver that is used", type=str),
        "method_reason": Measurement(meaning="why that solver", type=str),
        "train_loss": Measurement(meaning="training loss of the network", unit="nats or squares"),
        "train_acc": Measurement(meaning="training accuracy of the network"),
        "test_loss": Measurement(meaning="test loss of the network", unit="nats or squares"),
        "test_acc": Measurement(meaning="test accuracy of the network"),
        "best_test_acc": Measurement(meaning="largest test accuracy so far: chosen on test data, a diagnostic only"),
        **STEP_MEASUREMENTS,
        "param_dist": Measurement(meaning="distance of the parameters from initialisation over their initial norm"),
        "param_path": Measurement(meaning="length of the path of steps in parameter space"),
        **KERNEL_MEASUREMENTS,
        **matched_measurements(MATCHED_LOSSES),
    }
)


def run(knobs: DampingKnobs, context: TrialContext) -> Iterator[Row]:
    """Train, and yield a row at log-spaced steps, where a training loss of `MATCHED_LOSSES` is crossed, and at the end.

    A row at step t describes the network after t steps, and the step that led there.

    Raises:
        Diverged: The training loss is not finite or far too large, or a damped system cannot be solved.
        ValueError: The data do not suit the knobs, or the solver asked for would need too much memory.
    """
    training = _training(knobs, context)
    if knobs.first_steps:
        yield from first_steps(training)
        return
    measured_steps = logarithmic_steps(knobs.steps, knobs.measurements_per_decade)
    initial_loss = training.objective.value(training.initial, training.train)
    start, now = _beginning(knobs, context, training)
    for step in range(start, knobs.steps + 1):
        fitted = training.objective.fit(now.theta, training.train)
        here = now.judged(fitted.loss, initial_loss)
        status = here.status(fitted.loss, tolerance=knobs.loss_tolerance, last=step == knobs.steps)
        context.checkpoints.offer(step, now.state, last=status != RUNNING)
        where = counted(step, status)
        if status == DIVERGED:
            yield {**where, **training.method}
            raise Diverged(step, f"the training loss is {fitted.loss:.3g}, at first it was {initial_loss:.3g}")
        crossed = here.crosses(MATCHED_LOSSES, fitted.loss)
        if status != RUNNING or crossed or step in measured_steps:
            tested = training.objective.fit(here.theta, training.test)
            here = here.tested(step, tested.accuracy, crossed)
            yield {**where, **training.columns(here, fitted, tested)}
        if status != RUNNING:
            return
        now = _stepped(knobs, training, here, step)


def _training(knobs: DampingKnobs, context: TrialContext) -> DampedTraining:
    """Return what is trained and how."""
    dtype = PRECISIONS[knobs.precision]
    train, test = (
        Split(examples.inputs.to(dtype), CODINGS[knobs.target_coding](examples.labels, examples.classes).to(dtype))
        for examples in context.data(knobs.data)
    )
    objective, choice = _chosen(knobs, len(train.inputs), train.targets.shape[1], tuple(train.inputs.shape[1:]))
    return damped_training(
        objective,
        (train, test),
        choice,
        StepSettings(
            kind=knobs.step_kind,
            inner=InnerSettings(knobs.inner_tolerance, knobs.inner_steps, knobs.inner_learning_rate),
            learning_rate=knobs.learning_rate,
            dampings=logarithmic_dampings(knobs.search_lowest, knobs.search_highest, knobs.search_count),
            solver=choice.solver,
        ),
        seed=knobs.seed,
        probe_size=knobs.probe_size,
    )


def _chosen(knobs: DampingKnobs, samples: int, outputs: int, shape: tuple[int, ...]) -> tuple[Objective, Choice]:
    """Return what is minimised and how, by sizes alone.

    Raises:
        ValueError: The solver asked for would need too much memory.
    """
    network = NETWORKS[knobs.network](shape, outputs, knobs)
    units = knobs.width * knobs.depth + outputs if knobs.network == "mlp" else 0
    sizes = Sizes(knobs.batch_size or samples, outputs, network.parameter_count, units)
    choice = choose_solver(knobs.solver, sizes, direct=knobs.precision == "float64", spectral=_wants_spectrum(knobs))
    return Objective(network=network, loss=OUTPUT_LOSSES[knobs.loss], jacobian=jacobian_for(choice, sizes)), choice


def _beginning(knobs: DampingKnobs, context: TrialContext, training: DampedTraining) -> tuple[int, Progress]:
    """Return the step to begin with and the progress made before it."""
    saved = context.checkpoints.restored(context.device)
    if saved is None:
        return 0, Progress(theta=training.initial, damping=knobs.damping)
    return saved.step, restored(saved.state, MEASUREMENTS)


def _stepped(knobs: DampingKnobs, training: DampedTraining, now: Progress, step: int) -> Progress:
    """Return the progress after one damped step, on the whole training set or on the step's batch."""
    batch = training.train
    if knobs.batch_size:
        batch = batch.at(batch_indices(knobs.seed, step, len(batch.inputs), knobs.batch_size, now.theta.device))
    try:
        memory = NOTHING if knobs.reset_optimizer_on_relinearisation else now.memory
        around = training.surroundings(now.theta, batch, memory)
        damping = max(now.damping, knobs.damping_floor * around.largest_curvature)
        taken = STEP_RULES[knobs.step_rule](around, damping)
    except LinAlgError:
        raise Diverged(step, f"the curvature has no spectrum in {knobs.precision}") from None
    return now.moved(taken, step_columns(training.objective, around, taken, now.theta, training.test))


def _wants_spectrum(knobs: DampingKnobs) -> bool:
    """Return whether many dampings share a point, or none is added and a pseudo-inverse must be."""
    undamped = knobs.damping == knobs.damping_floor == 0
    return knobs.first_steps or knobs.step_rule == "damping_search" or undamped


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
