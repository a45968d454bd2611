"""Runs a program: checks the arguments, binds new sizes, calls the table."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np

from .arrays import address_of, fitting
from .config import config
from .device import Buffer, Prepared
from .devices import device_for
from .dim import evaluate
from .forks import Lock
from .placement import solved
from .program import Program, Slot

Arrays: TypeAlias = tuple[np.ndarray, ...]

BYTE = np.dtype(np.uint8)
MAX_SHAPES = 16  # sets of input shapes whose tables and arenas are kept


class Executor:
    """A program, its kernels loaded, its weights in place; calls may come from any thread.

    Those of a program with state come one after another. ``state`` holds what calls update, by
    name: the buffers given, which stay the caller's to read and write, or new ones of zeros.

    All calls go through ``__call__`` or ``addresses``, which check the arguments: kernels read
    memory without checks.

    Attributes:
        on_empty: gives the results where an argument has no elements, which kernels do not serve.
    """

    def __init__(
        self,
        program: Program,
        threads: int | None = None,
        state: Mapping[str, Buffer] | None = None,
    ) -> None:
        self.device = device_for(program.target)
        self.program = program
        self.threads = threads or config.threads
        self._follows_config = threads is None
        self.kernels = self.device.load([kernel.source for kernel in program.kernels])
        self._weights = {
            i: self.device.allocate((evaluate(program.slots[i].bytes, {}),), BYTE)
            for i in program.constants
        }
        self.state = {name: _buffer(program.slots[i], state) for name, i in program.state.items()}
        self._kept = self._weights | {
            i: self.state[name].place(self.device) for name, i in program.state.items()
        }
        self._pools: OrderedDict[Any, list[Prepared]] = OrderedDict()
        self._checks = [_argument_check(program.slots[i]) for i in program.inputs]
        self.on_empty: Callable[[Arrays], Arrays] | None = None
        self._output_dtypes = [np.dtype(program.slots[i].dtype) for i in program.outputs]
        self._lock = Lock()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a compiled program ({self.program.name}) is not copied or pickled: it is memory "
            "and machine code of this process. Write it with "
            "save(path), and read it with load_program(path)"
        )

    def set_constant(self, slot: int, value: np.ndarray) -> None:
        """Copies a prepared weight into its place; not while a call is under way."""
        self._weights[slot].write(fitting(value, value.dtype).reshape(-1).view(BYTE))

    @property
    def weights(self) -> tuple[np.ndarray, ...]:
        """The prepared weights as bytes, in the order of ``program.constants``."""
        return tuple(memory.read() for memory in self._weights.values())

    def __call__(self, *arrays: np.ndarray) -> Arrays:
        """The outputs, as new arrays.

        Raises:
            ValueError: the arrays are too few or too many, or do not fit: their shapes, dtypes or
                layout in memory.
            TypeError: one is no numpy array.
        """
        if self._follows_config and config.threads != self.threads:
            self._set_threads(config.threads)
        addresses = self.addresses(arrays)
        key = tuple([array.shape for array in arrays])
        pool = self._pools.get(key)
        if pool is None:
            if self.on_empty is not None and any(0 in shape for shape in key):
                return self.on_empty(arrays)
            pool = self._new_shapes(key)
        try:
            binding = pool.pop()  # list.pop is atomic: each call has a binding of its own
        except IndexError:
            binding = self.bind(key)
        outputs = tuple(map(np.empty, binding.shapes, self._output_dtypes))
        addresses += map(address_of, outputs)
        binding.run(addresses)
        pool.append(binding)
        return outputs

    def addresses(self, arrays: Sequence[np.ndarray]) -> list[int]:
        """Where the arguments lie. Raises as a call does, but for shapes, which ``bind`` checks."""
        found = []
        try:
            for array, (dtype, beyond) in zip(arrays, self._checks, strict=True):
                # Others may say where they lie too, in memory that is gone by then.
                if not isinstance(array, np.ndarray) or array.dtype != dtype:
                    raise ValueError
                address = address_of(array)
                if not array.flags.c_contiguous or address & beyond:
                    raise ValueError
                found.append(address)
        except ValueError:
            raise self._refusal(arrays) from None
        return found

    def _refusal(self, arrays: Sequence[Any]) -> Exception:
        """What is wrong with the first argument that does not fit."""
        slots = [self.program.slots[i] for i in self.program.inputs]
        if len(arrays) != len(slots):
            names = ", ".join(f"{slot.name}: {slot.dtype}{_shape_of(slot)}" for slot in slots)
            return ValueError(f"expected {len(slots)} arguments, {names}; got {len(arrays)}")
        for array, slot, (_, beyond) in zip(arrays, slots, self._checks, strict=True):
            wanted = f"argument {slot.name}: expected a contiguous array of {slot.dtype}"
            if not isinstance(array, np.ndarray):
                return TypeError(f"{wanted}, got {type(array).__name__}. Pass np.asarray(x)")
            if array.dtype != np.dtype(slot.dtype):
                fix = f"Pass x.astype({str(slot.dtype)!r})"
                return ValueError(f"{wanted}, got {array.dtype.name} ({array.dtype.str}). {fix}")
            if not array.flags.c_contiguous:
                found = f"strides {array.strides} for shape {array.shape}"
                return ValueError(f"{wanted}, got {found}. Pass np.ascontiguousarray(x)")
            if array.ctypes.data & beyond:
                return ValueError(f"{wanted}, got one that is not aligned. Pass x.copy()")
        return ValueError("expected contiguous arrays of the program's dtypes")

    def _set_threads(self, threads: int) -> None:
        """Programs follow ``config.threads``: what was bound for another number is bound anew."""
        with self._lock:
            self._pools = OrderedDict()
            self.threads = threads

    def bind(self, shapes: Sequence[tuple[int, ...]], profile: bool = False) -> Prepared:
        """A new binding for arguments of these shapes."""
        return self.device.prepare(
            self.program,
            self.kernels,
            self._kept,
            self.sizes(shapes),
            config.threads if self._follows_config else self.threads,
            profile,
        )

    def sizes(self, shapes: Sequence[tuple[int, ...]]) -> Mapping[str, int]:
        """The symbolic sizes that argument shapes stand for; raises ``ValueError`` if none do."""
        return solved(self.program, shapes)

    def _new_shapes(self, key: Any) -> list[Prepared]:
        with self._lock:
            pool = self._pools.setdefault(key, [self.bind(key)])
            while len(self._pools) > MAX_SHAPES:
                self._pools.popitem(last=False)
            return pool


def _shape_of(slot: Slot) -> str:
    return f"[{', '.join(map(str, slot.shape))}]"


def _argument_check(slot: Slot) -> tuple[np.dtype, int]:
    """The requirements on an argument's memory: its dtype, and the bits of its address that are
    0."""
    dtype = np.dtype(slot.dtype)
    return dtype, dtype.itemsize - 1


def _buffer(slot: Slot, given: Mapping[str, Buffer] | None) -> Buffer:
    shape, dtype = tuple(evaluate(size, {}) for size in slot.shape), np.dtype(slot.dtype)
    buffer = (given or {}).get(slot.name)
    if buffer is None:
        return Buffer(shape, dtype)
    if not isinstance(buffer, Buffer) or buffer.shape != shape or buffer.dtype != dtype:
        got = f"{type(buffer).__name__} of {buffer.dtype} and shape {buffer.shape}"
        raise ValueError(
            f"state {slot.name!r}: expected a Buffer of {dtype} and shape {shape}; got {got}"
        )
    return buffer
