"""Arithmetic on axes, as one writes it in a space: `steps / feature_updates`."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from search_spaces.core.axes import as_typed

_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: lambda base, exponent: _power(base, exponent),
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "round": lambda number, digits=0: Fraction(round(number, int(digits))),
}
_REASONS: Mapping[type[Exception], str] = {
    ZeroDivisionError: "division by zero",
    OverflowError: "a number is too large",
}
_LARGEST_EXPONENT = 64
_ALLOWED = "numbers, names, + - * / // **, min(), max() and round()"


@dataclass(frozen=True)
class Formula:
    """A value computed from those of axes.

    Attributes:
        name: The knob that takes the value, for error messages.
        text: The arithmetic, of numbers, names of axes, `+ - * / // **`, `min`, `max` and `round`.

    Raises:
        ValueError: The text is no such arithmetic.
    """

    name: str
    text: str

    def __post_init__(self) -> None:
        _refuse_other_than_arithmetic(self._tree(), self)

    @property
    def names(self) -> frozenset[str]:
        """The axes that the value depends on."""
        named = {node.id for node in ast.walk(self._tree()) if isinstance(node, ast.Name)}
        return frozenset(named - set(_FUNCTIONS))

    def value(self, values: Mapping[str, Any]) -> Any:
        """Return the value where the axes have these values; one that is a whole number as an `int`.

        Numbers count as they are typed, so that 0.1 * 3 is 0.3.

        Raises:
            ValueError: The arithmetic has no result, such as a division by zero.
        """
        try:
            return _as_number(_evaluated(self._tree(), values))
        except (ArithmeticError, TypeError, ValueError) as error:
            reason = _REASONS.get(type(error), str(error))
            raise ValueError(f"computed {self.name} = {self.text}: {reason} at {dict(values)}") from None

    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self.text, mode="eval").body
        except SyntaxError:
            raise ValueError(
                f"computed {self.name} = {self.text!r} is not understood; allowed are {_ALLOWED}"
            ) from None


def _refuse_other_than_arithmetic(tree: ast.expr, formula: Formula) -> None:
    for node in ast.walk(tree):
        if not _is_arithmetic(node):
            raise ValueError(f"computed {formula.name} = {formula.text!r} is not understood; allowed are {_ALLOWED}")


def _is_arithmetic(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and not node.keywords
    if isinstance(node, ast.operator):
        return type(node) in _OPERATORS
    return isinstance(node, ast.BinOp | ast.UnaryOp | ast.USub | ast.UAdd | ast.Name | ast.Load)


def _exact(value: Any) -> Any:
    """Return a number as one types it, for arithmetic that does not round; all else as it is."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return as_typed(value) if number and math.isfinite(value) else value


def _as_number(result: Any) -> Any:
    """Return what has been computed as a whole number if it is one, or else as the nearest float."""
    if isinstance(result, Fraction):
        return result.numerator if result.denominator == 1 else result.numerator / result.denominator
    return int(result) if isinstance(result, float) and result.is_integer() else result


def _power(base: Any, exponent: Any) -> Any:
    """Return a power, exactly where that takes few digits."""
    if all(isinstance(number, Fraction) for number in (base, exponent)) and abs(exponent) > _LARGEST_EXPONENT:
        return float(base) ** float(exponent)
    return base**exponent


def _evaluated(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return _exact(node.value)
        case ast.Name():
            return _exact(values[node.id])
        case ast.UnaryOp():
            operand = _evaluated(node.operand, values)
            return -operand if isinstance(node.op, ast.USub) else operand
        case ast.BinOp():
            return _OPERATORS[type(node.op)](_evaluated(node.left, values), _evaluated(node.right, values))
        case ast.Call(func=ast.Name() as function):
            return _FUNCTIONS[function.id](*(_evaluated(argument, values) for argument in node.args))
    raise ValueError(f"{ast.unparse(node)} is no arithmetic")
