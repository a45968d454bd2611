"""Convolutions by fewer products: before and after, values, and memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import assert_same_values
from here import context
from kernel_machine import Supervised

from keraunos.compiler import ops
from keraunos.compiler.autodiff import gradients
from keraunos.compiler.cpu.passes.winograd import winograd
from keraunos.compiler.cpu.segments import weight_bytes
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.executable import Executable, compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError, Node
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.ops.core import constant, input_, parameter
from keraunos.compiler.ops.winograd import OF_KERNELS, transformed_kernel
from keraunos.runtime.dim import symbol

# height, width, channels, filters, padding
SIZES = {
    "even": (8, 8, 16, 16, "same"),
    "odd": (11, 9, 32, 64, "same"),
    "valid": (13, 13, 32, 64, "valid"),
    "one tile": (4, 4, 128, 128, "valid"),
    "uneven padding": (6, 7, 16, 48, ((2, 0), (1, 2))),
    "filters left over": (9, 6, 48, 20, "same"),
    "few filters": (12, 12, 16, 5, "same"),
    "many channels": (6, 6, 512, 40, "same"),
}


def tensor(name: str, *sizes: int | str) -> Node:
    return input_(name, parse_type(f"f32[{', '.join(map(str, sizes))}]"))


def operands(case: Any) -> tuple[Node, Node]:
    height, width, channels, filters, _ = case
    return tensor("x", "N", height, width, channels), tensor("k", 3, 3, channels, filters)


def convolution(case: Any) -> Graph:
    x, k = operands(case)
    return Graph("g", (x, k), (ops.conv2d(x, k, padding=case[-1]),))


def kernel_gradient(case: Any) -> Graph:
    x, k = operands(case)
    places = ops.conv2d(x, k, padding=case[-1]).shape[1:]
    grad = tensor("g", "N", *places)
    gradient = ops.conv2d_kernel_gradient(x, grad, window=(3, 3), padding=case[-1])
    return Graph("g", (x, grad), (gradient,))


def after(graph: Graph) -> tuple[Graph, list[str]]:
    """The graph after the pass, and the reasons of what was done or not."""
    decisions = Decisions()
    result = winograd(graph, context(decisions))
    verify(result, "winograd")
    assert_same_values(graph, result, sizes={"N": 2}, rtol=1e-9)
    return result, [decision.reason for decision in decisions]


def draw(graph: Graph, batch: int) -> list[np.ndarray]:
    rng = np.random.default_rng(batch)
    shapes = ([batch if not isinstance(n, int) else n for n in i.shape] for i in graph.inputs)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def check(graph: Graph, batches: Any = (1, 2, 19), **options: Any) -> Executable:
    """Compares the compiled graph with the reference, relative to the largest element."""
    run = compile_graph(graph, **options)
    for batch in batches:
        arrays = draw(graph, batch)
        (expected,) = evaluate(graph, arrays, dtype="float64")
        (actual,) = run(*arrays)
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=3e-6 * np.abs(expected).max())
    return run


def supervise(graph: Graph) -> None:
    arrays = draw(graph, 3)
    supervised = Supervised(graph, {})
    assert "winograd" in kernels(supervised)
    (actual,) = supervised(*arrays, seed=1)
    (expected,) = evaluate(graph, arrays, dtype="float64")
    np.testing.assert_allclose(actual, expected, atol=3e-6 * np.abs(expected).max())


def kernels(run: Executable | Supervised) -> str:
    return " ".join(kernel.name for kernel in run.program.kernels)


# The pass


@pytest.mark.smoke
def test_a_convolution_takes_a_transformed_kernel() -> None:
    before = parse_ir("""graph g(%x: f32[N, 9, 8, 32], %k: f32[3, 3, 32, 64]) {
        %y = conv2d(%x, %k, padding="same") return %y }""")
    x, k = before.inputs
    places = ops.matmul(
        constant(np.kron(OF_KERNELS, OF_KERNELS)), ops.reshape(k, shape=(9, 32 * 64))
    )
    kernel = ops.reshape(places, shape=(16, 32, 64))
    expected = Graph("g", (x, k), (ops.winograd_conv2d(x, kernel, k, padding="same"),))
    assert after(before) == (expected, ["FEWER_PRODUCTS"])


@pytest.mark.smoke
def test_the_gradient_of_a_kernel_is_led_back() -> None:
    result, reasons = after(kernel_gradient(SIZES["odd"]))
    assert reasons == ["FEWER_PRODUCTS"]
    assert [n.op.name for n in result.nodes if n.inputs] == [
        "winograd_kernel_gradient", "winograd_kernel",
    ]  # fmt: skip


@pytest.mark.smoke
@pytest.mark.parametrize("case", [*SIZES.values()][:6], ids=[*SIZES][:6])
def test_same_values(case: Any) -> None:
    after(convolution(case))
    after(kernel_gradient(case))


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("image", "kernel", "options", "reason"),
    [
        ("N, 8, 8, 18", "3, 3, 18, 16", "", "CHANNELS"),
        ("N, 8, 8, 3", "3, 3, 3, 16", "", "CHANNELS"),
        ("N, 3, 8, 16", "3, 3, 16, 16", "", "SMALL"),
        ("N, 5, 5, 16", "3, 3, 16, 16", "", "LITTLE_GAIN"),
        ("N, H, 8, 16", "3, 3, 16, 16", "", "UNKNOWN_SIZE"),
    ],
)
def test_what_does_not_pay_is_declined(image: str, kernel: str, options: str, reason: str) -> None:
    before = parse_ir(f"graph g(%x: f32[{image}], %k: f32[{kernel}]) "
                      f"{{ %y = conv2d(%x, %k{options}) return %y }}")  # fmt: skip
    decisions = Decisions()
    assert winograd(before, context(decisions)) == before
    assert [decision.reason for decision in decisions] == [reason]


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        ("5, 5, 16, 16", ""),
        ("3, 1, 16, 16", ""),
        ("3, 3, 16, 16", ", strides=(2, 2)"),
        ("3, 3, 16, 16", ", dilation=(1, 2)"),
        ("3, 3, 8, 16", ", groups=2"),
    ],
)
def test_other_windows_are_none_of_its_business(kernel: str, options: str) -> None:
    before = parse_ir(f"graph g(%x: f32[N, 16, 16, 16], %k: f32[{kernel}]) "
                      f"{{ %y = conv2d(%x, %k{options}) return %y }}")  # fmt: skip
    assert after(before) == (before, [])


@pytest.mark.smoke
def test_a_transformed_kernel_and_its_way_back_are_adjoint() -> None:
    """``sum(transformed(k) * p) == sum(k * winograd_kernel(p))``, as the gradient needs it."""
    k, p, x, g = (tensor(name, *shape) for name, shape in (
        ("k", (3, 3, 2, 5)), ("p", (16, 2, 5)), ("x", (1, 4, 4, 2)), ("g", (1, 2, 2, 5))
    ))  # fmt: skip
    graph = Graph("g", (k, p, x, g), (transformed_kernel(k), ops.winograd_kernel(p, x, g)))
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(i.shape) for i in graph.inputs]
    there, back = evaluate(graph, arrays, dtype="float64")
    np.testing.assert_allclose((there * arrays[1]).sum(), (arrays[0] * back).sum())


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("winograd_conv2d(%x, %k, %d)", "a transformed kernel"),
        ("winograd_conv2d(%h, %k, %k)", "the kernel that"),
        ("winograd_conv2d(%h, %k, %d)", "known size"),
        ("winograd_conv2d(%s, %k, %d)", "2 x 2 windows in them or more"),
        ('winograd_kernel(%k, %x, %x, padding="same")', "the gradient of a transformed kernel"),
        ("winograd_kernel_gradient(%x, %x)", "expected a gradient of"),
        ('winograd_kernel_gradient(%x, %x, padding="same", split=0)', "expected a split"),
    ],
)
def test_types_that_make_no_sense(op: str, message: str) -> None:
    with pytest.raises(IRError, match=message):
        parse_ir(f"""graph g(%x: f32[N, 8, 8, 16], %h: f32[N, H, 8, 3], %s: f32[N, 3, 8, 3],
            %k: f32[16, 3, 4], %d: f32[3, 3, 3, 4]) {{ %y = {op} return %y }}""")


# Kernels


@pytest.mark.parametrize("case", SIZES.values(), ids=SIZES)
def test_convolution(case: Any) -> None:
    assert "winograd_conv2d" in kernels(check(convolution(case)))


@pytest.mark.parametrize("case", SIZES.values(), ids=SIZES)
def test_gradient_of_a_kernel(case: Any) -> None:
    assert "winograd_kernel_gradient" in kernels(check(kernel_gradient(case)))


@pytest.mark.parametrize("name", ["odd", "filters left over", "many channels"])
def test_weights_in_panels(name: str) -> None:
    """Weights that stay are transformed and packed once, for all calls."""
    height, width, channels, filters, padding = SIZES[name]
    x = tensor("x", "N", height, width, channels)
    k = parameter("k", parse_type(f"f32[3, 3, {channels}, {filters}]"))
    graph = Graph("g", (x,), (ops.conv2d(x, k, padding=padding),))
    values = np.random.default_rng(1).standard_normal(k.shape).astype(np.float32)
    run = compile_graph(graph)
    run.set_parameters({"k": values})
    assert "matmul" not in kernels(run)
    for batch in (1, 5):
        arrays = draw(graph, batch)
        (expected,) = evaluate(graph, arrays, {"k": values}, dtype="float64")
        (actual,) = run(*arrays)
        np.testing.assert_allclose(actual, expected, atol=3e-6 * np.abs(expected).max())


@pytest.mark.parametrize("pool", [(2, 2), (1, 2), (2, 1)])
@pytest.mark.parametrize("name", ["odd", "valid", "uneven padding"])
def test_what_follows_stays_in_registers(name: str, pool: Any) -> None:
    case = SIZES[name]
    (x, k), bias = operands(case), tensor("b", case[3])
    y = ops.relu(ops.add(ops.conv2d(x, k, padding=case[-1]), bias))
    pooled = ops.max_pool2d(y, window=pool, strides=pool)
    run = check(Graph("g", (x, k, bias), (pooled,)))
    assert "winograd_conv2d_add_relu_max_pool2d" in kernels(run)
    rest = tensor("r", *y.shape)
    run = check(Graph("g", (x, k, bias, rest), (ops.relu(ops.add(y, rest)),)))
    assert "winograd_conv2d_add_relu_add_relu" in kernels(run)


def test_pooling_that_does_not_tile_the_results_is_another_kernel() -> None:
    x, k = operands(SIZES["even"])
    y = ops.conv2d(x, k, padding="same")
    graph = Graph("g", (x, k), (ops.max_pool2d(y, window=(3, 3), strides=(3, 3)),))
    run = check(graph)
    assert "TILES" in [decision.reason for decision in run.decisions]


@pytest.mark.parametrize("make", [convolution, kernel_gradient])
@pytest.mark.parametrize("batch", [1, 3, 40])
def test_bits_do_not_depend_on_threads(make: Any, batch: int) -> None:
    graph = make(SIZES["odd"])
    arrays = draw(graph, batch)
    one, two = (compile_graph(graph, threads=n)(*arrays)[0] for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_bits_of_a_sample_do_not_depend_on_its_batch() -> None:
    graph = convolution(SIZES["odd"])
    run = compile_graph(graph)
    x, k = draw(graph, 37)
    (whole,) = run(x, k)
    for first, last in ((0, 1), (5, 11), (30, 37)):
        np.testing.assert_array_equal(run(x[first:last], k)[0], whole[first:last])


# What is not finite


PLACES = {"first": (0, 0, 0), "inside": (2, 3, 5), "last": (-1, -1, -1)}


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e38, -2e38])
@pytest.mark.parametrize("name", ["even", "odd", "uneven padding", "filters left over"])
def test_a_pixel_gives_what_a_direct_sum_gives(name: str, value: float) -> None:
    """Its windows have the class and the sign of their sums; all others are as they were."""
    graph = convolution(SIZES[name])
    run, direct = compile_graph(graph), compile_graph(graph, disable=["winograd"])
    assert "winograd_conv2d" in kernels(run)
    for place in PLACES.values():
        x, k = (np.abs(array) for array in draw(graph, 3))
        k = (1 + k / k.max()) / k[..., 0].size
        x[(1, *place)] = value
        (actual,), (expected,) = run(x, k), direct(x, k)
        changed = ~np.isfinite(expected) | (np.abs(expected) > 1e30)
        assert changed.any() and not changed[[0, 2]].any()
        np.testing.assert_allclose(actual[changed], expected[changed], rtol=1e-4)
        np.testing.assert_allclose(actual[~changed], expected[~changed], rtol=1e-4)


@pytest.mark.parametrize("value", [np.inf, np.nan, 3e38])
def test_a_weight_gives_what_a_direct_sum_gives(value: float) -> None:
    graph = convolution(SIZES["odd"])
    run, direct = compile_graph(graph), compile_graph(graph, disable=["winograd"])
    x, k = (np.abs(array) * 1e-3 for array in draw(graph, 2))
    k[1, 2, 5, 9] = value
    (actual,), (expected,) = run(x, k), direct(x, k)
    inside = (slice(None), slice(1, -1), slice(1, -1))  # no 0 of the padding meets the weight
    np.testing.assert_allclose(actual[inside], expected[inside], rtol=1e-4)
    others = np.arange(64) != 9
    np.testing.assert_allclose(actual[..., others], expected[..., others], rtol=1e-4)


def test_weights_in_panels_are_summed_directly_too() -> None:
    height, width, channels, filters, padding = SIZES["filters left over"]
    x = tensor("x", "N", height, width, channels)
    k = parameter("k", parse_type(f"f32[3, 3, {channels}, {filters}]"))
    y = ops.max_pool2d(ops.relu(ops.conv2d(x, k, padding=padding)), window=(2, 2), strides=(2, 2))
    graph = Graph("g", (x,), (y,))
    values = np.random.default_rng(1).random(k.shape, np.float32)
    results = []
    for options in ({}, {"disable": ["winograd"]}):
        run = compile_graph(graph, **options)
        run.set_parameters({"k": values})
        (array,) = draw(graph, 2)
        array[0, 4, 3, 7], array[1, 0, 0, 0] = -np.inf, np.inf
        results += run(array)
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4)
    assert (results[1] == np.inf).any() and (results[1] == 0).any()


def test_weights_that_are_seldom_read_take_no_room_in_a_cache() -> None:
    """Those of the direct sum: what is tiled and measured counts the transformed ones alone."""
    x, k = tensor("x", "N", 8, 8, 64), parameter("k", parse_type("f32[3, 3, 64, 64]"))
    run = compile_graph(Graph("g", (x,), (ops.conv2d(x, k, padding="same"),)))
    transformed = 16 * 64 * 64 * 4
    assert weight_bytes(range(len(run.schedule.steps)), run.schedule) == transformed
    (launch,) = run.schedule.steps[-1].launches
    pixels = 8 * 8 * 64 * 4
    assert launch.bytes == 2 * pixels * symbol("N") + transformed


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e38])
@pytest.mark.parametrize("operand", [0, 1])
@pytest.mark.parametrize("name", ["odd", "valid", "filters left over"])
def test_the_gradient_of_a_kernel_gives_what_a_direct_sum_gives(
    name: str, operand: int, value: float
) -> None:
    """A pixel at the edge is seen by some places of the kernel only.

    A large one changes the others by its rounding, as the module ``ops.winograd`` says.
    """
    graph = kernel_gradient(SIZES[name])
    run, direct = compile_graph(graph), compile_graph(graph, disable=["winograd"])
    assert "winograd_kernel" in kernels(run)
    for place in PLACES.values():
        arrays = [np.abs(array) * 1e-2 for array in draw(graph, 3)]
        arrays[operand][(1, *place)] = value
        (actual,), (expected,) = run(*arrays), direct(*arrays)
        untouched = np.isfinite(expected)
        assert not untouched.all() or value == 1e38
        atol = value * 1e-7 if value == 1e38 else 0
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=atol)


def test_training_steps_give_what_direct_sums_give() -> None:
    """Gradients of images are convolutions too, of the kernel turned around."""
    x, k = operands(SIZES["odd"])
    y = ops.conv2d(x, k, padding="same")
    grad = input_("g", y.tensor_type)
    slopes = gradients(ops.sum(ops.multiply(y, grad), axes=(0, 1, 2, 3)), (x, k))
    graph = Graph("g", (x, k, grad), slopes)
    run, direct = compile_graph(graph), compile_graph(graph, disable=["winograd"])
    assert kernels(run).count("winograd") >= 3
    arrays = [np.abs(array) for array in draw(graph, 2)]
    arrays[2][1, 5, 3, 4] = np.inf
    arrays[0][0, 0, 8, 2] = np.nan
    for actual, expected in zip(run(*arrays), direct(*arrays), strict=True):
        assert not np.isfinite(expected).all()
        np.testing.assert_allclose(actual, expected, rtol=1e-4)


@pytest.mark.parametrize("make", [convolution, kernel_gradient])
def test_the_error_keeps_to_the_bound_that_is_stated(make: Any) -> None:
    """Weights and pixels of very different sizes; see the module ``ops.winograd``."""
    graph = make(SIZES["many channels" if make is convolution else "odd"])
    arrays = draw(graph, 2)
    rng = np.random.default_rng(7)
    arrays = [a * np.exp(3 * rng.standard_normal(a.shape)).astype(np.float32) for a in arrays]
    (actual,), (expected,) = compile_graph(graph)(*arrays), evaluate(graph, arrays, dtype="float64")
    largest = [np.abs(array).max((0, 1, 2)) for array in arrays]
    if make is convolution:
        channels = arrays[0].shape[3]
        meeting = np.einsum("c,cf->f", largest[0], np.abs(arrays[1]).max((0, 1)))
        bound = (channels + 12) * 64 * 2.0**-24 * meeting
    else:
        terms = np.prod(arrays[1].shape[:3])
        bound = (terms + 12) * 64 * 2.0**-24 * terms * np.outer(*largest)
    assert (np.abs(actual - expected) <= bound).all()


@pytest.mark.parametrize("name", ["odd", "uneven padding", "filters left over"])
def test_kernels_touch_their_own_memory(name: str) -> None:
    supervise(convolution(SIZES[name]))
    supervise(kernel_gradient(SIZES[name]))
