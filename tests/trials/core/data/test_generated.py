"""Generated data: their laws, and how samples are chosen from their pools."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trials.core.context import TrialContext
from trials.core.data.generated import LAWS, POOL, read, relevant_directions
from trials.core.data.knobs import DataKnobs
from trials.core.networks.feedforward import cnn_small


@pytest.mark.parametrize("name", LAWS)
def test_generated_labels_depend_on_the_relevant_directions_alone(name):
    arrays, directions = read(name), relevant_directions(name)
    inputs, labels = arrays["train_inputs"], arrays["train_labels"]
    assert inputs.shape == (POOL, 40)
    assert 0.45 < labels.mean() < 0.55
    np.testing.assert_allclose(directions.T @ directions, np.eye(directions.shape[1]), atol=1e-12)
    irrelevant = inputs - 2 * (inputs - inputs @ directions @ directions.T)
    np.testing.assert_array_equal(LAWS[name][1](irrelevant @ directions), labels)
    best_linear = np.abs(np.corrcoef(inputs.T, labels)[-1, :-1]).max()
    assert best_linear < 0.04, "no single input may tell anything of the label"


def test_offsets_choose_other_samples_of_a_generated_pool():
    knobs = {"name": "sparse_parity", "train_size": 100, "test_size": 50}
    first, _ = TrialContext().data(DataKnobs(**knobs))
    second, _ = TrialContext().data(DataKnobs(**knobs, train_offset=60))
    assert torch.equal(first.inputs[60:], second.inputs[:40])
    assert first.inputs.abs().unique().tolist() == [1.0]
    with pytest.raises(ValueError, match="data_train_offset=15950 leaves too few of the 16000 train images"):
        TrialContext().data(DataKnobs(**knobs, train_offset=15950))
    with pytest.raises(ValueError, match="data_average_pool=2 needs images, and sparse_parity has vectors"):
        TrialContext().data(DataKnobs(**knobs, average_pool=2))
    with pytest.raises(ValueError, match="needs images, got inputs of shape"):
        cnn_small((40,), 2)
