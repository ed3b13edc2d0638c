"""How often must a network's features change? Training on a linearisation that is renewed every K steps.

At K = 1 this is plain training; at K = `steps` the network is linearised once, at its initialisation, and trained with
its features fixed. In between, the diagram of accuracy against K and training time.

Source: Goldwaser and Ge, arXiv 2211.12345.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.fixed_set import fixed_set
from trials.core.augmentation.knobs import FixedSetKnobs
from trials.core.choices import HALF, refuse_batch_normalisation, refuse_no_chain
from trials.core.data.generated import LAWS, relevant_directions
from trials.core.data.knobs import DataKnobs, training_extent
from trials.core.gradients import compiled_network
from trials.core.knobs import TrialKnobs, knob
from trials.core.losses.classification import LOSSES
from trials.core.networks.cnn import cnn_large, cnn_small
from trials.core.networks.mlp import mlp
from trials.core.networks.network import Network
from trials.core.networks.precision import PRECISIONS, in_precision, products_in
from trials.core.networks.resnet import resnet18
from trials.core.parameters import moved_to
from trials.core.probes.feature_measurements import FEATURE_MEASUREMENTS
from trials.core.probes.features import feature_probe
from trials.core.rounds.calendar import Calendar, unified_lengths
from trials.core.rounds.choice import METHODS, chosen_methods
from trials.core.rounds.in_rounds import Rounds, in_rounds
from trials.core.rounds.measurements import ROUND_MEASUREMENTS
from trials.core.rounds.measuring import Instruments, Past
from trials.core.rounds.round import Problem
from trials.core.rounds.settings import refuse_large_kernel, refuse_method
from trials.core.rounds.together import Lane, trained_together
from trials.core.rows import Diverged, Row
from trials.core.schedule import logarithmic_steps
from trials.core.streams import generator
from trials.core.together import Together
from trials.core.training.batches import epochs, formed, seen
from trials.core.training.course import course
from trials.core.training.descent import Descent
from trials.core.training.parts import behind, passed
from trials.core.training.places import Place
from trials.core.training.rules import REACHES, RULES

if TYPE_CHECKING:
    from trials.core.context import TrialContext
    from trials.core.data.arrays import Arrays

NETWORKS: Mapping[str, Callable[[tuple[int, ...], int, KPhaseKnobs], Network]] = MappingProxyType(
    {
        "mlp": lambda shape, classes, knobs: mlp(shape, classes, width=knobs.width, depth=knobs.depth),
        "cnn_s": lambda shape, classes, knobs: cnn_small(shape, classes),
        "cnn_l": lambda shape, classes, knobs: cnn_large(shape, classes),
        "resnet18": lambda shape, classes, knobs: resnet18(shape, classes),
    }
)
_DATA, _ROWS = DataKnobs(train_size=500), FixedSetKnobs()


@dataclass(frozen=True, kw_only=True)
class KPhaseKnobs(TrialKnobs):
    """All that decides the outcome of one training.

    An infinite interval, or any that does not end before `steps`, is recorded as `steps`, and a warm start that does
    not end before `steps` as an interval of 1: they are the same training. So are those of an interval of 1 with and
    without damping.
    """

    steps: int = knob("SGD steps (the paper's T)", 4000, unit="steps", at_least=1)
    feature_update_interval: int = knob(
        "steps between re-linearisations (the paper's K): 1 is plain SGD, `steps` and above linearise once",
        1,
        unit="steps",
        at_least=1,
    )
    warm_steps: int = knob("plain steps before the first interval, re-linearised at each", 0, unit="steps", at_least=0)
    round_tolerance: float = knob("norm of the training gradient that ends a round, 0 = none does", 0.0, at_least=0)
    learning_rate: float = knob("step length along the gradient", 0.1, above=0)
    inner_optimizer: str = knob("how a step follows from the gradient", "sgd", choices=tuple(RULES))
    momentum: float = knob("share of the last step kept; momentum only", 0.9, at_least=0, at_most=1)
    weight_decay: float = knob("multiple of the parameters added to the gradient", 0.0, at_least=0)
    reset_optimizer_on_relinearisation: bool = knob("forget the optimiser's state at each re-linearisation", False)
    batch_size: int = knob("samples a step", 32, unit="samples", at_least=1)
    loss: str = knob("what is minimised", "cross_entropy", choices=tuple(LOSSES))
    network: str = knob("architecture", "mlp", choices=tuple(NETWORKS))
    width: int = knob("units in a hidden layer; mlp only", 128, unit="units", at_least=1)
    depth: int = knob("hidden layers, 0 = linear classifier; mlp only", 2, unit="layers", at_least=0)
    precision: str = knob("numbers of all, or (bfloat16, tf32) of products", "float32", choices=tuple(PRECISIONS))
    compiled: bool = knob("compute gradients by code that PyTorch compiles in each process", False)
    round_method: str = knob("how a round's steps are computed; all agree", "auto", choices=("auto", *METHODS))
    probe_size: int = knob(
        "training inputs on which kernels and features are compared, 0 = not at all", 64, unit="inputs", at_least=0
    )
    measurements_per_decade: int = knob("rows a factor of ten in steps", 6, at_least=1)
    measured_rounds: int = knob("rounds, the first ones, that have a row at their end", 0, unit="rounds", at_least=0)
    freeze_depth: int = knob("parts that stay as they began, counted from the input", 0, unit="parts", at_least=0)
    damping: float = knob(
        "lambda of lambda / 2 ||theta - theta_s||^2 beside the loss of a round, theta_s where it began", 0.0, at_least=0
    )
    rows: FixedSetKnobs = _ROWS
    data: DataKnobs = _DATA

    def __post_init__(self) -> None:
        lengths = (self.feature_update_interval, self.steps, self.warm_steps)
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in lengths):
            interval, warm_steps = unified_lengths(*lengths)
            object.__setattr__(self, "feature_update_interval", interval)
            object.__setattr__(self, "warm_steps", warm_steps)
            if interval == 1:
                object.__setattr__(self, "damping", 0.0)  # every step begins where nothing draws it back
        refuse_batch_normalisation(str(self.network))
        super().__post_init__()
        if 0 < self.data.train_size < self.batch_size:
            raise ValueError(f"batch_size={self.batch_size} exceeds data_train_size={self.data.train_size}")
        self.rows.refuse_data(self.data.name)
        refuse_method(self.round_method, self.inner_optimizer, self.network, self.precision)
        if self.compiled:
            refuse_no_chain(self.network, "compiled=true")

    def refuse_unfit(self, arrays: Mapping[str, Arrays]) -> None:
        """Compare the data's size with that of a kernel where steps are to be taken by it."""
        if self.round_method == "function_space":
            extent = training_extent(arrays[self.data.name], self.data)
            refuse_large_kernel(extent.samples, extent.classes, PRECISIONS[self.precision].itemsize)


