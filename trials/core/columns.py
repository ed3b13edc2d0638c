"""Columns of knobs: what is declared of each, and what it was called at first."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trials.core.values import Scalar


@dataclass(frozen=True, kw_only=True)
class KnobField:
    """One column of knobs as `--help`, the planner and the table's schema see it.

    Attributes:
        path: Names of the fields that lead to it: `("data", "name")` for the column `data_name`.
        was: Name that the last of the fields had at first; empty where it still has it.
        reciprocal: Whether it is one over what it was under its first name.
    """

    path: tuple[str, ...]
    type: type
    default: Any
    unit: str
    meaning: str
    choices: tuple[Scalar, ...]
    was: str = ""
    reciprocal: bool = False

    @property
    def name(self) -> str:
        return "_".join(self.path)

    @property
    def identity(self) -> str:
        """The column's first name, which identities hash and older stores have."""
        return "_".join((*self.path[:-1], self.was or self.path[-1]))

    @property
    def required(self) -> bool:
        return self.default is MISSING

    def first_value(self, value: Any) -> Scalar:
        """Return what stood for a value under the column's first name, by which identities go on."""
        return round(1 / value) if self.reciprocal else value

    def value_now(self, first: Any) -> Any:
        """Return the value that one under the column's first name stands for; what was no value there stays."""
        return 1 / first if self.reciprocal and type(first) is int and first > 0 else first
