"""Curvature: every solver against every other, and against what is written down densely, in float64."""

from __future__ import annotations

import pytest
import torch
from torch.func import grad, jacrev

from tests.trials.gauss_newton_damping.damped import model_of, problem
from trials.core.losses.classification import LOSSES
from trials.gauss_newton_damping.mlp_jacobian import perceptron_jacobian
from trials.gauss_newton_damping.proximal import gauss_newton_solve, prox_linear_solve
from trials.gauss_newton_damping.quadratic import gauss_newton_model, largest_curvature, spectrum
from trials.gauss_newton_damping.solvers import QUADRATIC_SOLVERS, InnerSettings

DAMPINGS = (1e-6, 1e-4, 1e-2, 1.0, 1e2)
TIGHT = InnerSettings(tolerance=1e-10, steps=2000)
EACH_LOSS = pytest.mark.parametrize("loss", ["mse", "cross_entropy"])


def solve_kind(kind, jacobian, loss, targets, solver, settings):
    return kind(gauss_newton_model(jacobian, loss, targets), targets, solver, settings)


def difference(one, other):
    return float(torch.linalg.vector_norm(one - other) / torch.linalg.vector_norm(other))


def dense_step(model, damping):
    """Solve for the step with J and the block-diagonal H written out."""
    samples, outputs = model.point.shape
    basis = torch.eye(outputs, dtype=torch.float64)
    blocks = [model.loss.curved.hessian(point[None], basis[:, None])[:, 0] for point in model.point]
    jacobian, hessian = model.jacobian.matrix, torch.block_diag(*blocks)
    matrix = jacobian.T @ hessian @ jacobian / samples + damping * torch.eye(jacobian.shape[1], dtype=torch.float64)
    return -torch.linalg.solve(matrix, jacobian.T @ model.residual.flatten() / samples)


@EACH_LOSS
@pytest.mark.parametrize("damping", DAMPINGS)
@pytest.mark.parametrize("solver", ["parameter", "sample", "sample_unwhitened", "spectral", "cg"])
def test_every_solver_gives_the_dense_step(loss, damping, solver):
    model = model_of(loss)
    step = QUADRATIC_SOLVERS[solver](model, TIGHT)(damping).displacement
    assert difference(step, dense_step(model, damping)) < (1e-7 if solver == "cg" or loss == "cross_entropy" else 1e-8)


@EACH_LOSS
@pytest.mark.parametrize("sizes", [{"samples": 25, "width": 12}, {"samples": 60, "width": 3, "depth": 1}])
def test_one_decomposition_serves_every_damping_in_either_space(loss, sizes):
    """In parameter space the damped matrix's rounding is that part of a step which its condition number says."""
    model = model_of(loss, **sizes)
    solve = QUADRATIC_SOLVERS["spectral"](model, TIGHT)
    direct = QUADRATIC_SOLVERS["sample"](model, TIGHT)
    in_samples = model.residual.numel() <= model.gradient.numel()
    for damping in DAMPINGS:
        condition = largest_curvature(model, 100) / damping
        rounding = 0.0 if in_samples else torch.finfo(torch.float64).eps * condition
        assert difference(solve(damping).displacement, direct(damping).displacement) < max(1e-10, rounding)


def test_conjugate_gradients_say_how_far_they_came():
    solve = QUADRATIC_SOLVERS["cg"](model_of("mse"), InnerSettings(tolerance=1e-3))
    easy, hard = solve(1e2), solve(1e-4)
    assert 0 < easy.iterations < hard.iterations
    assert easy.relative_residual <= 1e-3 and hard.relative_residual <= 1e-3
    cut = QUADRATIC_SOLVERS["cg"](model_of("mse"), InnerSettings(tolerance=1e-3, steps=2))(1e-4)
    assert cut.iterations == 2
    assert cut.relative_residual > 1e-3


@EACH_LOSS
def test_a_large_damping_is_a_gradient_step(loss):
    model = model_of(loss)
    largest, damping = largest_curvature(model, 100), 100.0
    step = QUADRATIC_SOLVERS["sample"](model, TIGHT)(damping).displacement
    assert difference(step, -model.gradient / damping) < largest / damping


def test_without_damping_the_spectrum_gives_the_shortest_solution():
    model = model_of("mse")
    step = QUADRATIC_SOLVERS["spectral"](model, TIGHT)(0.0).displacement
    shortest = -torch.linalg.lstsq(model.jacobian.matrix, model.residual.flatten(), driver="gelsd").solution
    assert difference(step, shortest) < 1e-7


@pytest.mark.parametrize(("descent", "rate"), [("adam", 0.02), ("gradient_descent", 0.3)])
def test_training_the_linearised_network_with_a_pull_back_ends_at_the_damped_step(descent, rate):
    network, theta, inputs, targets = problem(samples=12, classes=2, width=6, depth=1)
    jacobian, loss = perceptron_jacobian(network, theta, inputs), LOSSES["mse"]
    settings = InnerSettings(tolerance=1e-9, steps=6000, learning_rate=rate)
    for damping in (0.1, 0.01):
        exact = solve_kind(gauss_newton_solve, jacobian, loss, targets, "sample", TIGHT)(damping)
        trained = solve_kind(prox_linear_solve, jacobian, loss, targets, descent, settings)(damping)
        assert difference(trained.displacement, exact.displacement) < 1e-6


