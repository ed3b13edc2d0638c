"""Arithmetic on axes, as one writes it in a space: `steps / feature_updates`."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"min": min, "max": max, "round": round}
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

        Raises:
            ValueError: The arithmetic has no result, such as a division by zero.
        """
        try:
            result = _evaluated(self._tree(), values)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ValueError(f"computed {self.name} = {self.text}: {error} at {dict(values)}") from None
        return int(result) if isinstance(result, float) and result.is_integer() else result

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


def _evaluated(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return values[node.id]
        case ast.UnaryOp():
            operand = _evaluated(node.operand, values)
            return -operand if isinstance(node.op, ast.USub) else operand
        case ast.BinOp():
            return _OPERATORS[type(node.op)](_evaluated(node.left, values), _evaluated(node.right, values))
        case ast.Call(func=ast.Name() as function):
            return _FUNCTIONS[function.id](*(_evaluated(argument, values) for argument in node.args))
    raise ValueError(f"{ast.unparse(node)} is no arithmetic")
