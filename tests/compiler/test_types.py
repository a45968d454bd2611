"""Types of values: text, dtypes, broadcasting."""

import numpy as np
import pytest

from keraunos.compiler.ir.types import (
    BOOL,
    DTYPES,
    FLOAT32,
    INT32,
    DType,
    TensorType,
    TupleType,
    broadcast_shapes,
    dtype_of,
    parse_type,
)
from keraunos.runtime.dim import symbol

pytestmark = pytest.mark.smoke

N = symbol("N")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_way_to_name_a_dtype(dtype: DType) -> None:
    for spec in (dtype, dtype.name, dtype.short, dtype.numpy, dtype.numpy.type):
        assert dtype_of(spec) is dtype
    assert dtype.numpy.itemsize == dtype.itemsize


@pytest.mark.parametrize("spec", ["float8_e5m2", "complex64", np.uint32, object(), 3])
def test_other_dtypes_are_refused(spec: object) -> None:
    with pytest.raises(TypeError, match="expected a dtype out of float32"):
        dtype_of(spec)


def test_kinds_of_dtypes() -> None:
    floats = [dtype.name for dtype in DTYPES if dtype.is_float]
    assert floats == ["float32", "float64", "float16", "bfloat16"]
    assert [d.name for d in DTYPES if d.computed is not d] == ["float16", "bfloat16"]
    assert INT32.is_integer
    assert dtype_of("uint8").is_integer
    assert not BOOL.is_integer and not BOOL.is_float


@pytest.mark.parametrize("text", ["f32[]", "f32[N, 28, 28, 1]", "bool[2*N + 1]", "i64[(N - 3)//2]"])
def test_text_comes_back(text: str) -> None:
    assert str(parse_type(text)) == text


@pytest.mark.parametrize("text", ["f32", "f32[2", "[2]", "f33[2]", "f32[x y]"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError), match="expected"):
        parse_type(text)


def test_counts() -> None:
    type_ = parse_type("f32[N, 3, 2]")
    assert type_.elements == 6 * N
    assert type_.bytes == 24 * N
    assert type_.rank == 3
    assert parse_type("f64[]").elements == 1


def test_binding_sizes() -> None:
    assert parse_type("f32[N, 2*N + 1]").bind({"N": 3}) == TensorType(FLOAT32, (3, 7))
    assert parse_type("f32[N, T]").symbols == {"N", "T"}


def test_tuple_text() -> None:
    assert str(TupleType((parse_type("f32[2]"), parse_type("i32[]")))) == "(f32[2], i32[])"


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (((2, 3), (3,)), (2, 3)),
        (((N, 1, 4), (5, 1)), (N, 5, 4)),
        (((N, 4), (N, 1)), (N, 4)),
        (((1,), (0,)), (0,)),
        ((), ()),
    ],
)
def test_broadcasting(shapes: tuple, expected: tuple) -> None:
    assert broadcast_shapes(*shapes) == expected


@pytest.mark.parametrize("shapes", [((2,), (3,)), ((N,), (2,)), ((N,), (N + 1,))])
def test_sizes_that_differ_do_not_broadcast(shapes: tuple) -> None:
    with pytest.raises(ValueError, match="do not broadcast"):
        broadcast_shapes(*shapes)
