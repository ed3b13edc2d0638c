"""Which solver a trial uses: the one with the least arithmetic among those that fit in memory.

The choice depends on sizes alone and never on timings, so that the same knobs give the same rows on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

MEMORY_LIMIT_GIB = 4.0
"""Memory that the matrices of one step may take; more is refused, or solved by conjugate gradients."""

_GIB = 2.0**30
_DOUBLE = 8


class Sizes(NamedTuple):
    """What a step's cost depends on.

    Attributes:
        samples: n, those of a step.
        outputs: C.
        parameters: P.
        units: Units of a perceptron, whose kernel and curvature need no Jacobian; 0 for any other network.
    """

    samples: int
    outputs: int
    parameters: int
    units: int = 0

    @property
    def rows(self) -> int:
        """n C."""
        return self.samples * self.outputs


class Choice(NamedTuple):
    """A solver and one line on why it was chosen."""

    solver: str
    reason: str


def jacobian_gibibytes(sizes: Sizes) -> float:
    """Return the memory in GiB that the Jacobian takes as a matrix in float64."""
    return _numbers(sizes) * _DOUBLE / _GIB


class _Cost(NamedTuple):
    flops: float
    numbers: float


def _parameter(sizes: Sizes) -> _Cost:
    square = sizes.parameters**2
    products = sizes.samples * square if sizes.units else 2 * sizes.rows * square
    return _Cost(products + square * sizes.parameters / 3, 3 * square + (0 if sizes.units else 2 * _numbers(sizes)))


def _sample(sizes: Sizes) -> _Cost:
    products = 2 * sizes.rows**2 * (sizes.units or sizes.parameters)
    return _Cost(products + sizes.rows**3 / 3, 5 * sizes.rows**2 + (0 if sizes.units else _numbers(sizes)))


def _numbers(sizes: Sizes) -> int:
    """Return how many numbers a Jacobian has."""
    return sizes.rows * sizes.parameters


def _sample_unwhitened(sizes: Sizes) -> _Cost:
    return _Cost(_sample(sizes).flops + sizes.rows**3 / 3, _sample(sizes).numbers)


def _spectral(sizes: Sizes) -> _Cost:
    # An eigendecomposition takes some thirty times the arithmetic of a Cholesky factorisation.
    smaller = min(sizes.rows, sizes.parameters)
    through = _sample(sizes) if sizes.rows <= sizes.parameters else _parameter(sizes)
    return _Cost(through.flops + 9 * smaller**3, through.numbers + 2 * smaller**2)


_COSTS: Mapping[str, Callable[[Sizes], _Cost]] = MappingProxyType(
    {
        "parameter": _parameter,
        "sample": _sample,
        "sample_unwhitened": _sample_unwhitened,
        "spectral": _spectral,
        "gradient_descent_spectral": _spectral,
    }
)
MATRIX_FREE = ("cg", "gradient_descent", "adam")
SOLVERS = ("auto", *_COSTS, *MATRIX_FREE)
DEFINITE = ("parameter", "sample", "sample_unwhitened")
"""The solvers of a system that a damping above 0 makes definite."""


def choose_solver(asked: str, sizes: Sizes, *, direct: bool, spectral: bool) -> Choice:
    """Return the solver to use.

    Args:
        asked: One of `SOLVERS`; `auto` leaves the choice to sizes.
        sizes: The problem's.
        direct: Whether a direct solver may be chosen: in float32 none should.
        spectral: Whether a spectrum is wanted: a damping of 0 needs a pseudo-inverse, and many dampings share it.

    Raises:
        ValueError: The solver asked for needs more memory than `MEMORY_LIMIT_GIB`.
    """
    if asked != "auto":
        if asked in _COSTS and gibibytes(asked, sizes) > MEMORY_LIMIT_GIB:
            raise ValueError(_too_large(asked, sizes))
        return Choice(asked, "asked for")
    if not direct:
        return Choice("cg", "float32 is too coarse for the direct solvers")
    candidates = ("spectral",) if spectral else ("sample", "parameter")
    fitting = [name for name in candidates if gibibytes(name, sizes) <= MEMORY_LIMIT_GIB]
    if not fitting:
        least = min(candidates, key=lambda name: gibibytes(name, sizes))
        return Choice("cg", f"{least} would take {gibibytes(least, sizes):.3g} GiB")
    best = min(fitting, key=lambda name: _COSTS[name](sizes).flops)
    compared = ", ".join(f"{name} {_COSTS[name](sizes).flops / 1e9:.3g}" for name in fitting)
    return Choice(best, f"Gflop a step: {compared}")


def gibibytes(solver: str, sizes: Sizes) -> float:
    """Return the memory in GiB that a direct solver's matrices take in float64."""
    return _COSTS[solver](sizes).numbers * _DOUBLE / _GIB


def _too_large(asked: str, sizes: Sizes) -> str:
    fits = [name for name in ("sample", "parameter") if gibibytes(name, sizes) <= MEMORY_LIMIT_GIB]
    return (
        f"solver={asked} would take {gibibytes(asked, sizes):.3g} GiB for {sizes.rows} rows (samples x outputs) and "
        f"{sizes.parameters} parameters, the limit is {MEMORY_LIMIT_GIB:g}; what fits is {', '.join([*fits, 'cg'])}"
    )
