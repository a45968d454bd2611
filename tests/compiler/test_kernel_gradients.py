"""Gradients of weights: sums over all samples, compiled, against the reference in float64."""

import numpy as np
import pytest
from here import HERE
from kernel_machine import Supervised

from keraunos.compiler import ops
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.pipeline import optimize

CONVOLUTIONS = {
    "plain": ((9, 8, 3), (3, 3), 20, {}),
    "grey": ((12, 12, 1), (3, 3), 32, {}),
    "one by one": ((7, 6, 17), (1, 1), 33, {}),
    "wide": ((6, 7, 40), (3, 2), 70, {}),
    "strides": ((11, 10, 5), (3, 3), 16, {"strides": (2, 3)}),
    "strided point": ((8, 8, 16), (1, 1), 32, {"strides": (2, 2), "padding": "same"}),
    "same": ((8, 9, 16), (3, 3), 16, {"padding": "same"}),
    "uneven padding": ((5, 6, 4), (2, 4), 7, {"padding": ((1, 0), (2, 3))}),
    "dilation": ((12, 11, 6), (3, 3), 18, {"dilation": (2, 3), "padding": "same"}),
    "tall dilation": ((12, 5, 6), (3, 2), 18, {"dilation": (4, 1)}),
    "groups": ((6, 6, 12), (3, 3), 8, {"groups": 4, "padding": "same"}),
    "lines": ((70, 65, 2), (3, 3), 4, {"padding": "same"}),
    "one line": ((1, 5000, 3), (1, 5), 4, {}),
}
DEPTHWISE = {
    "plain": ((9, 8, 3), (3, 3), 1, {}),
    "same": ((8, 9, 40), (3, 3), 1, {"padding": "same"}),
    "large window": ((12, 9, 16), (5, 7), 1, {"padding": "same"}),
    "strides": ((11, 10, 33), (3, 3), 1, {"strides": (2, 2), "padding": "same"}),
    "dilation": ((11, 10, 16), (3, 2), 1, {"dilation": (2, 3)}),
    "multiplier": ((7, 6, 5), (3, 2), 3, {"padding": "same"}),
    "lines": ((70, 70, 5), (3, 3), 1, {}),
}


def image(name, *sizes):
    return ops.input_(name, parse_type(f"f32[N, {', '.join(map(str, sizes))}]"))


