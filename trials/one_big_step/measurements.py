"""Measurements of one big step: a row a penalty of the regression."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trials.core.rows import Measurement

MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "ridge": Measurement(meaning="penalty of the regression over the number of samples", inner_axis=True),
        "train_mse": Measurement(meaning="mean squared error of the second layer on the samples it is fitted to"),
        "test_mse": Measurement(meaning="mean squared error of the second layer on test samples"),
        "test_mse_linear": Measurement(meaning="mean squared error on test samples of a regression on the inputs"),
        "test_variance": Measurement(meaning="variance of the test labels, the error of their mean"),
        "neuron_alignment": Measurement(meaning="mean |cosine| of the units' weights with the teacher's direction"),
        "top_alignment": Measurement(meaning="|cosine| of the weights' top left singular vector with that direction"),
        "singular_value_ratio": Measurement(meaning="largest over second singular value of the step's direction"),
        "rank_one_error": Measurement(
            meaning="distance of the step's direction from its rank-one limit, over its norm; null without a limit"
        ),
    }
)
