"""The small setting of each study whose rows are pinned, and the groups of trials that train together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Columns = Mapping[str, Any]

OPTIMIZERS: Sequence[Columns] = (
    {},
    {"inner_optimizer": "momentum", "weight_decay": 0.01, "learning_rate": 0.02},
    {"inner_optimizer": "adam", "learning_rate": 0.003, "loss": "mse"},
)

_PRETRAINED = {"pretrain_task": "fg", "pretrain_images": 60, "pretrain_epochs": 1, "pretrain_augmentation": "crop1"}

SMALL: Mapping[str, Columns] = {
    "k_phase_diagram": {
        "steps": 45,
        "width": 12,
        "depth": 1,
        "batch_size": 8,
        "probe_size": 8,
        "data_train_size": 48,
        "data_test_size": 48,
    },
    "gauss_newton_damping": {
        "steps": 15,
        "width": 6,
        "probe_size": 16,
        "data_train_size": 24,
        "data_test_size": 48,
    },
    "spurious_cat_dog": {
        "epochs": 2,
        "batch_size": 16,
        "train_per_class": 24,
        "test_per_class": 16,
        "network_width": 4,
        "network_blocks": 1,
        "pretrain_epochs": 1,
        "pretrain_batch_size": 16,
        "pretrain_augmentation": "crop1",
        "feature_size": 2,
    },
    "augmentation_ratio": {
        "epochs": 3,
        "batch_size": 20,
        "width": 24,
        "data_train_size": 100,
        "data_test_size": 60,
        "invariance_size": 40,
    },
    "freeze_depth": {
        "width": 4,
        "epochs": 2,
        "learning_rate": 0.05,
        "batch_size": 16,
        "data_scale": 0.02,
        "data_test_per_group": 10,
        "pretrain_batch_size": 20,
        **_PRETRAINED,
    },
    "multi_view": {
        "samples": 40,
        "rare_share": 0.1,
        "views": 3,
        "channels": 4,
        "dimension": 100,
        "initial_scale": 0.05,
        "test_samples": 100,
        "steps": 4000,
    },
    "one_big_step": {"dimensions": 10, "samples": 60, "width": 12},
    "useful_sam": {"steps": 50, "samples": 30, "dimensions": 8, "filters": 4},
}


def groups(study: str) -> list[list[Columns]]:
    """Return the columns of the trials of each group that trains together."""
    small = SMALL[study]
    if study == "k_phase_diagram":
        lanes = (
            {},
            {"feature_update_interval": 7, "seed": 1, "rows_ratio": 0.5, "learning_rate": 0.05},
            {"feature_update_interval": 45, "seed": 2, "rows_ratio": 0.5, "rows_aug_arm": "fixed_aug", "steps": 30},
            {"feature_update_interval": 20, "warm_steps": 4, "measured_rounds": 2},
        )
        optimizers = [{**change, "precision": "float32"} for change in OPTIMIZERS]
        optimizers += [{**change, "precision": "float64"} for change in OPTIMIZERS]
        return [[{**small, **optimizer, **lane} for lane in lanes] for optimizer in optimizers]
    if study == "multi_view":
        lanes = ({}, {"noise_magnitude": 3.0, "seed": 1}, {"rare_share": 0.2, "learning_rate_factor": 0.5})
        changes: Sequence[Columns] = (
            {},
            {"exponent": 2},
            {"augmentation": "views_fresh_noise", "dimension": 300},
            {"augmentation": "fresh_noise", "augmentation_draws": "every_step", "steps": 40, "dimension": 12_000},
        )
        alike = [[{**small, **change, **lane} for lane in lanes] for change in changes]
        gaussian = ({}, {"noise_magnitude": 3.0}, {"rare_share": 0.2})  # these share a seed
        return [*alike, [{**small, "noise": "gaussian", **lane} for lane in gaussian]]
    return []
