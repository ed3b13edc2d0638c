"""How far features have moved: tangent kernel and last layer's inputs on the probe, compared with earlier ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from trials.core.losses.classification import CURVATURES
from trials.core.networks.chain import Chain
from trials.core.probes.stability import largest_gauss_newton_eigenvalue
from trials.core.probes.tangent_kernel import (
    centred_alignment,
    kernel_distance,
    tangent_kernel,
    trace_kernel,
)
from trials.core.streams import generator

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

    from trials.core.data.examples import Examples, TrainingSet
    from trials.core.networks.network import Network
    from trials.core.parameters import Parameters
    from trials.core.rows import Value


@dataclass(frozen=True)
class Features:
    """What a network's features are on the probe.

    Attributes:
        kernel: Tangent kernel; None for a network that is no chain of layers, for which it would cost too much.
        representation: What the last layer sees, (samples, features).
        outputs: The network's outputs.
    """

    kernel: Float[Tensor, "n*c n*c"] | None
    representation: Float[Tensor, "n features"]
    outputs: Float[Tensor, "n c"]


@dataclass(frozen=True)
class FeatureProbe:
    """A few training inputs on which a network's features are compared.

    Attributes:
        network: The network.
        examples: The inputs and labels of the probe.
        loss: Name of the loss.
        first: The features at initialisation.
    """

    network: Network
    examples: Examples
    loss: str
    first: Features

    def features(self, parameters: Parameters) -> Features:
        """Return the network's features at the parameters."""
        return features_on(self.network, parameters, self.examples)

    def compared(self, now: Features) -> dict[str, Value]:
        """Return the columns that compare features with those at initialisation and with the labels."""
        columns: dict[str, Value] = {
            "rep_change": _defined((now.representation - self.first.representation).norm() / self._norm()),
            "rep_cka": _defined(centred_alignment(_gram(now.representation), _gram(self.first.representation))),
        }
        if now.kernel is None or self.first.kernel is None:
            return columns
        classes = self.examples.classes
        trace = trace_kernel(now.kernel, classes)
        labels = one_hot(self.examples.labels, classes).to(trace)
        return columns | {
            "ntk_distance": _defined(kernel_distance(now.kernel, self.first.kernel)),
            "ntk_cka_init": _defined(centred_alignment(trace, trace_kernel(self.first.kernel, classes))),
            "ntk_cka_target": _defined(centred_alignment(trace, _gram(labels))),
        }

    def stability_ratio(self, anchor: Parameters, learning_rate: float) -> float | None:
        """Return learning rate x largest Gauss-Newton eigenvalue / 2 of the linearisation at `anchor`."""
        largest = largest_gauss_newton_eigenvalue(
            self.network.forward, anchor, self.examples.inputs, CURVATURES[self.loss]
        )
        return _defined(learning_rate * largest / 2)

    def gap(
        self, linearised: Callable[[Tensor], Tensor], begun: Callable[[Tensor], Tensor], now: Features
    ) -> dict[str, Value]:
        """Return how far the network is from its linearisation, over how far that has come since the round began."""
        with torch.no_grad():
            trained = linearised(self.examples.inputs)
            distance = (now.outputs - trained).norm() / (trained - begun(self.examples.inputs)).norm()
        return {"lin_gap": _defined(distance)}

    def _norm(self) -> Tensor:
        return self.first.representation.norm()


def feature_probe(
    network: Network, initial: Parameters, train: TrainingSet, loss: str, *, size: int, seed: int
) -> FeatureProbe | None:
    """Return a probe of `size` training inputs drawn by the seed, all if there are fewer; None for size 0."""
    if size == 0:
        return None
    examples = train.at(probe_indices(len(train), size=size, seed=seed).to(train.labels.device))
    return FeatureProbe(network, examples, loss, features_on(network, initial, examples))


def probe_indices(samples: int, *, size: int, seed: int) -> Int64[Tensor, " probe"]:
    """Return which of the training samples are the probe, in ascending order; all if there are no more than `size`.

    They follow from the seed and these two numbers alone, and so from what the store keeps of a trial: its probe is the
    rows of the training set, as the trial's knobs of data and of rows make it, that this function names.

    Raises:
        ValueError: A probe of fewer than no inputs.
    """
    if size < 0:
        raise ValueError(f"a probe has at least 0 inputs, got {size}")
    return torch.randperm(samples, generator=generator(seed, "probe"))[:size].sort().values


def features_on(network: Network, parameters: Parameters, examples: Examples) -> Features:
    """Return the network's features on the examples."""
    chain = network.forward if isinstance(network.forward, Chain) else None
    kernel = None if chain is None else tangent_kernel(chain, parameters, examples.inputs)
    with torch.no_grad():
        seen = network.forward if network.features is None else network.features
        representation = seen(parameters, examples.inputs).flatten(1)
        outputs = network.forward(parameters, examples.inputs)
    return Features(kernel, representation, outputs)


def alignment(first_weight: Tensor, directions: Tensor | None) -> Mapping[str, Value]:
    """Return the share of a weight's squared norm in the directions (inputs, relevant) that decide the labels.

    At initialisation it is about relevant / inputs.
    """
    if directions is None:
        return {"param_alignment": None}
    weight = first_weight.flatten(1)
    return {"param_alignment": _defined((weight @ directions.to(weight)).square().sum() / weight.square().sum())}


def _gram(features: Float[Tensor, "n features"]) -> Float[Tensor, "n n"]:
    return features @ features.T


def _defined(value: Tensor) -> float | None:
    """Return the number, None where it is a quotient by nothing: at the first step, or of constant features."""
    number = float(value)
    return number if math.isfinite(number) else None
