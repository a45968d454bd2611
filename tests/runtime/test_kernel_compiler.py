"""What the compiled kernels look like: registers, calls, time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from keraunos.runtime.cache import kernel_assembly
from keraunos.runtime.cpu.host import host

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
    text = kernel_assembly(block(14, 2, 16))
    inner = [line for line in text.split("\n") if "vfmadd" in line]
    assert len(inner) % 28 == 0
    assert "(%rsp)" not in "".join(line for line in text.split("\n") if "zmm" in line)


@pytest.mark.skipif("fma" not in host().features, reason="needs FMA")
def test_elementary_functions_are_inline() -> None:
    body = "x = pointer_f32(args[0])\nstore(x, 0, tanh(exp(load(x, 0))))"
    text = kernel_assembly(kernel_source(body))
    assert "call" not in text
    assert "movabs" not in text


def test_a_mid_sized_kernel_compiles_quickly() -> None:
    """Ten kernels have some four seconds on a cold machine; this is a large one of them."""
    kernel_assembly(block(2, 1, host().lanes))  # Numba's own start
    best = min(seconds(block(14, 2, host().lanes)) for _ in range(2))
    assert best < 1.0


def seconds(source: str) -> float:
    start = time.perf_counter()
    kernel_assembly(source)
    return time.perf_counter() - start


def test_assembly_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kernel_assembly(kernel_source("x = 1"))
    assert not list(tmp_path.iterdir())
