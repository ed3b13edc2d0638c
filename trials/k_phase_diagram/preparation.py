"""What a trial of the K phase diagram is made of: its network, its rows, its rounds, and what measures them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.fixed_set import fixed_set
from trials.core.data.generated import LAWS, relevant_directions
from trials.core.gradients import compiled_network
from trials.core.layer_groups.own import own_network
from trials.core.losses.classification import LOSSES
from trials.core.networks.feedforward import cnn_large, cnn_small, mlp
from trials.core.networks.network import Network
from trials.core.networks.precision import PRECISIONS, in_precision
from trials.core.networks.resnet import resnet18
from trials.core.parameters import moved_to
from trials.core.rounds.choice import chosen_methods
from trials.core.rounds.in_rounds import Rounds
from trials.core.rounds.round import Problem
from trials.core.rows import logarithmic_steps
from trials.core.streams import generator
from trials.core.training.descent import Descent
from trials.core.training.parts import behind, passed
from trials.core.training.rules import REACHES, RULES
from trials.core.values import is_own
from trials.k_phase_diagram.features import feature_probe
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measuring import Instruments
from trials.k_phase_diagram.together import Lane

if TYPE_CHECKING:
    from trials.core.context import TrialContext

NETWORKS: Mapping[str, Callable[[tuple[int, ...], int, KPhaseKnobs], Network]] = MappingProxyType(
    {
        "mlp": lambda shape, classes, knobs: mlp(shape, classes, width=knobs.width, depth=knobs.depth),
        "cnn_s": lambda shape, classes, knobs: cnn_small(shape, classes),
        "cnn_l": lambda shape, classes, knobs: cnn_large(shape, classes),
        "resnet18": lambda shape, classes, knobs: resnet18(shape, classes),
    }
)


def lane_of(knobs: KPhaseKnobs, context: TrialContext) -> Lane:
    """Return what a trial's rows are measured with, and how it trains."""
    dtype = PRECISIONS[knobs.precision]
    train, test = (examples.to(dtype) for examples in context.data(knobs.data))
    shape = tuple(train.inputs.shape[1:])
    if is_own(knobs.network):
        whole = own_network(knobs.network, shape, train.classes, knobs.freeze_depth, context.device, dtype)
    else:
        whole = NETWORKS[knobs.network](shape, train.classes, knobs)
    drawn = moved_to(whole.initial(generator(knobs.seed, "initialisation")), context.device, dtype)
    network, initial, before = behind(whole, drawn, knobs.freeze_depth)
    rows = passed(fixed_set(train, knobs.rows, knobs.data.name, knobs.seed), before)
    trained = compiled_network(in_precision(network, knobs.precision), wanted=knobs.compiled)
    problem = Problem(network=trained, train=rows, loss=LOSSES[knobs.loss])
    known = knobs.data.name in LAWS and not knobs.freeze_depth
    rule = RULES[knobs.optimizer](knobs.momentum)
    instruments = Instruments(
        train=rows,
        test=passed(test, before),
        loss=problem.loss,
        initial=initial,
        probe=feature_probe(network, initial, rows, knobs.loss, size=knobs.probe_size, seed=knobs.seed),
        directions=torch.from_numpy(relevant_directions(knobs.data.name)).to(context.device) if known else None,
        learning_rate=knobs.learning_rate,
        reach=REACHES[knobs.optimizer](knobs.learning_rate, knobs.momentum),
        measured_steps=logarithmic_steps(knobs.steps, knobs.measurements_per_decade),
        measured_rounds=knobs.measured_rounds,
    )
    descent = Descent(rule=rule, rate=lambda step: knobs.learning_rate, weight_decay=knobs.weight_decay)
    rounds = Rounds(
        problem=problem,
        interval=knobs.feature_update_interval,
        methods=chosen_methods(knobs.round_method, problem, knobs.batch_size, descent),
        damping=knobs.damping,
        warm_steps=knobs.warm_steps,
        tolerance=knobs.round_tolerance,
        check_every=max(1, len(rows) // knobs.batch_size),
        forgotten=rule.beginning if knobs.reset_optimizer_on_relinearisation else None,
    )
    return Lane(knobs, instruments, rounds, descent)
