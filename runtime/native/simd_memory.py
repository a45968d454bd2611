"""Loads and stores of vectors, masked tails, and scalars without index wraparound."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError

from .simd_halves import BF16, F16, HalfType, emit_narrowed, emit_widened, memory_vector
from .simd_types import (
    F32V,
    FLOATS,
    I8,
    I32,
    I64,
    LANES,
    MASK,
    SCALAR_FLOATS,
    SCALAR_INTS,
    broadcast,
    call_named,
    expect_pointer,
    lane_constant,
    named,
    scalar,
    suffix,
)

F32 = (types.float32,)
STORED = (*F32, F16, BF16)  # what vectors of float32 are read from and written to
BYTES = (types.uint8, types.int8)


def _at(builder: Any, pointer: Any, index: Any) -> Any:
    return builder.gep(pointer, [index])


def _as(builder: Any, pointer: Any, llvm_type: Any) -> Any:
    return builder.bitcast(pointer, llvm_type.as_pointer())


def _load(context: Any, p: Any, i: Any) -> Any:
    """LANES floats from element i on; no alignment is needed."""
    expect_pointer("load", p, STORED)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _as(builder, _at(builder, args[0], args[1]), memory_vector(p.dtype))
        return emit_widened(builder, p.dtype, builder.load(address, align=_alignment(address)))

    return F32V(p, types.int64), lower


def _store(context: Any, p: Any, i: Any, v: Any) -> Any:
    """Write LANES floats from element i on; no alignment is needed."""
    expect_pointer("store", p, STORED)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _as(builder, _at(builder, args[0], args[1]), memory_vector(p.dtype))
        value = emit_narrowed(builder, p.dtype, args[2])
        builder.store(value, address, align=_alignment(address))
        return context.get_dummy_value()

    return types.void(p, types.int64, F32V), lower


def _load_masked(context: Any, p: Any, i: Any, m: Any) -> Any:
    """As load; lanes switched off in m are 0 and their memory is not touched."""
    expect_pointer("load_masked", p, STORED)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _as(builder, _at(builder, args[0], args[1]), memory_vector(p.dtype))
        if p.dtype in F32:
            return _masked_load(builder, address, args[2])
        # Few machines have an instruction for this; most vectors are whole.
        with builder.if_else(_all_on(builder, args[2])) as (whole, tail):
            with whole:
                full, after = builder.load(address, align=_alignment(address)), builder.block
            with tail:
                masked, there = _masked_load(builder, address, args[2]), builder.block
        value = builder.phi(full.type)
        value.add_incoming(full, after)
        value.add_incoming(masked, there)
        return emit_widened(builder, p.dtype, value)

    return F32V(p, types.int64, MASK), lower


def _store_masked(context: Any, p: Any, i: Any, v: Any, m: Any) -> Any:
    """As store; the memory of lanes switched off in m is not touched."""
    expect_pointer("store_masked", p, STORED)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _as(builder, _at(builder, args[0], args[1]), memory_vector(p.dtype))
        value = emit_narrowed(builder, p.dtype, args[2])
        if p.dtype in F32 and LANES == 16:
            _masked_store(builder, value, address, args[3])
            return context.get_dummy_value()
        # Without AVX-512 some cores (Zen) take a dozen cycles and more for one; most are whole.
        with builder.if_else(_all_on(builder, args[3])) as (whole, tail):
            with whole:
                builder.store(value, address, align=_alignment(address))
            with tail:
                _masked_store(builder, value, address, args[3])
        return context.get_dummy_value()

    return types.void(p, types.int64, F32V, MASK), lower


def _alignment(address: Any) -> int:
    """That of an element of the vector at ``address``."""
    return 4 if address.type.pointee == FLOATS else 2


def _all_on(builder: Any, mask: Any) -> Any:
    bits = ir.IntType(LANES)
    return builder.icmp_unsigned("==", builder.bitcast(mask, bits), bits((1 << LANES) - 1))


def _masked_load(builder: Any, address: Any, mask: Any) -> Any:
    vector = address.type.pointee
    name = f"llvm.masked.load.{suffix(vector)}.p0"
    zero = ir.Constant(vector, None)
    return call_named(builder, name, vector, [address, I32(_alignment(address)), mask, zero])


def _masked_store(builder: Any, value: Any, address: Any, mask: Any) -> None:
    name = f"llvm.masked.store.{suffix(value.type)}.p0"
    call_named(builder, name, ir.VoidType(), [value, address, I32(_alignment(address)), mask])


def _load_splat(context: Any, p: Any, i: Any) -> Any:
    """The float at element i in every lane."""
    expect_pointer("load_splat", p, STORED)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        element = builder.load(_at(builder, args[0], args[1]))
        return broadcast(builder, emit_widened(builder, p.dtype, element))

    return F32V(p, types.int64), lower


def _load_strided(context: Any, p: Any, i: Any, step: Any) -> Any:
    """Lane k is element i + k * step."""
    expect_pointer("load_strided", p, STORED)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, index, step = args
        vector = ir.Constant(memory_vector(p.dtype), ir.Undefined)
        for lane in range(LANES):
            element = builder.load(_at(builder, pointer, index))
            vector = builder.insert_element(vector, element, I32(lane))
            index = builder.add(index, step)
        return emit_widened(builder, p.dtype, vector)

    return F32V(p, types.int64, types.int64), lower


def _store_strided(context: Any, p: Any, i: Any, step: Any, v: Any) -> Any:
    """Write lane k to element i + k * step."""
    expect_pointer("store_strided", p, STORED)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, index, step, vector = args
        vector = emit_narrowed(builder, p.dtype, vector)
        for lane in range(LANES):
            element = builder.extract_element(vector, I32(lane))
            builder.store(element, _at(builder, pointer, index))
            index = builder.add(index, step)
        return context.get_dummy_value()

    return types.void(p, types.int64, types.int64, F32V), lower


def _load_mask(context: Any, p: Any, i: Any) -> Any:
    """LANES bytes from element i on as a mask: on where the byte is not 0."""
    expect_pointer("load_mask", p, BYTES)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(I8, LANES)
        address = _as(builder, _at(builder, args[0], args[1]), vector)
        zero = ir.Constant(vector, [0] * LANES)
        return builder.icmp_unsigned("!=", builder.load(address, align=1), zero)

    return MASK(p, types.int64), lower


def _store_mask(context: Any, p: Any, i: Any, m: Any) -> Any:
    """Write a mask as LANES bytes, 1 or 0, from element i on."""
    expect_pointer("store_mask", p, BYTES)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(I8, LANES)
        address = _as(builder, _at(builder, args[0], args[1]), vector)
        builder.store(builder.zext(args[2], vector), address, align=1)
        return context.get_dummy_value()

    return types.void(p, types.int64, MASK), lower


def _splat(context: Any, x: Any) -> Any:
    """The number in every lane."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return broadcast(builder, args[0])

    return F32V(types.float32), lower


