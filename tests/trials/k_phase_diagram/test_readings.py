"""Readings of several trainings at once are those of each by itself."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from trials.core.augmentation.knobs import FixedSetKnobs
from trials.core.context import TrialContext
from trials.core.data.arrays import load_arrays
from trials.core.data.knobs import DataKnobs
from trials.core.linearisation import linearised
from trials.core.losses.classification import LOSSES, accuracy
from trials.core.parameters import stacked
from trials.core.probes.columns import PARTS
from trials.core.probes.movement import present_parts
from trials.core.streams import generator
from trials.k_phase_diagram import together
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measuring import gauges_abreast
from trials.k_phase_diagram.preparation import lane_of
from trials.k_phase_diagram.recipe import run, run_many
from trials.k_phase_diagram.stability import largest_eigenvalue_by_kernel, largest_gauss_newton_eigenvalue

CONTEXT = TrialContext(arrays=cache(load_arrays))
SMALL = {"width": 6, "depth": 2, "batch_size": 8, "probe_size": 9, "precision": "float64"}
PARITY = {**SMALL, "depth": 1, "data": DataKnobs(name="sparse_parity", train_size=50, test_size=70)}
HALF = {"rows": FixedSetKnobs(ratio=0.5)}
CASES = {
    "digits": [{**SMALL, "data": DataKnobs(train_size=40), "seed": seed} for seed in range(3)],
    "two classes": [{**PARITY, "seed": seed, "learning_rate": 0.1 * (1 + seed)} for seed in range(3)],
    "sets of their own": [{**SMALL, "data": DataKnobs(train_size=40), "seed": seed, **HALF} for seed in range(2)]
    + [{**SMALL, "data": DataKnobs(train_size=40)}],
    "squared error": [{**PARITY, "seed": seed, "loss": "mse"} for seed in range(2)],
    "no probe": [{**PARITY, "seed": seed, "probe_size": 0} for seed in range(2)],
}


def _moved(parameters, seed):
    """Return a place some way from the parameters."""
    random = generator(seed, "moved")
    return {
        name: value + 0.3 * torch.randn(value.shape, generator=random, dtype=value.dtype)
        for name, value in parameters.items()
    }


def _numbers(reading):
    ratio = {} if reading.next_stability is None else {"next_stability": reading.next_stability}
    return {**reading.fits, **reading.moved, **reading.features, **ratio}


@pytest.mark.parametrize("case", CASES)
def test_trainings_that_are_read_at_once_read_as_each_by_itself(case):
    lanes = [lane_of(KPhaseKnobs(**knobs), CONTEXT) for knobs in CASES[case]]
    instruments, forward = [lane.instruments for lane in lanes], lanes[0].rounds.problem.network.forward
    anchors = [_moved(each.initial, seed) for seed, each in enumerate(instruments)]
    points = [_moved(anchor, 10 + seed) for seed, anchor in enumerate(anchors)]
    path = torch.rand(len(points), len(PARTS), generator=generator(0, "path"), dtype=torch.float64)
    abreast = gauges_abreast(instruments)
    found = abreast.read(linearised(forward, stacked(anchors)), stacked(points), path, begins=True)
    ratios = [None] * len(points) if case == "no probe" else abreast.stability(stacked(anchors))
    assert len(found) == len(points)
    for place, each in enumerate(instruments):
        (alone,) = each.read(linearised(forward, anchors[place]), points[place], path[place], begins=True)
        assert _numbers(found[place]) == pytest.approx(_numbers(alone), rel=1e-11)
        assert len(_numbers(alone)) >= 8 + 2 * len(present_parts(each.initial))
        if each.probe is None:
            assert found[place].kernel is alone.kernel is None
            continue
        torch.testing.assert_close(found[place].kernel, alone.kernel, rtol=1e-12, atol=1e-12)
        assert ratios[place] == pytest.approx(each.stability(anchors[place])[0], rel=1e-11)
        at_point = each.probe.stability_ratio(points[place], each.learning_rate)
        assert alone.next_stability == pytest.approx(float(at_point), rel=1e-11), "of a round that would begin here"
    assert len({reading.fits["test_loss_net"] for reading in found}) == len(found), "no training is read twice"


@pytest.mark.parametrize("loss", LOSSES)
def test_the_kernel_and_passes_tell_one_stability(loss):
    lane = lane_of(KPhaseKnobs(**SMALL, data=DataKnobs(train_size=40), loss=loss), CONTEXT)
    instruments = lane.instruments
    probe, forward, curvature = instruments.probe, lane.rounds.problem.network.forward, LOSSES[loss].hessians
    there = probe.features(_moved(instruments.initial, 0))
    by_passes = largest_gauss_newton_eigenvalue(
        forward, _moved(instruments.initial, 0), probe.examples.inputs, curvature
    )
    by_kernel = largest_eigenvalue_by_kernel(there.kernel, there.outputs, curvature)
    assert float(by_kernel) == pytest.approx(float(by_passes), rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("classes", [2, 10])
def test_losses_and_accuracies_of_several_are_those_of_each(loss, classes):
    random = generator(0, "outputs")
    outputs = torch.randn(3, 20, classes, generator=random, dtype=torch.float64)
    labels = torch.randint(classes, (3, 20), generator=random)
    for measure in (LOSSES[loss], accuracy):
        each = torch.stack([measure(*pair) for pair in zip(outputs, labels, strict=True)])
        torch.testing.assert_close(measure(outputs, labels), each, rtol=1e-14, atol=0)


def test_it_does_not_matter_how_many_are_measured_at_once(monkeypatch):
    knobs = [KPhaseKnobs(**PARITY, steps=20, seed=seed, feature_update_interval=7) for seed in range(5)]
    whole = dict(_by_lane_and_step(run_many(knobs, CONTEXT)))
    kernel = (9 * 2) ** 2
    for kernels_at_once in (1, 2):
        monkeypatch.setattr(together, "_KERNEL_NUMBERS", kernels_at_once * kernel)
        cut = dict(_by_lane_and_step(run_many(knobs, CONTEXT)))
        assert cut.keys() == whole.keys()
        for key, row in cut.items():
            numbers = {name: value for name, value in row.items() if isinstance(value, float)}
            assert numbers == pytest.approx({name: whole[key][name] for name in numbers}, rel=1e-9, abs=1e-12)


def test_without_a_probe_trials_train_together_as_alone():
    knobs = [KPhaseKnobs(**{**PARITY, "probe_size": 0}, steps=20, seed=seed) for seed in range(2)]
    rows = dict(_by_lane_and_step(run_many(knobs, CONTEXT)))
    for index, each in enumerate(knobs):
        for row in run(each, CONTEXT):
            together_row = rows.pop((index, row["step"]))
            assert together_row["test_loss_lin"] == pytest.approx(row["test_loss_lin"], rel=1e-10)
            assert together_row["lr_stability_ratio"] is row["lr_stability_ratio"] is None
    assert not rows


def _by_lane_and_step(told):
    return (((index, row["step"]), row) for index, row in told)
