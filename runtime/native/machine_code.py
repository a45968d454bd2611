"""Machine code of this host: the target it is made for, what it needs, and loading it.

Nothing here needs Numba: a program whose kernels are on disk runs without its compiler.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from ..forks import Lock
from ..kernels import KernelError

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
LIBC = frozenset({"memcpy", "memset", "memmove", "sched_yield", "clock_gettime", "syscall"})


SYMBOL_TABLE = 2  # ELF section type


# By the models of some processors (Zen 4 and 5) LLVM moves loads so far ahead that the accumulators
# of a block no longer fit the registers: half the speed. The machine itself reorders well enough,
# and its instructions are named by its features.
SCHEDULING = "generic"


@cache
def machine(reach: str) -> Any:
    """As ``new_machine``, one for all who compile."""
    return new_machine(reach)


def new_machine(reach: str) -> Any:
    """The host with constants and functions within 2 GB ("near"), or anywhere ("far").

    Far is Numba's own choice: every constant costs a 64-bit address in a general register.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=SCHEDULING,
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic" if reach == "near" else "static",
        codemodel="small" if reach == "near" else "large",
    )


@dataclass(frozen=True)
class Symbols:
    """Names in an object: of functions and data that it has, and of those that it needs."""

    defined: frozenset[str]
    undefined: frozenset[str]


def symbols(machine_code: bytes) -> Symbols:
    """The names in an ELF object (64-bit, little-endian).

    Raises:
        KernelError: the object is of another kind, or damaged.
    """
    if machine_code[:6] != b"\x7fELF\x02\x01":
        raise KernelError("expected 64-bit little-endian ELF objects; only Linux is supported")
    names: dict[bool, set[str]] = {True: set(), False: set()}
    try:
        for is_defined, name in _symbols(machine_code):
            names[is_defined].add(name)
    except (struct.error, IndexError, ValueError) as error:  # addresses that lead nowhere
        raise KernelError(f"expected an ELF object, got a damaged one ({error})") from error
    return Symbols(frozenset(names[True]), frozenset(names[False]))


def _symbols(machine_code: bytes) -> Iterator[tuple[bool, str]]:
    (start,) = struct.unpack_from("<Q", machine_code, 40)
    size, count = struct.unpack_from("<HH", machine_code, 58)
    sections = [
        struct.unpack_from("<IIQQQQIIQQ", machine_code, start + k * size) for k in range(count)
    ]
    for _, kind, _, _, offset, length, link, *_ in sections:
        if kind != SYMBOL_TABLE:
            continue
        strings = sections[link][4]
        for name, _, _, section, _, _ in struct.iter_unpack(
            "<IBBHQQ", machine_code[offset : offset + length]
        ):
            if name:
                end = machine_code.index(b"\0", strings + name)
                yield section != 0, machine_code[strings + name : end].decode()


def undefined_symbols(machine_code: bytes) -> frozenset[str]:
    """Names that an object uses and does not define; raises as `symbols`."""
    return symbols(machine_code).undefined


def foreign_symbols(machine_code: bytes) -> list[str]:
    """Those of them that no kernel may use: LLVM ends the process over what it cannot find."""
    return sorted(undefined_symbols(machine_code) - LIBM - LIBC - {"_GLOBAL_OFFSET_TABLE_"})


def optimize(module: Any, target: Any, level: int = 3) -> None:
    """One run of LLVM's passes for the machine ``target``."""
    tuning = llvm.create_pipeline_tuning_options(speed_level=level)
    tuning.loop_vectorization = True
    tuning.slp_vectorization = False
    builder = llvm.create_pass_builder(target, tuning)
    manager = builder.getModulePassManager()
    manager.run(module, builder)


def emit_object(module: Any, symbol: str) -> bytes:
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


class _Loader:
    """One LLVM engine that holds the machine code of every loaded kernel, for good."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._engine: Any = None

    def load(self, machine_code: bytes, symbol: str) -> int:
        with self._lock:
            if self._engine is None:
                self._engine = _engine()
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(machine_code))
            self._engine.finalize_object()
            return int(self._engine.get_function_address(symbol))


def _engine() -> Any:
    # An engine owns its machine, and frees it.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), new_machine("far"), use_lmm=True)
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    for name in LIBM:
        function = getattr(library, name, None)
        if function is not None:
            llvm.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
    return engine


_loader = _Loader()


def load_object(machine_code: bytes, symbol: str) -> int:
    """The address of the C function `symbol` after loading `machine_code` into this process.

    Raises:
        KernelError: it is no object, does not define the function, or needs what is not there.
    """
    if symbol not in symbols(machine_code).defined:
        raise KernelError(f"the machine code does not define {symbol}")
    foreign = foreign_symbols(machine_code)
    if foreign:
        raise KernelError(f"the machine code needs {', '.join(foreign)}")
    try:
        address = _loader.load(machine_code, symbol)
    except RuntimeError as error:
        raise KernelError(f"LLVM does not load the machine code: {error}") from error
    if not address:
        raise KernelError(f"LLVM does not find {symbol} in the machine code")
    return address
