"""Values in IR text: sizes, tuples, dtypes, types, and the elements of constants."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ...runtime.dim import MOST, Dim, maximum, symbol
from ..suggest import did_you_mean
from .lexer import Token, Tokens
from .node import Literal
from .types import BOOL, DTYPES, FLOAT32, FLOAT64, INT32, MOST_AXES, DType, TensorType, check_type

_DTYPES = {dtype.short: dtype for dtype in DTYPES}
_WORDS: dict[str, Any] = {
    "True": True,
    "False": False,
    "None": None,
    "nan": float("nan"),
    "inf": float("inf"),
}
MOST_DIGITS = 19  # of a number of 64 bits
T = TypeVar("T")


@dataclass(frozen=True)
class Values:
    """Reads values at the current position of ``tokens``."""

    tokens: Tokens

    def separated(self, close: str, read: Callable[[], T]) -> tuple[T, ...]:
        """``a, b, c`` up to the mark ``close``; a last comma is allowed."""
        found = []
        while not self.tokens.accept(close):
            found.append(read())
            if not self.tokens.accept(","):
                self.tokens.expect(close)
                break
        return tuple(found)

    # Attributes

    def value(self) -> Any:
        """An attribute: a number, a size, a string, a dtype, a type, an array, a tuple of them."""
        total = self.product()
        while self.tokens.next.text in ("+", "-"):
            mark = self.tokens.take()
            other = self.product()
            total = self.computed(mark, total, other if mark.text == "+" else self.minus(other))
        return total

    def product(self) -> Any:
        total = self.unary()
        while self.tokens.next.text in ("*", "//"):
            mark = self.tokens.take()
            total = self.computed(mark, total, self.unary())
        return total

    def computed(self, mark: Token, left: Any, right: Any) -> Any:
        for size in (left, right):
            if not _is_size(size):
                raise self.tokens.error(f"expected sizes around {mark}, got {size!r}", mark)
        try:
            if mark.text == "//":
                total = left // right
            else:
                total = left * right if mark.text == "*" else left + right
        except (ValueError, TypeError, ZeroDivisionError) as error:
            raise self.tokens.error(f"not a size: {error}", mark) from error
        if isinstance(total, int) and not -MOST <= total < MOST:
            raise self.tokens.error("expected a size of 64 bits, got a larger one", mark)
        return total

    def unary(self) -> Any:
        """An atom after any number of minus signs."""
        at, count = self.tokens.next, 0
        while self.tokens.accept("-"):
            count += 1
        value = self.atom()
        if count:
            value = self.minus(value) if count % 2 else self.minus(self.minus(value))
        if isinstance(value, int) and value >= MOST:
            raise self.tokens.error(f"expected a whole number of 64 bits, got {value}", at)
        return value

    def minus(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float, Dim)):
            raise self.tokens.error(f"expected a number after '-', got {value!r}")
        return -value

    def atom(self) -> Any:
        token = self.tokens.next
        if token.kind == "name":
            return self.word()
        if token.kind == "number":
            return self.number()
        if token.kind == "string":
            self.tokens.take()
            return self.tokens.unquoted(token, token.text)
        if self.tokens.accept("("):
            with self.tokens.nested():
                return self.parenthesised()
        raise self.tokens.error(f"expected a value, got {token}")

    def number(self) -> int | float:
        token = self.tokens.take()
        if not token.text.isdigit():
            return float(token.text)
        digits = token.text.lstrip("0")
        # One more than the largest is let through: a minus may stand before it.
        if len(digits) > MOST_DIGITS or int(digits or "0") > MOST:
            raise self.tokens.error(f"expected a whole number of 64 bits, got {token}", token)
        return int(digits or "0")

    def parenthesised(self) -> Any:
        """``(1, 2)`` and ``(1,)`` are tuples, ``(N + 1)`` is a size."""
        if self.tokens.accept(")"):
            return ()
        first = self.value()
        if self.tokens.accept(")"):
            return first
        self.tokens.expect(",")
        return (first, *self.separated(")", self.value))

    def word(self) -> Any:
        token = self.tokens.next
        if token.text in _DTYPES:
            return self.typed()
        self.tokens.take()
        if token.text == "max" and self.tokens.accept("("):
            return self.larger(token)
        if token.text in _WORDS:
            return _WORDS[token.text]
        if not token.text.isidentifier():
            raise self.tokens.error(f"expected a name for a size, got {token}", token)
        return symbol(token.text)

    def larger(self, at: Token) -> Any:
        """The size ``max(N - 2, 0)``, after its parenthesis."""
        sizes = self.separated(")", self.size)
        if len(sizes) != 2:
            raise self.tokens.error(f"expected two sizes in max(...), got {len(sizes)}", at)
        return maximum(*sizes)

    def typed(self) -> DType | TensorType | Literal:
        """``f32`` is a dtype, ``f32[2]`` a type, ``f64(1.5)`` and ``f32[2]([1.0, 2.0])`` arrays."""
        at = self.tokens.next
        follows = self.tokens.after_next.text
        if follows not in ("[", "("):
            return _DTYPES[self.tokens.take().text]
        if follows == "(":
            type_ = TensorType(_DTYPES[self.tokens.take().text])
        else:
            type_ = self.tensor_type()
        if not self.tokens.accept("("):
            return type_
        data = self.data()
        self.tokens.expect(")")
        return self.literal(data, type_, at)

    # Types

    def tensor_type(self) -> TensorType:
        token = self.tokens.expect_kind("name", "a type such as f32[N, 4]")
        if token.text not in _DTYPES:
            known = ", ".join(_DTYPES)
            hint = did_you_mean(token.text, _DTYPES)
            message = f"expected a dtype out of {known}; got {token.text!r}{hint}"
            raise self.tokens.error(message, token)
        self.tokens.expect("[")
        type_ = TensorType(_DTYPES[token.text], self.separated("]", self.size))
        try:
            check_type(type_)
        except ValueError as error:
            raise self.tokens.error(str(error), token) from error
        return type_

    def size(self) -> Any:
        at = self.tokens.next
        value = self.value()
        if not _is_size(value):
            raise self.tokens.error(f"expected a size such as 28 or N, got {value!r}", at)
        return value

    # Constants

    def data(self) -> Any:
        """Elements as nested lists of numbers, or a string of compressed bytes."""
        if self.tokens.next.kind == "string":
            at = self.tokens.take()
            return self.tokens.unquoted(at, at.text)
        return self.elements()

    def elements(self) -> Any:
        if self.tokens.accept("["):
            with self.tokens.nested():
                return list(self.separated("]", self.elements))
        if self.tokens.next.text == "...":
            raise self.tokens.error(
                "the elements of this constant were left out; "
                "print with format_graph(graph, elide=False) to keep them"
            )
        at = self.tokens.next
        value = self.unary()
        if not isinstance(value, (bool, int, float)):
            raise self.tokens.error(f"expected a number or a list of numbers, got {at}", at)
        return value

    def scalar(self) -> Literal:
        """A constant among operands: ``1.5``, ``-2``, ``True``, ``f64(1.5)``."""
        at = self.tokens.next
        value = self.unary()
        if isinstance(value, Literal):
            return value
        if not isinstance(value, (bool, int, float)):
            raise self.tokens.error(f"expected an operand such as %x, $kernel or 1.5, got {at}", at)
        return self.literal(value, None, at)

    def literal(self, data: Any, type_: TensorType | None, at: Token) -> Literal:
        """``data`` as an array of ``type_``; without one, of f32, i32 or bool as it looks."""
        if isinstance(data, str):
            return self.unpacked(data, type_, at)
        dtype = type_.dtype if type_ else _default_dtype(data)
        if not dtype.is_float and _has(float, data):
            raise self.tokens.error(f"expected whole numbers, as the type is {dtype}", at)
        try:
            with np.errstate(over="ignore"):  # numbers beyond the dtype are infinite
                array = dtype.of(np.array(data, (FLOAT64 if dtype.wide else dtype).numpy))
        except (ValueError, TypeError, OverflowError) as error:
            raise self.tokens.error(f"not an array of {dtype}: {error}", at) from error
        if array.ndim > MOST_AXES:
            raise self.tokens.error(f"expected at most {MOST_AXES} axes, got {array.ndim}", at)
        if type_ is None:
            return Literal(array)
        shape = self.fixed_shape(type_, at)
        # Lists do not say the shape of an array without elements: the type does.
        if array.shape != shape and not (array.size == 0 and 0 in shape):
            raise self.tokens.error(
                f"the type is {type_}, but the elements have the shape {array.shape}", at
            )
        return Literal(array.reshape(shape))

    def fixed_shape(self, type_: TensorType, at: Token) -> tuple[int, ...]:
        if type_.symbols:
            raise self.tokens.error(f"a constant has a shape of numbers, got {type_}", at)
        return tuple(size for size in type_.shape if isinstance(size, int))

    def unpacked(self, text: str, type_: TensorType | None, at: Token) -> Literal:
        if type_ is None:
            raise self.tokens.error("a compressed constant needs its type: f32[2, 3]", at)
        shape = self.fixed_shape(type_, at)
        try:
            raw = _inflated(text, math.prod(shape) * type_.dtype.itemsize)
        except (binascii.Error, zlib.error, ValueError) as error:
            raise self.tokens.error(f"damaged data for {type_}: {error}", at) from error
        if type_.dtype == BOOL and raw.strip(b"\0\1"):
            raise self.tokens.error(f"damaged data for {type_}: bytes other than 0 and 1", at)
        return Literal(np.frombuffer(raw, type_.dtype.numpy).reshape(shape))


def _is_size(value: Any) -> bool:
    return isinstance(value, (int, Dim)) and not isinstance(value, bool)


def _inflated(text: str, count: int) -> bytes:
    """The ``count`` bytes that are packed in ``text``; never more, whatever it holds."""
    stream = zlib.decompressobj()
    raw = stream.decompress(base64.b64decode(text, validate=True), count + 1)
    if len(raw) != count or not stream.eof or stream.unused_data:
        raise ValueError(f"expected {count} bytes, got {'more' if len(raw) > count else len(raw)}")
    return raw


def _has(kind: type, data: Any) -> bool:
    if isinstance(data, list):
        return any(_has(kind, element) for element in data)
    return isinstance(data, kind)


def _default_dtype(data: Any) -> DType:
    if _has(float, data):
        return FLOAT32
    return BOOL if _has(bool, data) else INT32
