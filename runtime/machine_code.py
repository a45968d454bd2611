"""Machine code of this host: the target it is made for, what it needs, and loading it.

Nothing here needs Numba: a program whose kernels are on disk runs without its compiler.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import struct
import threading
from functools import cache
from typing import Any

import llvmlite.binding as llvm

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


class KernelError(RuntimeError):
    """A kernel cannot be compiled or loaded."""


# By the models of some processors (Zen 4 and 5) LLVM moves loads so far ahead that the accumulators
# of a block no longer fit the registers: half the speed. The machine itself reorders well enough,
# and its instructions are named by its features.
SCHEDULING = "generic"


@cache
def machine(reach: str) -> Any:
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


class _Loader:
    """One LLVM engine that holds the machine code of every loaded kernel, for good."""

    def __init__(self) -> None:
        self._engine = llvm.create_mcjit_compiler(
            llvm.parse_assembly(""), machine("far"), use_lmm=True
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
