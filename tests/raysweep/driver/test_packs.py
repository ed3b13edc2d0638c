import pytest

from raysweep.service.driver.losses import DIED, NODE_LOST, OUT_OF_MEMORY, PREEMPTED, Loss, loss_of
from raysweep.service.driver.packs import LESSONS, MOST_TRIALS, TARGET_SECONDS, Pack, PackQueue
from raysweep.service.driver.supply import ListedTrials
from raysweep.service.messages import LeavingNodeError, PlannedTrial, TrialReport
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.recipe import TOGETHER


def planned(count: int) -> list[PlannedTrial]:
    return [PlannedTrial(trial_id=f"{seed:020x}", knobs=KPhaseKnobs(seed=seed)) for seed in range(count)]


def reports(pack: Pack, seconds: float) -> list[TrialReport]:
    return [TrialReport(trial_id=trial.trial_id, outcome="finished", wall_seconds=seconds) for trial in pack.trials]


def drained(queue: PackQueue, seconds: float) -> list[Pack]:
    packs = []
    while pack := queue.take():
        packs.append(pack)
        queue.finished(reports(pack, seconds))
    return packs


def test_every_trial_is_handed_out_once_in_order() -> None:
    trials = planned(1000)
    packs = drained(PackQueue(ListedTrials(trials), slots=4), seconds=0.001)
    assert [trial for pack in packs for trial in pack.trials] == trials


def test_nothing_is_known_before_the_first_report() -> None:
    queue = PackQueue(ListedTrials(planned(100)), slots=2)
    assert [len(pack.trials) for pack in (queue.take(), queue.take()) if pack] == [1, 1]


def test_short_trials_fill_the_target_and_long_ones_travel_alone() -> None:
    short = drained(PackQueue(ListedTrials(planned(10_000)), slots=2), seconds=0.05)
    assert len(short[1].trials) == TARGET_SECONDS / 0.05
    assert {len(pack.trials) for pack in drained(PackQueue(ListedTrials(planned(20)), slots=2), seconds=60.0)} == {1}


def test_no_pack_is_huge_and_the_last_ones_are_small() -> None:
    packs = drained(PackQueue(ListedTrials(planned(10_000)), slots=2), seconds=1e-5)
    assert max(len(pack.trials) for pack in packs) == MOST_TRIALS
    assert len(packs[-1].trials) == 1


@pytest.mark.parametrize(("count", "sizes"), [(21, [11, 10]), (84, [42] * 2), (240, [40] * 6), (3, [2, 1]), (1, [1])])
def test_trials_that_train_together_make_few_groups_of_one_size(count: int, sizes: list[int]) -> None:
    queue = PackQueue(ListedTrials(planned(count)), slots=2, together=TOGETHER)
    assert [len(pack.trials) for pack in iter(queue.take, None)] == sizes


class Learning(ListedTrials):
    """Trials of a planner that would ask for others if it were told of these."""

    learns = True


def test_a_planner_that_learns_hears_of_a_group_before_it_asks_for_the_last() -> None:
    groups = drained(PackQueue(Learning(planned(64)), slots=2, together=TOGETHER), seconds=60.0)
    assert {len(pack.trials) for pack in groups} == {4}
    assert len(groups) == 2 * LESSONS
    many = drained(PackQueue(Learning(planned(5000)), slots=2, together=TOGETHER), seconds=60.0)
    assert max(len(pack.trials) for pack in many) <= TOGETHER.most
    assert sum(len(pack.trials) for pack in many) == 5000


def test_a_lost_pack_comes_back_one_by_one_and_a_killer_is_given_up() -> None:
    queue = PackQueue(ListedTrials(planned(40)), slots=1)
    first = queue.take()
    assert first is not None
    queue.finished(reports(first, 0.2))
    pack = queue.take()
    assert pack is not None and len(pack.trials) > 1
    assert queue.lost(pack.trials, DIED) == []
    killer = pack.trials[0]
    for attempt in range(1, int(DIED.attempts) + 1):
        alone = next(single for single in iter(queue.take, None) if single.trials[0].trial_id == killer.trial_id)
        assert queue.lost(alone.trials, DIED) == (list(alone.trials) if attempt == DIED.attempts else [])


def in_pack(queue: PackQueue) -> Pack:
    """Return a pack of several trials."""
    first = queue.take()
    assert first is not None
    queue.finished(reports(first, 0.2))
    pack = queue.take()
    assert pack is not None and len(pack.trials) > 1
    return pack


@pytest.mark.parametrize("loss", [PREEMPTED, NODE_LOST])
def test_a_pack_lost_for_no_fault_of_its_trials_comes_back_together(loss: Loss) -> None:
    queue = PackQueue(ListedTrials(planned(40)), slots=1)
    pack = in_pack(queue)
    assert queue.lost(pack.trials, loss) == []
    again = queue.take()
    assert again is not None
    assert 1 < len(again.trials) <= len(pack.trials)
    assert [trial.trial_id for trial in again.trials] == [trial.trial_id for trial in pack.trials][: len(again.trials)]
    assert all(trial.goes_on_from == (trial.trial_id,) for trial in again.trials)


def test_preemption_is_free_and_every_other_loss_has_a_count_of_its_own() -> None:
    queue = PackQueue(ListedTrials(planned(1)), slots=1)
    for _ in range(100):
        pack = queue.take()
        assert pack is not None
        assert queue.lost(pack.trials, PREEMPTED) == []
    for loss in (NODE_LOST, OUT_OF_MEMORY, DIED):
        for _ in range(int(loss.attempts) - 1):
            pack = queue.take()
            assert pack is not None
            assert queue.lost(pack.trials, loss) == []
    pack = queue.take()
    assert pack is not None
    assert queue.lost(pack.trials, OUT_OF_MEMORY) == list(pack.trials)
    assert queue.take() is None


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR", DIED),
        ("The actor 54 is unavailable: RpcError: RPC error: Socket closed rpc_code: 14.", NODE_LOST),
        ("The actor died because its node has died. Node Id: 8c9d", NODE_LOST),
        ("Task was killed due to the node running low on memory.", OUT_OF_MEMORY),
        ("", DIED),
    ],
)
def test_what_ray_says_of_an_actor_tells_why_it_was_lost(text: str, loss: Loss) -> None:
    assert loss_of(None, text) is loss


def test_an_actor_that_leaves_or_is_preempted_costs_nothing() -> None:
    preempted = RuntimeError("the node was drained")
    preempted.preempted = True  # type: ignore[attr-defined]
    refused = RuntimeError("task failed")
    refused.cause = LeavingNodeError()  # type: ignore[attr-defined]
    assert loss_of(preempted, "") is loss_of(refused, "") is PREEMPTED


def test_a_cluster_that_has_grown_gets_smaller_last_packs() -> None:
    small, grown = (PackQueue(ListedTrials(planned(100)), slots=1) for _ in range(2))
    grown.at_work(10)
    assert len(in_pack(grown).trials) < len(in_pack(small).trials)