@pytest.mark.parametrize("damping", [0.0, 0.05])
def test_the_filter_of_gradient_descent_is_what_500_steps_do(damping):
    network, theta, inputs, targets = problem()
    jacobian, loss = perceptron_jacobian(network, theta, inputs), LOSSES["mse"]
    settings = InnerSettings(tolerance=0, steps=500, learning_rate=0.2)
    stepped, filtered = (
        solve_kind(gauss_newton_solve, jacobian, loss, targets, solver, settings)(damping)
        for solver in ("gradient_descent", "gradient_descent_spectral")
    )
    assert stepped.iterations == 500
    torch.testing.assert_close(filtered.displacement, stepped.displacement, rtol=0, atol=1e-9)
    residuals = [jacobian.outputs + jacobian.times(solution.displacement) - targets for solution in (stepped, filtered)]
    torch.testing.assert_close(*residuals, rtol=0, atol=1e-9)


def test_damping_stays_within_a_factor_of_gradient_flow_at_every_curvature():
    """At damping = 1 / (rate x steps) the two filters differ by at most 1 / 0.7702, for any curvature."""
    curvature = torch.logspace(-6, 6, 2001, dtype=torch.float64)
    rate, steps = 1e-9, 10**9
    flow = -torch.expm1(-curvature * rate * steps) / curvature
    ratio = 1 / (curvature + 1 / (rate * steps)) / flow
    assert 0.7701 < float(ratio.min()) < 0.7703
    assert float(ratio.max()) <= 1 + 1e-12


def test_a_descent_of_a_spectrum_tends_to_gradient_flow():
    decomposed = spectrum(model_of("mse"))
    time, steps = 7.0, 10**7
    curvatures = decomposed.values / decomposed.samples
    flow = decomposed.displacement(decomposed.coordinates * -torch.expm1(-curvatures * time) / decomposed.values)
    assert difference(decomposed.descended(0.0, time / steps, steps), flow) < 1e-6


def test_the_first_newton_iterate_of_the_proximal_problem_is_the_gauss_newton_step():
    network, theta, inputs, targets = problem()
    jacobian, loss = perceptron_jacobian(network, theta, inputs), LOSSES["cross_entropy"]
    origin = torch.zeros_like(theta)
    for damping in DAMPINGS:

        def proximal(displacement, damping=damping):
            outputs = jacobian.outputs + jacobian.times(displacement)
            return loss.mean(outputs, targets) + damping / 2 * displacement.square().sum()

        first = -torch.linalg.solve(jacrev(grad(proximal))(origin), grad(proximal)(origin))
        for solver in ("parameter", "sample", "sample_unwhitened", "spectral"):
            step = solve_kind(gauss_newton_solve, jacobian, loss, targets, solver, TIGHT)(damping).displacement
            assert difference(step, first) < 1e-10


def test_with_cross_entropy_the_proximal_step_is_another_one_until_damping_is_large():
    network, theta, inputs, targets = problem()
    jacobian, loss = perceptron_jacobian(network, theta, inputs), LOSSES["cross_entropy"]
    apart = []
    for damping in (1e-4, 0.1, 100.0):
        proximal = solve_kind(prox_linear_solve, jacobian, loss, targets, "sample", TIGHT)(damping).displacement
        outputs = jacobian.outputs + jacobian.times(proximal)
        slope = jacobian.transposed_times(loss.curved.gradient(outputs, targets)) / len(inputs) + damping * proximal
        assert float(torch.linalg.vector_norm(slope)) < 1e-9, "it is a minimiser"
        apart.append(
            difference(
                proximal, solve_kind(gauss_newton_solve, jacobian, loss, targets, "sample", TIGHT)(damping).displacement
            )
        )
    assert apart[0] > 0.3 > apart[1] > 0.01 > 1e-3 > apart[2]


def test_with_the_squared_error_the_proximal_step_is_the_gauss_newton_step():
    network, theta, inputs, targets = problem()
    jacobian, loss = perceptron_jacobian(network, theta, inputs), LOSSES["mse"]
    solved = [
        solve_kind(kind, jacobian, loss, targets, "sample", TIGHT)(0.01)
        for kind in (prox_linear_solve, gauss_newton_solve)
    ]
    assert difference(*(solution.displacement for solution in solved)) < 1e-10


def test_where_a_probability_vanishes_the_step_is_found_without_whitening():
    network, theta, inputs, targets = problem()
    jacobian = perceptron_jacobian(network, theta * 40, inputs)
    model = gauss_newton_model(jacobian, LOSSES["cross_entropy"], targets)
    assert model.whitened is None, "the problem must be one where q is out of reach"
    step = QUADRATIC_SOLVERS["sample"](model, TIGHT)(0.1).displacement
    assert difference(step, dense_step(model, 0.1)) < 1e-7
    assert difference(QUADRATIC_SOLVERS["spectral"](model, TIGHT)(0.1).displacement, step) < 1e-7
