"""Gradient descent on projections: the same training as that of the weights, without the patches' dimension.

With psi odd, the margin of a sample is the sum over channels of psi at its features' projections, times the alignments,
and of psi at that of its noise. Gradient descent on the mean logistic loss moves each projection by

    z_r <- z_r + (eta/n) m_r sum_s G_rs m_s psi'(z_s) sum over the samples i that have patch s of alignment_is g_i

where g_i = sigmoid(-margin_i), m are the patches' norms, and G has the inner products of their directions. That is
exact; where the directions are orthonormal, G is the identity and costs nothing. Several trainings stand side by side
in one tensor each: the time of a step is the time of its calls.

Source: derived from the model of Shen, Bubeck and Gunasekar, arXiv 2203.01572.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import softplus

from trials.core.feature_learning.patchwise import activation, clamped_and_slope

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.feature_learning.noise import Geometry
    from trials.core.feature_learning.patch_data import PatchSet


class Projections(NamedTuple):
    """The state of several trainings: every channel's inner product with every distinct patch.

    Attributes:
        features: With label times feature's patch.
        noise: With label times noise patch.
    """

    features: Float[Tensor, "trials channels features"]
    noise: Float[Tensor, "trials channels noises draws"]

    def only(self, kept: Int64[Tensor, " kept"]) -> Projections:
        """Return the state of some of the trainings."""
        return Projections(self.features[kept], self.noise[kept])


@dataclass(frozen=True, eq=False)
class Descent:
    """What gradient descent does to the projections of several trainings.

    Attributes:
        alignments: As in `PatchSet`, features first: a product with them then takes a fifth of the time.
        feature_magnitudes: Norms of the features' patches.
        noise_magnitudes: Norms of the noise patches.
        learning_rates: Step length along the gradient.
        exponent: The network's q, common to all.
        gram: Inner products of the unit directions, common to all; None where they are orthonormal.
    """

    alignments: Float[Tensor, "trials features draws sharing"]
    feature_magnitudes: Float[Tensor, "trials features"]
    noise_magnitudes: Float[Tensor, "trials noises"]
    learning_rates: Float[Tensor, " trials"]
    exponent: int
    gram: Float[Tensor, "directions directions"] | None = None

    def only(self, kept: Int64[Tensor, " kept"]) -> Descent:
        """Return the descent of some of the trainings."""
        norms = self.feature_magnitudes[kept], self.noise_magnitudes[kept]
        return Descent(self.alignments[kept], *norms, self.learning_rates[kept], self.exponent, self.gram)

    def margins(self, at: Projections) -> Float[Tensor, "trials draws sharing"]:
        """Return label times output of every sample."""
        features = activation(at.features, self.exponent).sum(1)
        noise = activation(at.noise, self.exponent).sum((1, 2))
        return self._gathered(features) + noise[..., None]

    def losses(self, at: Projections) -> Float[Tensor, " trials"]:
        """Return the mean logistic loss of each training, in nats."""
        return softplus(-self.margins(at)).mean((1, 2))

    def step(self, at: Projections) -> Projections:
        """Return the projections after one step of full-batch gradient descent."""
        clamped, noise_slope = clamped_and_slope(at.noise, self.exponent)
        # The sum of psi as in `margins`, from fewer passes over the one large tensor.
        noise = torch.addcmul(at.noise, clamped, noise_slope, value=1 / self.exponent).sum((1, 2)) - clamped.sum((1, 2))
        feature_clamped, feature_slope = clamped_and_slope(at.features, self.exponent)
        features = feature_clamped * (feature_slope / self.exponent - 1) + at.features
        pulls = torch.sigmoid(-(self._gathered(features.sum(1)) + noise[..., None])) * self._step_lengths
        feature_pulls = pulls.flatten(1)[:, None] @ self.alignments.flatten(2).mT
        noise_pulls = pulls.sum(2)[:, None, None]
        if self.gram is not None:
            return self._spread(at, feature_slope * feature_pulls, noise_slope * noise_pulls)
        return Projections(
            torch.addcmul(at.features, feature_slope, feature_pulls * self.feature_magnitudes[:, None].square()),
            torch.addcmul(at.noise, noise_slope, noise_pulls * self.noise_magnitudes[:, None, :, None].square()),
        )

    @property
    def _step_lengths(self) -> Float[Tensor, "trials 1 1"]:
        samples = self.alignments.shape[2] * self.alignments.shape[3]
        return (self.learning_rates / samples)[:, None, None]

    def _gathered(self, features: Float[Tensor, "trials features"]) -> Float[Tensor, "trials draws sharing"]:
        """Return the sum over each sample's features of what a feature contributes."""
        together = features[:, None] @ self.alignments.flatten(2)
        return together.unflatten(2, self.alignments.shape[2:])[:, 0]

    def _spread(self, at: Projections, features: Tensor, noise: Tensor) -> Projections:
        """Return the projections after weights have moved along patches that overlap."""
        assert self.gram is not None
        feature_norms, noise_norms = self.feature_magnitudes[:, None], self.noise_magnitudes[:, None, :, None]
        moves = torch.cat([features * feature_norms, (noise * noise_norms).flatten(2)], dim=2) @ self.gram
        count = at.features.shape[2]
        return Projections(
            at.features + moves[..., :count] * feature_norms,
            at.noise + moves[..., count:].unflatten(2, at.noise.shape[2:]) * noise_norms,
        )


def stacked(
    sets: Sequence[PatchSet],
    geometries: Sequence[Geometry],
    scales: Sequence[float],
    learning_rates: Sequence[float],
    exponent: int,
    device: torch.device,
) -> tuple[Descent, Projections]:
    """Return the descents of several trainings as one, and where they start.

    Args:
        sets: Training sets of one shape.
        geometries: Directions and first projections; those of one Gram matrix share it.
        scales: sigma_0, the standard deviation of the first weights.
        learning_rates: Step lengths along the gradient.
        exponent: The network's q.
        device: Where the tensors go.
    """
    gram = geometries[0].gram
    descent = Descent(
        alignments=torch.stack([each.alignments.movedim(2, 0) for each in sets]).to(device),
        feature_magnitudes=torch.stack([each.feature_magnitudes for each in sets]).to(device),
        noise_magnitudes=torch.stack([each.noise_magnitudes for each in sets]).to(device),
        learning_rates=torch.tensor(learning_rates, dtype=torch.float64, device=device),
        exponent=exponent,
        gram=None if gram is None else gram.to(device),
    )
    first = torch.tensor(scales, dtype=torch.float64, device=device)[:, None, None]
    features = torch.stack([each.features for each in geometries]).to(device)
    noise = torch.stack([each.noise for each in geometries]).to(device)
    start = Projections(
        features * first * descent.feature_magnitudes[:, None],
        noise * first[..., None] * descent.noise_magnitudes[:, None, :, None],
    )
    return descent, start
