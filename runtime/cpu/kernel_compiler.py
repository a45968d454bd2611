"""A kernel's Python function to machine code.

Numba does the front end (Python to LLVM IR). The rest is done here: one run of LLVM's passes
instead of two, and an object file that loads without Numba's start-up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numba.core.compiler_lock import global_compiler_lock

from ..kernels import KernelError
from ..native.front_end import front_end, module_of, on_compiler_stack
from ..native.machine_code import emit_object, machine, optimize


@dataclass(frozen=True)
class KernelFunction:
    """What `kernel_jit` makes of a function: not compiled until somebody asks."""

    function: Callable[[Any, int, int], None]

    @property
    def __name__(self) -> str:
        return self.function.__name__


def kernel_jit(function: Callable[[Any, int, int], None]) -> KernelFunction:
    """Mark `function(args, thread, threads)` as a kernel; it is compiled and cached when loaded.

    The types are those of `SIGNATURE`; division is numpy's (no exceptions); nothing that needs the
    Python runtime (arrays, lists, strings, exceptions) can be used inside.
    """
    return KernelFunction(function)


def compile_text(source: str, path: Path, symbol: str) -> bytes:
    """Machine code (an object file) that defines the C function `symbol`.

    Args:
        source: the text of a module in which `kernel` is a function marked by `kernel_jit`.
        path: where the text is kept, for messages and debuggers.

    Raises:
        KernelError: the text defines no kernel, or one that needs the Python runtime.
        numba.core.errors.NumbaError: the text is not valid; the message shows the generated line.
    """
    kernel = _kernel_of(source, path)
    return on_compiler_stack(_compiled, (kernel.function, symbol), path)


def _compiled(function: Callable[[Any, int, int], None], symbol: str) -> bytes:
    with global_compiler_lock:
        module = front_end(function, symbol)
        optimize(module, machine("near"))
        return emit_object(module, symbol)


def assembly(source: str, path: Path) -> str:
    """The machine instructions of a kernel, for people who tune."""
    function = _kernel_of(source, path).function
    return on_compiler_stack(_instructions, (function,), path)


def _instructions(function: Callable[[Any, int, int], None]) -> str:
    with global_compiler_lock:
        module = front_end(function, "kernel")
        optimize(module, machine("near"))
        return str(machine("near").emit_assembly(module))


def _kernel_of(source: str, path: Path) -> KernelFunction:
    # The interpreter's text is a file of this package.
    kernel = getattr(module_of(source, path, __package__), "kernel", None)
    if not isinstance(kernel, KernelFunction):
        raise KernelError(
            f"{path}: expected a function named `kernel` marked by @kernel_jit, got {kernel!r}"
        )
    return kernel
