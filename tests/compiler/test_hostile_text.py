"""IR text of any kind: a graph or an ``IRError``, in time and memory that follow its length."""

import base64
import zlib

import numpy as np
import pytest
from counting import counted_calls

from keraunos.compiler.ir.attributes import attribute_kind
from keraunos.compiler.ir.graph import IRError
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.printer import format_graph
from keraunos.compiler.ir.types import MOST_AXES, parse_type
from keraunos.compiler.ops import all_ops
from keraunos.compiler.ops.core import input_
from keraunos.compiler.ops.registry import ops
from keraunos.compiler.suggest import did_you_mean
from keraunos.runtime.dim import (
    MOST_DIVISIONS,
    Dim,
    SizeError,
    limited_work,
    symbol,
)
from keraunos.runtime.dim_parser import parse_size

# Calls of functions, at most: for each character; and for sizes that take work, which is bounded.
CALLS, CALLS_FOR_SIZES = 100, 20_000_000


def with_size(size: str) -> str:
    return f"graph g(%x: f32[{size}]) {{\n  return %x\n}}"


def with_line(line: str, result: str = "%0") -> str:
    return f"graph g(%x: f32[4, 4], %i: i32[4]) {{\n  {line}\n  return {result}\n}}"


def packed(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 9)).decode()


HOSTILE = {
    "a bad escape in a name": ('graph "\\q"(%x: f32[4]) { return %x }', "Invalid \\escape"),
    "a bad escape in an input": ('graph g(%"\\q": f32[4]) { return %"\\q" }', "Invalid \\escape"),
    "a control character": ('graph g(%"\x01": f32[4]) { return %"\x01" }', "control character"),
    "half a character": ("graph g(%x: f32[4]) { # \ud800\n return %x }", "surrogate"),
    "half a character, escaped": ('graph "\\ud800"() { return }', "surrogate"),
    "a string without an end": (with_line('%0 = pad(%x, low="'), "the end of this string"),
    "no identifier": (with_size("\U0001087e"), "expected a name for a size"),
    "digits of another script": (with_size("\u0663"), "expected a value"),
    "many digits": (with_size("9" * 5000), "a whole number of 64 bits"),
    "a product of many numbers": (with_size("*".join(["99999999"] * 3000)), "of 64 bits"),
    "a negative size": (with_size("-4"), "expected sizes of 0 or more"),
    "more bytes than addresses": (with_size("9999999999, 9999999999"), "less than 2**63 bytes"),
    "many axes": (with_size("1, " * 65), "expected at most 64 axes"),
    "many round brackets": (with_size("(" * 5000 + "4" + ")" * 5000), "brackets within each other"),
    "many square brackets": (
        with_line("%0 = constant(" + "[" * 5000),
        "brackets within each other",
    ),
    "many bodies": (with_line("%0 = fused a(%x) {" * 5000), "brackets within each other"),
    "a long product of sums": (with_size("*".join(["(A+B+C+D+E+F+G+H)"] * 14)), "too long|names"),
    "products over and over": (
        with_size("*".join(["(A+B+C+D+E+F+G+H)"] * 7) + "*-1" * 1000),
        "too much work",
    ),
    "many divisions": (with_size("(" * 60 + "N" + "+1)//2" * 60), "within each other"),
    "a bomb": (with_line(f'%0 = constant("{packed(bytes(1 << 20))}") : f32[3]'), "damaged data"),
    "a constant larger than its data": (
        with_line(f'%0 = constant("{packed(b"1234")}") : f32[1000000000000]'),
        "damaged data",
    ),
    "bytes that are no booleans": (
        with_line(f'%0 = constant("{packed(bytes([2, 0]))}") : bool[2]'),
        "other than 0 and 1",
    ),
    "strings in a list": (with_line('%0 = constant(["1"]) : f32[1]'), "a number or a list"),
    "a truth with a sign": (with_line("%0 = add(%x, -True)"), "a number after '-'"),
    "a truth as a size": (with_size("True + 1"), "expected sizes around"),
    "an axis that is none": (with_line("%0 = softmax(%x, axis=1.5)"), "axis: expected an axis"),
    "a truth as an axis": (with_line("%0 = softmax(%x, axis=True)"), "axis: expected an axis"),
    "a shape that is none": (with_line("%0 = reshape(%x, shape=4)"), "shape: expected sizes"),
    "a size in place of a number": (with_line("%0 = leaky_relu(%x, slope=N)"), "slope: expected"),
    "a body that is none": (with_line("%0 = fused(%x, body=3)"), "expected a graph as body"),
    "two bodies": (
        with_line("%0 = fused a(%x) { return %x } { return %x }"),
        "the attribute body is given twice",
    ),
    "an attribute that is a body": (with_line("%0 = softmax(%x) axis { return 1 }"), "axis: exp"),
    "no operands": (with_line("%0 = relu()"), "relu"),
    "a label where there is none": (with_line("%0 = relu big(%x)"), "expected '('"),
    "no groups": (
        "graph g(%x: f32[1, 5, 5, 2], %y: f32[1, 3, 3, 2]) {"
        "%0 = conv2d_kernel_gradient(%x, %y, window=(3, 3), groups=0) return %0 }",
        "groups of 1 or more",
    ),
    "no channels": (
        "graph g(%x: f32[1, 5, 5, 0], %y: f32[1, 3, 3, 0]) {"
        "%0 = depthwise_kernel_gradient(%x, %y, window=(3, 3)) return %0 }",
        "a known multiple of 0 channels",
    ),
    "two inputs of one name": (
        'graph g(%x: f32[2], %"x": f32[2]) { return %x }',
        "another input is called 'x' already",
    ),
    "a size of nowhere": (with_line("%0 = iota(shape=(K,))"), "no input of the graph determines"),
    "a parameter's size of nowhere": (
        "graph g(%x: f32[2]) { $k : f32[K] %0 = add(%x, $k) return %0 }",
        "no input of the graph determines the size K",
    ),
    "a parameter in a body": (
        with_line("%0 = fused a(%x) { $k : f32[4] %1 = add(%x, $k) return %1 }"),
        "a body gets parameters as operands",
    ),
    "an update of another type": (
        "graph g(%x: f32[2]) { $k : f32[2] update $k = 1.0 return %x }",
        "expected a value of f32[2]",
    ),
}

