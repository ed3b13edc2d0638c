"""Measurements of the study of the patch model: a row a view."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trials.core.rows import Measurement

_TIME = "learning rate x steps"
_LARGEST = "largest over the channels"

MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "view": Measurement(meaning="the view that the columns of views are of, from 1", type=int, inner_axis=True),
        "time": Measurement(meaning="time of the row's step", unit=_TIME),
        "train_loss": Measurement(meaning="mean logistic loss of the training samples", unit="nats"),
        "train_acc": Measurement(meaning="share of the training samples that are classified"),
        "mean_g": Measurement(meaning="mean weight of a training sample, 1/2 while nothing is fitted"),
        "proj_view_max": Measurement(meaning=f"projection on the view's patch, {_LARGEST}"),
        "proj_spurious_max": Measurement(meaning=f"projection on the spurious patch, {_LARGEST}"),
        "proj_noise_max_median": Measurement(meaning=f"projection on a sample's own noise, {_LARGEST}: median"),
        "proj_noise_max_q10": Measurement(meaning=f"projection on a sample's own noise, {_LARGEST}: 0.1 quantile"),
        "proj_noise_max_q90": Measurement(meaning=f"projection on a sample's own noise, {_LARGEST}: 0.9 quantile"),
        "ode_view_pred": Measurement(meaning="proj_view_max as the closed form of the flat phase has it"),
        "ode_noise_pred": Measurement(meaning="proj_noise_max_median as the closed form of the flat phase has it"),
        "ode_rel_err_view": Measurement(meaning="relative error of ode_view_pred while it is below 0.5"),
        "ode_rel_err_noise": Measurement(meaning="relative error of ode_noise_pred while it is below 0.5"),
        "time_view_half": Measurement(meaning="time at which proj_view_max reached the threshold, or inf", unit=_TIME),
        "time_view_half_pred": Measurement(meaning="time_view_half as the closed form has it", unit=_TIME),
        "time_noise_half_median": Measurement(
            meaning="median over samples of when the noise's largest projection reached the threshold, or inf",
            unit=_TIME,
        ),
        "time_noise_half_median_pred": Measurement(meaning="the same as the closed form has it", unit=_TIME),
        "time_spurious_half": Measurement(
            meaning="time at which proj_spurious_max reached the threshold, or inf", unit=_TIME
        ),
        "time_spurious_half_pred": Measurement(meaning="time_spurious_half as the closed form has it", unit=_TIME),
        "importance_ratio": Measurement(meaning="score of the view over that of a sample's noise: n rho m^q / sigma^q"),
        "test_acc_view": Measurement(meaning="accuracy on fresh samples of the view; at the end only, as all test_*"),
        "test_acc_common": Measurement(meaning="accuracy on fresh samples of the first view"),
        "test_acc_rare_mean": Measurement(meaning="accuracy on fresh samples of the other views, their mean"),
        "worst_view_acc": Measurement(meaning="accuracy on fresh samples of the worst view"),
        "majority_acc": Measurement(meaning="accuracy on fresh samples whose spurious feature is right"),
        "minority_acc": Measurement(meaning="accuracy on fresh samples whose spurious feature is wrong"),
        "psi_true": Measurement(meaning="output that the first view alone gives"),
        "psi_spurious": Measurement(meaning="output that the spurious feature alone gives"),
        "steps_run": Measurement(meaning="steps when training ended", unit="steps", type=int),
        "stopped_by": Measurement(meaning="what ended training: the loss or the steps", type=str),
    }
)
