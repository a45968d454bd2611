"""Runs a program: checks the arguments, binds new sizes, calls the table."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .ahead import load_kernels
from .binding import Binding
from .config import config
from .dim import evaluate
from .dim_solver import solve
from .memory import aligned_array
from .program import Program, Slot

BYTE = np.dtype(np.uint8)
MAX_SHAPES = 16  # sets of input shapes whose tables and arenas are kept


class Executor:
    """A program, its kernels loaded, its weights in place; calls may come from any thread.

    Those of a program with state come one after another. ``state`` holds the arrays that calls
    update, by name: those given, which stay the caller's to read and write, or new ones of zeros.
    """

    def __init__(
        self,
        program: Program,
        threads: int | None = None,
        state: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.program = program
        self.threads = threads or config.threads
        self.kernels = load_kernels([kernel.source for kernel in program.kernels])
        self._addresses = [kernel.address for kernel in self.kernels]
        self._weights = {
            i: aligned_array((evaluate(program.slots[i].bytes, {}),), BYTE)
            for i in program.constants
        }
        self.state = {name: _state(program.slots[i], state) for name, i in program.state.items()}
        kept = self._weights | {i: self.state[name] for name, i in program.state.items()}
        self._addresses_of_kept = {i: array.ctypes.data for i, array in kept.items()}
        self._pools: OrderedDict[Any, list[Binding]] = OrderedDict()
        self._dtypes = [np.dtype(program.slots[i].dtype) for i in program.inputs]
        self._output_dtypes = [np.dtype(program.slots[i].dtype) for i in program.outputs]
        self._lock = threading.Lock()

    def set_constant(self, slot: int, value: np.ndarray) -> None:
        """Copies a prepared weight into its place; not while a call is under way."""
        self._weights[slot][: value.nbytes] = np.ascontiguousarray(value).reshape(-1).view(np.uint8)

    def __call__(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """The outputs, as new arrays. Arguments must be C-contiguous and of the right dtypes."""
        key = tuple(array.shape for array in arrays)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._new_shapes(key)
        try:
            binding = pool.pop()  # list.pop is atomic: each call has a binding of its own
        except IndexError:
            binding = self.bind(key)
        outputs = tuple(map(np.empty, binding.shapes, self._output_dtypes))
        binding.run([a.__array_interface__["data"][0] for a in (*arrays, *outputs)])
        pool.append(binding)
        return outputs

    def bind(self, shapes: Sequence[tuple[int, ...]], profile: bool = False) -> Binding:
        """A new binding for arguments of these shapes."""
        return Binding(
            self.program,
            self._addresses,
            self._addresses_of_kept,
            self.sizes(shapes),
            self.threads,
            profile,
        )

    def sizes(self, shapes: Sequence[tuple[int, ...]]) -> Mapping[str, int]:
        """The symbolic sizes that argument shapes stand for; raises ``ValueError`` if none do."""
        declared = [self.program.slots[i] for i in self.program.inputs]
        return solve([(slot.name, slot.shape) for slot in declared], shapes)

    def _new_shapes(self, key: Any) -> list[Binding]:
        with self._lock:
            pool = self._pools.setdefault(key, [self.bind(key)])
            while len(self._pools) > MAX_SHAPES:
                self._pools.popitem(last=False)
            return pool


def _state(slot: Slot, given: Mapping[str, np.ndarray] | None) -> np.ndarray:
    shape, dtype = tuple(evaluate(size, {}) for size in slot.shape), np.dtype(slot.dtype)
    array = (given or {}).get(slot.name)
    if array is None:
        return aligned_array(shape, dtype)
    fits = array.shape == shape and array.dtype == dtype and array.flags.c_contiguous
    if not fits or not array.flags.writeable:
        raise ValueError(
            f"state {slot.name!r}: expected a contiguous, writeable array of {dtype} and shape "
            f"{shape}; got {array.dtype} of shape {array.shape}"
        )
    return array
