"""Programs for GPUs: every op has kernels on grids; what is fused, and who shares a sum."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest
from op_cases import CASE_IDS, CASES, Case

from keraunos.compiler.cuda.bodies import GridContract
from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError
from keraunos.compiler.ir.kinds import Leaf, Projection, Region
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.report.explain import explain
from keraunos.compiler.targets import target_named
from keraunos.runtime.program import LaunchRow

OPS = [
    pytest.param(case, id=name)
    for case, name in zip(CASES, CASE_IDS, strict=True)
    if not isinstance(case.op.kind, (Leaf, Region, Projection)) and "winograd" not in case.op.name
]
HEAD = re.compile(r"@gpu_kernel\(arguments=(\d+), threads=(\d+)\)\ndef kernel\(args\):")


def compiled(text: str, target: str = "cuda") -> Executable:
    return compile_graph(parse_ir(text), target=target)


def only_text(text: str) -> str:
    (kernel,) = compiled(text).program.kernels
    return kernel.source


@pytest.mark.parametrize("case", OPS)
def test_every_op_has_kernels_on_grids(case: Case) -> None:
    program = compile_graph(Graph("op", case.inputs, (case.node,)), target="cuda").program
    launches = [row for row in program.rows if isinstance(row, LaunchRow)]
    assert launches and all(row.grid is not None for row in launches)
    for row in launches:
        source = program.kernels[row.kernel].source
        head = HEAD.search(source)
        assert head is not None and row.grid is not None
        assert (int(head[1]), int(head[2])) == (len(row.arguments), row.grid.threads)
        assert "runtime.cpu" not in source
        ast.parse(source)


def test_names_say_the_architecture() -> None:
    assert [target_named(name).name for name in ("cuda", "cuda:sm_80", "cuda-emulated")] == [
        "cuda:sm_90a",
        "cuda:sm_80",
        "cuda-emulated",
    ]
    with pytest.raises(IRError, match="got 'cuda:sm_81'; did you mean cuda:sm_80"):
        target_named("cuda:sm_81")


def test_nothing_lies_around_images() -> None:
    """Loads outside of an image are left out: no halo is stored, and no copy made for one."""
    made = compiled("""graph g(%x: f32[N, 6, 6, 2]) -> f32[N, 6, 6, 4] {
  $k : f32[3, 3, 2, 4]
  %0 = conv2d(%x, $k, padding="same")
  return %0
}""")
    assert made.program.launches == 1
    assert "if 0 <= iy < height:" in made.program.kernels[0].source


def test_a_convolution_is_fused_with_what_follows_it() -> None:
    made = compiled("""graph g(%x: f32[N, 6, 6, 2]) -> f32[N, 2, 2, 4] {
  $k : f32[3, 3, 2, 4]
  $b : f32[4]
  %0 = conv2d(%x, $k, padding="valid")
  %1 = add(%0, $b)
  %2 = relu(%1)
  %3 = max_pool2d(%2, window=(2, 2), strides=(2, 2), padding="valid")
  return %3
}""")
    assert made.program.launches == 1


@pytest.mark.parametrize(
    ("terms", "axis", "worker"),
    [(8, 1, "thread"), (64, 1, "warp"), (4096, 1, "block"), (4096, 0, "thread")],
)
def test_who_shares_a_sum(terms: int, axis: int, worker: str) -> None:
    """Terms side by side are shared by a warp or a block; of other sums each thread has its own."""
    shape = (16, terms) if axis == 1 else (terms, 16)
    source = only_text(f"""graph g(%x: f32[{shape[0]}, {shape[1]}]) -> f32[16] {{
  %0 = sum(%x, axes=({axis},), keepdims=False)
  return %0
}}""")
    found = {"warp": "shuffle_xor" in source, "block": "barrier()" in source}
    assert found == {"warp": worker != "thread", "block": worker == "block"}


PRODUCT = """graph g(%x: f32[{0}, {1}]) -> f32[{0}, {2}] {{
  $k : f32[{1}, {2}]
  %0 = matmul(%x, $k)
  return %0
}}"""


@pytest.mark.parametrize(
    ("rows", "depth", "columns", "tile"),
    [
        (4096, 4096, 4096, "128x128x8"),
        (1024, 512, 1024, "64x64x16"),
        ("N", 64, 32, "32x32x8"),
        ("N", 64, 10, "None"),  # most of a tile would be empty
        ("N", 4, 64, "None"),  # there is little to share
    ],
)
def test_tiles_of_products(rows: int | str, depth: int, columns: int, tile: str) -> None:
    made = compiled(PRODUCT.format(rows, depth, columns))
    body = made.plan.kernels[0].body
    assert isinstance(body, GridContract) and str(body.tile) == tile


def test_a_tile_is_a_block() -> None:
    (row,) = compiled(PRODUCT.format("N", 64, 70)).program.rows
    assert isinstance(row, LaunchRow)
    assert str(row.grid) == "3*((N + 31)//32) x 64"


def test_models_share_tiles_of_equal_structure() -> None:
    texts = {only_text(PRODUCT.format("N", depth, 64)) for depth in (32, 48, 512)}
    assert len(texts) == 1


def test_sums_over_samples_are_split() -> None:
    """First over each sample, or some images of a kernel's gradient, then over all of these."""
    results = "f32[16], f32[3, 3, 4, 16]"
    made = compiled(f"""graph g(%x: f32[N, 8, 8, 4], %g: f32[N, 8, 8, 16]) -> ({results}) {{
  %0 = sum(%g, axes=(0, 1, 2), keepdims=False)
  %1 = conv2d_kernel_gradient(%x, %g, window=(3, 3), padding="same")
  return %0, %1
}}""")
    shapes = {str(node.type) for node in made.graph.nodes if node.inputs}
    assert "f32[N, 16]" in shapes and "f32[(N + 31)//32, 3, 3, 4, 16]" in shapes


