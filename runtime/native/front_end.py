"""A kernel's Python function to an LLVM module, by Numba's front end.

A kernel needs less than a Numba function does: no Python wrapper, no reference counts, no
exceptions. Back ends optimise the module, and make of it what their devices load.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import compiler, registry
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

from .simd_types import SIGNATURE
from .stacks import COMPILER_BYTES, on_own_stack

T = TypeVar("T")

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


def module_of(source: str | ast.Module, path: Path, package: str | None = None) -> ModuleType:
    """What the text of a kernel defines; ``package`` is the one its relative imports start from."""
    module = ModuleType(f"keraunos_kernel_{path.stem}")
    module.__file__ = str(path)
    module.__package__ = package
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def on_compiler_stack(make: Callable[..., T], args: tuple[Any, ...], path: Path) -> T:
    """``make(*args)``, which compiles the kernel that is kept at ``path``, where LLVM has room."""
    try:
        return on_own_stack(make, args, COMPILER_BYTES)
    except NumbaError as error:
        error.add_note(f"while compiling the kernel {path}")
        raise


def front_end(function: Any, symbol: str, signature: Any = SIGNATURE) -> Any:
    """The linked LLVM module of ``function``, not optimised, in which ``symbol`` calls it.

    The caller holds the compiler's lock.
    """
    target = registry.cpu_target
    library = target.target_context.codegen().create_library(symbol)
    library.enable_object_caching()
    library._optimize_functions = _leave_alone  # all of LLVM's passes run once, in a back end
    with _remembered_call_types():
        result = compiler.compile_extra(
            target.typing_context,
            target.target_context,
            function,
            args=signature.args,
            return_type=signature.return_type,
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


def _flags() -> Any:
    flags = compiler.Flags()
    registry.cpu_target.options.parse_as_flags(flags, {"nopython": True, "boundscheck": False})
    flags.error_model = "numpy"
    flags.enable_pyobject = False
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.no_compile = True
    return flags
