"""A vector register as a Numba type, and the pointers kernels address memory with.

Numba has no SIMD types. A `PrimitiveModel` over an LLVM vector is enough for one: values of it live
in registers, go through Python assignments and loops, and cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model

from .features import lanes

Emit = Callable[..., Any]
"""Builds LLVM code: `(builder, *values) -> value`."""

LANES: int = lanes()

I1, I8, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()
FLOATS = ir.VectorType(FLOAT, LANES)
INTS = ir.VectorType(I32, LANES)
BITS = ir.VectorType(I1, LANES)


class VectorType(types.Type):  # type: ignore[misc,unused-ignore]
    """`lanes` float32 values in one register."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"f32x{lanes}")


class MaskType(types.Type):  # type: ignore[misc,unused-ignore]
    """`lanes` booleans, one for each lane of a vector."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"mask{lanes}")


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):  # type: ignore[misc,unused-ignore]
    def __init__(self, manager: Any, numba_type: VectorType) -> None:
        super().__init__(manager, numba_type, ir.VectorType(FLOAT, numba_type.lanes))


@register_model(MaskType)
class MaskModel(models.PrimitiveModel):  # type: ignore[misc,unused-ignore]
    def __init__(self, manager: Any, numba_type: MaskType) -> None:
        super().__init__(manager, numba_type, ir.VectorType(I1, numba_type.lanes))


F32V = VectorType(LANES)
MASK = MaskType(LANES)

SIGNATURE = types.void(types.CPointer(types.int64), types.int64, types.int64)
"""Every kernel: `(args, thread, threads)`; args holds addresses and sizes as int64."""

SCALAR_FLOATS = (types.float32, types.float64)
SCALAR_INTS = (types.int8, types.uint8, types.int32, types.uint32, types.int64, types.uint64)


def named(typing: Any, name: str = "") -> Any:
    """The intrinsic that `typing` types and lowers: of that name, or its own without underscore."""
    typing.__name__ = typing.__qualname__ = name or typing.__name__.lstrip("_")
    return intrinsic(typing)


def pointer_to(name: str, target: Any) -> Any:
    pointer_type = types.CPointer(target)

    def typing(context: Any, address: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(pointer_type))

        return pointer_type(types.int64), lower

    typing.__doc__ = f"The address (int64) as a pointer to {target}."
    return named(typing, name)


pointer_f32 = pointer_to("pointer_f32", types.float32)
pointer_f64 = pointer_to("pointer_f64", types.float64)
pointer_i32 = pointer_to("pointer_i32", types.int32)
pointer_i64 = pointer_to("pointer_i64", types.int64)
pointer_u8 = pointer_to("pointer_u8", types.uint8)
pointer_i8 = pointer_to("pointer_i8", types.int8)


def scalar(numba_type: Any) -> Any:
    """The type without its literal value."""
    return types.unliteral(numba_type)


def expect_pointer(name: str, pointer: Any, targets: tuple[Any, ...] | None = None) -> None:
    """Fail typing unless `pointer` is a CPointer to one of `targets` (any number if None)."""
    if isinstance(pointer, types.CPointer) and (targets is None or pointer.dtype in targets):
        return
    wanted = "a number" if targets is None else " or ".join(map(str, targets))
    raise TypingError(f"{name}: expected a pointer to {wanted}, got {pointer}")


def lane_constant(values: list[int], bits: int = 32) -> Any:
    """An integer vector constant."""
    return ir.Constant(ir.VectorType(ir.IntType(bits), len(values)), values)


def broadcast(builder: Any, value: Any, lanes: int = LANES) -> Any:
    """A vector with `value` in every lane."""
    vector = ir.VectorType(value.type, lanes)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, I32(0))
    return builder.shuffle_vector(first, undefined, lane_constant([0] * lanes))


def suffix(llvm_type: Any) -> str:
    """How LLVM spells a type in the name of an overloaded intrinsic: f32, f64, v16f32, v16i32."""
    if isinstance(llvm_type, ir.VectorType):
        return f"v{llvm_type.count}{suffix(llvm_type.element)}"
    if isinstance(llvm_type, ir.IntType):
        return f"i{llvm_type.width}"
    if isinstance(llvm_type, ir.PointerType):
        return "p0"
    return "f64" if llvm_type == DOUBLE else "f32"


def call_named(builder: Any, name: str, result: Any, args: list[Any]) -> Any:
    """Call an LLVM intrinsic or C function by its full name.

    llvmlite's `declare_intrinsic` takes no vector types, hence the mangled names.
    """
    function_type = ir.FunctionType(result, [value.type for value in args])
    function = cgutils.get_or_insert_function(builder.module, function_type, name)
    return builder.call(function, args)
