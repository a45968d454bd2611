"""A gather costs the rows that it picks, not its table; it shares tiles with what reads them."""

import numpy as np
import pytest

from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.report.profile import profile

ROWS, WIDTH, STEPS = 20_000, 64, 6
EMBEDDED = parse_ir(f"""
graph embedded(%x: i32[N, {STEPS}]) -> f32[N, {STEPS}, 16] {{
  $table  : f32[{ROWS}, {WIDTH}]   # embedding
  $kernel : f32[{WIDTH}, 16]       # dense
  %0 = gather($table, %x)          # embedding
  %1 = matmul(%0, $kernel)         # dense
  return %1
}}
""")


def test_rows_of_a_table() -> None:
    run = compile_graph(EMBEDDED, disable="fold_tables")
    random = np.random.default_rng(0)
    table, kernel = (
        random.normal(size=shape).astype("float32") for shape in ((ROWS, WIDTH), (WIDTH, 16))
    )
    run.set_parameters({"table": table, "kernel": kernel})
    for samples in (1, 3, 37):
        x = random.integers(0, ROWS, (samples, STEPS)).astype("int32")
        np.testing.assert_allclose(run(x)[0], table[x] @ kernel, rtol=1e-4, atol=1e-4)
    gathers = [
        launch for launch in profile(run, x, repeats=2).launches if "gather" in launch.kernel
    ]
    # Indices, rows read, and rows written.
    assert [launch.bytes for launch in gathers] == [x.nbytes + 2 * x.size * WIDTH * 4]
    assert any("embedding" in d.layers and d.reason == "DEPTH_FIRST" for d in run.decisions)


@pytest.mark.parametrize(("picked", "width"), [("%x", 5), ("%x", 600), ("%y", 40)])
def test_rows_are_prefetched_where_a_call_says_which(picked: str, width: int) -> None:
    """As far as there are indices, which may name no row at all."""
    graph = parse_ir(f"""graph g(%x: i32[N], %y: i32[N, 2]) {{
        $table : f32[9, {width}]
        %0 = gather($table, {picked})
        %1 = exp(%0)
        return %1 }}""")
    run = compile_graph(graph)
    (text,) = (kernel.source for kernel in run.program.kernels)
    assert "prefetch(" in text
    table = np.random.default_rng(0).normal(size=(9, width)).astype("float32")
    run.set_parameters({"table": table})
    for samples in (1, 4, 9, 41):
        x = np.random.default_rng(samples).integers(-12, 12, (samples, 3)).astype("int32")
        arrays = np.ascontiguousarray(x[:, 0]), np.ascontiguousarray(x[:, 1:])
        (result,) = run(*arrays)
        (expected,) = evaluate(graph, arrays, {"table": table})
        np.testing.assert_allclose(result, expected, rtol=1e-6)