TUPLE = """graph g(%x: f32[4]) {
  %0 = fused a(%x) {
    %1 = relu(%x)
    %2 = exp(%x)
    return %1, %2
  }
"""


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_raises_an_error_that_points_soon(text: str, message: str) -> None:
    most = CALLS * (len(text) + 200) + (CALLS_FOR_SIZES if "f32[(" in text else 0)
    with pytest.raises(IRError) as caught, counted_calls() as calls:
        parse_ir(text)
    assert calls.total < most
    assert str(caught.value).startswith("line ")
    assert any(each in str(caught.value) for each in message.split("|"))


@pytest.mark.parametrize("use", ["%3 = relu(%0) return %3 }", "return %0 }"])
def test_several_results_are_not_one(use: str) -> None:
    with pytest.raises(IRError, match=r"^line .*pick one with item\(index=...\)"):
        parse_ir(TUPLE + use)


@pytest.mark.parametrize("value", [b"graph g() { return }", None, 3, ["graph"]])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(IRError, match="expected IR text as a str, got"):
        parse_ir(value)  # type: ignore[arg-type]


def test_the_largest_numbers_come_back() -> None:
    text = with_line("%0 = constant([9223372036854775807, -9223372036854775808]) : i64[2]")
    graph = parse_ir(text)
    assert parse_ir(format_graph(graph)) == graph
    (node,) = graph.outputs
    assert node.attrs["value"].array.tolist() == [2**63 - 1, -(2**63)]


@pytest.mark.parametrize(("signs", "value"), [("--", 3), ("-" * 5001, -3)])
def test_any_number_of_signs(signs: str, value: int) -> None:
    (node,) = parse_ir(with_line(f"%0 = constant({signs}3)")).outputs
    assert node.attrs["value"].array == value


def test_numbers_beyond_the_dtype_are_infinite() -> None:
    (node,) = parse_ir(with_line("%0 = constant([1e400, -1e39]) : f32[2]")).outputs
    assert node.attrs["value"].array.tolist() == [np.inf, -np.inf]


def test_prose_with_odd_numbers_and_escapes_is_no_origin() -> None:
    for prose in ("a.py:" + "9" * 5000, '"\\q"', '"\\ud800":3'):
        graph = parse_ir(with_line(f"%0 = relu(%x) # {prose}"))
        assert graph.outputs[0].origins == ()


def test_sizes_as_deep_as_they_come_are_read_back() -> None:
    size: Dim = symbol("N")
    for _ in range(MOST_DIVISIONS):
        size = 3 * ((size + 1) // 2) + 1  # type: ignore[assignment]
    assert parse_size(str(size)) == size
    graph = parse_ir(with_size(str(size)).replace("%x:", "%n: f32[N], %x:"))
    assert graph.inputs[1].shape == (size,)
    with pytest.raises(SizeError, match="within each other"):
        size // 2


def test_sizes_that_share_parts_are_bounded() -> None:
    """The text of each holds that of the one before twice: it doubles."""
    size = symbol("N")
    with pytest.raises(SizeError, match="names and numbers"):
        for _ in range(MOST_DIVISIONS):
            size = (size * symbol("M") + size + 1) // 2  # type: ignore[assignment]


def test_work_on_sizes_is_bounded_where_asked() -> None:
    size = symbol("N") + symbol("M")
    with limited_work(100), pytest.raises(SizeError, match="too much work"):
        for _ in range(100):
            size = size + 1  # type: ignore[assignment]
    assert size + 1 - 1 == size


@pytest.mark.parametrize("text", ["-" * 20000 + "1", "(" * 300 + "1" + ")" * 300, "9" * 5000])
def test_sizes_in_text_are_refused_in_one_way(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as"):
        parse_size(text)


@pytest.mark.parametrize("op", all_ops(), ids=lambda op: op.name)
def test_every_attribute_has_a_kind_that_its_default_is_of(op) -> None:
    for key in op.attrs:
        assert attribute_kind(op.name, key) is not None, f"{op.name}: {key}"
    for sample in op.samples:
        for key, value in sample.attrs.items():
            assert attribute_kind(op.name, key).holds(value), f"{op.name}: {key}={value!r}"


def test_types_that_cannot_be_are_no_nodes() -> None:
    x = input_("x", parse_type("f32[4]"))
    for shape in ((1 << 40, 1 << 40), (1,) * MOST_AXES + (4,)):
        with pytest.raises(IRError, match=r"less than 2\*\*63 bytes|expected"):
            ops.broadcast_to(x, shape=(*shape, 4))


def test_no_help_with_names_too_long_to_compare() -> None:
    assert did_you_mean("relu" * 10000, ["relu" * 10000 + "x"]) == ""
    assert did_you_mean("sofmax", ["x" * 100000, "softmax"]) == "; did you mean softmax?"
