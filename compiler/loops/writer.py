"""Text of generated kernels: indentation, constants, the spelling of scalar functions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..ir.types import BOOL, FLOAT32, DType
from .kernel import VECTOR, Accumulate, Block, Let, Number, Param, Pool

INFIX = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "equal": "==",
    "not_equal": "!=",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "logical_and": "&",
    "logical_or": "|",
    "logical_xor": "^",
    "bitwise_and": "&",
    "bitwise_or": "|",
    "bitwise_xor": "^",
}
COMBINE = {"add": "{0} + {1}", "multiply": "{0} * {1}"}  # others are functions
# Functions of a vocabulary under a name other than the op's.
CALLS = {"abs": "absolute"}
# One-instruction forms, for an operand that is a constant and no NaN.
BOUNDS = {"maximum": "clamp_low", "minimum": "clamp_high"}
# Integer results that Numba computes in 64 bits.
WRAPS = frozenset(
    [
        *("add", "subtract", "multiply", "negative", "abs", "square"),
        *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"),
    ]
)
MATH = frozenset(
    [
        *("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "power", "rsqrt"),
        *("erf_inverse", "floor_divide", "mod"),
        *("sin", "cos", "tan", "asin", "acos", "atan"),
        *("sinh", "cosh", "asinh", "acosh", "atanh"),
    ]
)


class TextWriter(ABC):
    """Collects lines of Python, the constants they need and the functions they import.

    A target's writer says what is imported from where, and what a module looks like. One with
    vectors says what a constant of them is.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, str] = {}
        self._depth = 1

    @abstractmethod
    def use(self, *names: str) -> None:
        """Imports functions of the target's vocabulary."""

    def spread(self, number: Number, text: str) -> str:
        """The vector, or mask, all of whose lanes are ``number``, itself spelled ``text``."""
        raise AssertionError(f"there are no vectors here for {text}")

    def line(self, text: str = "") -> None:
        self.lines.append("    " * self._depth + text if text else "")

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        self.line(header)
        self._depth += 1
        yield
        self._depth -= 1

    def constant(self, value: float | Number, dtype: DType, vector: bool = False) -> str:
        """The name of a constant, defined once at the head of the kernel; as a vector, spread."""
        number = value if isinstance(value, Number) else Number.of(value, dtype)
        text = _literal(number)
        text = self.spread(number, text) if vector else text
        return self.constants.setdefault(text, f"k{len(self.constants)}")

    def emit_block(
        self, block: Block, names: dict[str, str], vector: bool = False, suffix: str = ""
    ) -> None:
        """Writes ``block``; ``names`` maps its names to the text's and gains the new ones."""
        self.emit_abreast(block, [(names, suffix)], vector)

    def emit_abreast(
        self, block: Block, several: Sequence[tuple[dict[str, str], str]], vector: bool = False
    ) -> None:
        """Writes ``block`` for each of ``several`` names and suffixes, line by line in turn."""
        for let in block:
            for names, suffix in several:
                names[let.name] = f"{let.name}{suffix}"
                self.line(f"{names[let.name]} = {self.spell(let, names, vector)}")

    def spell(self, let: Let, names: Mapping[str, str], vector: bool = False) -> str:
        """The expression that ``let`` names; integers are held to their width, as in memory."""
        text = self._expression(let, names, vector)
        return f"{let.dtype.name}({text})" if let.dtype.is_integer and let.fn in WRAPS else text

    def _expression(self, let: Let, names: Mapping[str, str], vector: bool) -> str:
        args = [
            names[arg] if isinstance(arg, str) else self.constant(arg, arg.dtype, vector)
            for arg in let.args
        ]
        integers = let.dtype.is_integer
        if let.fn in INFIX:
            return f"{args[0]} {INFIX[let.fn]} {args[1]}"
        if let.fn in SPELLINGS:
            dtype = let.dtype if let.dtype != BOOL else VECTOR
            return SPELLINGS[let.fn](self, args, lambda value: self.constant(value, dtype, vector))
        if let.fn in BOUNDS and not integers and any(map(_is_bound, let.args)):
            value, bound = (args[0], args[1]) if _is_bound(let.args[1]) else (args[1], args[0])
            return self.call(BOUNDS[let.fn], value, bound)
        if let.fn == "cast":
            return self.cast(let.dtype, args[0], vector)
        if let.fn == "logical_not":
            return f"~{args[0]}" if vector else f"not {args[0]}"
        return self.call(CALLS.get(let.fn, let.fn), *args)

    def call(self, name: str, *args: str) -> str:
        self.use(name)
        return f"{name}({', '.join(args)})"

    def combined(self, accumulate: Accumulate, one: str, other: str) -> str:
        """The expression of two values that an accumulator makes one of."""
        if accumulate.combine in COMBINE:
            text = COMBINE[accumulate.combine].format(one, other)
        else:
            text = self.call(accumulate.combine, one, other)
        return f"{accumulate.dtype.name}({text})" if accumulate.dtype.is_integer else text

    def pooled(self, pool: Pool, values: Sequence[str], vector: bool = False) -> str:
        """The expression of what the values of a pooling window give."""
        combined = values[0]
        for value in values[1:]:
            if pool.combine == "maximum":
                combined = self.call("maximum", combined, value)
            else:
                combined = f"{combined} + {value}"
        if pool.combine == "mean":
            combined = f"({combined}) * {self.constant(1.0 / len(values), FLOAT32, vector)}"
        return combined

    def cast(self, dtype: DType, arg: str, vector: bool) -> str:
        """The expression of ``arg`` as a ``dtype``."""
        return self.call(f"to_{dtype.name}", arg)

    def unpack(self, params: tuple[Param, ...]) -> None:
        """Reads the launch's arguments into names."""
        for index, param in enumerate(params):
            text = f"args[{index}]"
            if param.dtype is not None:
                text = self.call(f"pointer_{pointer_name(param.dtype)}", text)
            self.line(f"{param.name} = {text}")


