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


class SystemSize(NamedTuple):
    """What a step's cost depends on: n, those of a step, C and P.

    The units are those of a perceptron, whose kernel and curvature need no Jacobian; 0 for any other network.
    """

    samples: int
    outputs: int
    parameters: int
    units: int = 0

    @property
    def rows(self) -> int:
        """n C."""
        return self.samples * self.outputs

    @property
    def jacobian(self) -> int:
        """Numbers of the Jacobian, n C P."""
        return self.rows * self.parameters


class Choice(NamedTuple):
    """A solver and one line on why it was chosen."""

    solver: str
    reason: str


def jacobian_gibibytes(size: SystemSize) -> float:
    """Return the memory in GiB that the Jacobian takes as a matrix in float64."""
    return size.jacobian * _DOUBLE / _GIB


class _Cost(NamedTuple):
    flops: float
    numbers: float


def _parameter(size: SystemSize) -> _Cost:
    square = size.parameters**2
    products = size.samples * square if size.units else 2 * size.rows * square
    return _Cost(products + square * size.parameters / 3, 3 * square + (0 if size.units else 2 * size.jacobian))


def _sample(size: SystemSize) -> _Cost:
    products = 2 * size.rows**2 * (size.units or size.parameters)
    return _Cost(products + size.rows**3 / 3, 5 * size.rows**2 + (0 if size.units else size.jacobian))


def _sample_unwhitened(size: SystemSize) -> _Cost:
    return _Cost(_sample(size).flops + size.rows**3 / 3, _sample(size).numbers)


def _spectral(size: SystemSize) -> _Cost:
    # An eigendecomposition takes some thirty times the arithmetic of a Cholesky factorisation.
    smaller = min(size.rows, size.parameters)
    through = _sample(size) if size.rows <= size.parameters else _parameter(size)
    return _Cost(through.flops + 9 * smaller**3, through.numbers + 2 * smaller**2)


_COSTS: Mapping[str, Callable[[SystemSize], _Cost]] = MappingProxyType(
    {
        "parameter": _parameter,
        "sample": _sample,
        "sample_unwhitened": _sample_unwhitened,
        "spectral": _spectral,
        "gradient_descent_spectral": _spectral,
    }
)
DESCENTS = ("gradient_descent", "adam")
MATRIX_FREE = ("cg", *DESCENTS)
SOLVERS = ("auto", *_COSTS, *MATRIX_FREE)
DEFINITE = ("parameter", "sample", "sample_unwhitened")
"""The solvers of a system that a damping above 0 makes definite."""


def choose_solver(asked: str, size: SystemSize, *, direct: bool, spectral: bool) -> Choice:
    """Return the solver to use: the one of `SOLVERS` that is asked for, or where that is `auto` the best by sizes.

    Args:
        asked: One of `SOLVERS`.
        size: The system's.
        direct: Whether a direct solver may be chosen: in float32 none should.
        spectral: Whether a spectrum is wanted: a damping of 0 needs a pseudo-inverse, and many dampings share it.

    Raises:
        ValueError: The solver asked for needs more memory than `MEMORY_LIMIT_GIB`.
    """
    if asked != "auto":
        if asked in _COSTS and gibibytes(asked, size) > MEMORY_LIMIT_GIB:
            fits = [name for name in ("sample", "parameter") if gibibytes(name, size) <= MEMORY_LIMIT_GIB]
            raise ValueError(
                f"solver={asked} would take {gibibytes(asked, size):.3g} GiB for {size.rows} rows (samples x outputs) "
                f"and {size.parameters} parameters, the limit is {MEMORY_LIMIT_GIB:g}; "
                f"what fits is {', '.join([*fits, 'cg'])}"
            )
        return Choice(asked, "asked for")
    if not direct:
        return Choice("cg", "float32 is too coarse for the direct solvers")
    candidates = ("spectral",) if spectral else ("sample", "parameter")
    fitting = [name for name in candidates if gibibytes(name, size) <= MEMORY_LIMIT_GIB]
    if not fitting:
        least = min(candidates, key=lambda name: gibibytes(name, size))
        return Choice("cg", f"{least} would take {gibibytes(least, size):.3g} GiB")
    best = min(fitting, key=lambda name: _COSTS[name](size).flops)
    compared = ", ".join(f"{name} {_COSTS[name](size).flops / 1e9:.3g}" for name in fitting)
    return Choice(best, f"Gflop a step: {compared}")


def gibibytes(solver: str, size: SystemSize) -> float:
    """Return the memory in GiB that a direct solver's matrices take in float64."""
    return _COSTS[solver](size).numbers * _DOUBLE / _GIB
