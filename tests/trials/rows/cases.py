"""Trials whose rows are pinned: of each study a small setting, and what differs from it, a variant a line.

Knobs go by the names that identities hash, which a renamed knob keeps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from tests.trials.rows.small import OPTIMIZERS, SMALL, Columns

_ROUNDS: Sequence[Columns] = (
    {},
    {"feature_update_interval": 7, "measured_rounds": 3},
    {"feature_update_interval": 40},
    {"feature_update_interval": 40, "warm_steps": 9},
    {"feature_update_interval": 30, "round_tolerance": 0.3, "measured_rounds": 3},
    {"feature_update_interval": 15, "reset_optimizer_on_relinearisation": True},
)
_METHODS = ("jvp", "cached", "function_space")


def _k() -> Iterator[Columns]:
    yield from (optimizer | rounds for optimizer, rounds in product(OPTIMIZERS, _ROUNDS))
    for method, optimizer, interval in product(_METHODS, OPTIMIZERS, (7, 40)):
        if method != "function_space" or optimizer.get("inner_optimizer") != "adam":
            yield {**optimizer, "round_method": method, "feature_update_interval": interval}
    for precision, interval in product(("float64", "bfloat16"), (1, 7)):
        yield {"precision": precision, "feature_update_interval": interval}
    yield {"precision": "float64", "inner_optimizer": "adam", "learning_rate": 0.003, "feature_update_interval": 7}
    yield {"precision": "float64", "round_tolerance": 0.3, "feature_update_interval": 30, "steps": 90}
    for arm, ratio in product(("copies", "fixed_aug"), (0.5, 0.2)):
        yield {"rows_ratio": ratio, "rows_aug_arm": arm, "feature_update_interval": 9}
    yield {"rows_ratio": 0.5, "rows_aug_arm": "fixed_aug", "rows_transform": "rotation10"}
    yield {"loss": "mse", "learning_rate": 50.0, "feature_update_interval": 20, "steps": 100}
    yield {"depth": 0, "feature_update_interval": 9}
    yield {"depth": 2, "width": 9, "measurements_per_decade": 12, "probe_size": 0, "feature_update_interval": 3}
    parity = {"data_name": "sparse_parity", "data_train_size": 200, "data_test_size": 100, "feature_update_interval": 7}
    yield parity
    yield parity | {"data_name": "single_index", "loss": "mse"}
    yield {"data_average_pool": 2, "data_train_offset": 10, "data_test_offset": 5}
    yield {"network": "cnn_s", "feature_update_interval": 5, "steps": 12}
    few = {"data_train_size": 12, "batch_size": 4, "probe_size": 2, "data_test_size": 10}
    yield {"network": "cnn_l", "feature_update_interval": 3, "steps": 5, **few}
    yield {"network": "resnet18", "feature_update_interval": 2, "steps": 3, **few}


_CHEAP = {"steps": 6}


def _damping() -> Iterator[Columns]:
    for solver in ("parameter", "sample", "sample_unwhitened", "spectral", "gradient_descent_spectral", "cg"):
        yield {**_CHEAP, "solver": solver}
    for solver in ("gradient_descent", "adam"):
        yield {**_CHEAP, "solver": solver, "inner_steps": 40, "inner_learning_rate": 0.01}
    yield {
        **_CHEAP,
        "solver": "adam",
        "inner_steps": 20,
        "inner_learning_rate": 0.01,
        "reset_optimizer_on_relinearisation": False,
    }
    for rule, kind in product(("full", "line_search", "lm_adaptive", "damping_search"), ("ggn", "prox_linear")):
        yield {**_CHEAP, "step_rule": rule, "step_kind": kind, "search_count": 5}
    for rule in ("full", "line_search", "lm_adaptive", "damping_search"):
        yield {**_CHEAP, "step_rule": rule, "loss": "cross_entropy", "search_count": 5}
    yield {**_CHEAP, "loss": "cross_entropy", "step_kind": "prox_linear", "damping": 0.1, "inner_steps": 200}
    yield {**_CHEAP, "loss": "cross_entropy", "solver": "cg", "damping": 0.1}
    yield {**_CHEAP, "loss": "cross_entropy", "damping": 0.0, "damping_floor": 1e-6}
    yield {**_CHEAP, "damping": 0.0}
    yield {**_CHEAP, "damping": 0.0, "damping_floor": 1e-6}
    for change in ({}, {"solver": "cg"}, {"loss": "cross_entropy"}, {"learning_rate": 0.3, "step_rule": "lm_adaptive"}):
        yield {**_CHEAP, "batch_size": 8, **change}
    yield {"first_steps": True, "search_count": 6}
    yield {"first_steps": True, "search_count": 6, "loss": "cross_entropy"}
    yield {**_CHEAP, "precision": "float32"}
    yield {**_CHEAP, "precision": "float32", "solver": "cg", "loss": "cross_entropy"}
    yield {**_CHEAP, "target_coding": "sign", "data_name": "digit_pair"}
    yield {"steps": 60, "loss_tolerance": 0.05, "damping": 1e-3}
    yield {"steps": 40, "learning_rate": 1e9}
    yield {**_CHEAP, "depth": 0}
    yield {**_CHEAP, "depth": 2, "probe_size": 0, "measurements_per_decade": 3}
    yield {**_CHEAP, "target_coding": "sign", "data_name": "sparse_parity", "data_train_size": 60}
    for network in ("cnn_xs", "cnn_s"):
        yield {"network": network, "steps": 2, "data_train_size": 10, "probe_size": 4, "solver": "cg", "inner_steps": 5}


def _spurious() -> Iterator[Columns]:
    for depth in range(5):
        yield {"freeze_depth": depth, "head_init": "keep"}
    yield from (
        {"keep_statistics": True},
        {"freeze_depth": 1, "prefix_cache": False, "keep_statistics": True},
        {"freeze_depth": 3, "prefix_cache": False},
        {"measurements_per_epoch": 2.0, "weight_decay": 0.0, "schedule": "linear"},
        {"freeze_depth": 3, "measurements_per_epoch": 0.5, "schedule": "constant"},
        {"momentum": 0.0},
        {"freeze_depth": 2, "feature_prevalence": 0.5, "feature_agreement": 0.8},
        {"freeze_depth": 1, "feature_position": "random_once", "feature_amplitude": 0.5},
        {"freeze_depth": 1, "feature_position": "random_each_visit"},
        {"feature_kind": "class_color", "feature_offset": 1},
        {"pretrain_feature": "same"},
        {"pretrain_feature": "different", "freeze_depth": 2},
        {"pretrain_epochs": 0, "freeze_depth": 2},
        {"pretrain_augmentation": "flip", "pretrain_weight_decay": 0.0, "pretrain_learning_rate": 0.05},
        {"network_blocks": 2, "network_width": 3, "epochs": 1},
        {"data_name": "cat_dog", "train_per_class": 12, "test_per_class": 6, "batch_size": 8, "pretrain_batch_size": 8},
    )
    for arm in ("baseline", "random_noise_position", "random_crop", "clean", "crop_only"):
        yield {"part": "A", "augmentation_arm": arm, "feature_kind": "instance_noise"}


def _ratio() -> Iterator[Columns]:
    for arm, ratio in product(("copies", "fixed_aug", "fresh_aug", "fixed_aug_all", "subset"), (1.0, 0.3)):
        if ratio < 1 or arm in ("fresh_aug", "fixed_aug_all"):
            yield {"aug_arm": arm, "ratio": ratio}
    coloured = {"data_name": "cifar10", "network": "cnn3", "epochs": 1, "data_train_size": 40, "data_test_size": 20}
    for transform in ("flip", "crop4", "cutout8", "rotation10", "flip+crop4", "advanced"):
        yield {"aug_arm": "fresh_aug", "ratio": 0.5, "transform": transform, **coloured}
    yield {"aug_arm": "fixed_aug", "ratio": 0.5, "border": "grey", **coloured}
    for arm, change in product(("copies", "fresh_aug"), ({"optimizer": "adamw"}, {"precision": "bfloat16"})):
        rate = {"learning_rate": 1e-3, "weight_decay": 0.05} if "optimizer" in change else {}
        yield {"aug_arm": arm, "ratio": 0.5, **change, **rate}
    for change in (
        {"schedule": "constant"},
        {"schedule": "cosine", "warm_share": 0.0},
        {"momentum": 0.0},
        {"label_smoothing": 0.1, "row_interval": 2},
        {"validation_size": 20, "invariance_size": 30},
        {"aug_arm": "fixed_aug", "ratio": 0.5, "border": "grey", "exclude_identity": True},
        {"aug_arm": "fresh_aug", "ratio": 0.5, "mixing": "mixup_or_cutmix"},
        {"aug_arm": "fresh_aug", "mixing": "mixup_or_cutmix", "label_smoothing": 0.1, "optimizer": "adamw"},
        {"data_name": "jittered_digit_draws"},
        {"batch_size": 30},
        {**coloured, "network": "resnet18_cifar", "data_train_size": 30, "batch_size": 15, "data_test_size": 10},
    ):
        yield change


def _freeze() -> Iterator[Columns]:
    for depth, statistics in product(range(5), (False, True)):
        yield {"freeze_depth": depth, "statistics_fixed": statistics}
    yield from (
        {"optimiser": "sgd_no_momentum", "weight_decay": 1e-3, "batch_size": 17},
        {"optimiser": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01, "freeze_depth": 4},
        {"optimiser": "adamw", "learning_rate": 1e-3},
        {"augmentation": "flip+resized_crop", "freeze_depth": 1},
        {"precision": "bfloat16", "freeze_depth": 1, "statistics_fixed": True},
        {"precision": "bfloat16", "optimiser": "adamw", "learning_rate": 1e-3},
        {"task": "background", "freeze_depth": 2},
        {"pretrain_task": "none"},
        {"pretrain_task": "bg", "freeze_depth": 2},
        {"pretrain_task": "class6", "pretrain_augmentation": "none", "pretrain_epochs": 2},
        {"pretrain_augmentation": "flip+crop4", "pretrain_batch_size": 33, "pretrain_learning_rate": 0.1},
        {"data_confounder_strength": 0.5, "data_draw": 1},
        {"data_side": 8, "freeze_depth": 1},
        {
            "data_name": "cifar10",
            "data_side": 16,
            "pretrain_images": 30,
            "epochs": 1,
            "augmentation": "flip+resized_crop",
        },
        {"blocks": 2, "width": 3},
    )


def _views() -> Iterator[Columns]:
    for exponent, noise in product((1, 2, 3, 4), ("orthonormal", "gaussian")):
        scale = {"initial_scale": 0.2} if exponent == 4 else {}
        yield {"exponent": exponent, "noise": noise, "dimension": 300, **scale}
    spurious = {"spurious_magnitude": 2.0, "patches": 3, "dimension": 300}
    yield from (
        {"counts": "multinomial"},
        {"rare_share": 0.2, "view_magnitude": 2.0},
        spurious,
        {**spurious, "spurious_scale": 0.5, "noise_scale": 0.5, "minority_share": 0.2},
        {"noise_scale": 0.3, "noise_magnitude": 3.0},
        {"patches": 4, "background_magnitude": 0.5, "dimension": 300},
        {"flat_phase": "closed_form"},
        {"flat_phase": "closed_form", "exponent": 4, "initial_scale": 0.2},
        {"test_noise_overlaps": True, "dimension": 300},
        {"steps": 25, "measurements_per_decade": 20},
        {"learning_rate_factor": 0.3, "threshold": 0.2, "target_loss": 0.1},
    )
    for arm in ("views_fresh_noise", "views_shared_noise", "fresh_noise"):
        yield {"augmentation": arm, "dimension": 300}
        yield {"augmentation": arm, "augmentation_copies": 2, "dimension": 300}
        yield {"augmentation": arm, "augmentation_draws": "every_step", "steps": 40, "dimension": 12_000}
    yield {"augmentation": "views_shared_noise", "augmentation_draws": "every_step", "noise": "gaussian", "steps": 200}


def _one_step() -> Iterator[Columns]:
    for setting, size in product(("rank_one", "quadratic"), (0.0, 0.5, 10.0)):
        yield {"setting": setting, "step_size": size, "seed": 1}
    yield {"dimensions": 3, "samples": 12, "width": 4}


def _useful() -> Iterator[Columns]:
    for rho, interval in product((0.0, 0.2), (1, 7, 50)):
        yield {"sam_rho": rho, "feature_update_interval": interval}
    yield {"easy_prob": 0.5, "patches": 2, "sam_rho": 0.1}
    yield {"noise": 0.0, "beta_hard": 0.5, "measurements_per_decade": 5}
    yield {"learning_rate": 500.0, "feature_update_interval": 50}


_VARIANTS = {
    "k_phase_diagram": _k,
    "gauss_newton_damping": _damping,
    "spurious_cat_dog": _spurious,
    "augmentation_ratio": _ratio,
    "freeze_depth": _freeze,
    "multi_view": _views,
    "one_big_step": _one_step,
    "useful_sam": _useful,
}


def variants(study: str) -> list[Columns]:
    """Return the columns of each trial that is recorded beside those of the space `smoke`."""
    return [{**SMALL[study], **change} for change in _VARIANTS[study]()]
