"""Shares of a GPU: what the trials of a sweep take at their beginnings, and the 1/n that gives it to them."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from analysis.store.results import Results
from cluster.cards import CONTEXT_GIB, Card, gpu_share
from raysweep.service.errors import ClusterError
from raysweep.service.messages import PlannedTrial, Work
from raysweep.service.study import Resources
from raysweep.service.worker.groups import Group, grouped
from raysweep.service.worker.memory import GIB, gpu_memory_gib, is_out_of_memory, release
from raysweep.service.worker.stages import stages_of
from trials.core.checkpoints import NoCheckpoints, State
from trials.core.context import Together, TrialContext
from trials.core.rows import Diverged, Row

# The first row describes a network before its first step; the third has seen training and every measurement.
ROWS = 3
SECONDS_A_SHAPE = 10.0
SECONDS = 60.0
HEADROOM = 1.2  # what comes after the beginning may take more


class Gauge(Protocol):
    """Measures memory on a device that no other process uses meanwhile."""

    device: torch.device

    def name(self) -> str:
        """Return the device's name."""

    def memory_gib(self) -> float:
        """Return all memory of the device."""

    def peak_gib(self, train: Callable[[], None]) -> float:
        """Return the most memory that was taken at once while `train` ran."""


class CudaGauge:
    """Measures what PyTorch's allocator takes of the GPU, which is also what its cap counts."""

    device = torch.device("cuda")

    def name(self) -> str:
        return torch.cuda.get_device_name()

    def memory_gib(self) -> float:
        return gpu_memory_gib()

    def peak_gib(self, train: Callable[[], None]) -> float:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        train()
        return torch.cuda.max_memory_reserved() / GIB


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured on one device.

    Attributes:
        device: Its name.
        memory_gib: All of its memory.
        peak_gib: The most that any shape took.
        shapes: How many shapes were measured.
        unmeasured: How many were not, for lack of time.
    """

    device: str
    memory_gib: float
    peak_gib: float
    shapes: int
    unmeasured: int = 0


def shapes(trials: Sequence[PlannedTrial], together: Together | None) -> list[Group]:
    """Return one trial of each shape, or one group of those that train together; what looks largest comes first.

    Without a recipe's own key, trials have one shape if they differ in the seed and in real numbers alone: a learning
    rate changes how a network trains and not its size.
    """
    by_shape: dict[tuple[Any, ...], Group] = {}
    for group in grouped(trials, together):
        most = together.most if together and group.key is not None else 1
        key = ("alone", *_shape(group.trials[0])) if group.key is None else ("together", group.key)
        by_shape.setdefault(key, Group(group.key, group.trials[:most]))
    return sorted(by_shape.values(), key=_looks_large, reverse=True)


def measured_groups(work: Work, groups: Sequence[Group], gauge: Gauge) -> Measured:
    """Begin every shape on this process's device and return the largest peak; time that runs out leaves the smallest.

    A shape that does not fit takes all of it: in the sweep a group will be halved, a trial fail and say so.
    """
    torch.set_num_threads(work.resources.cpus)
    stages = stages_of(work, Results(work.results))
    context = TrialContext(device=gauge.device, arrays=work.arrays.__getitem__, stage_results=stages)
    memory_gib = gauge.memory_gib()
    end = time.monotonic() + SECONDS
    peaks: list[float] = []
    for group in groups:
        if peaks and time.monotonic() > end:
            break
        peak, fits = _peak_gib(work, group, context, gauge)
        peaks.append(peak if fits else memory_gib)
        release()
    return Measured(
        device=gauge.name(),
        memory_gib=memory_gib,
        peak_gib=max(peaks),
        shapes=len(peaks),
        unmeasured=len(groups) - len(peaks),
    )


def resources_of(found: Measured, resources: Resources, cpus: int) -> Resources:
    """Return `resources` with the smallest share of the device that gives each trial the memory measured.

    Args:
        found: What was measured.
        resources: What one actor takes beside.
        cpus: Cores that belong to the device.

    Raises:
        ClusterError: The device has fewer cores than one trial takes.
    """
    card = Card(name=found.device, memory_gib=found.memory_gib, cpus=cpus)
    all_of_it = 0.99 * (card.memory_gib - CONTEXT_GIB)
    needed = min(max(found.peak_gib * HEADROOM, 1e-3), all_of_it)
    try:
        return replace(resources, gpus=gpu_share(needed, card, cpus=resources.cpus))
    except ValueError as error:
        raise ClusterError(f"resources.gpus=auto: {error}") from None


def described(found: Measured, resources: Resources) -> str:
    """Return one line: what was measured, and the share that follows."""
    several = f", the largest of {found.shapes} shapes" if found.shapes > 1 else ""
    missing = f" ({found.unmeasured} more were not measured)" if found.unmeasured else ""
    return (
        f"resources.gpus=auto: peak {found.peak_gib:.3g} GiB of {found.memory_gib:.0f} GiB{several}{missing}, "
        f"{resources.gpu_fraction:g} of a GPU each"
    )


def in_one_process(resources: Resources) -> Resources:
    """Return the resources of a process that shares its GPU with none of ours: `auto` is all of it, if there is one."""
    return replace(resources, gpus=float(torch.cuda.is_available())) if resources.gpus == "auto" else resources


def _shape(trial: PlannedTrial) -> tuple[Any, ...]:
    columns = trial.knobs.columns()
    return tuple((name, value) for name, value in columns.items() if name != "seed" and not isinstance(value, float))


def _looks_large(group: Group) -> float:
    """Return a number that grows with a trial's sizes: the logarithm of the product of its whole numbers."""
    sizes = (value for value in group.trials[0].knobs.columns().values() if isinstance(value, int))
    return sum(math.log(max(size, 1)) for size in sizes) + math.log(len(group.trials))


def _peak_gib(work: Work, group: Group, context: TrialContext, gauge: Gauge) -> tuple[float, bool]:
    """Return the most memory that the beginning of a group took, and whether it was enough."""
    fits = True

    def begin() -> None:
        nonlocal fits
        fits = _begun(work, group, context)

    return gauge.peak_gib(begin), fits


def _begun(work: Work, group: Group, context: TrialContext) -> bool:
    """Train until a few rows have come or the time is up, and return whether memory held it."""
    end = time.monotonic() + SECONDS_A_SHAPE
    knobs = [trial.knobs for trial in group.trials]
    try:
        rows = _rows(work, knobs, replace(context, checkpoints=_Until(end)))
        for _ in itertools.islice(rows, ROWS * len(knobs)):
            if time.monotonic() > end:
                break
    except _Enough:
        pass
    except Exception as error:  # noqa: BLE001 - the sweep will run the trial and tell what is wrong with it
        if is_out_of_memory(error):
            return False
    return True


def _rows(work: Work, knobs: Sequence[Any], context: TrialContext) -> Iterator[Row | tuple[int, Row | Diverged]]:
    if work.together is not None and len(knobs) > 1:
        return work.together.run(knobs, context)
    return work.trial(knobs[0], context)


class _Until(NoCheckpoints):
    """Ends a trial at the step at which its time is up, however far its next row may be."""

    def __init__(self, end: float) -> None:
        self._end = end

    def offer(self, step: int, state: Callable[[], State], *, last: bool) -> None:
        if time.monotonic() > self._end:
            raise _Enough


class _Enough(BaseException):
    """Raised inside a trial that has shown what it takes."""
