"""How often must a network's features change? SGD on a linearisation that is renewed every K steps.

At K = 1 this is plain SGD; at K = `steps` the network is linearised once, at its initialisation, and trained with
its features fixed. In between, the diagram of accuracy against K and training time.

Source: Goldwaser and Ge, arXiv 2211.12345.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from trials.core.checkpoints import State
from trials.core.data.examples import DataKnobs, Examples
from trials.core.divergence import refuse_divergence
from trials.core.knobs import TrialKnobs, knob
from trials.core.linearisation import Linearised, linearised
from trials.core.losses.classification import LOSSES, Loss
from trials.core.networks.cnn import cnn_large, cnn_small
from trials.core.networks.mlp import mlp
from trials.core.networks.network import Network
from trials.core.optimisers.sgd import sgd_step
from trials.core.parameters import Parameters, moved_to
from trials.core.probes.fit import fit
from trials.core.probes.movement import relative_distance
from trials.core.rows import Measurement, Row
from trials.core.schedule import logarithmic_steps
from trials.core.streams import batch_indices, generator

if TYPE_CHECKING:
    from trials.core.context import TrialContext

NETWORKS: Mapping[str, Callable[[tuple[int, ...], int, KPhaseKnobs], Network]] = MappingProxyType(
    {
        "mlp": lambda shape, classes, knobs: mlp(shape, classes, width=knobs.width, depth=knobs.depth),
        "cnn_s": lambda shape, classes, knobs: cnn_small(shape, classes),
        "cnn_l": lambda shape, classes, knobs: cnn_large(shape, classes),
    }
)
PRECISIONS: Mapping[str, torch.dtype] = MappingProxyType({"float32": torch.float32, "float64": torch.float64})
_DATA = DataKnobs(train_size=500)


@dataclass(frozen=True, kw_only=True)
class KPhaseKnobs(TrialKnobs):
    """All that decides the outcome of one training.

    An infinite interval, or any above `steps`, is recorded as `steps`: they are the same training.
    """

    steps: int = knob("SGD steps (the paper's T)", 4000, unit="steps", at_least=1)
    feature_update_interval: int = knob(
        "steps between re-linearisations (the paper's K): 1 is plain SGD, `steps` and above linearise once",
        1,
        unit="steps",
        at_least=1,
    )
    learning_rate: float = knob("step length along the gradient", 0.1, above=0)
    batch_size: int = knob("samples a step", 32, unit="samples", at_least=1)
    loss: str = knob("what is minimised", "cross_entropy", choices=tuple(LOSSES))
    network: str = knob("architecture", "mlp", choices=tuple(NETWORKS))
    width: int = knob("units in a hidden layer; mlp only", 128, unit="units", at_least=1)
    depth: int = knob("hidden layers, 0 = linear classifier; mlp only", 2, unit="layers", at_least=0)
    precision: str = knob("floating-point numbers of the training", "float32", choices=tuple(PRECISIONS))
    measurements_per_decade: int = knob("rows a factor of ten in steps", 6, at_least=1)
    data: DataKnobs = _DATA

    def __post_init__(self) -> None:
        if _is_number(self.feature_update_interval) and _is_number(self.steps):
            object.__setattr__(self, "feature_update_interval", min(self.feature_update_interval, self.steps))
        super().__post_init__()
        if 0 < self.data.train_size < self.batch_size:
            raise ValueError(f"batch_size={self.batch_size} exceeds data_train_size={self.data.train_size}")


_LINEARISED = "the linearisation being trained (that of the round of the row's last step)"
_NETWORK = "the network itself at the same parameters"

MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "round": Measurement(meaning="round of the row's last step, from 0", type=int),
        "num_linearisations": Measurement(meaning="linearisations so far, that at initialisation included", type=int),
        "num_feature_updates": Measurement(meaning="linearisations after that at initialisation", type=int),
        "train_loss_lin": Measurement(meaning=f"training loss of {_LINEARISED}", unit="nats or squared outputs"),
        "train_acc_lin": Measurement(meaning=f"training accuracy of {_LINEARISED}"),
        "test_loss_lin": Measurement(meaning=f"test loss of {_LINEARISED}", unit="nats or squared outputs"),
        "test_acc_lin": Measurement(meaning=f"test accuracy of {_LINEARISED}"),
        "train_loss_net": Measurement(meaning=f"training loss of {_NETWORK}", unit="nats or squared outputs"),
        "train_acc_net": Measurement(meaning=f"training accuracy of {_NETWORK}"),
        "test_loss_net": Measurement(meaning=f"test loss of {_NETWORK}", unit="nats or squared outputs"),
        "test_acc_net": Measurement(meaning=f"test accuracy of {_NETWORK}"),
        "param_dist": Measurement(meaning="distance of the parameters from initialisation over their initial norm"),
    }
)


def run(knobs: KPhaseKnobs, context: TrialContext) -> Iterator[Row]:
    """Train, and yield a row at log-spaced steps, the first and the last included.

    Raises:
        Diverged: A measurement is not finite, or the training loss stays far above its initial value.
        ValueError: The data do not suit the knobs.
    """
    dtype = PRECISIONS[knobs.precision]
    train, test = (examples.to(dtype) for examples in context.data(knobs.data))
    network = NETWORKS[knobs.network](tuple(train.inputs.shape[1:]), train.classes, knobs)
    loss = LOSSES[knobs.loss]
    measured_steps = logarithmic_steps(knobs.steps, knobs.measurements_per_decade)

    initial = moved_to(network.initial(generator(knobs.seed, "initialisation")), context.device, dtype)
    start, parameters, anchor, training_losses = _beginning(context, initial)
    model = linearised(network.forward, anchor)
    for step in range(start, knobs.steps + 1):
        last = step == knobs.steps
        context.checkpoints.offer(step, partial(_state, parameters, model.anchor, training_losses), last=last)
        # Before re-anchoring: a row describes the function that the last step trained.
        if step in measured_steps:
            row = {
                "step": step,
                **_rounds(step, knobs.feature_update_interval),
                **_fits(model, parameters, train, test, loss),
                "param_dist": relative_distance(parameters, initial),
            }
            training_losses.append(row["train_loss_lin"])
            refuse_divergence(row, training_losses, last=last)
            yield row
        if last:
            return
        if step % knobs.feature_update_interval == 0:
            model = linearised(network.forward, anchor=parameters)
        batch = batch_indices(knobs.seed, step, len(train), knobs.batch_size, context.device)
        gradient = model.gradient(parameters, train.inputs[batch], train.labels[batch], loss)
        parameters = sgd_step(parameters, gradient, knobs.learning_rate)


def _state(parameters: Parameters, anchor: Parameters, training_losses: list[float]) -> State:
    """Return all that the steps to come depend on. Without the anchor a resumed trial would silently re-linearise."""
    losses = torch.tensor(training_losses, dtype=torch.float64)
    return {"parameters": parameters, "anchor": anchor, "training_losses": losses}


def _beginning(context: TrialContext, initial: Parameters) -> tuple[int, Parameters, Parameters, list[float]]:
    """Return the step to begin with, the parameters, the anchor and the losses measured so far."""
    saved = context.checkpoints.restored(context.device)
    if saved is None:
        return 0, initial, initial, []
    state: Any = saved.state
    return saved.step, state["parameters"], state["anchor"], state["training_losses"].tolist()


def _rounds(step: int, interval: int) -> dict[str, int]:
    """Return the columns that count rounds after `step` steps: the next round begins only with its first step."""
    linearisations = max(1, -(-step // interval))
    return {
        "round": linearisations - 1,
        "num_linearisations": linearisations,
        "num_feature_updates": linearisations - 1,
    }


def _fits(model: Linearised, parameters: Parameters, train: Examples, test: Examples, loss: Loss) -> dict[str, float]:
    """Return loss and accuracy of the trained function and of the network, on both splits."""
    functions = {"lin": partial(model, parameters), "net": partial(model.forward, parameters)}
    columns: dict[str, float] = {}
    for function_name, function in functions.items():
        for split, examples in {"train": train, "test": test}.items():
            columns[f"{split}_loss_{function_name}"], columns[f"{split}_acc_{function_name}"] = fit(
                function, examples, loss
            )
    return columns


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
