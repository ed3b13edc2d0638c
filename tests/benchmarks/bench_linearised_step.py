"""What a step on a linearisation costs, beside a plain SGD step on the same network and batch, by every method.

A plain step is what one writes by hand: outputs, loss, `torch.autograd.grad`, a step against it. It makes three passes'
worth of products a layer (one forward, two backward). A step that passes through the anchor anew makes five, 5/3 at
best (`jvp`); one that reads what that pass kept makes four, 4/3 (`cached`); one in function space reads rows of a
kernel. Chains compute their derivatives without PyTorch's tape, by which small networks come below these: `first` is a
round's first step, a plain one by the same means. `forward AD` is the second by PyTorch's dual numbers, which serves
networks that are no chains. Arms take turns, so that a busy machine slows all of them; what is timed is the processor's
time.

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

from tests.benchmarks.turns import times_in_turns
from trials.core.data.examples import Examples
from trials.core.linearisation import Linearised, linearised
from trials.core.losses.classification import cross_entropy
from trials.core.networks.feedforward import cnn_large, cnn_small, mlp
from trials.core.networks.network import Network
from trials.core.parameters import Parameters
from trials.core.rounds.choice import METHODS
from trials.core.rounds.round import Problem
from trials.core.streams import generator
from trials.core.training.batches import Batch, epochs, formed
from trials.core.training.places import Place, moved

REPEATS = 15
SECONDS_PER_REPEAT = 0.1
LEARNING_RATE = 1e-3

# Name -> network, shape of an input, training samples, batch size.
CASES: dict[str, tuple[Network, tuple[int, ...], int, int]] = {
    "MLP 40-128-2 (parity), 800, batch 32": (mlp((40,), 2, width=128, depth=1), (40,), 800, 32),
    "MLP 64-128-128-10 (digits), 250, batch 32": (mlp((1, 8, 8), 10, width=128, depth=2), (1, 8, 8), 250, 32),
    "MLP 784-512-512-10, 1000, batch 128": (mlp((1, 28, 28), 10, width=512, depth=2), (1, 28, 28), 1000, 128),
    "CNN-S 16x16, 250, batch 32": (cnn_small((3, 16, 16), 10), (3, 16, 16), 250, 32),
    "CNN-S 16x16, 500, batch 32": (cnn_small((3, 16, 16), 10), (3, 16, 16), 500, 32),
    "CNN-S 32x32, 500, batch 128": (cnn_small((3, 32, 32), 10), (3, 32, 32), 500, 128),
    "CNN-L 32x32, 250, batch 32": (cnn_large((3, 32, 32), 10), (3, 32, 32), 250, 32),
    "CNN-L 32x32, 250, batch 128": (cnn_large((3, 32, 32), 10), (3, 32, 32), 250, 128),
}
SMALL_ENOUGH_FOR_A_KERNEL = 500


def main() -> None:
    """Print a line for each network and method: ratios to the plain step, and what building costs in plain steps."""
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, CPU time, {REPEATS} interleaved repeats; ratios to a plain step")
    for name, (network, shape, samples, batch_size) in CASES.items():
        arms, built = _arms(network, shape, samples, batch_size)
        times = times_in_turns(arms, repeats=REPEATS, seconds=SECONDS_PER_REPEAT)
        plain = times.pop("plain")
        print(f"{name}: plain step {min(plain) * 1e6:,.0f} us")
        for method, seconds in times.items():
            ratios = [measure(seconds) / measure(plain) for measure in (min, statistics.median)]
            build = f", built in {built[method] / min(plain):,.0f} steps" if method in built else ""
            print(f"    {method:15} {ratios[0]:6.2f} (min) {ratios[1]:6.2f} (median){build}", flush=True)


def _arms(
    network: Network, shape: tuple[int, ...], samples: int, batch_size: int
) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
    """Return one step of each kind, away from the anchor, and the seconds to build what some need."""
    random = generator(0, "inputs")
    classes = next(reversed(network.shapes.values()))[0]
    labels = torch.randint(classes, (samples,), generator=random)
    train = Examples(inputs=torch.randn(samples, *shape, generator=random), labels=labels, classes=classes)
    problem = Problem(network=network, train=train, loss=cross_entropy)
    anchor = network.initial(generator(0, "initialisation"))
    away = {name: value * 1.01 for name, value in anchor.items()}
    batch, form = epochs(0, samples, batch_size)(0), formed(train)
    model = linearised(network.forward, anchor)
    by_dual_numbers = linearised(lambda parameters, inputs: network.forward(parameters, inputs), anchor)

    def step(point: Parameters, gradient: Callable[[Parameters], Parameters]) -> Parameters:
        return moved(point, gradient(point), LEARNING_RATE)

    def direct(linear: Linearised) -> Callable[[Parameters], Parameters]:
        return lambda point: linear.slope(point, Batch(batch, form), cross_entropy).gradient

    def by_tape(point: Parameters) -> Parameters:
        leaves = {name: value.detach().requires_grad_() for name, value in point.items()}
        outputs = network.forward(leaves, train.inputs[batch])
        gradients = torch.autograd.grad(cross_entropy(outputs, labels[batch]), list(leaves.values()))
        return dict(zip(leaves, gradients, strict=True))

    arms: dict[str, Callable[[], object]] = {
        "plain": lambda: step(anchor, by_tape),
        "first": lambda: step(anchor, direct(model)),
        "forward AD": lambda: step(away, direct(by_dual_numbers)),
    }
    built: dict[str, float] = {}
    for method, begin in METHODS.items():
        if method == "function_space" and samples > SMALL_ENOUGH_FOR_A_KERNEL and classes > 2:
            continue
        round_ = begin(problem, model, Place(anchor, {}), 0.0)
        point = away if method != "function_space" else _displaced(round_.start.point)
        start = time.process_time()
        round_.slope(point, Batch(batch, form))
        built[method] = time.process_time() - start
        arms[method] = lambda round_=round_, point=point: step(
            point, lambda here: round_.slope(here, Batch(batch, form)).gradient
        )
    del built["jvp"]
    return arms, built


def _displaced(start: Parameters) -> Parameters:
    return {name: value + 0.01 for name, value in start.items()}


if __name__ == "__main__":
    main()
