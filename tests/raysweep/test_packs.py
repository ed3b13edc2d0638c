from raysweep.service.messages import PlannedTrial, TrialReport
from raysweep.service.packs import ATTEMPTS, MOST_TRIALS, TARGET_SECONDS, Pack, PackQueue
from raysweep.service.supply import ListedTrials
from trials.k_phase_diagram import KPhaseKnobs


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


def test_a_lost_pack_comes_back_one_by_one_and_a_killer_is_given_up() -> None:
    queue = PackQueue(ListedTrials(planned(40)), slots=1)
    first = queue.take()
    assert first is not None
    queue.finished(reports(first, 0.2))
    pack = queue.take()
    assert pack is not None and len(pack.trials) > 1
    assert queue.lost(pack) == []
    killer = pack.trials[0]
    for attempt in range(1, ATTEMPTS + 1):
        alone = next(single for single in iter(queue.take, None) if single.trials[0].trial_id == killer.trial_id)
        assert queue.lost(alone) == (list(alone.trials) if attempt == ATTEMPTS else [])
