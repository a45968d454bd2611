"""Programs in files: saved as data, and made to run again, their kernels' texts emitted anew.

A file holds kernels as the dialect has them, never their texts: what is compiled is what this
installation's own emitter writes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..runtime.config import config
from ..runtime.devices import runs_here, targets_here
from ..runtime.dim import Dim, evaluate
from ..runtime.executor import Arrays, Executor
from ..runtime.finite import call_checked, first_not_finite
from ..runtime.memory import align
from ..runtime.placement import check_sizes
from ..runtime.program import KernelText, Program, Slot
from ..runtime.program_check import check_program
from ..runtime.program_file import ProgramFileError, read_program, write_program
from ..runtime.records import SIZE, RecordError, Records, Scalar
from .ir.types import DType, dtype_of
from .loops.kernel import Kernel
from .target import Target
from .targets import target_named

# Strings in kernels become parts of texts: names and numbers alone.
NAME_OR_NUMBER = re.compile(r"[A-Za-z_]\w*|-?\d+(\.\d+)?(e[+-]?\d+)?|-?inf|\?|", re.ASCII)
OF_PROGRAMS = Records({Dim: SIZE})
OF_KERNELS = Records({DType: Scalar(lambda dtype: str(dtype.name), dtype_of)}, NAME_OR_NUMBER)
PROGRAM, KERNELS, TEXTS = "program", "kernels", "texts"


@dataclass(frozen=True)
class LoadedProgram:
    """A program from a file. It follows no model: its weights and its state are its own."""

    executor: Executor

    def __repr__(self) -> str:
        return f"<program {self.program.name} for {self.program.target}>"

    @property
    def program(self) -> Program:
        return self.executor.program

    @property
    def state(self) -> Mapping[str, np.ndarray]:
        """What calls update, by name: copies of the values."""
        return {name: buffer.read().copy() for name, buffer in self.executor.state.items()}

    def __call__(self, *arrays: np.ndarray) -> Arrays:
        """The outputs for these inputs, as new arrays in the graph's order.

        Raises:
            ValueError: the arrays do not fit the inputs: shapes, dtypes, layout in memory; results
                are not finite, under ``config.check_finite``.
            TypeError: one is no numpy array.
        """
        if config.check_finite:
            return call_checked(self.executor, arrays, partial(self._not_finite, arrays))
        return self.executor(*arrays)

    def _not_finite(self, arrays: Arrays, state: Mapping[str, np.ndarray]) -> ValueError:
        first = first_not_finite(self.executor, arrays) or "no kernel that runs on its own"
        return ValueError(f"{self.program.name}: expected finite results. The first: {first}")


def save_program(
    path: str | os.PathLike[str], program: Program, kernels: Sequence[Kernel], executor: Executor
) -> None:
    """Writes a program, its prepared weights and its state to a file, whole or not at all.

    Args:
        kernels: those that the program's texts were made of.
        executor: of the program, for the weights and the state.

    Raises:
        OSError: the file cannot be written.
    """
    description = {
        PROGRAM: OF_PROGRAMS.encode(replace(program, kernels=())),
        KERNELS: [OF_KERNELS.encode(kernel) for kernel in kernels],
        TEXTS: [_digest(kernel.source) for kernel in program.kernels],
    }
    state = [buffer.read() for buffer in executor.state.values()]
    write_program(path, description, [*executor.weights, *state])


def load_program(path: str | os.PathLike[str], trusted: bool = False) -> LoadedProgram:
    """The program of a file, ready to be called with arrays.

    Raises:
        ProgramFileError: the file is no program, damaged, of another version or target, or of an
            installation with other kernels; or not yours, unless it is ``trusted``.
        OSError: there is no such file, or it may not be read.
    """
    description, weights = read_program(path, trusted)
    try:
        program = _program(description)
        arrays = _arrays(program, weights)
    except (RecordError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProgramFileError(f"{os.fspath(path)}: {error}") from error
    executor = Executor(program)
    executor.on_empty = partial(_empty, executor)
    for slot in program.constants:
        executor.set_constant(slot, arrays[slot])
    for name, slot in program.state.items():
        executor.state[name].write(arrays[slot])
    return LoadedProgram(executor)


def _program(description: Any) -> Program:
    """The program, with its kernels' texts; raises ``ValueError`` on what cannot be one."""
    if type(description) is not dict or description.keys() != {PROGRAM, KERNELS, TEXTS}:
        raise RecordError("expected a program, its kernels, and digests of their texts")
    program = OF_PROGRAMS.decode(Program, description[PROGRAM])
    if program.kernels:
        raise RecordError("expected kernels of the dialect, got texts")
    if not runs_here(program.target):
        here = " or ".join(targets_here())
        raise ValueError(
            f"expected a program for {here}, which this machine runs; got one for "
            f"{program.target!r}. Compile the model here"
        )
    target = target_named(program.target)  # before its kernels are read: it has their classes
    kernels = OF_KERNELS.decode(tuple[Kernel, ...], description[KERNELS])
    texts = tuple(KernelText(kernel.name, _text(kernel, target)) for kernel in kernels)
    if [_digest(text.source) for text in texts] != description[TEXTS]:
        raise ValueError(
            "expected the kernels of this installation; it was saved by one that has others. "
            "Compile the model here and save it anew"
        )
    program = replace(program, kernels=texts)
    check_program(program, [[p.dtype is not None for p in k.params] for k in kernels])
    return program


def _text(kernel: Kernel, target: Target[Any]) -> str:
    try:
        return target.emit(kernel)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"expected a kernel that can be emitted, got {kernel.name!r}") from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _arrays(program: Program, content: memoryview) -> dict[int, np.ndarray]:
    """Weights and state by their slots, in the order in which they were written."""
    arrays: dict[int, np.ndarray] = {}
    start = end = 0
    for slot in (*program.constants, *program.state.values()):
        size = evaluate(program.slots[slot].bytes, {})
        end = start + size
        if end > len(content):
            break
        arrays[slot] = _array(program.slots[slot], content[start:end])
        start = align(end)
    if len(arrays) < len(program.constants) + len(program.state) or end != len(content):
        raise ValueError("expected as many bytes of weights as its slots have")
    return arrays


def _array(slot: Slot, content: memoryview) -> np.ndarray:
    shape = tuple(evaluate(size, {}) for size in slot.shape)
    return np.frombuffer(content, np.dtype(slot.dtype)).reshape(shape)


def _empty(executor: Executor, arrays: Arrays) -> Arrays:
    """The results of empty inputs, where they are empty too."""
    slots, sizes = executor.program.slots, executor.sizes([array.shape for array in arrays])
    check_sizes(executor.program, sizes)
    outputs = [slots[i] for i in executor.program.outputs]
    shapes = [tuple(evaluate(size, sizes) for size in slot.shape) for slot in outputs]
    if not all(0 in shape for shape in shapes):
        raise ValueError(
            f"{executor.program.name}: expected arguments with elements; a program from a file "
            "sums up nothing over none"
        )
    return tuple(map(np.empty, shapes, [np.dtype(slot.dtype) for slot in outputs]))
