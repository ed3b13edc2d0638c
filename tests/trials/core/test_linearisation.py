"""The linearised model against independent computations: dense Jacobians, finite differences, closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.func import functional_call, jacrev

from tests.trials.core.slopes import gradient_of
from trials.core.choices import HALF
from trials.core.linearisation import linearised
from trials.core.losses.classification import LOSSES, cross_entropy, mean_squared_error
from trials.core.networks.chain import chain
from trials.core.networks.feedforward import cnn_large, cnn_small, mlp
from trials.core.networks.fixed_layers import Flatten, Relu
from trials.core.networks.layers import Linear
from trials.core.networks.precision import in_precision
from trials.core.parameters import difference, moved_to
from trials.core.streams import generator
from trials.core.training.places import moved

CPU = torch.device("cpu")
SHAPE, CLASSES, SAMPLES = (1, 4, 4), 3, 12
NETWORKS = {
    "mlp": mlp(SHAPE, CLASSES, width=7, depth=2),
    "cnn_s": cnn_small(SHAPE, CLASSES),
    "cnn_l": cnn_large(SHAPE, CLASSES),
}
WITHOUT_BIASES = chain(Flatten(3), Linear("a", 16, 7, bias=False), Relu(), Linear("b", 7, CLASSES, bias=False))


def _problem(network, seed=0):
    """Return float64 parameters, a direction, inputs and labels."""
    parameters = moved_to(network.initial(generator(seed, "initialisation")), CPU, torch.float64)
    random = generator(seed, "problem")
    direction = {name: torch.randn(p.shape, generator=random, dtype=p.dtype) for name, p in parameters.items()}
    inputs = torch.randn(SAMPLES, *SHAPE, generator=random, dtype=torch.float64)
    labels = torch.randint(CLASSES, (SAMPLES,), generator=random)
    return parameters, direction, inputs, labels


def _along(parameters, direction, length):
    return {name: value + length * direction[name] for name, value in parameters.items()}


def _flat(parameters):
    return torch.cat([value.flatten() for value in parameters.values()])


def _dense_jacobian(network, parameters, inputs):
    """Return J, shape (samples, classes, parameters), by reverse mode alone."""
    blocks = jacrev(lambda point: network.forward(point, inputs))(parameters)
    return torch.cat([blocks[name].flatten(2) for name in parameters], 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_the_dense_first_order_expansion(name):
    network = NETWORKS[name]
    anchor, direction, inputs, _ = _problem(network)
    moved = _along(anchor, direction, 0.3)
    expected = network.forward(anchor, inputs) + _dense_jacobian(network, anchor, inputs) @ _flat(
        difference(moved, anchor)
    )
    torch.testing.assert_close(linearised(network.forward, anchor)(moved, inputs), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", [*NETWORKS, "without biases", "no chain"])
def test_one_pass_tells_it_and_the_network(name):
    network = NETWORKS["mlp"] if name == "no chain" else {**NETWORKS, "without biases": WITHOUT_BIASES}[name]
    anchor, direction, inputs, _ = _problem(network)
    moved = _along(anchor, direction, 0.3)
    forward = network.forward if name != "no chain" else lambda point, shown: network.forward(point, shown)
    model = linearised(forward, anchor)
    expanded, exact = model.with_network(moved)(inputs)
    torch.testing.assert_close(expanded, model(moved, inputs), rtol=0, atol=1e-10)
    torch.testing.assert_close(exact, network.forward(moved, inputs), rtol=0, atol=0)
    assert not torch.allclose(expanded, exact)
    assert all(torch.equal(told, network.forward(anchor, inputs)) for told in model.with_network(anchor)(inputs))


def test_products_in_bfloat16_add_displacements_in_float32_there_too():
    network = in_precision(NETWORKS["mlp"], HALF)
    anchor, direction, inputs, _ = _problem(network)
    anchor, direction = (moved_to(point, CPU, torch.float32) for point in (anchor, direction))
    moved, inputs = _along(anchor, direction, 1e-4), inputs.float()
    model = linearised(network.forward, anchor)
    assert torch.equal(model.with_network(moved)(inputs)[0], model(moved, inputs))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("length", [0.0, 0.3])
def test_its_gradient_is_the_dense_one(name, loss, length):
    network = NETWORKS[name]
    anchor, direction, inputs, labels = _problem(network)
    point = _along(anchor, direction, length)
    jacobian = _dense_jacobian(network, anchor, inputs)
    outputs = network.forward(anchor, inputs) + jacobian @ _flat(difference(point, anchor))
    residuals = _hand_written_residuals(loss, outputs, labels)
    expected = torch.einsum("ncp,nc->p", jacobian, residuals) / SAMPLES
    gradient = gradient_of(linearised(network.forward, anchor), point, inputs, labels, loss)
    torch.testing.assert_close(_flat(gradient), expected, rtol=0, atol=1e-10)


def _hand_written_residuals(loss, outputs, labels):
    """Return the derivative of one sample's loss in its outputs, as textbooks give it."""
    one_hot = torch.eye(CLASSES, dtype=outputs.dtype)[labels]
    return {cross_entropy: outputs.softmax(1), mean_squared_error: outputs}[loss] - one_hot


