"""What the compiled kernels look like: registers, calls; and what compiling them takes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from counting import counted_calls
from numba import types

from keraunos.runtime.cpu import kernel_compiler
from keraunos.runtime.cpu.host import host
from keraunos.runtime.cpu.toolchain import KERNELS

from .conftest import kernel_source


def block(rows: int, vectors: int, lanes: int) -> str:
    """A register-blocked product: rows x vectors accumulators, packed right-hand side."""
    both = [(i, j) for i in range(rows) for j in range(vectors)]
    width = vectors * lanes
    lines = ["a = pointer_f32(args[0])", "b = pointer_f32(args[1])", "c = pointer_f32(args[2])"]
    lines += ["depth = args[3]"]
    lines += [f"c{i}_{j} = splat(0.0)" for i, j in both]
    lines += ["for k in range(depth):"]
    lines += [f"    b{j} = load(b, k * {width} + {j * lanes})" for j in range(vectors)]
    for i in range(rows):
        lines += [f"    x = load_splat(a, {i} * depth + k)"]
        lines += [f"    c{i}_{j} = fma(x, b{j}, c{i}_{j})" for j in range(vectors)]
    lines += [f"store(c, {i * width + j * lanes}, c{i}_{j})" for i, j in both]
    return kernel_source("\n".join(lines))


@pytest.mark.skipif(host().lanes != 16, reason="counts AVX-512 registers")
def test_a_register_block_stays_in_registers() -> None:
    text = KERNELS.assembly(block(14, 2, 16))
    inner = [line for line in text.split("\n") if "vfmadd" in line]
    assert len(inner) % 28 == 0
    assert "(%rsp)" not in "".join(line for line in text.split("\n") if "zmm" in line)


@pytest.mark.skipif("fma" not in host().features, reason="needs FMA")
def test_elementary_functions_are_inline() -> None:
    body = "x = pointer_f32(args[0])\nstore(x, 0, tanh(exp(load(x, 0))))"
    text = KERNELS.assembly(kernel_source(body))
    assert "call" not in text
    assert "movabs" not in text


def calls_to_compile(rows: int) -> int:
    """How often functions are called, in Python, to compile a block: most of the time it takes."""
    source = block(rows, 2, host().lanes)
    function = kernel_compiler._kernel_of(source, Path("block.py")).function
    with counted_calls() as calls:
        kernel_compiler._instructions(function)
    return calls.total


def test_compiling_a_kernel_follows_its_size() -> None:
    """Ten kernels have some four seconds on a cold machine; the largest here is a large one."""
    calls_to_compile(2)  # Numba's own start
    four, eight, fourteen = (calls_to_compile(rows) for rows in (4, 8, 14))
    assert (fourteen - eight) / 6 < 1.5 * (eight - four) / 4
    assert fourteen < 1_300_000  # half a second of a slow core


def test_types_of_calls_are_found_once_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel has few kinds of calls, each a hundred times."""

    def seen(self: Any, context: Any, args: Any, kws: Any) -> Any:
        found[self, args, tuple(kws.items())] += 1
        return find(self, context, args, kws)

    found: Counter[Any] = Counter()
    find = types.BaseFunction.get_call_type
    monkeypatch.setattr(types.BaseFunction, "get_call_type", seen)
    KERNELS.assembly(block(14, 2, host().lanes))
    assert found
    assert set(found.values()) == {1}
    assert types.BaseFunction.get_call_type is seen


def test_llvm_is_given_little_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its passes run once, on some thirty instructions for each that a block is about."""

    def counting(module: Any, target: Any) -> None:
        before.append(instructions(module))
        optimize(module, target)
        after.append(instructions(module))

    before: list[int] = []
    after: list[int] = []
    optimize = kernel_compiler.optimize
    monkeypatch.setattr(kernel_compiler, "optimize", counting)
    KERNELS.assembly(block(14, 2, host().lanes))
    assert len(before) == 1
    assert before[0] < 1000
    assert after[0] < before[0] / 3


def instructions(module: Any) -> int:
    return sum(1 for f in module.functions for block in f.blocks for _ in block.instructions)


def test_assembly_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    KERNELS.assembly(kernel_source("x = 1"))
    assert not list(tmp_path.iterdir())
