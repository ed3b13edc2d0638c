"""What features were when they were last measured: for their velocity, and for how many updates they are worth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trials.core.probes.tangent_kernel import kernel_distance

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.rows import Value


@dataclass(frozen=True, kw_only=True)
class FeatureHistory:
    """Kernels of earlier rows.

    Attributes:
        row_kernel: That of the last dated row; None before the first.
        row_step: Its step.
        round_kernel: That where the last round began whose beginning was measured.
        moves: Distances between the kernels of consecutive rounds, and their squares, each added up.
        updates: How many distances these are.
    """

    row_kernel: Float[Tensor, "n*c n*c"] | None = None
    row_step: int = 0
    round_kernel: Float[Tensor, "n*c n*c"] | None = None
    moves: tuple[float, float] = (0.0, 0.0)
    updates: int = 0

    def columns(self, kernel: Float[Tensor, "n*c n*c"], step: int, updates: int) -> dict[str, Value]:
        """Return the columns that compare a row with earlier ones.

        Args:
            kernel: That of the row.
            step: The row's step.
            updates: Feature updates before the row.
        """
        columns: dict[str, Value] = {}
        if self.row_kernel is not None:
            columns["ntk_velocity"] = float(kernel_distance(kernel, self.row_kernel)) / (step - self.row_step)
        if updates == self.updates:
            total, squares = self.moves
            columns["num_feature_updates_effective"] = total**2 / squares if squares > 0 else 0.0
        return columns

    def after(
        self, kernel: Float[Tensor, "n*c n*c"], step: int, *, rounds_begun: int, begins: bool, dated: bool
    ) -> FeatureHistory:
        """Return the history after a row.

        Args:
            kernel: That of the row.
            step: The row's step.
            rounds_begun: Rounds begun before the row.
            begins: Whether the row stands where the next round begins.
            dated: Whether every trial has a row at this step, whatever its rounds. Velocities are since the last such
                row, so that those of different K are over the same time.
        """
        history = replace(self, row_kernel=kernel, row_step=step) if dated else self
        if not begins or rounds_begun != (0 if self.round_kernel is None else self.updates + 1):
            return history
        if self.round_kernel is None:
            return replace(history, round_kernel=kernel)
        moved = float(kernel_distance(kernel, self.round_kernel))
        total, squares = self.moves
        return replace(
            history, round_kernel=kernel, moves=(total + moved, squares + moved**2), updates=self.updates + 1
        )