def test_explain_tells_tiles() -> None:
    made = compiled(PRODUCT.format(1024, 512, 1024))
    assert explain(made).to_dict()["engines"] == {"matmul": "fma in tiles of 64x64x16"}


@pytest.mark.slow
@pytest.mark.parametrize("case", OPS)
def test_every_op_is_right_on_the_emulator(case: Case) -> None:
    arrays = case.arrays()
    (expected,) = case.run(case.node, arrays=arrays)
    made = compile_graph(Graph("op", case.inputs, (case.node,)), target="cuda-emulated")
    (actual,) = made(*arrays)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-6)
    else:
        np.testing.assert_array_equal(actual, expected)


TILED = (
    """graph pooled(%x: f32[N, 8, 8, 3]) -> f32[N, 4, 4, 20] {
  $k : f32[3, 3, 3, 20]
  $b : f32[20]
  %0 = conv2d(%x, $k, padding="same")
  %1 = add(%0, $b)
  %2 = relu(%1)
  %3 = max_pool2d(%2, window=(2, 2), strides=(2, 2))
  return %3
}""",
    """graph groups(%x: f32[N, 8, 8, 32]) -> f32[N, 4, 4, 32] {
  $k : f32[3, 3, 16, 32]
  %0 = conv2d(%x, $k, padding="same", strides=(2, 2), groups=2)
  return %0
}""",
    """graph long(%x: f32[N, 1500]) -> f32[N, 33] {
  $k : f32[1500, 33]
  %0 = matmul(%x, $k)
  return %0
}""",
)


@pytest.mark.slow
@pytest.mark.parametrize("text", TILED)
def test_tiles_are_right_on_the_emulator(text: str) -> None:
    graph, rng = parse_ir(text), np.random.default_rng(0)
    shape = [size if isinstance(size, int) else 3 for size in graph.inputs[0].shape]
    x = rng.normal(size=shape).astype("float32")
    weights = {
        node.attrs["name"]: rng.normal(size=node.shape).astype("float32")
        for node in graph.parameters
    }
    made = compile_graph(graph, target="cuda-emulated")
    assert any(getattr(kernel.body, "tile", None) for kernel in made.plan.kernels)
    made.set_parameters(weights)
    (expected,) = evaluate(graph, [x], weights, dtype="float64")
    np.testing.assert_allclose(made(x)[0], expected, rtol=1e-5, atol=1e-4)
