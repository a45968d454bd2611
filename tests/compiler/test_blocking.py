"""Register blocks: what the model of costs chooses for machines of several kinds."""

from dataclasses import replace

import numpy as np
import pytest
from machines import block_for, target_of

from keraunos.compiler.cpu.blocking import Extent
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.runtime.cpu.host import FOUR_WIDE, WIDE, host

DENSE = Extent(rows=1, columns=196, channels=256, depth=1024)
EXTENTS = [
    DENSE,
    Extent(rows=14, columns=14, channels=256, depth=2304, sweeps=3),
    Extent(rows=7, columns=7, channels=160, depth=960),
    Extent(rows=1, columns=3136, channels=24, depth=144),
    Extent(rows=26, columns=26, channels=32, depth=9, sweeps=3, row_unit=2, column_unit=2),
    Extent(rows=1, columns=None, channels=1000, depth=2048),
    Extent(rows=3, columns=3, channels=64, depth=1352, adjacent=True),
]


def machine(lanes, issue_width):
    """One like this, but for its vectors and how much it starts a cycle."""
    registers = 32 if lanes == 16 else 16
    return replace(host(), lanes=lanes, vector_registers=registers, issue_width=issue_width)


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("issue_width", [4, WIDE])
@pytest.mark.parametrize("extent", EXTENTS)
def test_a_block_leaves_a_register_to_spare(extent, issue_width, lanes):
    block = block_for(extent, machine(lanes, issue_width))
    used = block.accumulators + block.vectors + 1
    assert used < machine(lanes, issue_width).vector_registers


def test_few_columns_are_held_where_few_operations_start():
    wide, narrow = block_for(DENSE, machine(16, WIDE)), block_for(DENSE, machine(16, 4))
    assert (wide.rows, wide.columns, wide.vectors) == (1, 14, 2)
    assert narrow.columns < wide.columns
    assert narrow.vectors > wide.vectors


def test_rows_are_taken_together_where_one_gives_too_few_sums_to_fill_the_latency():
    block = block_for(Extent(3, 3, 64, 576, sweeps=3), machine(8, WIDE))
    assert (block.rows, block.columns, block.vectors) == (3, 3, 1)


def test_columns_at_one_address_need_no_registers_for_theirs():
    apart, beside = (
        block_for(Extent(1, 28, 16, 512, adjacent=adjacent), machine(16, WIDE))
        for adjacent in (False, True)
    )
    assert apart.columns < beside.columns


def test_cores_that_load_once_a_cycle_have_blocks_that_load_less():
    wide = machine(16, WIDE)
    extent = Extent(1, 784, 128, 512)
    many, few = (block_for(extent, replace(wide, load_ports=ports)) for ports in (2, 1))

    def loads(block):
        return (block.rows * block.columns + block.vectors) / block.accumulators

    assert loads(few) < loads(many)


def test_this_machine_is_one_of_the_two_kinds():
    assert host().issue_width == (4 if host().cpu_name in FOUR_WIDE else WIDE)


GRAPHS = {
    "image": """graph g(%x: f32[N, 9, 9, 7]) -> f32[N, 9, 9, 24] {
  $k : f32[3, 3, 7, 24]
  %0 = conv2d(%x, $k, padding="same")
  %1 = relu(%0)
  return %1
}""",
    "pixels": """graph g(%x: f32[N, 7, 7, 65]) -> f32[N, 7, 7, 40] {
  $k : f32[1, 1, 65, 40]
  %0 = conv2d(%x, $k)
  return %0
}""",
    "long": """graph g(%x: f32[N, 1001]) -> f32[N, 64] {
  $k : f32[1001, 64]
  %0 = matmul(%x, $k)
  return %0
}""",
    "prefetched panels": """graph g(%x: f32[N, 4, 4, 513]) -> f32[N, 4, 4, 1024] {
  $k : f32[1, 1, 513, 1024]
  %0 = conv2d(%x, $k)
  return %0
}""",
}


@pytest.mark.parametrize("name", GRAPHS)
def test_kernels_for_cores_that_start_little_compute_the_same(name):
    graph = parse_ir(GRAPHS[name])
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=graph.parameters[0].type.shape).astype("float32")
    x = rng.normal(size=(3, *graph.inputs[0].type.shape[1:])).astype("float32")

    def run(issue_width):
        executable = compile_graph(graph, target=target_of(machine(host().lanes, issue_width)))
        executable.set_parameters({"k": kernel})
        return executable(x)[0], "".join(executable.source.values())

    usual, _ = run(WIDE)
    unrolled, text = run(4)
    assert "whole_run" in text
    assert ("prefetch(" in text) == (name == "prefetched panels")
    np.testing.assert_allclose(unrolled, usual, rtol=1e-4, atol=1e-4)
