"""What makes kernels for the emulator, and PTX for GPUs; compiled once a machine, like all kernels.

LLVM ends the process over an instruction that a GPU has not, so PTX is made in a process of its
own, which lives as long as this one.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..cache import Kernels
from ..forks import Lock
from ..kernels import KernelError, Toolchain
from ..native.features import features, lanes, versions
from ..native.machine_code import load_object
from ..native.sources import NATIVE, fingerprint

NEWEST = "sm_90a"
# What the texts of kernels import, what compiles them, and what that imports; see `NATIVE`.
LAYER = (
    *NATIVE,
    "cuda/emulated_module.py",
    "cuda/kernel_modules.py",
    "cuda/machine_layout.py",
    "cuda/machine_words.py",
    "cuda/ptx_module.py",
    "cuda/tiles.py",
    "cuda/vocabulary.py",
)


class EmulatedToolchain(Toolchain):
    """Objects for this machine, in which threads of a GPU run one after another."""

    @property
    def fingerprint(self) -> bytes:
        return _fingerprint("emulated", str(lanes()), *sorted(features()))

    def compile(self, source: str, path: Path, symbol: str) -> bytes:
        modules = importlib.import_module(".kernel_modules", __package__)
        machine_code: bytes = modules.compile_object(source, path, symbol)
        return machine_code

    def load(self, machine_code: bytes, symbol: str) -> int:
        return load_object(machine_code, symbol)

    def assembly(self, source: str, path: Path) -> str:
        return ptx(source)


class PtxToolchain(Toolchain):
    """PTX for GPUs of an architecture, on any machine."""

    def __init__(self, architecture: str) -> None:
        self.architecture = architecture

    @property
    def fingerprint(self) -> bytes:
        return _fingerprint("ptx", self.architecture)

    def compile(self, source: str, path: Path, symbol: str) -> bytes:
        return _process.ask(source, path, symbol, self.architecture).encode()

    def load(self, machine_code: bytes, symbol: str) -> int:
        raise KernelError(
            "no program runs on a card yet: compile for the target 'cuda-emulated' to run it here"
        )

    def assembly(self, source: str, path: Path) -> str:
        return ptx(source, self.architecture)


@cache
def _fingerprint(*parts: str) -> bytes:
    return fingerprint((*parts, versions()), LAYER)


class PtxProcess:
    """The process that makes PTX: it is asked and answers in lines of JSON."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def ask(self, source: str, path: Path, symbol: str, architecture: str) -> str:
        """PTX for ``architecture``.

        Raises:
            KernelError: the text defines no kernel, or LLVM cannot make one of it.
        """
        question = [source, str(path), symbol, architecture]
        with self._lock:
            answer = self._answer(json.dumps(question))
        if answer is None:
            raise KernelError(f"{path}: LLVM makes no PTX of this kernel for {architecture}")
        if "error" in answer:
            raise KernelError(answer["error"])
        return str(answer["ptx"])

    def close(self) -> None:
        """Ends the process, if this one started it."""
        if self._process is not None and self._owner == os.getpid():
            self._process.communicate()
        self._process = None

    def _answer(self, question: str) -> dict[str, str] | None:
        # The child of a fork asks a process of its own.
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self._process, self._owner = _start(), os.getpid()
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            return None
        found: dict[str, str] | None = json.loads(answer) if answer else None
        return found


def _start() -> subprocess.Popen[str]:
    # Vectors of four lanes: with wider ones some functions use instructions of this processor.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        env=os.environ | {"KERAUNOS_LANES": "4"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


_process = PtxProcess()
atexit.register(_process.close)


def ptx(source: str, architecture: str = NEWEST) -> str:
    """The instructions of a kernel for GPUs of an architecture, compiled once a machine.

    Raises as ``PtxProcess.ask``.
    """
    return Kernels(PtxToolchain(architecture)).made(source).decode()


@dataclass(frozen=True)
class PtxAssembler:
    """PTX, for people who read it; see ``Assembler``."""

    model: str
    suffix: str = ".ptx"
    comment: str = "//"

    def assembly(self, source: str) -> str:
        return ptx(source, self.model)


def assembler(architecture: str) -> PtxAssembler:
    """For GPUs of an architecture, such as ``"sm_80"``."""
    return PtxAssembler(architecture)


def main() -> None:
    """The process: answers until standard input ends."""
    modules = importlib.import_module(".kernel_modules", "keraunos.runtime.cuda")
    for line in sys.stdin:
        print(json.dumps(_answered(modules, json.loads(line))), flush=True)


def _answered(modules: Any, question: list[str]) -> dict[str, str]:
    source, path, symbol, architecture = question
    try:
        return {"ptx": modules.compile_ptx(source, Path(path), symbol, architecture)}
    except Exception as error:  # noqa: BLE001 - whoever asked gets it
        return {"error": f"{path}: {error}"}


KERNELS = Kernels(EmulatedToolchain())
"""All kernels of the emulator in this process: generated ones, and its own."""

if __name__ == "__main__":
    main()