MEASUREMENTS = MappingProxyType({**ROUND_MEASUREMENTS, **FEATURE_MEASUREMENTS})
# What may differ among trials that train together; beyond these sizes their arithmetic costs more than its overhead, or
# they last long enough to need checkpoints.
MAY_DIFFER = frozenset(
    {"seed", "learning_rate", "feature_update_interval", "warm_steps", "steps", "measurements_per_decade"}
    | {"measured_rounds", "rows_ratio", "rows_aug_arm", "damping"}
)
WIDEST_TOGETHER, LONGEST_TOGETHER = 256, 20_000


def run(knobs: KPhaseKnobs, context: TrialContext) -> Iterator[Row]:
    """Train, and yield a row at log-spaced steps, the first and the last included.

    Raises:
        Diverged: A measurement is not finite, or the training loss stays far above its initial value.
        ValueError: The data do not suit the knobs, or the device has no such precision.
    """
    with products_in(knobs.precision, context.device):
        yield from _rows(knobs, context)


def _rows(knobs: KPhaseKnobs, context: TrialContext) -> Iterator[Row]:
    lane = _lane(knobs, context)
    instruments, descent = lane.instruments, lane.descent
    begun = in_rounds(lane.rounds, Place(instruments.initial, descent.rule.beginning(instruments.initial)))
    sees = seen(formed(instruments.problem.rows), lane.draw)
    for now in course(
        begun, descent, sees, steps=knobs.steps, rows_at=instruments.is_measured, context=context, past=Past()
    ):
        # Before re-anchoring: a row describes the function that the last step trained.
        row, now.past = instruments.row(now)
        yield row


