"""A kernel's Python function to machine code, and machine code to an address.

Numba does the front end (Python to LLVM IR). The rest is done here, because a kernel needs less
than a Numba function does: no Python wrapper, no reference counts, no exceptions, one run of LLVM's
passes instead of two, and an object file that loads without Numba's start-up.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import compiler, registry
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
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

LIBM = frozenset(
    name + precision
    for precision in ("", "f")
    for name in (
        *("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh"),
        *("asinh", "acosh", "atanh", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p"),
        *("pow", "erf", "erfc", "fma", "fmod", "hypot", "cbrt", "floor", "ceil", "rint", "trunc"),
        *("nearbyint", "round", "roundeven", "ldexp", "sqrt"),
    )
)
LIBC = frozenset({"memcpy", "memset", "memmove", "sched_yield", "clock_gettime"})


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
SYMBOL_TABLE = 2  # ELF section type


class KernelError(RuntimeError):
    """A kernel cannot be compiled or loaded."""


@dataclass(frozen=True)
class KernelFunction:
    """What `kernel_jit` makes of a function: not compiled until somebody asks."""

    function: Callable[[Any, int, int], None]

    @property
    def __name__(self) -> str:
        return self.function.__name__


def kernel_jit(function: Callable[[Any, int, int], None]) -> KernelFunction:
    """Mark `function(args, thread, threads)` as a kernel; `load_kernel` compiles and caches it.

    The types are those of `SIGNATURE`; division is numpy's (no exceptions); nothing that needs the
    Python runtime (arrays, lists, strings, exceptions) can be used inside.
    """
    return KernelFunction(function)


def compile_kernel(kernel: KernelFunction, symbol: str) -> bytes:
    """Machine code (an object file) that defines the C function `symbol`.

    Raises:
        KernelError: the kernel needs a symbol that only the Python runtime has.
        numba.core.errors.NumbaError: the text is not valid; the message shows the generated line.
    """
    with global_compiler_lock:
        module = _front_end(kernel.function, symbol)
        _back_end(module)
        return _emit(module, symbol)


@cache
def _machine(reach: str) -> Any:
    """The host with constants and functions within 2 GB ("near"), or anywhere ("far").

    Far is Numba's own choice: every constant costs a 64-bit address in a general register.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic" if reach == "near" else "static",
        codemodel="small" if reach == "near" else "large",
    )


def _emit(module: Any, symbol: str) -> bytes:
    """An object file; near where it calls nothing outside itself.

    The loader keeps the sections of one object together, but makes no stubs to reach libm from
    near code.
    """
    near = bytes(_machine("near").emit_object(module))
    wanted = undefined_symbols(near)
    if not wanted:
        return near
    foreign = sorted(wanted - LIBM - LIBC - {"_GLOBAL_OFFSET_TABLE_"})
    if foreign:
        raise KernelError(
            f"kernel {symbol} needs {', '.join(foreign)}: expected only arithmetic, pointers and "
            "libm; arrays, strings and exceptions are not available inside kernels"
        )
    return bytes(_machine("far").emit_object(module))


def undefined_symbols(machine_code: bytes) -> frozenset[str]:
    """Names that an ELF object (64-bit, little-endian) uses and does not define.

    Raises:
        KernelError: the object is of another kind.
    """
    if machine_code[:6] != b"\x7fELF\x02\x01":
        raise KernelError("expected 64-bit little-endian ELF objects; only Linux is supported")
    (start,) = struct.unpack_from("<Q", machine_code, 40)
    size, count = struct.unpack_from("<HH", machine_code, 58)
    sections = [
        struct.unpack_from("<IIQQQQIIQQ", machine_code, start + k * size) for k in range(count)
    ]
    names: set[str] = set()
    for _, kind, _, _, offset, length, link, *_ in sections:
        if kind != SYMBOL_TABLE:
            continue
        strings = sections[link][4]
        for name, _, _, section, _, _ in struct.iter_unpack(
            "<IBBHQQ", machine_code[offset : offset + length]
        ):
            if section == 0 and name:
                end = machine_code.index(b"\0", strings + name)
                names.add(machine_code[strings + name : end].decode())
    return frozenset(names)


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
    builder = llvm.create_pass_builder(_machine("near"), tuning)
    manager = builder.getModulePassManager()
    manager.run(module, builder)


class _Loader:
    """One LLVM engine that holds the machine code of every loaded kernel, for good."""

    def __init__(self) -> None:
        self._engine = llvm.create_mcjit_compiler(
            llvm.parse_assembly(""), _machine("far"), use_lmm=True
        )
        self._lock = threading.Lock()
        self._add_libm()

    def _add_libm(self) -> None:
        library = ctypes.CDLL(ctypes.util.find_library("m"))
        for name in LIBM:
            function = getattr(library, name, None)
            if function is not None:
                llvm.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)

    def load(self, machine_code: bytes, symbol: str) -> int:
        with self._lock:
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(machine_code))
            self._engine.finalize_object()
            address = int(self._engine.get_function_address(symbol))
        if not address:
            raise KernelError(f"the machine code does not define {symbol}")
        return address


@cache
def _loader() -> _Loader:
    return _Loader()


def load_object(machine_code: bytes, symbol: str) -> int:
    """The address of the C function `symbol` after loading `machine_code` into this process."""
    return _loader().load(machine_code, symbol)
