"""Which way of computing a round's steps suits a trial: a function of its knobs and its data, never of a clock.

The ways agree to rounding. What they cost is modelled from counts, with speeds measured once on one core, so that the
same knobs give the same rows wherever they run. How long a round will be is left out as well: a way that must build
something first takes over once the round has lasted as long as would have paid for it. That costs at most twice what
foresight would, and rows depend neither on K nor on where training ends before either is reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from trials.core.linearisation import Linearised
from trials.core.networks.chain import Chain
from trials.core.networks.layers import Kept, Layer, Weighted
from trials.core.rounds.function_space import FunctionSpaceRound
from trials.core.rounds.round import CachedRound, Problem, Round
from trials.core.rounds.settings import LARGEST_KERNEL_BYTES, refuse_large_kernel
from trials.core.training.places import Place

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.training.descent import Descent

METHODS: Mapping[str, Callable[[Problem, Linearised, Place, float], Round]] = MappingProxyType(
    {"jvp": Round, "cached": CachedRound, "function_space": FunctionSpaceRound}
)
"""Name -> (problem, linearisation, place, damping) -> round."""
LARGEST_CACHE_BYTES = 2**31
# Seconds a step beside its arithmetic, multiplications a second, kernel entries read a second; one core.
_OVERHEAD, _MULTIPLICATIONS, _ENTRIES = 1e-4, 4e10, 1.8e9


class Switch(NamedTuple):
    """From which step of a round on a method serves, and why."""

    from_step: int
    method: str
    reason: str


def serving(switches: Sequence[Switch], age: int) -> Switch:
    """Return what serves after `age` steps of a round."""
    return max(switch for switch in switches if switch.from_step <= age)


def chosen_methods(asked: str, problem: Problem, batch_size: int, step: Descent) -> tuple[Switch, ...]:
    """Return the method asked for, or for `auto` those whose modelled cost is least.

    Raises:
        ValueError: The method asked for cannot serve this problem, or not such steps.
    """
    if asked != "auto":
        if asked == "function_space":
            if step.unfit_for_kernels:
                raise ValueError(f"round_method=function_space cannot take these steps: {step.unfit_for_kernels}")
            refuse_large_kernel(len(problem.rows), problem.rows.classes, _first(problem).element_size())
        return (Switch(0, asked, "asked for by round_method"),)
    if not isinstance(problem.network.forward, Chain):
        return (Switch(0, "jvp", "the network is no chain of layers"),)
    switches = [Switch(0, "jvp", "a young round has nothing to keep")]
    samples, layers = len(problem.rows), _kept_of_one_sample(problem, problem.network.forward)
    distinct = {id(tensor): tensor for _, kept in layers for tensor in kept}.values()
    cache = samples * sum(tensor.numel() * tensor.element_size() for tensor in distinct)
    if cache <= LARGEST_CACHE_BYTES:
        # The pass through all samples costs what each later step saves, times the steps of an epoch.
        switches.append(Switch(max(1, samples // batch_size), "cached", "each sample was visited about once"))
    if step.unfit_for_kernels is None and not problem.network.forward.rounds_products:
        switches += _kernel(problem, layers, batch_size)
    return tuple(switches)


def _kernel(problem: Problem, layers: Sequence[tuple[Layer, Kept]], batch_size: int) -> Iterator[Switch]:
    """Yield the step from which the kernel serves, if it is small enough and its steps are the cheaper ones."""
    entries = len(problem.rows) * problem.rows.classes
    if entries**2 * _first(problem).element_size() > LARGEST_KERNEL_BYTES:
        return
    weighted = [(layer, kept) for layer, kept in layers if isinstance(layer, Weighted)]
    build = entries**2 * sum(layer.kernel_width for layer, _ in weighted) / _MULTIPLICATIONS
    multiplications = sum(layer.multiplications(kept) for layer, kept in weighted)
    step = 4 * batch_size * multiplications / _MULTIPLICATIONS
    kernel_step = batch_size * problem.rows.classes * entries / _ENTRIES
    if step > kernel_step + _OVERHEAD:
        yield Switch(math.ceil(build / (step - kernel_step)), "function_space", "the round has outlasted the kernel")


def _kept_of_one_sample(problem: Problem, chain: Chain) -> list[tuple[Layer, Kept]]:
    """Return each layer with what its derivative needs of one sample."""
    first = _first(problem)
    parameters = {name: first.new_zeros(shape) for name, shape in problem.network.shapes.items()}
    return list(zip(chain.layers, chain.opened(parameters, first).kept, strict=True))


def _first(problem: Problem) -> Tensor:
    """Return the input of the first training sample, (1, ...)."""
    return next(problem.rows.chunks(1))
