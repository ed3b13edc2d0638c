"""Knobs of the K phase diagram."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trials.core.augmentation.knobs import FixedSetKnobs, distinct_count
from trials.core.choices import (
    CHAINS,
    LOSSES,
    OPTIMIZERS,
    PARTS,
    PRECISIONS,
    refuse_batch_normalisation,
    refuse_depth,
    refuse_no_chain,
)
from trials.core.data.knobs import DataKnobs, training_extent
from trials.core.knobs import TrialKnobs, knob
from trials.core.rounds.settings import METHODS, refuse_large_kernel, refuse_method, unified_lengths
from trials.core.values import is_own

if TYPE_CHECKING:
    from trials.core.data.arrays import Arrays

NETWORKS = (*CHAINS, "resnet18")
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
    optimizer: str = knob("how a step follows from the gradient", "sgd", choices=OPTIMIZERS, was="inner_optimizer")
    momentum: float = knob("share of the last step kept; momentum only", 0.9, at_least=0, at_most=1)
    weight_decay: float = knob("multiple of the parameters added to the gradient", 0.0, at_least=0)
    reset_optimizer_on_relinearisation: bool = knob("forget the optimizer's state at each re-linearisation", False)
    batch_size: int = knob("samples a step", 32, unit="samples", at_least=1)
    loss: str = knob("what is minimised", "cross_entropy", choices=LOSSES)
    network: str = knob("architecture, also package.module:function", "mlp", choices=NETWORKS, own=True)
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
        interval, warm_steps = unified_lengths(self.feature_update_interval, self.steps, self.warm_steps)
        object.__setattr__(self, "feature_update_interval", interval)
        object.__setattr__(self, "warm_steps", warm_steps)
        if not is_own(self.network):
            refuse_batch_normalisation(str(self.network))
        super().__post_init__()
        if self.feature_update_interval == 1:
            object.__setattr__(self, "damping", 0.0)  # every step begins where nothing draws it back
        if 0 < self.data.train_size < self.batch_size:
            raise ValueError(f"batch_size={self.batch_size} exceeds data_train_size={self.data.train_size}")
        perceptron = tuple(f"hidden{number}" for number in range(1, self.depth + 1))
        if not is_own(self.network):  # its parts are known once it is built
            refuse_depth(self.freeze_depth, PARTS.get(self.network, (*perceptron, "readout")))
        self.rows.refuse_data(self.data.name)
        if self.data.known_samples is not None:
            distinct_count(self.data.known_samples, self.rows.ratio)
        refuse_method(self.round_method, self.optimizer, self.network, self.precision)
        if self.compiled:
            refuse_no_chain(self.network, "compiled=true")

    def unread(self) -> Collection[str]:
        """Return the knobs of other optimizers and networks than its own."""
        optimizer = () if self.optimizer == "momentum" else ("momentum",)
        memory = ("reset_optimizer_on_relinearisation",) if self.optimizer == "sgd" else ()
        return (*optimizer, *memory, *(() if self.network == "mlp" else ("width", "depth")))

    def refuse_unfit(self, arrays: Mapping[str, Arrays]) -> None:
        """Compare the data with the share that is distinct, the network, and a kernel that is to take steps."""
        extent = training_extent(arrays[self.data.name], self.data)
        distinct_count(extent.samples, self.rows.ratio)
        if is_own(self.network):
            from trials.core.layer_groups.own import no_fixed_features, refuse_own  # builds it with torch

            depth, interval = self.freeze_depth, self.feature_update_interval
            if refuse_own(self.network, extent.shape, extent.classes, depth=depth, interval=interval):
                raise no_fixed_features(self.network)
        elif self.network != "mlp" and (len(extent.shape) != 3 or min(extent.shape[1:]) < 4):
            shape = "x".join(map(str, extent.shape))
            raise ValueError(f"network={self.network} needs images of at least 4x4 pixels, got inputs of shape {shape}")
        if self.round_method == "function_space":
            refuse_large_kernel(extent.samples, extent.classes, PRECISIONS[self.precision])