def test_its_gradient_at_the_anchor_itself_is_the_networks_bit_for_bit():
    network = NETWORKS["mlp"]
    anchor, _, inputs, labels = _problem(network)
    leaves = {name: value.clone().requires_grad_() for name, value in anchor.items()}
    cross_entropy(network.forward(leaves, inputs), labels).backward()
    gradient = gradient_of(linearised(network.forward, anchor), anchor, inputs, labels, cross_entropy)
    assert all(torch.equal(gradient[name], leaves[name].grad) for name in anchor)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_exactly_linear_between_anchors(name):
    network = NETWORKS[name]
    anchor, direction, inputs, _ = _problem(network)
    model = linearised(network.forward, anchor)
    at = {length: model(_along(anchor, direction, length), inputs) for length in (-2.0, 0.0, 1.0, 5.0)}
    slope = at[1.0] - at[0.0]
    for length in (-2.0, 5.0):
        torch.testing.assert_close(at[length] - at[0.0], length * slope, rtol=0, atol=1e-10)
    curved = network.forward(_along(anchor, direction, 5.0), inputs) - at[0.0]
    assert (curved - 5 * slope).abs().max() > 1e-2, "the network itself must not be linear, or the test has no power"


@pytest.mark.parametrize("name", NETWORKS)
def test_its_directional_derivative_agrees_with_finite_differences(name):
    network = NETWORKS[name]
    anchor, direction, inputs, _ = _problem(network)
    step = 1e-6
    ahead, behind = (network.forward(_along(anchor, direction, sign * step), inputs) for sign in (1, -1))
    derivative = linearised(network.forward, anchor)(_along(anchor, direction, 1.0), inputs) - network.forward(
        anchor, inputs
    )
    torch.testing.assert_close(derivative, (ahead - behind) / (2 * step), rtol=0, atol=1e-4)


def test_a_bias_free_relu_network_is_homogeneous_in_its_layers():
    network = mlp(SHAPE, CLASSES, width=7, depth=2, bias=False)  # three layers of weights
    anchor, _, inputs, _ = _problem(network)
    doubled = {name: 2 * value for name, value in anchor.items()}
    outputs = network.forward(anchor, inputs)
    expected = outputs + 3 * outputs  # J theta = L f
    torch.testing.assert_close(linearised(network.forward, anchor)(doubled, inputs), expected, rtol=0, atol=1e-10)


def test_full_batch_descent_on_squared_error_follows_the_kernels_eigenvectors():
    """After k steps the residual is U (1 - eta w / n)^k U^T r_0, with (w, U) of the empirical tangent kernel."""
    network = NETWORKS["mlp"]
    anchor, _, inputs, labels = _problem(network)
    jacobian = _dense_jacobian(network, anchor, inputs).flatten(0, 1)
    values, vectors = torch.linalg.eigh(jacobian @ jacobian.T)
    targets = torch.eye(CLASSES, dtype=torch.float64)[labels]
    learning_rate, steps = 0.3 * SAMPLES / float(values[-1]), 50

    model, point = linearised(network.forward, anchor), anchor
    for _ in range(steps):
        point = moved(point, gradient_of(model, point, inputs, labels, mean_squared_error), learning_rate)

    decay = (1 - learning_rate * values / SAMPLES) ** steps
    initial = (network.forward(anchor, inputs) - targets).flatten()
    expected = vectors @ (decay * (vectors.T @ initial))
    torch.testing.assert_close((model(point, inputs) - targets).flatten(), expected, rtol=0, atol=1e-9)


