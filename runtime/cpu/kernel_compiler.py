"""A kernel's Python function to machine code.

Numba does the front end (Python to LLVM IR). The rest is done here, because a kernel needs less
than a Numba function does: no Python wrapper, no reference counts, no exceptions, one run of LLVM's
passes instead of two, and an object file that loads without Numba's start-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import compiler, registry
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.errors import NumbaError
from numba.core.typed_passes import (
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import (
    DeadBranchPrune,
    FixupArgs,
    IRProcessing,
    ReconstructSSA,
    RewriteSemanticConstants,
    TranslateByteCode,
)

from ..kernels import KernelError
from .machine_code import foreign_symbols, machine, undefined_symbols
from .simd_types import SIGNATURE
from .stacks import COMPILER_BYTES, on_own_stack

PASSES = (
    TranslateByteCode,
    FixupArgs,
    IRProcessing,
    RewriteSemanticConstants,
    DeadBranchPrune,
    ReconstructSSA,
    NopythonTypeInference,
    PreLowerStripPhis,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
)


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
    args = (kernel.function, symbol)
    try:
        return on_own_stack(_compiled, args, COMPILER_BYTES)
    except NumbaError as error:
        error.add_note(f"while compiling the kernel {path}")
        raise


def _compiled(function: Callable[[Any, int, int], None], symbol: str) -> bytes:
    with global_compiler_lock:
        module = _front_end(function, symbol)
        _back_end(module)
        return _emit(module, symbol)


def assembly(source: str, path: Path) -> str:
    """The machine instructions of a kernel, for people who tune."""
    function = _kernel_of(source, path).function
    return on_own_stack(_instructions, (function,), COMPILER_BYTES)


def _instructions(function: Callable[[Any, int, int], None]) -> str:
    with global_compiler_lock:
        module = _front_end(function, "kernel")
        _back_end(module)
        return str(machine("near").emit_assembly(module))


def _kernel_of(source: str, path: Path) -> KernelFunction:
    module = ModuleType(f"keraunos_kernel_{path.stem}")
    module.__file__ = str(path)
    module.__package__ = __package__  # the interpreter's text is a file of this package
    exec(compile(source, str(path), "exec"), module.__dict__)
    kernel = getattr(module, "kernel", None)
    if not isinstance(kernel, KernelFunction):
        raise KernelError(
            f"{path}: expected a function named `kernel` marked by @kernel_jit, got {kernel!r}"
        )
    return kernel


def _emit(module: Any, symbol: str) -> bytes:
    """An object file; near where it calls nothing outside itself.

    The loader keeps the sections of one object together, but makes no stubs to reach libm from
    near code.
    """
    near = bytes(machine("near").emit_object(module))
    if not undefined_symbols(near):
        return near
    foreign = foreign_symbols(near)
    if foreign:
        raise KernelError(
            f"kernel {symbol} needs {', '.join(foreign)}: expected only arithmetic, pointers and "
            "libm; arrays, strings and exceptions are not available inside kernels"
        )
    return bytes(machine("far").emit_object(module))


def _flags() -> Any:
    flags = compiler.Flags()
    registry.cpu_target.options.parse_as_flags(flags, {"nopython": True, "boundscheck": False})
    flags.error_model = "numpy"
    flags.enable_pyobject = False
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.no_compile = True
    return flags


def _front_end(function: Any, symbol: str) -> Any:
    target = registry.cpu_target
    library = target.target_context.codegen().create_library(symbol)
    library.enable_object_caching()
    library._optimize_functions = _leave_alone  # all of LLVM's passes run once, in _back_end
    with _remembered_call_types():
        result = compiler.compile_extra(
            target.typing_context,
            target.target_context,
            function,
            args=SIGNATURE.args,
            return_type=SIGNATURE.return_type,
            flags=_flags(),
            locals={},
            library=library,
            pipeline_class=KernelPipeline,
        )
    library.add_ir_module(_entry(result.fndesc, symbol))
    module = library._final_module
    for dependency in dict.fromkeys(library._linking_libraries):
        module.link_in(dependency._get_module_for_linking(), preserve=True)
    for value in (*module.functions, *module.global_variables):
        if not value.is_declaration and value.name != symbol:
            value.linkage = llvm.Linkage.internal
    return module


def _leave_alone(module: Any) -> None:
    module.data_layout = registry.cpu_target.target_context.codegen()._data_layout


class KernelPipeline(compiler.CompilerBase):
    """Numba's passes without those for closures, arrays, rewrites and literal unrolling."""

    def define_pipelines(self) -> list[Any]:
        manager = PassManager("kernel")
        for stage in PASSES:
            manager.add_pass(stage, stage.__name__)
        manager.finalize()
        return [manager]


@contextmanager
def _remembered_call_types() -> Iterator[None]:
    """Resolve each (function, argument types) once while a kernel compiles.

    Numba tries every candidate again at every call; in an unrolled kernel that is a third of the
    front end. The compiler lock is held.
    """
    resolve = types.BaseFunction.get_call_type
    known: dict[Any, Any] = {}

    def remembered(self: Any, context: Any, args: Any, kws: Any) -> Any:
        key = (self, args, tuple(kws.items()))
        if key not in known:
            known[key] = resolve(self, context, args, kws)
        return known[key]

    types.BaseFunction.get_call_type = remembered
    try:
        yield
    finally:
        types.BaseFunction.get_call_type = resolve


def _entry(descriptor: Any, symbol: str) -> Any:
    """`void symbol(args, thread, threads)`: Numba's function without its status and result."""
    context = registry.cpu_target.target_context
    module = context.create_module(symbol)
    convention = context.call_conv
    native = ir.Function(
        module,
        convention.get_function_type(descriptor.restype, descriptor.argtypes),
        descriptor.llvm_func_name,
    )
    arguments = [context.get_value_type(numba_type) for numba_type in descriptor.argtypes]
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), symbol)
    builder = ir.IRBuilder(entry.append_basic_block("entry"))
    convention.call_function(builder, native, descriptor.restype, descriptor.argtypes, entry.args)
    builder.ret_void()
    return module


def _back_end(module: Any) -> None:
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = True
    tuning.slp_vectorization = False
    builder = llvm.create_pass_builder(machine("near"), tuning)
    manager = builder.getModulePassManager()
    manager.run(module, builder)
