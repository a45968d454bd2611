"""Tiles of results in registers, as one value: tuples of float32 that kernels add products to.

    acc = zeros(16)
    acc = outer(acc, get_line(x, i, 4, 64), get_line(w, j, 4, 64))

They are unrolled where they stand, in LLVM's instructions, so that texts stay short and quick to
compile. Literals are numbers that stand in the text.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError

from ..native.simd_types import FLOAT, I64, call_named, expect_pointer, named
from .vocabulary import tell

GROUP = 4  # elements of a line that lie side by side
FOUR = ir.VectorType(FLOAT, GROUP)


def _literal(name: str, number: Any) -> int:
    if not isinstance(number, types.IntegerLiteral):
        raise TypingError(f"{name}: expected a literal number, got {number}")
    return int(number.literal_value)


def _length(name: str, tile: Any) -> int:
    if not isinstance(tile, types.UniTuple) or tile.dtype != types.float32:
        raise TypingError(f"{name}: expected a tuple of float32, got {tile}")
    return int(tile.count)


def _tuple(count: int) -> Any:
    return types.UniTuple(types.float32, count)


def _elements(builder: Any, tile: Any, count: int) -> list[Any]:
    return [builder.extract_value(tile, index) for index in range(count)]


def _zeros(context: Any, count: Any) -> Any:
    """So many zeros, a literal."""
    length = _literal("zeros", count)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_tuple(builder, signature.return_type, [FLOAT(0.0)] * length)

    return _tuple(length)(count), lower


def _outer(context: Any, acc: Any, x: Any, w: Any) -> Any:
    """``acc[i * len(w) + j] + x[i] * w[j]``, each rounded once."""
    rows, columns, results = (_length("outer", each) for each in (x, w, acc))
    if rows * columns != results:
        raise TypingError(f"outer: expected {rows * columns} results, got {results}")

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sums, left, right = (
            _elements(builder, each, count)
            for each, count in zip(args, (results, rows, columns), strict=True)
        )
        added = [
            call_named(builder, "llvm.fma.f32", FLOAT, [left[i], right[j], sums[i * columns + j]])
            for i in range(rows)
            for j in range(columns)
        ]
        return context.make_tuple(builder, signature.return_type, added)

    return acc(acc, x, w), lower


def _add_tiles(context: Any, a: Any, b: Any) -> Any:
    """The sums of their elements."""
    count = _length("add_tiles", a)
    if _length("add_tiles", b) != count:
        raise TypingError(f"add_tiles: expected {count} elements, got {b}")

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pairs = zip(*(_elements(builder, each, count) for each in args), strict=True)
        return context.make_tuple(
            builder, signature.return_type, [builder.fadd(x, y) for x, y in pairs]
        )

    return a(a, b), lower


def _get_line(context: Any, p: Any, i: Any, count: Any, gap: Any) -> Any:
    """``count`` elements, four from i on, four from ``i + gap`` on, ...: multiples of four."""
    expect_pointer("get_line", p, (types.float32,))
    length, distance = _literal("get_line", count), _literal("get_line", gap)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found: list[Any] = []
        for group in range(length // GROUP):
            index = builder.add(args[1], I64(group * distance))
            address = builder.gep(args[0], [index])
            tell(builder, "keraunos_reads", address, GROUP * 4)
            four = builder.load(builder.bitcast(address, FOUR.as_pointer()), align=16)
            found += [builder.extract_element(four, ir.IntType(32)(n)) for n in range(GROUP)]
        return context.make_tuple(builder, signature.return_type, found)

    return _tuple(length)(p, types.int64, count, gap), lower


def _row_of(context: Any, tile: Any, i: Any, count: Any) -> Any:
    """Elements ``i * count`` to ``i * count + count``: a row, of which rows are known by number."""
    columns, results = _literal("row_of", count), _length("row_of", tile)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = _elements(builder, args[0], results)
        row = [_chosen(builder, args[1], values[column::columns]) for column in range(columns)]
        return context.make_tuple(builder, signature.return_type, row)

    return _tuple(columns)(tile, types.int64, count), lower


def _element(context: Any, line: Any, j: Any) -> Any:
    """Element j."""
    count = _length("element", line)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _chosen(builder, args[1], _elements(builder, args[0], count))

    return types.float32(line, types.int64), lower


def _chosen(builder: Any, index: Any, values: list[Any]) -> Any:
    """The value of this number, without memory: registers have no addresses."""
    found = values[0]
    for number, value in enumerate(values[1:], 1):
        is_it = builder.icmp_signed("==", index, I64(number))
        found = builder.select(is_it, value, found)
    return found


zeros = named(_zeros)
outer = named(_outer)
add_tiles = named(_add_tiles)
get_line = named(_get_line)
row_of = named(_row_of)
element = named(_element)

__all__ = ["add_tiles", "element", "get_line", "outer", "row_of", "zeros"]
