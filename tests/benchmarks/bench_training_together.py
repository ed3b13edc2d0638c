"""What it costs to train several perceptrons together, beside one after another, rows included.

Rows are measured together as well, unless kernels are as large as those of the digits' probe (`probe_size`, 64 by
default), whose arithmetic is most of their cost; without a probe the ratio is that of the steps. Both are also given
over a plain step as one writes it, of a `torch.nn` module by `torch.optim`, for a factor depends on what it is measured
against: a trial by itself already takes its steps without PyTorch's tape.

Run: python tests/benchmarks/bench_training_together.py
"""

from __future__ import annotations

import itertools
import math
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from trials.core.context import TrialContext
from trials.core.data.arrays import load_arrays
from trials.core.data.knobs import DataKnobs
from trials.core.training.batches import epochs
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.recipe import run, run_many

REPEATS = 3
STEPS = 1000
CASES = {
    "MLP 40-128-2 on sparse parity": {
        "depth": 1,
        "learning_rate": 0.05,
        "data": DataKnobs(name="sparse_parity", train_size=800, test_size=4000),
    },
    "MLP 64-128-128-10 on digits": {},
    "MLP 64-64-64-10 on digits": {"width": 64},
}


def main() -> None:
    """Print a line for each network and number of trials."""
    torch.set_num_threads(1)
    context = TrialContext(arrays=cache(load_arrays))
    print(f"torch {torch.__version__}, one thread, CPU time, {REPEATS} interleaved repeats, {STEPS} steps a trial")
    # The first optimizer of `torch.optim` imports PyTorch's compiler.
    _seconds(_plain_steps(KPhaseKnobs(steps=1), context))
    for name, knobs in CASES.items():
        for trials, probe in itertools.product((8, 32), (64, 0)):
            listed = [_trial(index, {**knobs, "probe_size": probe}) for index in range(trials)]
            alone, together, plain = [], [], []
            for _ in range(REPEATS):
                plain.append(_seconds(_plain_steps(listed[0], context)))
                alone.append(_seconds(row for each in listed for row in run(each, context)))
                together.append(_seconds(run_many(listed, context)))
            ratios = [measure(alone) / measure(together) for measure in (min, statistics.median)]
            over_plain = [min(times) / trials / min(plain) for times in (alone, together)]
            print(
                f"{name:30} {trials:3} trials, probe of {probe:2}: {min(alone) / trials:.3f} s each alone, "
                f"{min(together) / trials:.3f} s together; ratio {ratios[0]:.2f} (min) {ratios[1]:.2f} (median); "
                f"over plain steps {over_plain[0]:.2f} alone, {over_plain[1]:.2f} together",
                flush=True,
            )


def _trial(index: int, knobs: dict[str, object]) -> KPhaseKnobs:
    interval = (1, 10, 100, math.inf)[index % 4]
    return KPhaseKnobs(steps=STEPS, feature_update_interval=interval, seed=index // 4, **knobs)  # type: ignore[arg-type]


def _plain_steps(knobs: KPhaseKnobs, context: TrialContext) -> Iterator[None]:
    """Take as many steps as a trial has, and no rows."""
    train, _ = context.data(knobs.data)
    sizes = [train.inputs[0].numel(), *[knobs.width] * knobs.depth, train.classes]
    layers = [layer for pair in itertools.pairwise(sizes) for layer in (torch.nn.Linear(*pair), torch.nn.ReLU())]
    module = torch.nn.Sequential(*layers[:-1])
    optimizer, inputs = torch.optim.SGD(module.parameters(), lr=0.01), train.inputs.flatten(1)
    for step in range(knobs.steps):
        batch = epochs(knobs.seed, len(train), knobs.batch_size)(step)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(inputs[batch]), train.labels[batch]).backward()
        optimizer.step()
        yield


def _seconds(rows: Iterable[object]) -> float:
    start = time.process_time()
    for _ in rows:
        pass
    return time.process_time() - start


if __name__ == "__main__":
    main()
