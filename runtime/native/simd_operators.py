"""Python's operators on vectors and masks: `a * b + c`, `-a`, `(a < b) & ~m`.

Comparisons are ordered (false for NaN), `!=` is true for NaN. A vector meets vectors only.
"""

from __future__ import annotations

import operator
from typing import Any

from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import lower_builtin

from .simd_types import F32V, MASK, Emit


def _operator(symbol: Any, result: Any, operands: tuple[Any, ...], emit: Emit) -> None:
    class Template(ConcreteTemplate):  # type: ignore[misc,unused-ignore]
        cases = (signature(result, *operands),)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit(builder, *args)

    infer_global(symbol)(Template)
    lower_builtin(symbol, *operands)(lower)


def _register_operators() -> None:
    arithmetic: dict[str, Emit] = {
        "add": lambda b, x, y: b.fadd(x, y),
        "sub": lambda b, x, y: b.fsub(x, y),
        "mul": lambda b, x, y: b.fmul(x, y),
        "truediv": lambda b, x, y: b.fdiv(x, y),
    }
    for name, emit in arithmetic.items():
        _operator(getattr(operator, name), F32V, (F32V, F32V), emit)
        _operator(getattr(operator, "i" + name), F32V, (F32V, F32V), emit)
    _operator(operator.neg, F32V, (F32V,), lambda b, x: b.fneg(x))
    for name, text in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "=="}.items():
        _operator(getattr(operator, name), MASK, (F32V, F32V), _ordered(text))
    _operator(operator.ne, MASK, (F32V, F32V), lambda b, x, y: b.fcmp_unordered("!=", x, y))
    logic: dict[str, Emit] = {
        "and_": lambda b, x, y: b.and_(x, y),
        "or_": lambda b, x, y: b.or_(x, y),
        "xor": lambda b, x, y: b.xor(x, y),
    }
    for name, emit in logic.items():
        _operator(getattr(operator, name), MASK, (MASK, MASK), emit)
        _operator(getattr(operator, "i" + name.rstrip("_")), MASK, (MASK, MASK), emit)
    _operator(operator.invert, MASK, (MASK,), lambda b, x: b.not_(x))


def _ordered(text: str) -> Emit:
    return lambda b, x, y: b.fcmp_ordered(text, x, y)


_register_operators()
