"""The columns that describe how far features have moved, measured on a few fixed training inputs: the probe."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trials.core.rows import Measurement

_KERNEL = "the network's tangent kernel on the probe at the row's parameters"

FEATURE_MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
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
