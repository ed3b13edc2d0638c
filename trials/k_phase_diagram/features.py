"""How far features have moved: tangent kernel and last layer's inputs on the probe, compared with earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.linalg import matrix_norm
from torch.nn.functional import one_hot

from trials.core.data.examples import Examples
from trials.core.losses.classification import LOSSES
from trials.core.networks.chain import Chain
from trials.core.probes.tangent_kernel import centred_alignment, kernel_distance, tangent_kernel, trace_kernel
from trials.core.streams import generator
from trials.k_phase_diagram.stability import largest_eigenvalue_by_kernel, largest_gauss_newton_eigenvalue

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

    from trials.core.data.examples import TrainingSet
    from trials.core.networks.network import Network
    from trials.core.parameters import Parameters

Columns = Mapping[str, Tensor]
"""Numbers by column, () of one training, (trainings,) of several; not finite where one is a quotient by nothing."""


@dataclass(frozen=True)
class Features:
    """What a network's features are on the probe.

    Attributes:
        kernel: Tangent kernel; None for a network that is no chain of layers, for which it would cost too much.
        representation: What the last layer sees, (samples, features).
        outputs: The network's outputs.

    Of several trainings, every tensor has a first axis over them, and so have the parameters and the probe.
    """

    kernel: Float[Tensor, "*trainings n*c n*c"] | None
    representation: Float[Tensor, "*trainings n features"]
    outputs: Float[Tensor, "*trainings n c"]


@dataclass(frozen=True)
class FeatureProbe:
    """A few training inputs on which a network's features are compared.

    Attributes:
        network: The network that is probed.
        examples: Inputs and labels.
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

    def compared(self, now: Features) -> Columns:
        """Return the columns that compare features with those at initialisation and with the labels."""
        first = self.first
        columns = {
            "rep_change": matrix_norm(now.representation - first.representation) / matrix_norm(first.representation),
            "rep_cka": centred_alignment(_gram(now.representation), _gram(first.representation)),
        }
        if now.kernel is None or first.kernel is None:
            return columns
        trace, initial = (trace_kernel(kernel, self.examples.classes) for kernel in (now.kernel, first.kernel))
        labels = one_hot(self.examples.labels, self.examples.classes).to(trace)
        return columns | {
            "ntk_distance": kernel_distance(now.kernel, first.kernel),
            "ntk_cka_init": centred_alignment(trace, initial),
            "ntk_cka_target": centred_alignment(trace, _gram(labels)),
        }

    def stability_ratio(
        self, anchor: Parameters, learning_rate: float | Tensor, known: Features | None = None
    ) -> Float[Tensor, "*trainings"]:
        """Return learning rate x largest Gauss-Newton eigenvalue / 2 of the linearisation at `anchor`.

        `known` are the features there, if they have been measured.
        """
        curvature = LOSSES[self.loss].hessians
        there = known or self.features(anchor)
        if there.kernel is None:
            inputs = self.examples.inputs
            largest = largest_gauss_newton_eigenvalue(self.network.forward, anchor, inputs, curvature)
        else:
            largest = largest_eigenvalue_by_kernel(there.kernel, there.outputs, curvature)
        return learning_rate * largest / 2

    def gap(self, linearised: Callable[[Tensor], Tensor], begun: Callable[[Tensor], Tensor], now: Features) -> Columns:
        """Return how far the network is from its linearisation, over how far that has come since the round began."""
        with torch.no_grad():
            trained = linearised(self.examples.inputs)
            came = matrix_norm(trained - begun(self.examples.inputs))
        return {"lin_gap": matrix_norm(now.outputs - trained) / came}


def feature_probe(
    network: Network, initial: Parameters, train: TrainingSet, loss: str, *, size: int, seed: int
) -> FeatureProbe | None:
    """Return a probe of `size` training inputs drawn by the seed, all if there are fewer; None for size 0."""
    if size == 0:
        return None
    examples = train.at(probe_indices(len(train), size=size, seed=seed).to(train.labels.device))
    return FeatureProbe(network, examples, loss, features_on(network, initial, examples))


def probes_abreast(probes: Sequence[FeatureProbe]) -> FeatureProbe:
    """Return the probe of several trainings of one network and loss, from those of each, all of one size."""
    first = probes[0]
    firsts = [probe.first for probe in probes]
    kernels = [features.kernel for features in firsts if features.kernel is not None]
    return FeatureProbe(
        network=first.network,
        examples=Examples(
            inputs=torch.stack([probe.examples.inputs for probe in probes]),
            labels=torch.stack([probe.examples.labels for probe in probes]),
            classes=first.examples.classes,
        ),
        loss=first.loss,
        first=Features(
            kernel=torch.stack(kernels) if kernels else None,
            representation=torch.stack([features.representation for features in firsts]),
            outputs=torch.stack([features.outputs for features in firsts]),
        ),
    )


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
        representation = seen(parameters, examples.inputs).flatten(examples.labels.ndim)
        outputs = network.forward(parameters, examples.inputs)
    return Features(kernel, representation, outputs)


def alignment(first_weight: Tensor, directions: Tensor | None) -> Columns:
    """Return the share of a weight's squared norm in the directions (inputs, relevant) that decide the labels.

    At initialisation it is about relevant / inputs. Where no directions are known there is no such column.
    """
    if directions is None:
        return {}
    relevant = first_weight @ directions.to(first_weight)
    return {"param_alignment": relevant.square().sum((-2, -1)) / first_weight.square().sum((-2, -1))}


def _gram(features: Float[Tensor, "*trainings n features"]) -> Float[Tensor, "*trainings n n"]:
    return features @ features.mT
