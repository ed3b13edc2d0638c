"""Does augmentation, or freezing what was pretrained, keep a network from an easy feature that is not the right one?

Cats and dogs get a patch. Part A trains from scratch, where the patch is noise that can be memorised, and asks which
augmentation helps. Part B fine-tunes a network that was pretrained without the patch, where the patch tells the class
of every image, and asks how many of its layers must be frozen for it to still know cats from dogs.

Source: Shen, Bubeck and Gunasekar, arXiv 2203.01572 (part A); part B and its table are from slides of R. Shen on joint
work with S. Bubeck, S. Gunasekar and A. Kumar. Networks: He et al., arXiv 1512.03385, section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from trials.core.context import TrialContext
from trials.core.layer_groups.training import descent, fitted, of_groups
from trials.core.losses.classification import cross_entropy
from trials.core.rows import Row, refuse_divergence
from trials.core.training.course import course
from trials.core.training.schedules import SCHEDULES
from trials.spurious_cat_dog.knobs import CatDogKnobs
from trials.spurious_cat_dog.measurements import LOST_BELOW
from trials.spurious_cat_dog.preparation import views_and_steps


def run(knobs: CatDogKnobs, context: TrialContext) -> Iterator[Row]:
    """Train with the feature, and yield a row at the beginning and at equal parts of each epoch.

    Raises:
        Diverged: A measurement is not finite.
        ValueError: The data do not suit the knobs.
    """
    instruments, sees, epoch_steps = views_and_steps(knobs, context)
    steps = knobs.epochs * epoch_steps
    step = descent(
        learning_rate=knobs.learning_rate,
        schedule=SCHEDULES[knobs.schedule](steps, 0),
        momentum=knobs.momentum,
        weight_decay=knobs.weight_decay,
    )
    begun = of_groups(
        instruments.groups,
        cross_entropy,
        step.rule,
        start=instruments.start,
        interval=knobs.feature_update_interval,
        damping=knobs.damping,
    )
    rows = max(1, round(knobs.epochs * knobs.measurements_per_epoch))
    measured = {round(row * steps / rows) for row in range(rows + 1)}
    not_lost: dict[str, float | None] = {"lost": None}
    for now in course(
        begun,
        step,
        sees,
        steps=steps,
        rows_at=lambda now: now.step in measured,
        tally=fitted(cross_entropy),
        context=context,
        past=not_lost,
    ):
        epoch, row = now.step / epoch_steps, instruments.row(now)
        if now.past["lost"] is None and epoch > 0 and float(row["acc_clean"] or 0) < LOST_BELOW:
            now.past = {"lost": epoch}
        row |= {"step": now.step, "epoch": epoch, "lr": step.rate(now.step)}
        row |= {"epochs_to_acc_clean_below_0_6": now.past["lost"]}
        # The loss before the first step is not measured, so that only what is not finite tells of divergence.
        refuse_divergence(row, [0.0], last=now.last)
        yield row