def pointer_name(dtype: DType) -> str:
    """A vocabulary's name of a pointer to ``dtype``; booleans are bytes."""
    return "u8" if dtype == BOOL else dtype.short


def signature_comment(params: tuple[Param, ...]) -> list[str]:
    names = ", ".join(p.name if p.dtype is None else f"{p.name}: {p.dtype}*" for p in params)
    return [f"args: {names}"]


def _is_bound(arg: str | Number) -> bool:
    return isinstance(arg, Number) and not math.isnan(arg.value)


def _literal(number: Number) -> str:
    if number.dtype == BOOL:
        return number.text
    finite = math.isfinite(number.value)
    text = number.text if finite else f'float("{number.text}")'
    return f"{number.dtype.computed.name}({text})"


Spelling = Callable[[TextWriter, list[str], Callable[[float], str]], str]

SPELLINGS: dict[str, Spelling] = {
    "copy": lambda w, a, k: a[0],
    "negative": lambda w, a, k: f"-{a[0]}",
    "bitwise_not": lambda w, a, k: f"~{a[0]}",
    "square": lambda w, a, k: f"{a[0]} * {a[0]}",
    "reciprocal": lambda w, a, k: f"{k(1.0)} / {a[0]}",
    "relu": lambda w, a, k: w.call("clamp_low", a[0], k(0.0)),
    "clip": lambda w, a, k: w.call("clamp_high", w.call("clamp_low", a[0], a[1]), a[2]),
    "sign": lambda w, a, k: w.call(
        "select",
        f"{a[0]} > {k(0.0)}",
        k(1.0),
        w.call("select", f"{a[0]} < {k(0.0)}", k(-1.0), a[0]),
    ),
    "is_inf": lambda w, a, k: f"{w.call('absolute', a[0])} == {k(math.inf)}",
    "is_finite": lambda w, a, k: f"{w.call('absolute', a[0])} < {k(math.inf)}",
}