def run_many(knobs: Sequence[KPhaseKnobs], context: TrialContext) -> Iterator[tuple[int, Row | Diverged]]:
    """Train trials of equal `together_key` at once, and yield (index into knobs, row) as rows arise."""
    shared = replace(context, arrays=cache(context.arrays))
    with products_in(knobs[0].precision, context.device):
        yield from trained_together([_lane(each, shared) for each in knobs])


def together_key(knobs: KPhaseKnobs) -> Hashable | None:
    """Return what trials that train together have in common; None for one that trains by itself."""
    alone = knobs.reset_optimizer_on_relinearisation or knobs.round_tolerance > 0 or knobs.round_method != "auto"
    alone |= knobs.precision == HALF or knobs.compiled
    if alone or knobs.network != "mlp" or knobs.width > WIDEST_TOGETHER or knobs.steps > LONGEST_TOGETHER:
        return None
    return tuple((name, value) for name, value in knobs.columns().items() if name not in MAY_DIFFER)


def _lane(knobs: KPhaseKnobs, context: TrialContext) -> Lane:
    """Return what a trial's rows are measured with, and how it trains."""
    dtype = PRECISIONS[knobs.precision]
    train, test = (examples.to(dtype) for examples in context.data(knobs.data))
    whole = NETWORKS[knobs.network](tuple(train.inputs.shape[1:]), train.classes, knobs)
    drawn = moved_to(whole.initial(generator(knobs.seed, "initialisation")), context.device, dtype)
    network, initial, before = behind(whole, drawn, knobs.freeze_depth)
    rows = passed(fixed_set(train, knobs.rows, knobs.data, knobs.seed), before)
    trained = compiled_network(in_precision(network, knobs.precision), wanted=knobs.compiled)
    problem = Problem(network=trained, train=rows, loss=LOSSES[knobs.loss])
    known = knobs.data.name in LAWS and not knobs.freeze_depth
    rule = RULES[knobs.inner_optimizer](knobs.momentum)
    instruments = Instruments(
        problem=problem,
        test=passed(test, before),
        initial=initial,
        probe=feature_probe(network, initial, rows, knobs.loss, size=knobs.probe_size, seed=knobs.seed),
        directions=torch.from_numpy(relevant_directions(knobs.data.name)).to(context.device) if known else None,
        learning_rate=knobs.learning_rate,
        reach=REACHES[knobs.inner_optimizer](knobs.learning_rate, knobs.momentum),
        measured_steps=logarithmic_steps(knobs.steps, knobs.measurements_per_decade),
        measured_rounds=knobs.measured_rounds,
        damping=knobs.damping,
    )
    calendar = Calendar(
        interval=knobs.feature_update_interval,
        warm_steps=knobs.warm_steps,
        tolerance=knobs.round_tolerance,
        check_every=max(1, len(rows) // knobs.batch_size),
    )
    descent = Descent(rule=rule, rate=lambda step: knobs.learning_rate, weight_decay=knobs.weight_decay)
    methods = chosen_methods(knobs.round_method, problem, knobs.batch_size, descent)
    forgotten = rule.beginning if knobs.reset_optimizer_on_relinearisation else None
    return Lane(
        instruments=instruments,
        rounds=Rounds(problem=problem, calendar=calendar, methods=methods, damping=knobs.damping, forgotten=forgotten),
        descent=descent,
        steps=knobs.steps,
        draw=epochs(knobs.seed, len(rows), knobs.batch_size, context.device),
    )


TOGETHER = Together(run=run_many, key=together_key, most=48)
