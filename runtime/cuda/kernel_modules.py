"""Texts of kernels to what a device loads: PTX of a GPU, objects of the emulator.

The front end, which makes an LLVM module of a text, is the same for both; functions of the
vocabulary are linked to it. Every statement that reaches into memory or waits for other threads is
preceded by its line, which the emulator keeps and a GPU leaves out.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba.core.compiler_lock import global_compiler_lock

from ..kernels import KernelError
from ..native.front_end import front_end, module_of, on_compiler_stack
from ..native.machine_code import emit_object, machine, optimize
from . import emulated_module, ptx_module, vocabulary
from .machine_words import EmulatorCode
from .vocabulary import SIGNATURE, GpuKernel

BODY = "keraunos_body"
TRIPLE = "nvptx64-nvidia-cuda"
# PTX 8.0 is taken by every driver since CUDA 12.0; later architectures ask for a later version.
PTX = {"sm_80": "ptx80", "sm_90": "ptx80", "sm_90a": "ptx80", "sm_100": "ptx86"}
TRACED = re.compile(r"get\w*|put\w*|barrier|shuffle\w*|shared\w*")


def compile_object(source: str, path: Path, symbol: str) -> bytes:
    """An object that defines ``symbol``, for the emulator.

    Raises:
        KernelError: the text defines no kernel, or one that needs what there is not.
    """
    return on_compiler_stack(_object, (_kernel_of(source, path), symbol), path)


def compile_ptx(source: str, path: Path, symbol: str, architecture: str) -> str:
    """PTX with the kernel as ``symbol``. LLVM ends the process over what it cannot select.

    Raises:
        KernelError: the text defines no kernel, or one that calls functions of the C library.
    """
    return on_compiler_stack(_ptx, (_kernel_of(source, path), symbol, architecture), path)


def _kernel_of(source: str, path: Path) -> GpuKernel | EmulatorCode:
    tree = ast.fix_missing_locations(_Lines().visit(ast.parse(source, str(path))))
    kernel = module_of(tree, path, __package__).__dict__.get("kernel")
    if not isinstance(kernel, GpuKernel | EmulatorCode):
        raise KernelError(
            f"{path}: expected a function named `kernel` marked by @gpu_kernel, got {kernel!r}"
        )
    if isinstance(kernel, GpuKernel):
        kernel.function.__globals__[LINE] = vocabulary.at
    return kernel


LINE = "_at_line"


class _Lines(ast.NodeTransformer):
    """Says before each statement of a kernel, where it may be wrong, in which line it stands."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        marked = any(isinstance(each, ast.Call) for each in node.decorator_list)
        return self.generic_visit(node) if marked else node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name in ("body", "orelse"):
            statements = getattr(node, name, None)
            if isinstance(statements, list):
                setattr(node, name, [new for each in statements for new in self._marked(each)])
        return node

    def _marked(self, statement: ast.stmt) -> list[ast.stmt]:
        head = _own_expressions(statement)
        self.visit(statement)
        calls = (each for part in head for each in ast.walk(part) if isinstance(each, ast.Call))
        names = (call.func.id for call in calls if isinstance(call.func, ast.Name))
        if isinstance(statement, ast.FunctionDef) or not any(map(TRACED.fullmatch, names)):
            return [statement]
        call = ast.Call(ast.Name(LINE, ast.Load()), [ast.Constant(statement.lineno)], [])
        return [ast.copy_location(ast.Expr(call), statement), statement]


def _own_expressions(statement: ast.stmt) -> list[ast.AST]:
    """What a statement evaluates itself, without the statements inside of it."""
    return [each for each in ast.iter_child_nodes(statement) if not isinstance(each, ast.stmt)]


def _object(kernel: GpuKernel | EmulatorCode, symbol: str) -> bytes:
    with global_compiler_lock:
        text = emulated_module.SWITCH
        if isinstance(kernel, GpuKernel):
            module = front_end(kernel.function, BODY, SIGNATURE)
            text += emulated_module.FUNCTIONS + emulated_module.entry(symbol, BODY)
        else:
            module = front_end(kernel.function, symbol, SIGNATURE)
        _link(module, text)
        _keep_inside(module, symbol)
        llvm.initialize_native_asmparser()  # stacks are switched in the machine's own instructions
        optimize(module, machine("near"), 2)
        return emit_object(module, symbol)


def _ptx(kernel: GpuKernel, symbol: str, architecture: str) -> str:
    with global_compiler_lock:
        module = front_end(kernel.function, BODY, SIGNATURE)
        gpu = _gpu(architecture)
        module = llvm.parse_assembly(_for_gpu(str(module), gpu))
        text = ptx_module.FUNCTIONS + ptx_module.entry(
            symbol, BODY, kernel.arguments, kernel.threads
        )
        _link(module, _for_gpu(text, gpu))
        _keep_inside(module, symbol)
        optimize(module, gpu)
        ptx = str(gpu.emit_assembly(module))
    missing = sorted(set(re.findall(r"^\.extern \.func.*?(\w+)\s*$", ptx, re.MULTILINE)))
    if missing:
        raise KernelError(f"kernel {symbol} needs {', '.join(missing)}, which GPUs have not")
    return ptx


@cache
def _gpu(architecture: str) -> Any:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(TRIPLE)
    features = f"+{PTX[architecture]}"
    return target.create_target_machine(cpu=architecture, features=features, opt=3)


def _for_gpu(text: str, gpu: Any) -> str:
    """LLVM text without what was said of another machine."""
    text = re.sub(r"^target (datalayout|triple).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r'"(target-cpu|target-features)"="[^"]*"', "", text)
    return f'target triple = "{TRIPLE}"\ntarget datalayout = "{gpu.target_data}"\n{text}'


def _link(module: Any, text: str) -> None:
    other = llvm.parse_assembly(text)
    other.triple, other.data_layout = module.triple, module.data_layout
    module.link_in(other)


def _keep_inside(module: Any, symbol: str) -> None:
    for value in (*module.functions, *module.global_variables):
        if not value.is_declaration and value.name != symbol:
            value.linkage = llvm.Linkage.internal
