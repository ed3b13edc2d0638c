"""Figures of the spurious features on cats and dogs: what freezing and what augmentation keeps of the right features.

Published values are those of the slides that the study's page names. Each figure takes the finished trials and their
rows, and is left out where these do not carry it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
from matplotlib.colors import Normalize

from analysis.core.curves import SHARE, draw_band, interval_lengths, line_entries, seed_band
from analysis.core.figures import COLOURS, Drawing, looks, ordered_looks
from analysis.core.matched_loss import at_matched_loss
from analysis.core.pages import axes_grid
from analysis.core.panels import Panels, described, knob_names, subject
from analysis.core.seed_means import of_seeds, seed_means
from analysis.core.study_figures import TrialsFigure, carried_figures
from analysis.spurious_cat_dog.category_cells import draw_cells
from analysis.spurious_cat_dog.frozen_parts import DEPTH, FROZEN, draw_columns, draw_depths, draw_published, name_depths
from analysis.store.results import Results

STUDY = "spurious_cat_dog"
RATE, ARM, PRETRAINING = "learning_rate", "augmentation", "pretrain_epochs"
CLEAN = "acc_clean"
FINAL = f"final_{CLEAN}"
LEVEL = 0.01
"""Training loss at which learning rates and budgets compare."""
FEATURE: Mapping[str, str] = MappingProxyType(
    {
        "feature_amplitude": "amplitude of the patch",
        "feature_agreement": "share of patches that\nagree with the class",
        "feature_prevalence": "share of images\nthat have a patch",
        "feature_size": "side of the patch (pixels)",
        "feature_position": "where the patch is",
        "feature_kind": "what the patch is",
    }
)
"""Knobs of the feature with their names on an axis."""
_CHANCE, _ABREAST = 0.5, 3
_SUBJECT = ("data_name", "network_blocks", "network_width", "train_per_class", PRETRAINING, "epochs")
_PASSIVE = ("seed", DEPTH, "prefix_cache", "measurements_per_epoch", *FEATURE)


def draw(results: Results) -> Sequence[Drawing]:
    """Return every figure that the stored trials carry."""
    return carried_figures(results, STUDY, FIGURES)


def freeze_depths(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return accuracy on clean images against what is frozen, at the end and at equal training loss."""
    chosen = _variants(trials[trials["part"] == "B"])
    if chosen[DEPTH].nunique() < 2:
        return None
    crossed = at_matched_loss(rows, [LEVEL], "train_loss", [CLEAN]).set_index("trial_id")[CLEAN]
    chosen = chosen.assign(matched=chosen["trial_id"].map(crossed))
    title = _subject(chosen, "mean and 95 % interval")
    figure, grid = axes_grid(1, 2, size=(4.9, 3.8), title=title)
    numbers = []
    for axes, column, name in zip(
        grid[0], (FINAL, "matched"), ("at the end", f"at training loss {LEVEL:g}"), strict=True
    ):
        numbers.append(draw_depths(axes, chosen, column).assign(reading=name))
        axes.axhline(_CHANCE, color="#999999", linewidth=0.8, linestyle=":")
        axes.set(xlabel="frozen", ylabel=f"accuracy on clean images\n{name}")
    draw_published(grid[0, 0])
    grid[0, 1].set_ylim(grid[0, 0].get_ylim())
    grid[0, 0].legend(fontsize=7, loc="upper left")
    return Drawing(figure, pd.concat(numbers, ignore_index=True))


