"""Time of one training step of the linearised network over one plain SGD step of the same network.

A network of matrix products does three products a layer in a plain step (forward, and two backward) and five in a
linearised one (forward, two for the tangent, two backward): 5/3 is the floor. The arms take turns, so that a busy
machine slows all of them, and what is timed is the processor's time.

Run: python tests/benchmarks/bench_linearised_step.py
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from trials.core.linearisation import Linearised, linearised
from trials.core.losses.classification import cross_entropy
from trials.core.networks.cnn import cnn_large, cnn_small
from trials.core.networks.mlp import mlp
from trials.core.networks.network import Network
from trials.core.optimisers.sgd import sgd_step
from trials.core.parameters import Parameters
from trials.core.streams import generator

FLOOR = 5 / 3
REPEATS = 15
SECONDS_PER_REPEAT = 0.1
LEARNING_RATE = 1e-3

CASES: dict[str, tuple[Network, tuple[int, ...], int]] = {
    "MLP 64-128-128-10 (digits), batch 32": (mlp((1, 8, 8), 10, width=128, depth=2), (1, 8, 8), 32),
    "MLP 784-512-512-10 (MNIST), batch 128": (mlp((1, 28, 28), 10, width=512, depth=2), (1, 28, 28), 128),
    "MLP 3072-1024-1024-10, batch 256": (mlp((3, 32, 32), 10, width=1024, depth=2), (3, 32, 32), 256),
    "CNN-S 16x16, batch 32": (cnn_small((3, 16, 16), 10), (3, 16, 16), 32),
    "CNN-S 32x32, batch 128": (cnn_small((3, 32, 32), 10), (3, 32, 32), 128),
    "CNN-L 32x32, batch 32": (cnn_large((3, 32, 32), 10), (3, 32, 32), 32),
    "CNN-L 32x32, batch 128": (cnn_large((3, 32, 32), 10), (3, 32, 32), 128),
}


def main() -> None:
    """Print a line for each network, slowest arms included."""
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, CPU time, {REPEATS} interleaved repeats; floor {FLOOR:.2f}")
    print(f"{'network':40} {'plain step':>13} {'ratio of min':>13} {'of median':>10} {'torch.optim step / plain':>25}")
    for name, (network, shape, batch_size) in CASES.items():
        times = _times(_arms(network, shape, batch_size))
        ratio, median_ratio = (
            measure(times["linearised"]) / measure(times["plain"]) for measure in (min, statistics.median)
        )
        module_ratio = min(times["torch.optim"]) / min(times["plain"])
        plain = f"{min(times['plain']) * 1e6:,.0f} us"
        print(f"{name:40} {plain:>13} {ratio:>13.2f} {median_ratio:>10.2f} {module_ratio:>25.2f}", flush=True)


def _arms(network: Network, shape: tuple[int, ...], batch_size: int) -> dict[str, Callable[[], object]]:
    """Return one step of each kind, at parameters that differ from the anchor."""
    random = generator(0, "inputs")
    inputs = torch.randn(batch_size, *shape, generator=random)
    labels = torch.randint(10, (batch_size,), generator=random)
    anchor = network.initial(generator(0, "initialisation"))
    moved = {name: value * 1.01 for name, value in anchor.items()}

    def step(model: Linearised, point: Parameters) -> Parameters:
        return sgd_step(point, model.gradient(point, inputs, labels, cross_entropy), LEARNING_RATE)

    leaves = {name: value.clone().requires_grad_() for name, value in anchor.items()}
    optimiser = torch.optim.SGD(leaves.values(), lr=LEARNING_RATE)

    def optimiser_step() -> None:
        optimiser.zero_grad()
        cross_entropy(network.forward(leaves, inputs), labels).backward()
        optimiser.step()

    model = linearised(network.forward, anchor)
    return {
        "plain": lambda: step(model, anchor),
        "torch.optim": optimiser_step,
        "linearised": lambda: step(model, moved),
    }


def _times(arms: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return the seconds a step of every arm in every repeat."""
    for arm in arms.values():
        arm()
    calls = max(1, int(SECONDS_PER_REPEAT / _seconds(arms["plain"], 2)))
    times: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(REPEATS):
        for name, arm in arms.items():
            times[name].append(_seconds(arm, calls))
    return times


def _seconds(step: Callable[[], object], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        step()
    return (time.process_time() - start) / calls


if __name__ == "__main__":
    main()
