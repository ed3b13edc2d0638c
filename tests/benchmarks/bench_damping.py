"""Time of the first step at 33 dampings, from one eigendecomposition, over that of one damping and of 33 solves.

An eigendecomposition costs some ten to thirty Cholesky factorisations, and serves every damping: the second ratio says
what a sweep over the damping saves. Kernels are computed anew in every arm. The arms take turns, so that a busy machine
slows all of them, and what is timed is the processor's time.

Run: python tests/benchmarks/bench_damping.py
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from trials.core.losses.classification import LOSSES
from trials.core.networks.feedforward import mlp
from trials.core.streams import generator
from trials.gauss_newton_damping.jacobians import flattened
from trials.gauss_newton_damping.mlp_jacobian import perceptron_jacobian
from trials.gauss_newton_damping.objective import one_hot
from trials.gauss_newton_damping.quadratic import QuadraticModel, gauss_newton_model
from trials.gauss_newton_damping.solvers import QUADRATIC_SOLVERS, InnerSettings
from trials.gauss_newton_damping.step_rules import logarithmic_dampings

REPEATS = 5
DAMPINGS = logarithmic_dampings(1e-6, 100.0, 33)

# Inputs, width, outputs, samples, loss.
CASES: dict[str, tuple[int, int, int, int, str]] = {
    "MLP 40-128-1, 800 samples, MSE": (40, 128, 1, 800, "mse"),
    "MLP 64-32-10, 100 samples, MSE": (64, 32, 10, 100, "mse"),
    "MLP 64-32-10, 100 samples, softmax": (64, 32, 10, 100, "cross_entropy"),
    "MLP 64-32-10, 200 samples, MSE": (64, 32, 10, 200, "mse"),
}


def main() -> None:
    """Print a line for each problem."""
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, float64, one thread, CPU time, {REPEATS} interleaved repeats, 33 dampings")
    ratios = f"{'33 / one: min':>14} {'median':>7} {'33 solves / 33: min':>20} {'median':>7}"
    print(f"{'problem':36} {'one damping':>12} {ratios}")
    for name, case in CASES.items():
        times = _times(_arms(*case))
        together, alone, separate = (times[arm] for arm in ("together", "alone", "separate"))
        measured = [
            measure(above) / measure(below)
            for above, below in ((together, alone), (separate, together))
            for measure in (min, statistics.median)
        ]
        shown = "{:>14.1f} {:>7.1f} {:>20.1f} {:>7.1f}".format(*measured)
        print(f"{name:36} {min(alone) * 1e3:>9,.0f} ms {shown}", flush=True)


def _arms(inputs: int, width: int, outputs: int, samples: int, loss: str) -> dict[str, Callable[[], object]]:
    """Return the ways to the first steps, each beginning with the Jacobian."""
    random = generator(0, "inputs")
    network = mlp((inputs,), outputs, width=width, depth=1)
    theta = flattened(network.initial(generator(0, "initialisation"))).double()
    examples = torch.randn(samples, inputs, generator=random, dtype=torch.float64)
    labels = torch.randint(max(outputs, 2), (samples,), generator=random)
    targets = one_hot(labels, outputs) if outputs > 1 else 2.0 * labels[:, None].double() - 1

    def model() -> QuadraticModel:
        return gauss_newton_model(perceptron_jacobian(network, theta, examples), LOSSES[loss], targets)

    def solved(solver: str, dampings: tuple[float, ...]) -> list[object]:
        solve = QUADRATIC_SOLVERS[solver](model(), InnerSettings())
        return [solve(damping) for damping in dampings]

    return {
        "alone": lambda: solved("sample", DAMPINGS[16:17]),
        "together": lambda: solved("spectral", DAMPINGS),
        "separate": lambda: [solved("sample", (damping,)) for damping in DAMPINGS],
    }


def _times(arms: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return the seconds that every arm took in every repeat."""
    for arm in arms.values():
        arm()
    times: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(REPEATS):
        for name, arm in arms.items():
            start = time.process_time()
            arm()
            times[name].append(time.process_time() - start)
    return times


if __name__ == "__main__":
    main()