def _first(context: Any, n: Any) -> Any:
    """A mask with the first n lanes on (none if n <= 0, all if n >= LANES)."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return first_lanes(builder, args[0])

    return MASK(types.int64), lower


def first_lanes(builder: Any, count: Any) -> Any:
    """The mask of `first`, of an LLVM integer."""
    at_most = call_named(builder, "llvm.smin.i64", I64, [count, I64(LANES)])
    between = call_named(builder, "llvm.smax.i64", I64, [at_most, I64(0)])
    lanes = broadcast(builder, builder.trunc(between, I32))
    return builder.icmp_signed("<", lane_constant(list(range(LANES))), lanes)


def expect_stored(name: str, p: Any, x: Any) -> None:
    """Fail typing unless `x` is a number and `p` a pointer to numbers."""
    expect_pointer(name, p)
    if scalar(x) not in (*SCALAR_FLOATS, *SCALAR_INTS, types.boolean, types.int16, types.uint16):
        raise TypingError(f"{name}: expected a number for a pointer to {p.dtype}, got {x}")


def _get(context: Any, p: Any, i: Any) -> Any:
    """Element i; unlike p[i], a negative i does not cost a wraparound test."""
    expect_pointer("get", p)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit_widened(builder, p.dtype, builder.load(_at(builder, args[0], args[1])))

    return number_at(p)(p, types.int64), lower


def _put(context: Any, p: Any, i: Any, x: Any) -> Any:
    """Write element i; x is converted to the pointer's type."""
    expect_stored("put", p, x)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = emit_narrowed(builder, p.dtype, args[2])
        builder.store(value, _at(builder, args[0], args[1]))
        return context.get_dummy_value()

    return types.void(p, types.int64, number_at(p)), lower


