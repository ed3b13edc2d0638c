"""The columns that tell of a training in rounds: where it is, and how well the trained function and the network fit."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trials.core.probes.movement import LAYERS
from trials.core.rows import Measurement

_LIN = "the linearisation being trained (that of the round of the row's last step)"
_NET = "the network itself at the same parameters"
_LOSS, _NORM = "nats or squared outputs", "over the norm at initialisation"

ROUND_MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "round": Measurement(meaning="round of the row's last step, from 0", type=int),
        "num_linearisations": Measurement(meaning="linearisations so far, that at initialisation included", type=int),
        "num_feature_updates": Measurement(meaning="linearisations after that at initialisation", type=int),
        "train_loss_lin": Measurement(meaning=f"training loss of {_LIN}", unit=_LOSS),
        "train_acc_lin": Measurement(meaning=f"training accuracy of {_LIN}"),
        "test_loss_lin": Measurement(meaning=f"test loss of {_LIN}", unit=_LOSS),
        "test_acc_lin": Measurement(meaning=f"test accuracy of {_LIN}"),
        "train_loss_net": Measurement(meaning=f"training loss of {_NET}", unit=_LOSS),
        "train_acc_net": Measurement(meaning=f"training accuracy of {_NET}"),
        "test_loss_net": Measurement(meaning=f"test loss of {_NET}", unit=_LOSS),
        "test_acc_net": Measurement(meaning=f"test accuracy of {_NET}"),
        "param_dist": Measurement(meaning="distance of the parameters from initialisation over their initial norm"),
        "param_dist_first": Measurement(meaning=f"distance of the first layer from its initialisation {_NORM}"),
        "param_dist_last": Measurement(meaning=f"distance of the last layer from its initialisation {_NORM}"),
        **{
            f"param_dist_layer_{layer}": Measurement(
                meaning=f"distance of layer {layer} from the input from its initialisation {_NORM}"
            )
            for layer in range(1, LAYERS + 1)
        },
        "param_path": Measurement(meaning=f"distances that the rounds so far covered, added up, {_NORM}"),
        "param_path_first": Measurement(meaning=f"distances that the rounds moved the first layer, added up, {_NORM}"),
        "param_path_last": Measurement(meaning=f"distances that the rounds moved the last layer, added up, {_NORM}"),
        **{
            f"param_path_layer_{layer}": Measurement(
                meaning=f"distances that the rounds moved layer {layer} from the input, added up, {_NORM}"
            )
            for layer in range(1, LAYERS + 1)
        },
        "effective_damping": Measurement(
            meaning="1 / (learning rate x steps of the longest round so far), times 1 - momentum; null with adam"
        ),
        "round_converged": Measurement(meaning="whether the round had reached `round_tolerance`; null if 0", type=bool),
        "status": Measurement(meaning="converged or unconverged by `round_tolerance`, budget if it is 0", type=str),
        "method": Measurement(meaning="how a trial by itself computes the row's last step", type=str),
        "method_reason": Measurement(meaning="why it computes it so", type=str),
    }
)