def learning_curves(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return accuracies and training loss against epochs, a colour for each depth."""
    chosen = _commonest(_fine_tuned(trials))
    own = rows[rows["trial_id"].isin(chosen["trial_id"])]
    if not len(own):
        return None
    shown = {CLEAN: "accuracy on clean images", "acc_conflict": "accuracy with the other\nclass's feature"}
    shown |= {"train_loss": "training loss, as seen (nats)"}
    numbers, depth_looks = [], ordered_looks(own[DEPTH])
    legend = line_entries(depth_looks, {depth: FROZEN[int(depth)] for depth in depth_looks})
    title = _subject(chosen, "mean and range of seeds; a line for what is frozen")
    figure, grid = axes_grid(1, len(shown), size=(3.5, 3.2), title=title, legend=legend)
    for axes, (column, name) in zip(grid[0], shown.items(), strict=True):
        for depth, look in depth_looks.items():
            band = seed_band(own[(own[DEPTH] == depth) & own[column].notna()], "epoch", column)
            draw_band(axes, band, "epoch", look=look)
            numbers.append(band.assign(**{DEPTH: depth}, measurement=column))
        axes.set(xlabel="epochs with the feature", ylabel=name)
    grid[0, 2].set_yscale("log")
    grid[0, 2].axhline(LEVEL, color="#999999", linewidth=0.8, linestyle=":")
    return Drawing(figure, pd.concat(numbers, ignore_index=True), "learning_curves")


def diagrams(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return accuracy on clean images over what is frozen and each knob that varies with it, the others as usual."""
    chosen = _fine_tuned(trials)
    names = {**FEATURE, RATE: "learning rate"}
    shown = {name: label for name, label in names.items() if chosen[name].nunique() > 1}
    if chosen[DEPTH].nunique() < 2 or not shown:
        return None
    across = min(len(shown), _ABREAST)
    title = _subject(chosen, f"mean {of_seeds(chosen)}")
    figure, grid = axes_grid(-(-len(shown) // across), across, size=(4.6, 3.2), title=title)
    tables = {
        name: seed_means(_at_commonest(chosen, [other for other in names if other != name]), [DEPTH, name], FINAL)
        for name in shown
    }
    means = pd.concat(table["mean"] for table in tables.values())
    for axes, (name, label) in zip(grid.flat, shown.items(), strict=False):
        image = draw_cells(axes, tables[name], DEPTH, name, Normalize(means.min(), means.max()))
        name_depths(axes, sorted(tables[name][DEPTH].unique()))
        axes.set(xlabel="frozen", ylabel=label)
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    figure.colorbar(image, ax=grid, label="accuracy on clean images", aspect=30, pad=0.01)
    numbers = [table.rename(columns={name: "value"}).assign(knob=name) for name, table in tables.items()]
    return Drawing(figure, pd.concat(numbers, ignore_index=True), "diagrams")


def layers(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return how far the feature moves activations before fine-tuning, and how far parameters moved after it."""
    chosen = trials[trials["part"] == "B"]
    first = rows[(rows["step"] == 0) & rows["trial_id"].isin(chosen["trial_id"])]
    # Before fine-tuning the depth is yet to matter: one trial a seed and pretraining tells all.
    first = _at_commonest(first, tuple(FEATURE)).drop_duplicates(["seed", PRETRAINING, "pretrain_feature"])
    if not len(first):
        return None
    figure, grid = axes_grid(1, 2, size=(4.6, 3.4), title=_subject(chosen, "mean and 95 % interval"))
    numbers = []
    for epochs, look in looks(sorted(first[PRETRAINING].unique())).items():
        of_network = first[first[PRETRAINING] == epochs]
        label = f"pretrained for {epochs} epochs" if epochs else "random network"
        numbers.append(draw_columns(grid[0, 0], of_network, "sens_depth_", look, label).assign(network=label))
    grid[0, 0].set(
        xlabel="activations after", ylabel="squared change by the feature\nrelative to another image", yscale="log"
    )
    grid[0, 0].legend(fontsize=7)
    tuned = _commonest(_fine_tuned(trials))
    for depth, look in ordered_looks(tuned[DEPTH]).items():
        label = FROZEN[int(depth)].replace("\n", " ")
        part = draw_columns(grid[0, 1], tuned[tuned[DEPTH] == depth], "final_weight_drift_rel_", look, label)
        numbers.append(part.assign(**{DEPTH: depth}))
    grid[0, 1].set(xlabel="parameters of", ylabel="distance from where they began,\nrelative to their norm")
    grid[0, 1].set_yscale("symlog", linthresh=0.1)
    grid[0, 1].set_ylim(bottom=-0.005)
    if len(tuned):
        grid[0, 1].legend(title="frozen", fontsize=7)
    else:
        grid[0, 1].set_axis_off()  # random networks alone
    return Drawing(figure, pd.concat(numbers, ignore_index=True), "layers")


def augmentation(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return accuracy on clean images of the arms of part A, a group of bars for each feature."""
    chosen = trials[trials["part"] == "A"]
    if chosen[ARM].nunique() < 2:
        return None
    chosen = chosen.assign(variant=_described(chosen, ("seed", ARM, "augmentation")))
    means = seed_means(chosen, ["variant", ARM], FINAL)
    variants, arms = list(means["variant"].unique()), [arm for arm in ARMS if arm in set(means[ARM])]
    title = _subject(chosen, "part A", "mean and 95 % interval")
    figure, grid = axes_grid(1, 1, size=(2.6 + 2.2 * len(variants), 3.6), title=title)
    axes, width = grid[0, 0], 0.8 / len(arms)
    for place, (arm, colour, hatch) in enumerate(zip(arms, COLOURS, _HATCHES, strict=False)):
        own = means[means[ARM] == arm]
        at = [variants.index(variant) + (place - (len(arms) - 1) / 2) * width for variant in own["variant"]]
        bars: dict[str, Any] = {"color": colour, "hatch": hatch, "edgecolor": "white", "capsize": 2}
        axes.bar(at, own["mean"], width, yerr=interval_lengths(own, SHARE), label=arm.replace("_", " "), **bars)
    axes.axhline(_CHANCE, color="#999999", linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(variants)), [variant.replace(", ", "\n") for variant in variants])
    room = (means["mean"] + means["half_width"]).max() + 0.08  # for the legend
    axes.set(ylabel="accuracy on clean images", ylim=(0.4, room))
    axes.legend(fontsize=7, ncols=2, loc="upper left")
    return Drawing(figure, means, "augmentation")


_HATCHES = ("", "//", "..", "xx", "--")  # as many as arms
ARMS = ("baseline", "random_noise_position", "random_crop", "clean", "crop_only")
# The first is the study's main figure.
FIGURES: Sequence[TrialsFigure] = (
    freeze_depths,
    learning_curves,
    diagrams,
    layers,
    augmentation,
)


def _fine_tuned(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of part B whose network was pretrained."""
    return trials[(trials["part"] == "B") & (trials[PRETRAINING] > 0)]


def _variants(trials: pd.DataFrame) -> pd.DataFrame:
    """Return trials at the commonest feature, with what else varies in words as `variant`."""
    chosen = _at_commonest(trials, tuple(FEATURE))
    return chosen.assign(variant=_told_apart(chosen))


def _at_commonest(trials: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    for name in names:
        if len(trials):
            trials = trials[trials[name] == trials[name].mode().iloc[-1]]
    return trials


def _told_apart(trials: pd.DataFrame) -> pd.Series:
    """Return in words what of each trial is not the commonest value, where several knobs vary."""
    names = _varying(trials, _PASSIVE)
    if len(names) < 2:
        return _described(trials, _PASSIVE)
    usual = trials[names].mode().iloc[0]
    words = [
        described({name: value for name, value in zip(names, values, strict=True) if value != usual[name]})
        for values in trials[names].itertuples(index=False)
    ]
    return pd.Series(words, index=trials.index, dtype=str).replace("", "unchanged")


def _commonest(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of the commonest variant at the commonest learning rate."""
    chosen = _variants(_at_commonest(trials, (RATE,)))
    return chosen[chosen["variant"] == chosen["variant"].mode().iloc[0]] if len(chosen) else chosen


def _described(trials: pd.DataFrame, passive: Sequence[str]) -> pd.Series:
    """Return what tells trials apart in words, but for passive knobs."""
    varying = _varying(trials, passive)
    words = [described(dict(zip(varying, values, strict=True))) for values in trials[varying].itertuples(index=False)]
    return pd.Series(words, index=trials.index, dtype=str)


def _varying(trials: pd.DataFrame, passive: Sequence[str]) -> list[str]:
    return [name for name in knob_names(trials) if name not in passive and trials[name].nunique() > 1]


def _subject(trials: pd.DataFrame, *remarks: str) -> str:
    return subject(trials, Panels(()), _SUBJECT, *remarks)
