"""What the study of damping measures: the columns of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trials.core.rows import Measurement

MATCHED_LOSSES = (0.1, 0.05, 0.02, 0.005, 0.001)
"""Training losses at which trainings are compared, in the order in which they are crossed."""

STEP_MEASUREMENTS = {
    "step_damping": Measurement(meaning="damping of the row's step, absolute", unit="mean loss", inner_axis=True),
    "damping_relative": Measurement(meaning="damping of the row's step over the largest curvature there"),
    "effective_damping": Measurement(
        meaning="damping of the row's step, plus 1/(rate x steps) where inner gradient descent is cut short",
        unit="mean loss",
    ),
    "alpha": Measurement(meaning="fraction of the damped step that was tried; 0 where none lowers the loss"),
    "rho": Measurement(meaning="actual over predicted decrease of the loss at the row's step; null where not finite"),
    "step_norm": Measurement(meaning="length of the row's step in parameter space, 0 where it was rejected"),
    "test_loss_lin": Measurement(
        meaning="test loss of the linearisation at the beginning of the row's step, at its end", unit="nats or squares"
    ),
    "test_acc_lin": Measurement(
        meaning="test accuracy of the linearisation at the beginning of the row's step, at its end"
    ),
    "cg_iters": Measurement(meaning="iterations of conjugate gradients in the row's step", type=int),
    "cg_rel_residual": Measurement(meaning="residual that conjugate gradients left, over the gradient's norm"),
    "inner_iters": Measurement(meaning="inner steps of gradient descent, Adam or Newton in the row's step", type=int),
    "inner_rel_residual": Measurement(
        meaning="what inner steps left: gradient over the first gradient, for Newton its last relative move"
    ),
}


def accuracy_column(loss: float) -> str:
    """Return the column of the test accuracy at a training loss."""
    return f"test_acc_at_loss_{_spelt(loss)}"


def step_column(loss: float) -> str:
    """Return the column of the step at which a training loss was crossed."""
    return f"step_at_loss_{_spelt(loss)}"


def _spelt(loss: float) -> str:
    return f"{loss:g}".replace(".", "_")


def _matched(loss: float) -> dict[str, Measurement]:
    """Return the columns of what is measured at a matched training loss."""
    return {
        accuracy_column(loss): Measurement(meaning=f"test accuracy when the training loss fell below {loss}"),
        step_column(loss): Measurement(
            meaning=f"steps after which the training loss first was below {loss}", unit="steps", type=int
        ),
    }


MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "num_linearisations": Measurement(meaning="linearisations so far, one a step", type=int),
        "num_feature_updates": Measurement(meaning="linearisations after that at initialisation", type=int),
        "status": Measurement(meaning="running, converged, unconverged (steps vanish), diverged or budget", type=str),
        "method": Measurement(meaning="solver that is used", type=str),
        "method_reason": Measurement(meaning="why that solver", type=str),
        "train_loss": Measurement(meaning="training loss of the network", unit="nats or squares"),
        "train_acc": Measurement(meaning="training accuracy of the network"),
        "test_loss": Measurement(meaning="test loss of the network", unit="nats or squares"),
        "test_acc": Measurement(meaning="test accuracy of the network"),
        "best_test_acc": Measurement(meaning="largest test accuracy so far: chosen on test data, a diagnostic only"),
        **STEP_MEASUREMENTS,
        "param_dist": Measurement(meaning="distance of the parameters from initialisation over their initial norm"),
        "param_path": Measurement(meaning="length of the path of steps in parameter space"),
        "ntk_distance": Measurement(
            meaning="1 - cosine of the tangent kernels now and at initialisation, on the probe"
        ),
        "ntk_cka_target": Measurement(
            meaning="cosine of the centred tangent kernel and that of the targets, on the probe"
        ),
        **{name: column for loss in MATCHED_LOSSES for name, column in _matched(loss).items()},
    }
)
