"""Training on projections: the same training as that of the weights, without the patches' dimension.

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
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch
from torch.nn.functional import softplus

from trials.core.training.places import Place, Vector
from trials.core.training.slopes import BatchLoss, Told
from trials.multi_view.patches import activation, clamped_and_slope

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.checkpoints import State
    from trials.core.training.batches import Batch
    from trials.multi_view.noise import Geometry
    from trials.multi_view.patches import PatchSet


@dataclass(frozen=True, eq=False)
class Projected:
    """What several trainings on projections train, a first axis over them in every tensor.

    A point has every channel's inner product with every distinct patch: `features`, trials x channels x features, with
    label times feature's patch; and `noise`, trials x channels x noises x draws, with label times noise patch.

    Attributes:
        feature_magnitudes: Norms of the features' patches.
        noise_magnitudes: Norms of the noise patches.
        exponent: The network's q, common to all.
        gram: Inner products of the unit directions, common to all; None where they are orthonormal.
    """

    feature_magnitudes: Float[Tensor, "trials features"]
    noise_magnitudes: Float[Tensor, "trials noises"]
    exponent: int
    gram: Float[Tensor, "directions directions"] | None = None

    def forward(
        self, point: Vector, alignments: Float[Tensor, "trials features draws sharing"]
    ) -> Float[Tensor, "trials draws sharing"]:
        """Return label times output of every sample."""
        features = activation(point["features"], self.exponent).sum(1)
        noise = activation(point["noise"], self.exponent).sum((1, 2))
        return _gathered(features, alignments) + noise[..., None]

    def losses(self, point: Vector, alignments: Float[Tensor, "trials features draws sharing"]) -> Tensor:
        """Return the mean logistic loss of each training, in nats."""
        return softplus(-self.forward(point, alignments)).mean((1, 2))

    def parameters(self, point: Vector) -> Vector:
        return point

    def on(self, batch: Batch) -> ProjectedLoss:
        return ProjectedLoss(self, batch)

    def renewed(self, step: int, place: Place) -> tuple[Self, Place]:
        return self, place

    def state(self, place: Place) -> State:
        return place.state()

    def restored(self, place: Place, state: Any, step: int) -> tuple[Self, Place]:
        return self, Place(state["point"], state["memory"])

    def only(self, places: Int64[Tensor, " chosen"]) -> Projected:
        norms = self.feature_magnitudes[places], self.noise_magnitudes[places]
        return Projected(*norms, self.exponent, self.gram)


class ProjectedLoss(NamedTuple):
    """The mean logistic losses of what one step of each training sees.

    Its batch shows the alignments of all samples, and the channels' projections on noise that this step alone meets,
    empty where there is none: no later step has a use for these projections, and no place keeps them.
    """

    projected: Projected
    batch: Batch

    def slope(self, point: Vector, weights: Float[Tensor, " batch"] | None = None) -> Told:
        if weights is not None:
            raise TypeError("trainings that go together give their samples no weights")
        ones = point["features"].new_ones(len(point["features"]))
        start = {name: torch.zeros_like(value) for name, value in joined(point, self.batch.shown[1]).items()}
        return Told({name: -moved for name, moved in self.descended(point, ones, start).items()})

    def norms(self, point: Vector) -> Float[Tensor, " batch"]:
        raise TypeError("trainings that go together do not tell their samples' gradients apart")

    def drawn_back(self, gradient: Vector, point: Vector) -> Vector:
        return gradient

    def descended(self, point: Vector, rates: Float[Tensor, " trials"], start: Vector | None = None) -> Vector:
        """Return `start`, else the point, less rates times gradients; the last product and sum are rounded once."""
        projected, (alignments, passing) = self.projected, self.batch.shown
        at, exponent = joined(point, passing), projected.exponent
        start = at if start is None else start
        clamped, noise_slope = clamped_and_slope(at["noise"], exponent)
        # The sum of psi as in `forward`, from fewer passes over the one large tensor.
        noise = torch.addcmul(at["noise"], clamped, noise_slope, value=1 / exponent).sum((1, 2)) - clamped.sum((1, 2))
        feature_clamped, feature_slope = clamped_and_slope(at["features"], exponent)
        features = feature_clamped * (feature_slope / exponent - 1) + at["features"]
        lengths = (rates / (alignments.shape[2] * alignments.shape[3]))[:, None, None]
        pulls = torch.sigmoid(-(_gathered(features.sum(1), alignments) + noise[..., None])) * lengths
        feature_pulls = pulls.flatten(1)[:, None] @ alignments.flatten(2).mT
        noise_pulls = pulls.sum(2)[:, None, None]
        feature_norms, noise_norms = projected.feature_magnitudes[:, None], projected.noise_magnitudes[:, None, :, None]
        if projected.gram is None:
            moved = torch.addcmul(start["features"], feature_slope, feature_pulls * feature_norms.square())
            moved_noise = torch.addcmul(start["noise"], noise_slope, noise_pulls * noise_norms.square())
        else:  # weights move along patches that overlap
            along = feature_slope * feature_pulls * feature_norms, noise_slope * noise_pulls * noise_norms
            moves = torch.cat([along[0], along[1].flatten(2)], dim=2) @ projected.gram
            count = feature_slope.shape[2]
            moved = start["features"] + moves[..., :count] * feature_norms
            moved_noise = start["noise"] + moves[..., count:].unflatten(2, noise_slope.shape[2:]) * noise_norms
        lasting = point["noise"].shape[3]
        return {"features": moved, "noise": moved_noise[..., :lasting] if passing.numel() else moved_noise}


@dataclass(frozen=True, eq=False)
class ProjectedDescent:
    """Gradient descent on projections, which remembers when what is trained on was learned.

    Attributes:
        rates: Step length along the gradient of each training.
        skipped: Steps of each that a closed form took the place of.
        threshold: Projection from which a patch counts as learned.
    """

    rates: Float[Tensor, " trials"]
    skipped: Int64[Tensor, " trials"]
    threshold: float

    def __call__(self, loss: BatchLoss, place: Place, step: int) -> tuple[Place, Told]:
        """Return the place after a step; no row asks what the batch told."""
        assert isinstance(loss, ProjectedLoss)
        memory = {"reached": self.reached(place, step)}
        return Place(loss.descended(place.point, self.rates), memory), Told({})

    def times(self, step: int) -> Float[Tensor, " trials"]:
        """Return learning rate times steps."""
        return self.rates * (self.skipped + step)

    def reached(self, place: Place, step: int) -> Vector:
        """Return when the largest projections over the channels first reached the threshold, this step's included.

        `features` are of trials x features, `noise` is of trials x draws of the dominant one; infinite until then.
        """
        times, largest = self.times(step)[:, None], largest_of_channels(place.point)
        return {
            name: torch.minimum(known, torch.where(largest[name] >= self.threshold, times, torch.inf))
            for name, known in place.memory["reached"].items()
        }

    def only(self, places: Int64[Tensor, " chosen"]) -> ProjectedDescent:
        return ProjectedDescent(self.rates[places], self.skipped[places], self.threshold)


def begun(
    sets: Sequence[PatchSet], geometries: Sequence[Geometry], scales: Float[Tensor, " trials"], exponent: int
) -> tuple[Projected, Place]:
    """Return what trainings on sets of one shape and one Gram matrix train, and where they start.

    Scales are sigma_0, the standard deviation of the first weights.
    """
    device, gram = scales.device, geometries[0].gram
    projected = Projected(
        feature_magnitudes=torch.stack([each.feature_magnitudes for each in sets]).to(device),
        noise_magnitudes=torch.stack([each.noise_magnitudes for each in sets]).to(device),
        exponent=exponent,
        gram=None if gram is None else gram.to(device),
    )
    first = scales[:, None, None]
    features = torch.stack([each.features for each in geometries]).to(device)
    noise = torch.stack([each.noise for each in geometries]).to(device)
    point = {
        "features": features * first * projected.feature_magnitudes[:, None],
        "noise": noise * first[..., None] * projected.noise_magnitudes[:, None, :, None],
    }
    never = {name: torch.full_like(value, torch.inf) for name, value in largest_of_channels(point).items()}
    return projected, Place(point, {"reached": never})


def joined(point: Vector, passing: Float[Tensor, "trials channels noises passing"]) -> Vector:
    """Return a point with projections on noise that one step alone meets; the point itself where there is none."""
    return {**point, "noise": torch.cat([point["noise"], passing], dim=3)} if passing.numel() else point


def largest_of_channels(point: Vector) -> Vector:
    """Return the largest projection over the channels on each feature, and on each draw of the dominant noise."""
    return {"features": point["features"].amax(1), "noise": point["noise"][:, :, 0].amax(1)}


def _gathered(
    features: Float[Tensor, "trials features"], alignments: Float[Tensor, "trials features draws sharing"]
) -> Float[Tensor, "trials draws sharing"]:
    """Return the sum over each sample's features of what a feature contributes."""
    together = features[:, None] @ alignments.flatten(2)
    return together.unflatten(2, alignments.shape[2:])[:, 0]
