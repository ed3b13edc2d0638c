"""What a trial in rounds leaves in a checkpoint, and how it begins from one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trials.core.rounds.measuring import Past, past_from
from trials.core.rounds.training import Training, at_initialisation, restored

if TYPE_CHECKING:
    from trials.core.checkpoints import State
    from trials.core.context import TrialContext
    from trials.core.rounds.choice import Methods
    from trials.core.rounds.measuring import Instruments
    from trials.core.rounds.training import Descent


def saved(training: Training, past: Past) -> State:
    """Return all that the steps and rows to come depend on."""
    return {"training": training.state(), "past": past.state()}


def beginning(
    instruments: Instruments, descent: Descent, methods: Methods, context: TrialContext
) -> tuple[int, Training, Past]:
    """Return the step to begin with, where training is then, and what the rows before it left."""
    found = context.checkpoints.restored(context.device)
    if found is None:
        return 0, at_initialisation(instruments.problem, instruments.initial, descent, methods), Past()
    state: Any = found.state
    return found.step, restored(instruments.problem, state["training"], methods, found.step), past_from(state["past"])