def test_training_the_readout_alone_is_linear_already():
    network = mlp(SHAPE, CLASSES, width=1, depth=0)
    anchor, direction, inputs, _ = _problem(network)
    moved = _along(anchor, direction, 3.0)
    torch.testing.assert_close(
        linearised(network.forward, anchor)(moved, inputs), network.forward(moved, inputs), rtol=0, atol=1e-10
    )


def test_networks_match_pytorchs_own_modules():
    """The hand-written forwards against torch.nn with the same weights."""
    network, inputs = cnn_large((3, 8, 8), 10), torch.randn(5, 3, 8, 8, generator=generator(0, "inputs"))
    parameters = network.initial(generator(0, "initialisation"))
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(32, 64, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(64, 64, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(256, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10),
    )  # fmt: skip
    state = dict(zip(module.state_dict(), parameters.values(), strict=True))
    expected = functional_call(module, state, (inputs,))
    torch.testing.assert_close(network.forward(parameters, inputs), expected)


@pytest.mark.parametrize(
    ("network", "count"),
    [
        (cnn_large((3, 32, 32), 10), 467_030),
        (cnn_small((3, 16, 16), 10), 10_218),
        (mlp((1, 8, 8), 10, width=128, depth=2), 26_122),
    ],
)
def test_parameter_counts(network, count):
    initial = network.initial(generator(0, "initialisation"))
    assert network.parameter_count == count == sum(value.numel() for value in initial.values())


def test_initialisation_is_pytorchs_default_law():
    network = mlp((1, 20, 20), 10, width=300, depth=1)
    initial = network.initial(generator(0, "initialisation"))
    for name in ("hidden1.weight", "hidden1.bias"):
        assert initial[name].abs().max() <= 1 / math.sqrt(400)
    module = torch.nn.Linear(400, 300)
    deviation = float(module.weight.detach().std())
    assert float(initial["hidden1.weight"].std()) == pytest.approx(deviation, rel=0.02)


def test_networks_are_right_under_function_transforms():
    """A vectorised gradient over two sets of parameters equals the two gradients."""
    network = NETWORKS["cnn_s"]
    first, second = _problem(network, 0)[0], _problem(network, 1)[0]
    _, _, inputs, labels = _problem(network)
    gradient = torch.func.grad(lambda point: cross_entropy(network.forward(point, inputs), labels))
    stacked = {name: torch.stack([first[name], second[name]]) for name in first}
    together = torch.func.vmap(gradient)(stacked)
    for index, point in enumerate((first, second)):
        alone = gradient(point)
        for name in point:
            torch.testing.assert_close(together[name][index], alone[name], rtol=0, atol=1e-12)


def test_images_too_small_to_pool_twice_are_refused():
    with pytest.raises(ValueError, match="at least 4x4 pixels, got 2x8"):
        cnn_small((1, 2, 8), 10)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_never_waits_for_a_tensors_value(name, loss):
    """Tensors without values get through a whole step, so that a GPU's queue never runs dry between measured steps."""
    network = NETWORKS[name]
    with FakeTensorMode():
        anchor = {name: torch.empty(shape) for name, shape in network.shapes.items()}
        images, labels = torch.empty(20, *SHAPE), torch.empty(20, dtype=torch.int64)
        batch = torch.empty(8, dtype=torch.int64)
        model, point = linearised(network.forward, anchor), anchor
        for _ in range(2):
            point = moved(point, gradient_of(model, point, images[batch], labels[batch], loss), 0.1)
        with pytest.raises(DataDependentOutputException):
            float(point["readout.bias"][0])