def number_at(pointer: Any) -> Any:
    """The type of numbers that are read and written at ``pointer``."""
    return types.float32 if isinstance(pointer.dtype, HalfType) else pointer.dtype


def _prefetch(context: Any, p: Any, i: Any) -> Any:
    """Ask for the cache line of element i, to be read soon. Any address is safe."""
    expect_pointer("prefetch", p)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _as(builder, _at(builder, args[0], args[1]), I8)
        hints = [I32(0), I32(3), I32(1)]  # read, keep in all levels, data
        call_named(builder, "llvm.prefetch.p0", ir.VoidType(), [address, *hints])
        return context.get_dummy_value()

    return types.void(p, types.int64), lower


def _transpose(
    context: Any, p: Any, i: Any, step: Any, rows: Any, q: Any, o: Any, stride: Any, cols: Any
) -> Any:
    """Transpose ``rows`` x ``cols`` floats, at most LANES of both: rows from i on, ``step`` apart,
    to rows from o on, ``stride`` apart. Other memory is not touched."""
    expect_pointer("transpose", p, F32)
    expect_pointer("transpose", q, F32)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, _, _, rows, _, _, _, cols = args
        few = call_named(builder, "llvm.smin.i64", I64, [rows, cols])
        # Masks cost more than the exchange itself where stores of that kind are slow (Zen).
        with builder.if_else(builder.icmp_signed(">=", few, I64(LANES))) as (whole, edge):
            with whole:
                _transpose_whole(builder, args)
            with edge:
                _transpose_edge(builder, args)
        return context.get_dummy_value()

    whole = (types.int64,) * 3
    return types.void(p, *whole, q, *whole), lower


def _transpose_whole(builder: Any, args: Any) -> None:
    p, i, step, _, q, o, stride, _ = args
    vectors = []
    for lane in range(LANES):
        address = _row_at(builder, p, i, I64(lane), step)
        vectors.append(builder.load(address, align=_alignment(address)))
    for lane, column in enumerate(_columns(builder, vectors)):
        address = _row_at(builder, q, o, I64(lane), stride)
        builder.store(column, address, align=_alignment(address))


def _transpose_edge(builder: Any, args: Any) -> None:
    p, i, step, rows, q, o, stride, cols = args
    last, mask = builder.sub(rows, I64(1)), first_lanes(builder, cols)
    vectors = []
    for lane in range(LANES):
        row = call_named(builder, "llvm.smin.i64", I64, [I64(lane), last])
        vectors.append(_masked_load(builder, _row_at(builder, p, i, row, step), mask))
    for lane, column in enumerate(_columns(builder, vectors)):
        there = builder.icmp_signed("<", I64(lane), cols)
        mask = first_lanes(builder, builder.select(there, rows, I64(0)))
        _masked_store(builder, column, _row_at(builder, q, o, I64(lane), stride), mask)


def _row_at(builder: Any, pointer: Any, start: Any, row: Any, stride: Any) -> Any:
    """The address of the vector that row number ``row`` starts with."""
    index = builder.add(start, builder.mul(row, stride))
    return _as(builder, _at(builder, pointer, index), FLOATS)


def _columns(builder: Any, rows: list[Any]) -> list[Any]:
    """The columns of a square of vectors: interleaved by halves until each lane is in place."""
    for _ in range(LANES.bit_length() - 1):
        pairs = zip(rows[: LANES // 2], rows[LANES // 2 :], strict=True)
        rows = [_interleaved(builder, *pair, half) for pair in pairs for half in (0, LANES // 2)]
    return rows


def _interleaved(builder: Any, low: Any, high: Any, start: int) -> Any:
    picked = [lane for i in range(start, start + LANES // 2) for lane in (i, LANES + i)]
    return builder.shuffle_vector(low, high, lane_constant(picked))


load = named(_load)
store = named(_store)
load_masked = named(_load_masked)
store_masked = named(_store_masked)
load_splat = named(_load_splat)
load_strided = named(_load_strided)
store_strided = named(_store_strided)
load_mask = named(_load_mask)
store_mask = named(_store_mask)
splat = named(_splat)
first = named(_first)
get = named(_get)
put = named(_put)
prefetch = named(_prefetch)
transpose = named(_transpose)
