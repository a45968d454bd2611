"""A gather costs the rows that it picks, not its table; it shares tiles with what reads them."""

import numpy as np

from keraunos.compiler.executable import compile_graph
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
    run = compile_graph(EMBEDDED)
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
