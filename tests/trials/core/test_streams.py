"""Random streams: functions of (seed, name, index), independent of each other and of history."""

from __future__ import annotations

import torch

from trials.core.streams import generator
from trials.core.training.batches import epochs


def _draw(*key):
    return torch.randn(2000, generator=generator(*key))


def test_a_stream_repeats_itself_whatever_was_drawn_before():
    first = _draw(3, "noise", 5)
    torch.manual_seed(11)
    torch.randn(7)
    assert torch.equal(first, _draw(3, "noise", 5))


def test_streams_are_pinned_across_versions():
    """Stored trials can be repeated only while these numbers stay."""
    assert torch.randint(1000, (4,), generator=generator(0, "initialisation")).tolist() == [522, 44, 177, 934]
    assert epochs(0, 100, 5)(7).tolist() == [74, 41, 12, 37, 21]


def test_streams_are_uncorrelated():
    keys = [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1), (1, "b", 1)]
    correlation = torch.corrcoef(torch.stack([_draw(*key) for key in keys])) - torch.eye(len(keys))
    assert correlation.abs().max() < 0.1  # 4.5 standard deviations of independent draws


def test_names_and_indices_do_not_run_into_each_other():
    assert not torch.equal(_draw(1, "a", 11), _draw(11, "a", 1))


def test_an_epoch_visits_every_sample_once_in_whole_batches():
    batches = [epochs(0, 12, 4)(step) for step in range(6)]
    for epoch in (batches[:3], batches[3:]):
        assert torch.cat(epoch).sort().values.tolist() == list(range(12))
    assert not torch.equal(torch.cat(batches[:3]), torch.cat(batches[3:]))


def test_samples_that_fill_no_batch_wait_for_another_epoch():
    batches = [epochs(0, 10, 4)(step) for step in range(20)]
    assert {len(batch) for batch in batches} == {4}
    assert all(len(set(torch.cat(batches[epoch : epoch + 2]).tolist())) == 8 for epoch in range(0, 20, 2))
    assert set(torch.cat(batches).tolist()) == set(range(10))


def test_a_resumed_trial_continues_its_batches():
    """Starting at step 13 gives the batches that a run from 0 has there, in any order of asking."""
    forward = {step: epochs(5, 32, 8)(step).tolist() for step in range(20)}
    assert {step: epochs(5, 32, 8)(step).tolist() for step in reversed(range(13, 20))} == {
        step: forward[step] for step in range(13, 20)
    }
    assert forward[13] != epochs(6, 32, 8)(13).tolist()
