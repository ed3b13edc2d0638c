"""Time of Gauss-Newton steps at eight dampings one after another, over that of the same steps stacked by `vmap`.

A training at each damping goes its own way after the first step, so that steps share no matrix: what stacking can save
is the time of calls, and nearly all of a step is a product and a factorisation of matrices of n C rows. On one thread
of a CPU stacking lost everywhere (ratios of 0.5 to 0.8): `vmap` cannot write in place, and eight matrices at a time
leave the cache. The study therefore trains its dampings one by one.

Run: python tests/benchmarks/bench_dampings_together.py
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from torch import Tensor
from torch.func import vmap

from tests.benchmarks.turns import Arms, times_in_turns
from trials.core.losses.classification import LOSSES
from trials.core.networks.feedforward import mlp
from trials.core.streams import generator
from trials.gauss_newton_damping.jacobians import flattened
from trials.gauss_newton_damping.mlp_jacobian import perceptron_jacobian
from trials.gauss_newton_damping.objective import one_hot
from trials.gauss_newton_damping.quadratic import gauss_newton_model
from trials.gauss_newton_damping.solvers import QUADRATIC_SOLVERS, InnerSettings
from trials.gauss_newton_damping.step_rules import logarithmic_dampings

REPEATS = 5
SECONDS = 0.5
DAMPINGS = logarithmic_dampings(1e-6, 10.0, 8)

# Inputs, width, outputs, samples.
CASES: dict[str, tuple[int, int, int, int]] = {
    "MLP 64-6-10, 24 samples": (64, 6, 10, 24),
    "MLP 40-128-1, 300 samples": (40, 128, 1, 300),
    "MLP 40-128-1, 800 samples": (40, 128, 1, 800),
    "MLP 64-32-10, 100 samples": (64, 32, 10, 100),
}


def main() -> None:
    """Print a line for each problem."""
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, float64, one thread, CPU time, {REPEATS} interleaved repeats, 8 dampings")
    for name, case in CASES.items():
        times = times_in_turns(_arms(*case), repeats=REPEATS, seconds=SECONDS)
        ratios = [measure(times["alone"]) / measure(times["stacked"]) for measure in (min, statistics.median)]
        each = min(times["alone"]) / len(DAMPINGS) * 1e3
        print(f"{name:28} {each:7.1f} ms a step; ratio {ratios[0]:.2f} (min) {ratios[1]:.2f} (median)", flush=True)


def _arms(inputs: int, width: int, outputs: int, samples: int) -> Arms:
    """Return a step from eight points, each at a damping of its own, one after another and stacked."""
    random = generator(0, "inputs")
    network = mlp((inputs,), outputs, width=width, depth=1)
    examples = torch.randn(samples, inputs, generator=random, dtype=torch.float64)
    labels = torch.randint(max(outputs, 2), (samples,), generator=random)
    targets = one_hot(labels, outputs) if outputs > 1 else 2.0 * labels[:, None].double() - 1
    points = torch.stack([flattened(network.initial(generator(seed, "initialisation"))) for seed in range(8)]).double()
    dampings = torch.tensor(DAMPINGS, dtype=torch.float64)

    def alone() -> Tensor:
        jacobians = [perceptron_jacobian(network, theta, examples) for theta in points]
        models = [gauss_newton_model(jacobian, LOSSES["mse"], targets) for jacobian in jacobians]
        solves = [QUADRATIC_SOLVERS["sample"](model, InnerSettings()) for model in models]
        return torch.stack([solve(damping).displacement for solve, damping in zip(solves, DAMPINGS, strict=True)])

    def step(theta: Tensor, damping: Tensor) -> Tensor:
        """Do what the solver does, without writing in place, which `vmap` cannot."""
        jacobian = perceptron_jacobian(network, theta, examples)
        residual = jacobian.outputs - targets
        system = samples * damping * torch.eye(residual.numel(), dtype=residual.dtype)
        for layer in jacobian.layers:
            flat = layer.derivatives.reshape(residual.numel(), -1)
            product = (flat @ flat.T).view(samples, outputs, samples, outputs)
            system = system + (product * (layer.inputs @ layer.inputs.T + 1)[:, None, :, None]).view_as(system)
        dual = torch.cholesky_solve(residual.reshape(-1, 1), torch.linalg.cholesky(system))
        return -jacobian.transposed_times(dual.view_as(residual))

    stacked = vmap(step)
    torch.testing.assert_close(stacked(points, dampings), alone(), rtol=1e-6, atol=1e-9)
    return {"alone": alone, "stacked": lambda: stacked(points, dampings)}


if __name__ == "__main__":
    main()