def conv_gradient(sizes, window, filters, options, images=image):
    x = images("x", *sizes)
    kernel = ops.input_("k", parse_type(f"f32[{window[0]}, {window[1]}, 1, {filters}]"))
    groups = options.get("groups", 1)
    kernel = ops.broadcast_to(kernel, shape=(*window, sizes[2] // groups, filters))
    grad = images("g", *ops.conv2d(x, kernel, **options).shape[1:])
    return (x, grad), ops.conv2d_kernel_gradient(x, grad, window=window, **options)


def depthwise_gradient(sizes, window, multiplier, options):
    x = image("x", *sizes)
    kernel = ops.input_("k", parse_type(f"f32[{window[0]}, {window[1]}, {sizes[2]}, {multiplier}]"))
    grad = image("g", *ops.depthwise_conv2d(x, kernel, **options).shape[1:])
    return (x, grad), ops.depthwise_kernel_gradient(x, grad, window=window, **options)


def draw(inputs, batch, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ([batch if not isinstance(n, int) else n for n in i.shape] for i in inputs)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def check(inputs, node, batches=(1, 2, 19), **options):
    """Compares the compiled graph with the reference, relative to the largest element."""
    graph = Graph("gradient", inputs, (node,))
    run = compile_graph(graph, **options)
    for batch in batches:
        arrays = draw(inputs, batch)
        (actual,) = run(*arrays)
        (expected,) = evaluate(graph, arrays, dtype="float64")
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=2e-6 * np.abs(expected).max())
    return run


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_gradient_of_a_convolution_kernel(case):
    check(*conv_gradient(*case))


@pytest.mark.parametrize("case", DEPTHWISE.values(), ids=DEPTHWISE)
def test_gradient_of_depthwise_filters(case):
    check(*depthwise_gradient(*case))


def test_images_of_symbolic_size():
    def images(name, *sizes):
        height, width = ("H", "W") if name == "x" else sizes[:2]
        return ops.input_(name, parse_type(f"f32[N, {height}, {width}, {sizes[2]}]"))

    inputs, node = conv_gradient((9, 9, 5), (3, 3), 20, {}, images)
    run = compile_graph(Graph("gradient", inputs, (node,)))
    rng = np.random.default_rng(0)
    for batch, height, width in ((1, 5, 6), (3, 80, 70)):
        x = rng.standard_normal((batch, height, width, 5)).astype(np.float32)
        g = rng.standard_normal((batch, height - 2, width - 2, 20)).astype(np.float32)
        (expected,) = evaluate(Graph("g", inputs, (node,)), (x, g), dtype="float64")
        np.testing.assert_allclose(run(x, g)[0], expected, atol=2e-6 * np.abs(expected).max())


def test_pixels_kept_apart():
    """A convolution keeps the pixels of wide images apart: its gradient reads them so."""
    x, k = image("x", 3, 3, 512), ops.input_("k", parse_type("f32[2, 2, 512, 5]"))
    g = image("g", 2, 2, 5)
    seen = ops.relu(x)
    gradient = ops.conv2d_kernel_gradient(seen, g, window=(2, 2))
    graph = Graph("both", (x, k, g), (ops.conv2d(seen, k), gradient))
    arrays = draw((x, k, g), 3)
    found, expected = compile_graph(graph)(*arrays), evaluate(graph, arrays, dtype="float64")
    for actual, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=2e-5)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_bits_do_not_depend_on_threads(batch):
    inputs, node = conv_gradient(*CONVOLUTIONS["grey"])
    arrays = draw(inputs, batch)
    graph = Graph("gradient", inputs, (node,))
    one, two = (compile_graph(graph, threads=n)(*arrays)[0] for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_a_long_sum_rounds_like_a_sum_of_sums():
    inputs, node = conv_gradient((32, 32, 1), (1, 1), 1, {})
    graph = Graph("gradient", inputs, (node,))
    arrays = [np.abs(a) for a in draw(inputs, 64)]
    (actual,), (expected,) = compile_graph(graph)(*arrays), evaluate(graph, arrays, dtype="float64")
    assert abs(actual / expected - 1).max() < 1e-6


def test_sums_are_cut_by_what_a_cache_holds():
    inputs, node = conv_gradient(*CONVOLUTIONS["plain"])
    stages = optimize(Graph("gradient", inputs, (node,)), HERE)
    parts = next(n for n in stages.last.nodes if n.op.name == "conv2d_kernel_gradient")
    images, lines = parts.attrs["split"]
    assert lines == 7
    assert 1024 <= images * 7 * 6 <= 4096 + 42
    assert str(parts.shape[0]) == f"(N + {images - 1})//{images}"
    assert str(parse_ir(str(stages.last))) == str(stages.last)
    inputs, node = conv_gradient(*CONVOLUTIONS["lines"])
    stages = optimize(Graph("gradient", inputs, (node,)), HERE)
    parts = next(n for n in stages.last.nodes if n.op.name == "conv2d_kernel_gradient")
    assert parts.attrs["split"][0] == 1
    assert parts.attrs["split"][1] < 70


@pytest.mark.parametrize("split", [(1, 7), (2, 2), (5, 3), (3, 9)])
def test_parts_add_up(split):
    inputs, node = conv_gradient(*CONVOLUTIONS["plain"])
    cut = ops.conv2d_kernel_gradient(*inputs, window=(3, 3), split=split)
    check(inputs, cut)
    arrays = draw(inputs, 5)
    whole, parts = (
        evaluate(Graph("g", inputs, (n,)), arrays, dtype="float64")[0] for n in (node, cut)
    )
    np.testing.assert_allclose(parts.sum(0), whole)


@pytest.mark.parametrize("split", [(0, 1), (1,), ("a", 2)])
def test_parts_that_make_no_sense(split):
    inputs, _ = conv_gradient(*CONVOLUTIONS["plain"])
    with pytest.raises(Exception, match="expected a split"):
        ops.conv2d_kernel_gradient(*inputs, window=(3, 3), split=split)


# Matrices


def transposed(x):
    rank = x.tensor_type.rank
    return ops.transpose(x, axes=(*range(rank - 2), rank - 1, rank - 2))


def matrix(name, text):
    return ops.input_(name, parse_type(text))


MATRICES = {
    "square": ("f32[N, 64]", "f32[N, 64]"),
    "odd": ("f32[N, 37]", "f32[N, 10]"),
    "one column": ("f32[N, 1]", "f32[N, 1]"),
    "wide": ("f32[N, 3]", "f32[N, 700]"),
    "symbolic columns": ("f32[N, M]", "f32[N, 20]"),
    "batches": ("f32[2, 3, N, 9]", "f32[2, 3, N, 17]"),
    "symbolic batches": ("f32[N, 4, 11, 9]", "f32[N, 4, 11, 17]"),
}


@pytest.mark.parametrize("types", MATRICES.values(), ids=MATRICES)
def test_product_of_a_transpose(types):
    x, y = matrix("x", types[0]), matrix("y", types[1])
    run = check((x, y), ops.matmul(transposed(x), y), batches=(1, 6, 50))
    assert run.program.launches == 1


def test_product_of_a_transpose_with_what_follows():
    x, y = matrix("x", "f32[N, 33]"), matrix("y", "f32[N, 40]")
    w, rate = matrix("w", "f32[33, 40]"), matrix("rate", "f32[]")
    updated = ops.subtract(w, ops.multiply(ops.matmul(transposed(x), y), rate))
    run = check((x, y, w, rate), updated, batches=(1, 6, 50))
    assert run.program.launches == 1


def rows_of_sequences(*widths):
    inputs = tuple(
        matrix(name, f"f32[N, 100, {width}]") for name, width in zip("xy", widths, strict=True)
    )
    left, right = (ops.reshape(v, shape=(v.shape[0] * 100, v.shape[2])) for v in inputs)
    return inputs, ops.matmul(transposed(left), right)


def test_rows_of_sequences_are_summed_in_parts():
    run = check(*rows_of_sequences(12, 20), batches=(1, 2, 60))
    assert run.program.launches == 2
    cut = next(n for n in run.graph.nodes if n.op.name == "transposed_matmul")
    assert cut.attrs["split"] >= 1024


def test_rows_of_a_partial_sum_are_copied_to_panels():
    inputs, node = rows_of_sequences(40, 37)
    run = check(inputs, node, batches=(1, 2, 23))
    assert any("panel_rows" in kernel.source for kernel in run.program.kernels)
    supervise(inputs, node)
    arrays = draw(inputs, 23)
    graph = Graph("gradient", inputs, (node,))
    one, two, three = (compile_graph(graph, threads=n)(*arrays)[0] for n in (1, 2, 3))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("depth", ["N", "M"])
def test_products_of_symbolic_depth(depth):
    x, y = matrix("x", f"f32[N, 3, {depth}]"), matrix("y", f"f32[N, {depth}, 20]")
    run = check((x, y), ops.matmul(x, y), batches=(1, 7, 40))
    assert run.program.launches == 1
    x, y = matrix("x", f"f32[9, {depth}]"), matrix("y", f"f32[{depth}, 37]")
    check((x, y), ops.relu(ops.matmul(x, y)), batches=(1, 7, 900))


# In the machine that watches what kernels read and write


@pytest.mark.parametrize("name", ["plain", "grey", "strides", "dilation", "groups", "same"])
def test_gradients_of_convolutions_touch_their_own_memory(name):
    supervise(*conv_gradient(*CONVOLUTIONS[name]))


@pytest.mark.parametrize("name", ["same", "strides", "dilation", "multiplier"])
def test_gradients_of_depthwise_filters_touch_their_own_memory(name):
    supervise(*depthwise_gradient(*DEPTHWISE[name]))


@pytest.mark.parametrize("name", ["odd", "symbolic columns", "batches"])
def test_products_of_transposes_touch_their_own_memory(name):
    x, y = (matrix(n, text) for n, text in zip("xy", MATRICES[name], strict=True))
    supervise((x, y), ops.matmul(transposed(x), y))


def supervise(inputs, node):
    graph = Graph("gradient", inputs, (node,))
    arrays = draw(inputs, 3)
    (actual,) = Supervised(graph, {})(*arrays, seed=1)
    (expected,) = evaluate(graph, arrays, dtype="float64")
    np.testing.assert_allclose(actual, expected, atol=2e-6 * np.abs(expected).max())


# Weights that are no constants


def test_weights_computed_at_run_time_are_read_where_they_lie():
    x, k = image("x", 8, 8, 5), matrix("k", "f32[3, 3, 5, 20]")
    bias, w = matrix("b", "f32[20]"), matrix("w", "f32[720, 10]")
    hidden = ops.relu(ops.add(ops.conv2d(x, k), bias))
    flat = ops.reshape(hidden, shape=(x.shape[0], 720))
    run = check((x, k, bias, w), ops.matmul(flat, w))
    assert run.program.launches == 2
    supervised = Supervised(Graph("g", (x, k, bias, w), (ops.matmul(flat, w),)), {})
    assert supervised.program.launches == 2


def test_weights_in_groups_and_dilated():
    x, k = image("x", 9, 9, 12), matrix("k", "f32[3, 2, 3, 8]")
    options = {"dilation": (2, 3), "groups": 4, "padding": "same"}
    check((x, k), ops.conv2d(x, k, **options))
    supervise((x, k), ops.conv2d(x, k, **options))


def test_many_weights_far_apart_are_packed():
    x, w = matrix("x", "f32[N, 1100]"), matrix("w", "f32[1100, 1100]")
    run = check((x, w), ops.matmul(x, w), batches=(3,))
    assert run.program.launches == 2


def test_weights_of_the_steps_of_a_loop_are_packed_once():
    xs, w = matrix("x", "f32[N, 7, 4]"), matrix("w", "f32[4, 4]")
    start = matrix("h", "f32[N, 4]")

    def step(state, slices):
        new = ops.tanh(ops.add(ops.matmul(state[0], w), slices[0]))
        return (new,), (new,)

    last, _ = ops.trace_scan(step, (start,), (xs,), axis=1, unroll=1)
    run = check((start, xs, w), last[0])
    assert sum(row.label.startswith("pack") for row in run.program.rows) == 1


@pytest.mark.parametrize("steps", [1, 16, 70])
def test_products_of_symbolic_columns(steps):
    """Attention over as many steps as a call has."""
    query, keys, values = (matrix(n, "f32[N, 2, T, 8]") for n in "qkv")
    scores = ops.softmax(ops.matmul(query, transposed(keys)))
    graph = Graph("attention", (query, keys, values), (ops.matmul(scores, values),))
    run, rng = compile_graph(graph), np.random.default_rng(0)
    assert run.program.launches == 4
    arrays = [rng.standard_normal((3, 2, steps, 8)).astype(np.float32) for _ in range(3)]
    (expected,) = evaluate(graph, arrays, dtype="float64")
    np.testing.assert_allclose(run(*arrays)[0], expected, rtol=1e-4, atol=1e-5)
    if steps < 20:
        np.testing.assert_allclose(Supervised(graph, {})(*arrays)[0], expected, atol=1e-5)
