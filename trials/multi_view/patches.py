"""The patch model's training set as the network sees it, and its activation: one layer of channels, all patches alike.

The network sees patches alike and psi is odd, so a label enters only through alignments: y times the sign with which a
sample carries a feature.

Source: Shen, Bubeck and Gunasekar, arXiv 2203.01572; the data model descends from Allen-Zhu and Li, arXiv 2012.09816.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import one_hot

from trials.core.streams import generator
from trials.multi_view.knobs import noise_magnitudes

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.multi_view.knobs import MultiViewKnobs


# |z|^(q-1) for |z| <= 1. Products: a general power takes ten times as long.
_POWERS: Mapping[int, Callable[[Tensor], Tensor]] = MappingProxyType(
    {1: torch.ones_like, 2: torch.abs, 3: torch.square, 4: lambda z: z.abs() * z.square()}
)


def activation(z: Float[Tensor, " ..."], exponent: int) -> Float[Tensor, " ..."]:
    """Return psi: sign(z) |z|^q / q where |z| <= 1, beyond it the tangent."""
    clamped, slope = clamped_and_slope(z, exponent)
    return torch.addcmul(z - clamped, clamped, slope, value=1 / exponent)


def clamped_and_slope(z: Float[Tensor, " ..."], exponent: int) -> tuple[Tensor, Tensor]:
    """Return z cut to [-1, 1] and psi'(z) = min(|z|, 1)^(q-1), which is even, not negative and at most 1."""
    clamped = z.clamp(-1.0, 1.0)
    return clamped, _POWERS[exponent](clamped)


@dataclass(frozen=True, eq=False)
class PatchSet:
    """A training set as the network sees it.

    Attributes:
        alignments: Label times the sign with which a sample carries a feature: -1, 0 or 1.
        feature_magnitudes: Norm of each feature's patch: the views, then the spurious feature.
        noise_magnitudes: Norm of the dominant noise, then of background patches.
    """

    alignments: Float[Tensor, "draws sharing features"]
    feature_magnitudes: Float[Tensor, " features"]
    noise_magnitudes: Float[Tensor, " noises"]

    @property
    def frequencies(self) -> Float[Tensor, " features"]:
        """Share of the samples that carries each feature; with the wrong sign it counts as negative."""
        return self.alignments.mean((0, 1))


@dataclass(frozen=True, eq=False)
class DrawnOnce:
    """Training sets of several trainings that every step sees as they are.

    Attributes:
        alignments: As in `PatchSet`, features first: a product with them then takes a fifth of the time.
    """

    alignments: Float[Tensor, "trials features draws sharing"]

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the alignments; no step meets noise of its own."""
        return self.alignments, self.alignments.new_empty(0)

    expected = at

    def only(self, places: Int64[Tensor, " chosen"]) -> DrawnOnce:
        """Return the sets of some of the trainings."""
        return DrawnOnce(self.alignments[places])


def patch_set(knobs: MultiViewKnobs) -> PatchSet:
    """Return the training set, without the copies that each step draws."""
    carried = _carried_views(knobs)
    copies = range(knobs.lasting_copies)
    shift = int(knobs.arm.shifts_views)
    views = torch.stack([one_hot((carried + shift * copy) % knobs.views, knobs.views) for copy in copies])
    alignments = views.double()
    if knobs.has_spurious:
        attributes = _attributes(knobs).expand(knobs.lasting_copies, knobs.samples)
        alignments = torch.cat([alignments, attributes[..., None]], dim=2)
    shape = knobs.shape
    # Copies of a sample either follow one another as draws of their own, or stand side by side at one draw.
    grouped = alignments if shape.sharing == 1 else alignments.transpose(0, 1)
    spurious = [knobs.spurious_magnitude * knobs.spurious_scale] if knobs.has_spurious else []
    return PatchSet(
        alignments=grouped.reshape(shape.draws, shape.sharing, shape.features),
        feature_magnitudes=_float64([knobs.view_magnitude] * knobs.views + spurious),
        noise_magnitudes=_float64(noise_magnitudes(knobs)),
    )


def _carried_views(knobs: MultiViewKnobs) -> Int64[Tensor, " samples"]:
    """Return the view of each sample, in ascending order: nothing depends on the order."""
    rare = knobs.rare_share
    if knobs.counts == "multinomial":
        shares = _float64([1 - (knobs.views - 1) * rare] + [rare] * (knobs.views - 1))
        drawn = torch.multinomial(shares, knobs.samples, replacement=True, generator=generator(knobs.seed, "views"))
        return drawn.sort().values
    rare_count = math.floor(rare * knobs.samples + 0.5)  # Python rounds halves to even numbers
    counts = [knobs.samples - (knobs.views - 1) * rare_count] + [rare_count] * (knobs.views - 1)
    return torch.arange(knobs.views).repeat_interleave(torch.tensor(counts))


def _attributes(knobs: MultiViewKnobs) -> Float[Tensor, " samples"]:
    """Return label times attribute: -1 for the minority, 1 for the majority."""
    random = torch.rand(knobs.samples, generator=generator(knobs.seed, "attributes"), dtype=torch.float64)
    if knobs.counts == "exact":
        minority = random.argsort().argsort() < math.floor(knobs.minority_share * knobs.samples + 0.5)
    else:
        minority = random < knobs.minority_share
    return torch.where(minority, -1.0, 1.0).double()


def _float64(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
