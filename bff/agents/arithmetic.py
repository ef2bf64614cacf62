"""The embedded agent's calculator: finds the sum a message ends with, and its value."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_ATOM = rf"(?:\(\s*){{0,9}}(?:-\s*)?{_NUMBER}(?:\s*\)){{0,9}}"
_EXPRESSION = re.compile(
    rf"(?:^|\b(?:is|of|much|calculate|compute|solve|evaluate)[\s:]\s*)"
    rf"({_ATOM}(?:\s*[-+*/x\u00d7\u00f7]\s*{_ATOM}){{1,20}})\s*[?=.!]*$",
    re.IGNORECASE,
)
_LONGEST_QUESTION = 400
_SIGNS = str.maketrans({"x": "*", "X": "*", "\u00d7": "*", "\u00f7": "/"})
_TOKEN = re.compile(rf"\s*({_NUMBER}|[-+*/()])")
_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def find_expression(message: str) -> str | None:
    """The arithmetic a message ends with, if that is what it asks for."""
    if len(message) > _LONGEST_QUESTION:
        return None
    found = _EXPRESSION.search(message)
    return found.group(1) if found else None


def calculate(expression: str) -> str | None:
    """The value of sums, products and parentheses, or None if it has none."""
    plain = expression.translate(_SIGNS)
    tokens = _TOKEN.findall(plain)
    try:
        value = _Parser(tokens).value()
    except (IndexError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return str(value) if isinstance(value, int) else f"{value:.12g}"


class _Parser:
    """Recursive descent over at most as many tokens as the expression's pattern lets through."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens[::-1]

    def value(self) -> float:
        value = self._sum()
        if self._tokens:
            raise ValueError("something is left")
        return value

    def _sum(self) -> float:
        return self._chain("+-", self._product)

    def _product(self) -> float:
        return self._chain("*/", self._atom)

    def _chain(self, operators: str, part: Callable[[], float]) -> float:
        value = part()
        while self._tokens and self._tokens[-1] in operators:
            value = _OPERATORS[self._tokens.pop()](value, part())
        return value

    def _atom(self) -> float:
        match self._tokens.pop():
            case "-":
                return -self._atom()
            case "(":
                value = self._sum()
                if self._tokens.pop() != ")":
                    raise ValueError("an open parenthesis")
                return value
            case ")" | "+" | "*" | "/" as misplaced:
                raise ValueError(misplaced)
            case number:
                return float(number) if "." in number else int(number)
