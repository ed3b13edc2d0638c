"""What the passes of a row tell of a training in rounds, or of several trainings at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trials.core.probes.fit import Shown, fits
from trials.core.probes.movement import movement
from trials.k_phase_diagram.features import Columns, FeatureProbe, Features, alignment

if TYPE_CHECKING:
    from jaxtyping import Float

    from trials.core.linearisation import Linearised
    from trials.core.losses.loss import Loss
    from trials.core.parameters import Parameters

Numbers = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the passes of one row tell.

    Attributes:
        fits: Loss and accuracy of the trained function and of the network, on both splits.
        moved: How far the parameters have come.
        features: What the probe tells; not finite where a column is a quotient by nothing.
        kernel: The tangent kernel on the probe, None if there is none.
        next_stability: The stability ratio of a round that begins here, None unless it was asked for.
    """

    fits: Numbers
    moved: Numbers
    features: Numbers
    kernel: Float[Tensor, "n*c n*c"] | None
    next_stability: float | None


@dataclass(frozen=True, kw_only=True)
class Gauges:
    """What trainings are read with: of one training, or of several with a first axis over them in every tensor.

    Attributes:
        train: The training examples.
        test: The test examples.
        loss: What is minimised.
        initial: The parameters at initialisation.
        probe: On what features are compared; None if they are not.
        directions: Orthonormal basis of the inputs' directions that decide the labels, where it is known.
        learning_rate: Length of a step.
    """

    train: Shown
    test: Shown
    loss: Loss
    initial: Parameters
    probe: FeatureProbe | None
    directions: Tensor | None
    learning_rate: float | Tensor

    def read(
        self, model: Linearised, parameters: Parameters, path: Float[Tensor, "*trainings parts"], *, begins: bool
    ) -> list[Reading]:
        """Return the reading of each training.

        Args:
            model: The linearisation that is trained.
            parameters: Where training is.
            path: See `movement`.
            begins: Whether a round may begin here.
        """
        columns: dict[str, Columns] = {
            "fits": self._fits(model, parameters),
            "moved": movement(parameters, model.anchor, self.initial, path),
            "features": alignment(next(iter(parameters.values())), self.directions),
        }
        kernels: Sequence[Tensor | None] = [None] * path[..., 0].numel()
        ratios: Sequence[float | None] = [None] * len(kernels)
        if self.probe is not None:
            now = self.probe.features(parameters)
            gap = self.probe.gap(partial(model, parameters), partial(model, model.anchor), now)
            columns["features"] = {**columns["features"], **self.probe.compared(now), **gap}
            if now.kernel is not None:
                # A copy each: what is kept of one training must not keep what belongs to the others.
                kernels = [kernel.clone() for kernel in now.kernel.view(-1, *now.kernel.shape[-2:])]
            if begins:
                ratios = self.stability(parameters, now)
        return [
            Reading(**told, kernel=kernel, next_stability=ratio)
            for told, kernel, ratio in zip(_of_each(columns), kernels, ratios, strict=True)
        ]

    def stability(self, anchor: Parameters, known: Features | None = None) -> list[float]:
        """Return the stability ratio of each training's linearisation; see `FeatureProbe.stability_ratio`.

        Raises:
            ValueError: There is no probe.
        """
        if self.probe is None:
            raise ValueError("a stability ratio needs a probe")
        ratios: list[float] = self.probe.stability_ratio(anchor, self.learning_rate, known).reshape(-1).tolist()
        return ratios

    def _fits(self, model: Linearised, parameters: Parameters) -> Columns:
        columns: dict[str, Tensor] = {}
        for split, examples in {"train": self.train, "test": self.test}.items():
            found = fits(model.with_network(parameters), examples, self.loss)
            for name, of_function in zip(("lin", "net"), found, strict=True):
                columns[f"{split}_loss_{name}"], columns[f"{split}_acc_{name}"] = of_function
        return columns


def _of_each(columns: Mapping[str, Columns]) -> list[dict[str, Numbers]]:
    """Return the numbers of each training by group and column, read from the device at once."""
    names = [(group, name) for group, of_group in columns.items() for name in of_group]
    numbers = torch.stack([columns[group][name].double().reshape(-1) for group, name in names], 1)
    told: list[dict[str, Numbers]] = []
    for of_one in numbers.tolist():
        by_name = dict(zip(names, of_one, strict=True))
        told.append({group: {name: by_name[group, name] for name in of_group} for group, of_group in columns.items()})
    return told
