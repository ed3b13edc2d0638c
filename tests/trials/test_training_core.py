"""The core's parts crossed with each other, held to identities in float64 and to dense oracles."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch

from tests.trials.conftest import small_arrays
from tests.trials.test_checkpoints import BrokenOff, Memory
from trials.core.augmentation.knobs import FixedSetKnobs
from trials.core.context import TrialContext
from trials.core.data.examples import Examples
from trials.core.data.knobs import DataKnobs
from trials.core.losses.classification import cross_entropy
from trials.core.losses.loss import Loss
from trials.core.networks.mlp import mlp
from trials.core.parameters import moved_to
from trials.core.rounds.calendar import Calendar
from trials.core.rounds.choice import METHODS, chosen_methods
from trials.core.rounds.in_rounds import Rounds, in_rounds, renewed_every
from trials.core.rounds.round import Problem
from trials.core.rows import checked
from trials.core.streams import generator
from trials.core.training.batches import Batch, balanced, epochs, everything, formed, listed, poisson, seen, weighted
from trials.core.training.course import course
from trials.core.training.descent import Descent, phases
from trials.core.training.directions import Private, SharpnessAware
from trials.core.training.parts import behind, masked, of_parts
from trials.core.training.places import Place
from trials.core.training.plain import Plain
from trials.core.training.rules import RULES
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measurements import MEASUREMENTS
from trials.k_phase_diagram.recipe import TOGETHER, run, run_many

CPU = torch.device("cpu")
CONTEXT = TrialContext(arrays=lambda name: small_arrays())
SMALL = {
    "steps": 60,
    "width": 12,
    "depth": 2,
    "batch_size": 8,
    "probe_size": 8,
    "precision": "float64",
    "learning_rate": 0.2,
}
TOLD = ("train_loss_lin", "test_loss_net", "param_dist", "ntk_distance", "rep_change")


def _knobs(**changes):
    return KPhaseKnobs(**{**SMALL, "data": DataKnobs(train_size=40), **changes})


def _rows(**changes):
    return list(checked(run(_knobs(**changes), CONTEXT), MEASUREMENTS))


def _apart(rows, others, names=TOLD):
    pairs = [(row[name], other[name]) for row, other in zip(rows, others, strict=True) for name in names]
    assert all((one is None) == (other is None) for one, other in pairs)
    return max(abs(one - other) for one, other in pairs if one is not None)


# --- the four axes --------------------------------------------------------------------------------------------------


def test_knobs_that_are_off_leave_ids_and_rows():
    assert _knobs().fingerprint() == _knobs(freeze_depth=0, damping=0.0).fingerprint()
    assert _knobs(feature_update_interval=1, damping=3.0) == _knobs(feature_update_interval=1)
    assert _knobs(feature_update_interval=60, damping=3.0) != _knobs(feature_update_interval=60)


def test_a_first_step_of_every_round_is_not_damped():
    """K = 1 ignores damping by itself, not only by its id: rounds of one step never leave their anchor."""
    problem, start = _problem()
    ends = [_trained(problem, start, Calendar(interval=1), damping, steps=20) for damping in (0.0, 5.0)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in start)


@pytest.mark.parametrize("method", ["auto", *METHODS])
@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_behind_all_frozen_parts_but_a_linear_head_every_interval_is_the_same(method, damping):
    """Without damping; with it a round pulls back to where it began, and K matters even to a linear model."""
    changes = {"freeze_depth": 2, "round_method": method, "damping": damping}
    one, many = (_rows(feature_update_interval=interval, **changes) for interval in (1, 10))
    assert (_apart(one, many) < 1e-10) == (damping == 0)


@pytest.mark.parametrize("network", ["mlp", "cnn_s"])
def test_a_depth_of_frozen_parts_keeps_them_and_is_the_training_of_the_rest(network):
    """Cut off, or held by their gradients alone: the same training."""
    shape = (1, 8, 8)
    whole = mlp(shape, 3, width=7, depth=2) if network == "mlp" else _cnn(shape)
    initial = moved_to(whole.initial(generator(0, "initialisation")), CPU, torch.float64)
    inputs = torch.randn(20, *shape, generator=generator(1, "x"), dtype=torch.float64)
    rows = Examples(inputs=inputs, labels=torch.arange(20) % 3, classes=3)
    for depth in (1, 2):
        cut, held = behind(whole, initial, depth), of_parts(whole, initial, list(_parts(whole))[depth:])
        hidden = dataclasses.replace(rows, inputs=cut.before({}, inputs))
        ends = [
            _trained(Problem(network=part.network, train=of, loss=cross_entropy), part.parameters, Calendar(interval=4))
            for part, of in ((cut, hidden), (held, rows))
        ]
        assert set(ends[0]) == set(ends[1]) == {n for n in initial if n.split(".")[0] in list(_parts(whole))[depth:]}
        for name in ends[0]:
            torch.testing.assert_close(ends[0][name], ends[1][name], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("freeze_depth", "damping", "interval", "ratio"), list(itertools.product((0, 1), (0, 0.3), (1, 9), (1.0, 0.5)))
)
def test_every_way_of_computing_agrees_at_every_crossing(freeze_depth, damping, interval, ratio):
    changes = {"freeze_depth": freeze_depth, "damping": damping, "feature_update_interval": interval}
    changes |= {
        "rows": FixedSetKnobs(ratio=ratio, aug_arm="fixed_aug"),
        "inner_optimizer": "momentum",
        "learning_rate": 0.02,
    }
    told = [_rows(round_method=method, **changes) for method in ("auto", *METHODS)]
    listed_ = [_knobs(**changes), _knobs(**changes, seed=1)]
    together = [row for index, row in run_many(listed_, CONTEXT) if index == 0]
    assert TOGETHER.key(listed_[0]) is not None
    for rows in (*told[1:], list(checked(together, MEASUREMENTS))):
        assert _apart(told[0], rows) < 1e-9


def test_each_of_the_four_axes_matters():
    plain = _rows(feature_update_interval=9)
    for change in (
        {"freeze_depth": 1},
        {"damping": 0.3},
        {"rows": FixedSetKnobs(ratio=0.5)},
        {"feature_update_interval": 20},
    ):
        assert _apart(plain, _rows(**{"feature_update_interval": 9, **change}), ("test_loss_net",)) > 1e-3


def test_a_round_ends_when_its_damped_gradient_is_small():
    changes = {"loss": "mse", "batch_size": 40, "steps": 300, "feature_update_interval": 300, "measured_rounds": 4}
    rows = [_rows(**changes, round_tolerance=0.02, damping=damping) for damping in (0.0, 1.0)]
    assert rows[1][-1]["num_linearisations"] > rows[0][-1]["num_linearisations"], (
        "a pull to the anchor ends rounds sooner"
    )


@pytest.mark.parametrize("changes", [{"freeze_depth": 1, "damping": 0.2}, {"damping": 0.2, "round_tolerance": 0.3}])
@pytest.mark.parametrize("method", ["auto", "function_space"])
def test_broken_off_anywhere_crossings_go_on_as_if_they_had_not_been(changes, method):
    knobs = _knobs(**changes, steps=14, feature_update_interval=5, batch_size=20, round_method=method)
    undisturbed = list(run(knobs, CONTEXT))
    for step in range(knobs.steps + 1):
        first, rows = Memory(break_at=step), []
        with pytest.raises(BrokenOff):
            rows.extend(run(knobs, dataclasses.replace(CONTEXT, checkpoints=first)))
        rows += run(knobs, dataclasses.replace(CONTEXT, checkpoints=Memory(saved=first.saved)))
        assert rows == undisturbed


# --- modules --------------------------------------------------------------------------------------------------------


# --- directions -----------------------------------------------------------------------------------------------------


def test_sam_is_the_gradient_up_the_slope_and_without_distance_the_gradient():
    problem, start = _problem()
    plain = _trained(problem, start, Calendar(interval=1), steps=5)
    still = _trained(problem, start, Calendar(interval=1), steps=5, direction=SharpnessAware(0.0))
    assert all(torch.equal(plain[name], still[name]) for name in start)
    batch = Batch(torch.arange(8), formed(problem.train))
    loss = Plain(problem.network.forward, problem.loss).on(batch)
    told = SharpnessAware(0.3)(loss, start, 0)
    gradient = loss.slope(start).gradient
    length = torch.cat([value.flatten() for value in gradient.values()]).norm()
    uphill = {name: start[name] + 0.3 * gradient[name] / length for name in start}
    expected = loss.slope(uphill).gradient
    for name in start:
        torch.testing.assert_close(told.gradient[name], expected[name], rtol=0, atol=1e-12)


def test_privately_without_clip_and_noise_a_step_is_a_plain_one_and_noise_is_of_seed_and_step():
    problem, start = _problem()
    open_ = Private(clip=math.inf, noise=0.0, expected=8, seed=0)
    plain = _trained(problem, start, Calendar(interval=1), steps=5)
    private = _trained(problem, start, Calendar(interval=1), steps=5, direction=open_)
    for name in start:
        torch.testing.assert_close(private[name], plain[name], rtol=0, atol=1e-12)
    loss = Plain(problem.network.forward, problem.loss).on(Batch(torch.arange(8), formed(problem.train)))
    noisy = Private(clip=0.1, noise=2.0, expected=8, seed=0)
    one, again, other = (noisy(loss, start, step).gradient for step in (3, 3, 4))
    assert all(torch.equal(one[name], again[name]) and not torch.equal(one[name], other[name]) for name in start)


@pytest.mark.parametrize("interval", [1, 5])
def test_norms_of_samples_are_those_of_their_gradients_and_clipping_keeps_them_below(interval):
    problem, start = _problem()
    trained, _ = _renewed(in_rounds(_rounds(problem, Calendar(interval=interval)), Place(start, {})))
    point = {name: value * 1.01 for name, value in start.items()}
    batch = Batch(torch.arange(8), formed(problem.train))
    norms = trained.on(batch).norms(point)
    for row in range(8):
        alone = trained.on(Batch(torch.tensor([row]), formed(problem.train))).slope(point).gradient
        expected = torch.cat([value.flatten() for value in alone.values()]).norm()
        torch.testing.assert_close(norms[row], expected, rtol=1e-10, atol=0)
    clipped = Private(clip=0.01, noise=0.0, expected=1, seed=0)(trained.on(batch), point, 0).gradient
    assert float(torch.cat([value.flatten() for value in clipped.values()]).norm()) <= 8 * 0.01 * (1 + 1e-6)


def test_what_was_pruned_gets_no_gradient_and_no_noise():
    problem, start = _problem()
    kept = {
        name: (value.abs() > value.abs().median()).to(value) for name, value in start.items() if name.endswith("weight")
    }
    network = masked(problem.network, kept)
    kept_of_all = {name: kept.get(name, torch.ones_like(value)) for name, value in start.items()}
    direction = Private(clip=0.1, noise=1.0, expected=8, seed=0, kept=kept_of_all)
    end = _trained(
        dataclasses.replace(problem, network=network), start, Calendar(interval=1), steps=5, direction=direction
    )
    assert all(torch.equal(end[name][kept[name] == 0], start[name][kept[name] == 0]) for name in kept)
    assert not any(torch.equal(end[name], start[name]) for name in kept)


def test_an_empty_batch_is_noise_alone():
    problem, start = _problem()
    plain = Plain(problem.network.forward, problem.loss)
    rounds, _ = _renewed(in_rounds(_rounds(problem, Calendar(interval=3)), Place(start, {})))
    nobody = Batch(torch.empty(0, dtype=torch.int64), formed(problem.train))
    direction = Private(clip=1.0, noise=1.0, expected=8, seed=0)
    for trained in (plain, rounds):
        gradient = direction(trained.on(nobody), start, 0).gradient
        assert all(bool(value.isfinite().all()) and float(value.std()) > 0.05 for value in gradient.values())


def test_a_step_may_change_with_the_phase():
    problem, start = _problem()
    slow, fast = (Descent(rule=RULES["sgd"](0), rate=lambda step, rate=rate: rate) for rate in (0.0, 0.1))
    begun = in_rounds(_rounds(problem, Calendar(interval=1)), Place(start, {}))
    ends = {}
    for now in course(
        begun,
        phases(slow, fast, 3),
        seen(formed(problem.train), everything(40)),
        steps=5,
        rows_at=lambda now: True,
        context=TrialContext(),
        past=None,
    ):
        ends[now.step] = now.parameters["readout.weight"]
    assert torch.equal(ends[3], start["readout.weight"]) and not torch.equal(ends[4], ends[3])


# --- what a step sees -----------------------------------------------------------------------------------------------


def test_draws_are_functions_of_seed_and_step():
    groups = torch.tensor([0] * 30 + [1] * 3)
    shares = torch.full((33,), 1 / 33)
    for draw in (
        weighted(0, shares, 16),
        balanced(0, groups, 16),
        poisson(0, 33, 0.3),
        listed(epochs(0, 36, 9), torch.arange(36) % 33),
    ):
        assert torch.equal(draw(5), draw(5))
        assert not torch.equal(draw(5), draw(6))
    drawn = torch.cat([balanced(0, groups, 64)(step) for step in range(200)])
    assert float((groups[drawn] == 1).double().mean()) == pytest.approx(0.5, abs=0.01)
    sizes = torch.tensor([len(poisson(0, 33, 0.3)(step)) for step in range(2000)]).double()
    assert float(sizes.mean()) == pytest.approx(33 * 0.3, rel=0.02)
    assert float(sizes.var()) == pytest.approx(33 * 0.3 * 0.7, rel=0.1)


def test_a_list_with_copies_has_the_gradient_of_weights_that_count_them():
    problem, start = _problem()
    rows = torch.cat([torch.arange(40), torch.arange(10), torch.arange(10)])
    counts = rows.bincount().double()
    plain = Plain(problem.network.forward, problem.loss)
    listed_ = plain.on(Batch(listed(everything(60), rows)(0), formed(problem.train))).slope(start).gradient
    by_weight = plain.on(Batch(torch.arange(40), formed(problem.train))).slope(start, counts / 60).gradient
    for name in start:
        torch.testing.assert_close(listed_[name], by_weight[name], rtol=0, atol=1e-12)


def test_pairs_of_views_and_a_loss_that_couples_them_cross_with_rounds():
    """A linear map under the spectral contrastive loss: every interval is the same training; a hidden layer is not."""

    def mean(outputs, targets):
        one, other = outputs.chunk(2)
        products = one @ other.T
        apart = ~torch.eye(len(one), dtype=torch.bool)
        return -2 * (one * other).sum(1).mean() + products[apart].square().mean()

    contrastive = Loss(mean, right=None)
    inputs = torch.randn(40, 6, generator=generator(0, "x"), dtype=torch.float64)

    def views(step, rows):
        noise = torch.randn(2, len(rows), 6, generator=generator(0, "views", step), dtype=torch.float64)
        return torch.cat([inputs[rows] + 0.1 * noise[0], inputs[rows] + 0.1 * noise[1]]), rows

    from trials.core.training.batches import seen_anew

    for depth, same in ((0, True), (1, False)):
        network = mlp((6,), 3, width=8, depth=depth, bias=False)
        start = moved_to(network.initial(generator(0, "initialisation")), CPU, torch.float64)
        problem = Problem(network=network, train=None, loss=contrastive)
        ends = []
        for interval in (1, 7, 10**6):
            rounds = Rounds(problem=problem, calendar=Calendar(interval=interval), methods=_jvp())
            step = Descent(rule=RULES["sgd"](0), rate=lambda step: 0.05)
            *_, last = course(
                in_rounds(rounds, Place(start, {})),
                step,
                seen_anew(views, epochs(0, 40, 10)),
                steps=30,
                rows_at=lambda now: now.last,
                context=TrialContext(),
                past=None,
            )
            ends.append(torch.cat([value.flatten() for value in last.parameters.values()]))
        apart = max(float((end - ends[0]).abs().max()) for end in ends[1:])
        assert (apart < 1e-10) == same
    with pytest.raises(TypeError, match="couples its samples"):
        loss = Plain(network.forward, contrastive).on(Batch(torch.arange(8), lambda rows: views(0, rows)))
        loss.slope(start, torch.ones(8))


def _renewed(begun):
    """Return what the first step trains."""
    trained, place = begun
    return trained.renewed(0, place, trained.standing(0, place))


def _jvp():
    from trials.core.rounds.choice import Methods, Switch

    return Methods((Switch(0, "jvp", "asked for"),))


def _parts(network):
    return dict.fromkeys(name.partition(".")[0] for name in network.shapes)


def _cnn(shape):
    from trials.core.networks.cnn import cnn_small

    return cnn_small(shape, 3)


def _problem():
    network = mlp((5,), 3, width=8, depth=1)
    inputs = torch.randn(40, 5, generator=generator(0, "x"), dtype=torch.float64)
    rows = Examples(inputs=inputs, labels=torch.arange(40) % 3, classes=3)
    start = moved_to(network.initial(generator(0, "initialisation")), CPU, torch.float64)
    return Problem(network=network, train=rows, loss=cross_entropy), start


def _rounds(problem, calendar, damping=0.0, method="jvp"):
    methods = chosen_methods(method, problem, 8, Descent(rule=RULES["sgd"](0), rate=lambda step: 0.1))
    return Rounds(problem=problem, calendar=calendar, methods=methods, damping=damping)


def _trained(problem, start, calendar, damping=0.0, *, steps=15, method="jvp", rate=0.1, direction=None):
    """Return where training in rounds ends, on full batches where rounds are long."""
    samples = len(problem.train)
    draw = everything(samples) if calendar.interval > 100 else epochs(0, samples, 8)
    step = Descent(rule=RULES["sgd"](0.0), rate=lambda step: rate)
    step = step if direction is None else dataclasses.replace(step, direction=direction)
    *_, last = course(
        in_rounds(_rounds(problem, calendar, damping, method), Place(start, {})),
        step,
        seen(formed(problem.train), draw),
        steps=steps,
        rows_at=lambda now: now.last,
        context=TrialContext(),
        past=None,
    )
    return last.parameters


def test_sam_at_an_interval_of_one_is_told_of_the_network_and_not_of_its_linearisation():
    """A direction that asks elsewhere than at the anchor makes rounds of one step another training."""
    problem, start = _problem()
    step = Descent(rule=RULES["sgd"](0), rate=lambda step: 0.1, direction=SharpnessAware(0.5))
    batch = Batch(torch.arange(8), formed(problem.train))
    of_rounds, place = _renewed(in_rounds(_rounds(problem, Calendar(interval=1)), Place(start, {})))
    itself, _ = renewed_every(1, problem, Place(start, {}))
    one, other = (step(trained.on(batch), place, 0)[0].point["readout.weight"] for trained in (of_rounds, itself))
    assert float((one - other).abs().max()) > 1e-4


def test_a_penalty_is_minimised_beside_the_loss_and_half_the_squares_are_weight_decay():
    problem, start = _problem()
    halves = Descent(
        rule=RULES["momentum"](0.9),
        rate=lambda step: 0.1,
        penalty=lambda point, step: 0.005 * sum(value.square().sum() for value in point.values()),
    )
    decay = Descent(rule=RULES["momentum"](0.9), rate=lambda step: 0.1, weight_decay=0.01)
    sees, ends = seen(formed(problem.train), epochs(0, 40, 8)), []
    for step in (halves, decay):
        begun = in_rounds(_rounds(problem, Calendar(interval=4)), Place(start, step.rule.beginning(start)))
        *_, last = course(begun, step, sees, steps=9, rows_at=lambda now: now.last, context=TrialContext(), past=None)
        ends.append(last.parameters)
    for name in start:
        torch.testing.assert_close(ends[0][name], ends[1][name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("interval", [1, 3])
def test_a_student_that_begins_as_its_teacher_stays(interval):
    """Targets are the teacher's outputs by row: another loss, and nothing else of the core knows."""
    problem, start = _problem()
    distilled = Loss(lambda outputs, targets: (outputs - targets).square().mean(), right=None)
    answers = problem.network.forward(start, problem.train.inputs)
    problem = dataclasses.replace(problem, loss=distilled)
    sees = seen(lambda rows: (problem.train.inputs[rows], answers[rows]), epochs(0, 40, 8))
    step, ends = Descent(rule=RULES["sgd"](0), rate=lambda step: 0.1), []
    for offset in (0.0, 0.1):
        begun = renewed_every(interval, problem, Place({name: value + offset for name, value in start.items()}, {}))
        *_, last = course(begun, step, sees, steps=9, rows_at=lambda now: now.last, context=TrialContext(), past=None)
        ends.append(max(float((last.parameters[name] - start[name]).abs().max()) for name in start))
    assert ends[0] < 1e-12 < 1e-2 < ends[1]


def test_a_training_ends_before_its_steps_where_it_is_told_and_leaves_its_last_state():
    problem, start = _problem()
    step, kept = Descent(rule=RULES["sgd"](0), rate=lambda step: 0.1), Memory()

    def small(now):
        return (
            float(problem.loss(problem.network.forward(now.parameters, problem.train.inputs), problem.train.labels))
            < 1.05
        )

    begun = renewed_every(1, problem, Place(start, {}))
    context = TrialContext(checkpoints=kept)
    sees = seen(formed(problem.train), everything(40))
    moments = [
        (now.step, now.last)
        for now in course(
            begun,
            step,
            sees,
            steps=500,
            rows_at=lambda now: now.last or now.step % 10 == 0,
            ends_at=small,
            context=context,
            past=None,
        )
    ]
    assert moments[-1][1] and moments[-1][0] == kept.saved[0] < 500
    assert not any(last for _, last in moments[:-1])
