"""How often must a network's features change? Training on a linearisation that is renewed every K steps.

At K = 1 this is plain training; at K = `steps` the network is linearised once, at its initialisation, and trained with
its features fixed. In between, the diagram of accuracy against K and training time.

Source: Goldwaser and Ge, arXiv 2211.12345.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from trials.core.choices import HALF
from trials.core.context import Together
from trials.core.networks.precision import products_in
from trials.core.rounds.in_rounds import in_rounds
from trials.core.rows import Diverged, Row
from trials.core.training.batches import epochs, formed, seen
from trials.core.training.course import course
from trials.core.training.places import Place
from trials.k_phase_diagram.measuring import Past
from trials.k_phase_diagram.preparation import lane_of
from trials.k_phase_diagram.together import trained_together

if TYPE_CHECKING:
    from trials.core.context import TrialContext
    from trials.k_phase_diagram.knobs import KPhaseKnobs

# What may differ among trials that train together; beyond these sizes their arithmetic costs more than its overhead, or
# they last long enough to need checkpoints.
MAY_DIFFER = frozenset(
    {"seed", "learning_rate", "feature_update_interval", "warm_steps", "steps", "measurements_per_decade"}
    | {"measured_rounds", "rows_ratio", "rows_augmentation", "damping"}
)
WIDEST_TOGETHER, LONGEST_TOGETHER = 256, 20_000


def run(knobs: KPhaseKnobs, context: TrialContext) -> Iterator[Row]:
    """Train, and yield a row at log-spaced steps, the first and the last included.

    Raises:
        Diverged: A measurement is not finite, or the training loss stays far above its initial value.
        ValueError: The data do not suit the knobs, or the device has no such precision.
    """
    with products_in(knobs.precision, context.device):
        yield from _rows(knobs, context)


def _rows(knobs: KPhaseKnobs, context: TrialContext) -> Iterator[Row]:
    lane = lane_of(knobs, context)
    instruments, descent = lane.instruments, lane.descent
    begun = in_rounds(lane.rounds, Place(instruments.initial, descent.rule.beginning(instruments.initial)))
    rows = instruments.train
    sees = seen(formed(rows), epochs(knobs.seed, len(rows), knobs.batch_size, context.device))
    for now in course(
        begun, descent, sees, steps=knobs.steps, rows_at=instruments.is_measured, context=context, past=Past()
    ):
        # Before re-anchoring: a row describes the function that the last step trained.
        row, now.past = instruments.row(now)
        yield row


def run_many(knobs: Sequence[KPhaseKnobs], context: TrialContext) -> Iterator[tuple[int, Row | Diverged]]:
    """Train trials of equal `together_key` at once, and yield (index into knobs, row) as rows arise."""
    shared = replace(context, arrays=cache(context.arrays))
    with products_in(knobs[0].precision, context.device):
        yield from trained_together([lane_of(each, shared) for each in knobs])


def together_key(knobs: KPhaseKnobs) -> Hashable | None:
    """Return what trials that train together have in common; None for one that trains by itself."""
    alone = knobs.reset_optimizer_on_relinearisation or knobs.round_tolerance > 0 or knobs.round_method != "auto"
    alone |= knobs.precision == HALF or knobs.compiled
    if alone or knobs.network != "mlp" or knobs.width > WIDEST_TOGETHER or knobs.steps > LONGEST_TOGETHER:
        return None
    return tuple((name, value) for name, value in knobs.columns().items() if name not in MAY_DIFFER)


TOGETHER = Together(run=run_many, key=together_key, most=48)
