"""What the emulator's own texts are written with: words of memory, and the stacks of threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types

from ..native.simd_memory import get, put
from ..native.simd_types import I8, I64, call_named, named, pointer_i64

WORDS = types.CPointer(types.int64)


@dataclass(frozen=True)
class EmulatorCode:
    """What `emulator_code` makes of a function: not compiled until somebody asks."""

    function: Callable[[Any], None]


def emulator_code(function: Callable[[Any], None]) -> EmulatorCode:
    """Mark `function(machine)` as code of the emulator; `machine` points to its words."""
    return EmulatorCode(function)


def _address_of(context: Any, p: Any) -> Any:
    """The address of the first word."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], I64)

    return types.int64(p), lower


def _first_step(context: Any) -> Any:
    """The address of the code at which a thread begins."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return call_named(builder, "keraunos_first_step_address", I64, [])

    return types.int64(), lower


def _resume(context: Any, machine: Any, thread: Any) -> Any:
    """Run a thread until it stops; the stacks of both are their first words."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stacks = [builder.bitcast(each, I8.as_pointer()) for each in args]
        call_named(builder, "keraunos_switch", ir.VoidType(), stacks)
        return context.get_dummy_value()

    return types.void(WORDS, WORDS), lower


address_of = named(_address_of)
first_step = named(_first_step)
resume = named(_resume)

__all__ = [
    "EmulatorCode", "address_of", "emulator_code", "first_step", "get", "pointer_i64", "put",
    "resume",
]  # fmt: skip
