"""The columns of a row: where a training in rounds is, how well it fits, and how far its features have moved."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trials.core.probes.columns import LAYERS
from trials.core.rows import Measurement

_LIN = "the linearisation being trained (that of the round of the row's last step)"
_NET = "the network itself at the same parameters"
_LOSS, _NORM = "nats or squared outputs", "over the norm at initialisation"
_KERNEL = "the network's tangent kernel on the probe at the row's parameters"

_LAYERS = {"first": "the first layer that trains", "last": "the last layer"} | {
    f"layer_{layer}": f"layer {layer} of those that train" for layer in range(1, LAYERS + 1)
}

MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "round": Measurement(meaning="round of the row's last step, from 0", type=int),
        "num_linearisations": Measurement(meaning="linearisations so far, that at initialisation included", type=int),
        "num_feature_updates": Measurement(meaning="linearisations after that at initialisation", type=int),
        **{
            f"{split}_{short}_{end}": Measurement(meaning=f"{word} {what} of {function}", unit=unit)
            for end, function in (("lin", _LIN), ("net", _NET))
            for split, word in (("train", "training"), ("test", "test"))
            for short, what, unit in (("loss", "loss", _LOSS), ("acc", "accuracy", ""))
        },
        "param_dist": Measurement(meaning="distance of the parameters from initialisation over their initial norm"),
        "param_dist_first": Measurement(
            meaning=f"distance of the first layer that trains from its initialisation {_NORM}"
        ),
        "param_dist_last": Measurement(meaning=f"distance of the last layer from its initialisation {_NORM}"),
        **{
            f"param_dist_layer_{layer}": Measurement(
                meaning=f"distance of the layer of number {layer} of those that train from its start, {_NORM}"
            )
            for layer in range(1, LAYERS + 1)
        },
        "param_path": Measurement(meaning=f"distances that the rounds so far covered, added up, {_NORM}"),
        **{
            f"param_path_{end}": Measurement(meaning=f"distances that the rounds moved {layer}, added up, {_NORM}")
            for end, layer in _LAYERS.items()
        },
        "effective_damping": Measurement(
            meaning="damping of the row's round (0 in a warm start) + (1 - momentum) / (learning rate x steps of the "
            "longest round so far); null with adam"
        ),
        "round_converged": Measurement(meaning="whether the round had reached `round_tolerance`; null if 0", type=bool),
        "status": Measurement(meaning="converged or unconverged by `round_tolerance`, budget if it is 0", type=str),
        "method": Measurement(meaning="how a trial by itself computes the row's last step", type=str),
        "method_reason": Measurement(meaning="why it computes it so", type=str),
        "ntk_distance": Measurement(meaning=f"1 - cosine between {_KERNEL} and at initialisation"),
        "ntk_velocity": Measurement(
            meaning=f"1 - cosine between {_KERNEL} and the last log-spaced row's, per step", unit="1/step"
        ),
        "ntk_cka_init": Measurement(meaning=f"centred cosine between the trace of {_KERNEL} and at initialisation"),
        "ntk_cka_target": Measurement(meaning=f"centred cosine between the trace of {_KERNEL} and that of the labels"),
        "num_feature_updates_effective": Measurement(
            meaning="(sum d)^2 / sum d^2 over the kernel's moves d from round to round; null unless each is measured"
        ),
        "lr_stability_ratio": Measurement(
            meaning="learning rate x largest Gauss-Newton eigenvalue on the probe / 2 of the round's linearisation: "
            "above 1 its steps may blow up"
        ),
        "rep_change": Measurement(meaning="change of what the last layer sees of the probe, over its initial norm"),
        "rep_cka": Measurement(meaning="linear CKA of what the last layer sees of the probe with initialisation"),
        "lin_gap": Measurement(meaning="||f_net - f_lin|| / ||f_lin - f at the round's beginning||, on the probe"),
        "param_alignment": Measurement(
            meaning="share of the first layer's squared weights in the directions that decide the labels"
        ),
    }
)
