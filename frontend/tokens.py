"""Words of data row by row, before they are numbers: strings as arrays, rows of any lengths.

All of it is Python on lists and NumPy arrays: programs begin with the numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .dtypes import as_array
from .errors import UsageTypeError, shown


@dataclass(frozen=True)
class Tokens:
    """Rows of tokens, which may have different lengths.

    Attributes:
        flat: all tokens, row after row.
        lengths: of the rows.
        outer: the shape that the rows are arranged in.
    """

    flat: list[Any]
    lengths: np.ndarray
    outer: tuple[int, ...]

    @staticmethod
    def of_rows(rows: Sequence[Sequence[Any]], outer: tuple[int, ...]) -> Tokens:
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        return Tokens([token for row in rows for token in row], lengths, outer)

    @staticmethod
    def of_array(array: np.ndarray) -> Tokens:
        """The last axis of an array of one axis or more as rows."""
        outer = array.shape[:-1]
        count = int(np.prod(outer, dtype=np.int64))
        return Tokens(array.ravel().tolist(), np.full(count, array.shape[-1]), outer)

    @staticmethod
    def to_encode(array: np.ndarray, output_mode: str) -> Tokens:
        """The rows that become one each: of the last axis, or under "one_hot" of each token.

        A last axis of one token is such a row already.
        """
        shape = array.shape or (1,)
        if output_mode == "one_hot" and (len(shape) == 1 or shape[-1] != 1):
            shape = (*shape, 1)
        return Tokens.of_array(array.reshape(shape))

    def rows(self) -> Iterator[list[Any]]:
        remaining = iter(self.flat)
        return (list(itertools.islice(remaining, length)) for length in self.lengths.tolist())

    def padded(self, values: np.ndarray, length: int | None) -> np.ndarray:
        """A value for each token as rows of one ``length``, that of the longest unless given."""
        size = int(self.lengths.max(initial=0)) if length is None else length
        found = np.zeros((len(self.lengths), size), values.dtype)
        places = np.arange(len(values)) - np.repeat(
            np.cumsum(self.lengths) - self.lengths, self.lengths
        )
        rows = np.repeat(np.arange(len(self.lengths)), self.lengths)
        kept = places < size
        found[rows[kept], places[kept]] = values[kept]
        return found.reshape(*self.outer, size)

    def counted(self, places: np.ndarray, depth: int) -> np.ndarray:
        """How often each place occurs in each row: shape ``(*outer, depth)``, int64."""
        rows = np.repeat(np.arange(len(self.lengths)), self.lengths)
        kept = (places >= 0) & (places < depth)
        flat = np.bincount(rows[kept] * depth + places[kept], minlength=len(self.lengths) * depth)
        return flat.astype(np.int64, copy=False).reshape(*self.outer, depth)


def as_strings(value: Any, encoding: str = "utf-8") -> np.ndarray:
    """Strings (an array of them or of bytes, a nested list, one string) as array of objects.

    Raises:
        TypeError: something is no string, or rows have different lengths.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in "USOT":
        array = value.astype(object)
    elif hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
        array = as_array(value).astype(object)
    else:
        array = _objects(value)
    kinds = set(map(type, array.flat))
    if kinds <= {str}:
        return array
    if not all(issubclass(kind, (str, bytes)) for kind in kinds):
        wrong = next(each for each in array.flat if not isinstance(each, (str, bytes)))
        raise UsageTypeError(f"expected strings; received {shown(wrong)}{_ragged_hint(wrong)}")
    decoded = [
        each.decode(encoding) if isinstance(each, bytes) else str(each) for each in array.flat
    ]
    return objects(decoded, array.shape)


def objects(values: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Values of any kind as an array of objects of a shape."""
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


def _objects(value: Any) -> np.ndarray:
    try:
        return np.array(value, dtype=object)
    except ValueError:
        raise UsageTypeError(
            "expected strings; received rows of different lengths. Give one row at a time, or pad "
            "the rows to one length"
        ) from None


def _ragged_hint(wrong: Any) -> str:
    rows = isinstance(wrong, (list, tuple, np.ndarray))
    return ", in rows of different lengths. Pad the rows to one length" if rows else ""
