"""What a program is handed: arrays that its kernels can read, or an error that says what is wrong.

Every way into a program is held to it, and settings hold from one call to the next.
"""

import numpy as np
import pytest

import keraunos as keras
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.report.profile import profile
from keraunos.runtime import arrays
from keraunos.runtime.arrays import fitting
from keraunos.runtime.config import config

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")
KIND = {"float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64", "uint8": "u8"}


def executable_over(dtype: str, sizes: str = "[N, 4]"):
    kind = KIND.get(dtype, dtype)
    shape = f"{kind}{sizes}"
    text = (
        f"graph g(%x: {shape}) -> {shape} {{\n  %0 = select(%y, %x, %x) : {shape}\n  return %0\n}}"
    )
    text = text.replace(f"(%x: {shape})", f"(%x: {shape}, %y: bool{sizes})")
    return compile_graph(parse_ir(text))


def values(dtype: str) -> np.ndarray:
    return (
        np.arange(12).reshape(3, 4) % 2 if dtype == "bool" else np.arange(12).reshape(3, 4)
    ).astype(dtype)


def unaligned(array: np.ndarray) -> np.ndarray:
    memory = np.zeros(array.nbytes + 1, np.uint8)[1:]
    memory[:] = np.frombuffer(array.tobytes(), np.uint8)
    return memory.view(array.dtype).reshape(array.shape)


YES = np.ones((3, 4), bool)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_the_programs_dtype_pass_as_they_are(dtype):
    run, x = executable_over(dtype), values(dtype)
    for given in (
        x,
        x[:2],
        np.asfortranarray(x[:1]),
        np.frombuffer(x.tobytes(), dtype).reshape(3, 4),
    ):
        np.testing.assert_array_equal(run(given, YES[: len(given)])[0], given)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_another_dtype_are_refused_on_every_call(dtype):
    run, x = executable_over(dtype), values(dtype)
    run(x, YES)
    for other in DTYPES:
        if other != dtype:
            with pytest.raises(ValueError, match=f"argument x: expected .* {dtype}, got {other}"):
                run(values(other), YES)


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if np.dtype(dtype).itemsize > 1])
def test_memory_that_kernels_cannot_read_is_refused(dtype):
    run, x = executable_over(dtype), values(dtype)
    run(x, YES)
    swapped = x.astype(np.dtype(dtype).newbyteorder())
    with pytest.raises(ValueError, match=r"got \w+ \(>"):
        run(swapped, YES)
    with pytest.raises(ValueError, match="not aligned"):
        run(unaligned(x), YES)


@pytest.mark.parametrize(
    "given",
    [
        np.arange(12, dtype="float32").reshape(4, 3).T,
        np.arange(24, dtype="float32").reshape(3, 8)[:, ::2],
        np.arange(12, dtype="float32").reshape(3, 4)[::-1],
        np.broadcast_to(np.arange(4, dtype="float32"), (3, 4)),
    ],
)
def test_views_that_are_not_contiguous_are_refused(given):
    run = executable_over("float32")
    run(values("float32"), YES)
    with pytest.raises(ValueError, match=r"got strides .*np\.ascontiguousarray"):
        run(given, YES)


def test_what_is_no_array_is_refused():
    run = executable_over("float32")
    with pytest.raises(TypeError, match=r"argument x: expected .* got list"):
        run([[1.0, 2.0, 3.0, 4.0]], YES)
    with pytest.raises(ValueError, match=r"expected 2 arguments, x: .*; got 1"):
        run(values("float32"))
    with pytest.raises(ValueError, match=r"argument x: expected shape \(N, 4\), got \(3, 5\)"):
        run(np.zeros((3, 5), "float32"), YES)


def test_what_only_looks_like_an_array_is_refused():
    class Like:
        shape = (3, 4)
        __array_interface__ = values("float32").__array_interface__

    with pytest.raises(TypeError, match=r"argument x: expected .* got Like"):
        executable_over("float32")(Like(), YES)
    with pytest.raises(TypeError, match=r"argument x: expected .* got float32. Pass np\.asarray"):
        executable_over("float32", "[]")(np.float32(1), np.array(True))


class Named(np.ndarray):
    """Arrays of a subclass, with an attribute of its own."""

    name = "own"


@pytest.mark.parametrize("of", [arrays.address_of, arrays._address_by_layout])
def test_addresses_are_those_that_numpy_tells(of):
    base = np.arange(24.0).reshape(4, 6)
    kept = [
        base,
        base[1:],
        base[:, 2:],
        base[::-1],
        base.T,
        base.view(Named),
        base.view(np.recarray),
    ]
    kept += [
        np.ma.masked_array(base[2:]),
        np.array(3.0),
        np.empty((0, 3)),
        np.frombuffer(b"12345678"),
    ]
    assert [of(each) for each in kept] == [each.ctypes.data for each in kept]


def test_profiles_are_held_to_the_same():
    run, x = executable_over("float32"), values("float32")
    run(x, YES)
    for wrong in (x.astype("float64"), x.T.copy().T, unaligned(x)):
        with pytest.raises(ValueError, match="argument x"):
            profile(run, wrong, YES, repeats=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_scalars_are_arguments_too(dtype):
    run = executable_over(dtype, "[]")
    (result,) = run(np.array(1, dtype), np.array(True))
    assert result.shape == () and result == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_fitting_makes_what_programs_take(dtype):
    x = values(dtype)
    assert fitting(x, x.dtype) is x
    for other in (
        x[::-1],
        x.T.copy().T,
        unaligned(x),
        x.astype(x.dtype.newbyteorder()),
        x.tolist(),
    ):
        made = fitting(other, x.dtype)
        assert made.flags.c_contiguous and made.flags.aligned and made.dtype.isnative
        np.testing.assert_array_equal(made, other)
    assert fitting(x[0, 1], x.dtype).shape == ()


def test_results_are_new_arrays_even_where_they_are_an_argument_or_a_constant():
    text = (
        "graph g(%x: f32[3]) -> (f32[3], f32[3], f32[3], f32[3]) {\n  $w : f32[3]\n"
        "  %0 = constant([1, 2, 3]) : f32[3]\n  return %x, %0, $w, %x\n}"
    )
    run = compile_graph(parse_ir(text))
    w, x = np.full(3, 5, "float32"), np.full(3, 7, "float32")
    run.set_parameters({"w": w})
    first = run(x)
    for result, other in ((a, b) for i, a in enumerate(first) for b in (w, x, *first[:i])):
        assert not np.shares_memory(result, other)
    kept = [result.copy() for result in first]
    w[:] = x[:] = 0
    run(x)
    for result, value in zip(first, kept, strict=True):
        np.testing.assert_array_equal(result, value)
    np.testing.assert_array_equal(run(x)[2], [5, 5, 5])


def test_parameters_are_asked_for_and_looked_at():
    run = compile_graph(
        parse_ir("graph g(%x: f32[3]) {\n  $w : f32[3]\n  %0 = add(%x, $w)\n  return %0\n}")
    )
    x = np.ones(3, "float32")
    with pytest.raises(ValueError, match=r"expected values for \$w; received none"):
        run(x)
    with pytest.raises(ValueError, match=r"parameter \$w: expected f32, got complex"):
        run.set_parameters({"w": np.ones(3, "complex64")})
    run.set_parameters({"w": [1.0, 2.0, 3.0], "other": "left alone"})
    np.testing.assert_array_equal(run(x)[0], [2, 3, 4])


def test_nothing_summed_up_is_what_the_reference_says():
    text = (
        "graph g(%x: f32[N, 2]) -> (f32[N, 2], f32[2]) {\n  $w : f32[2]\n"
        "  %0 = relu(%x) : f32[N, 2]\n"
        "  %1 = sum(%x, axes=(0,)) : f32[2]\n  %2 = add(%1, $w) : f32[2]\n  return %0, %2\n}"
    )
    run = compile_graph(parse_ir(text))
    run.set_parameters({"w": np.ones(2, "float32")})
    rows, total = run(np.zeros((0, 2), "float32"))
    assert rows.shape == (0, 2) and total.tolist() == [1, 1]


def test_threads_follow_the_setting_between_calls():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    run = keras.compile(model)
    fixed = compile_graph(run.graph, threads=1)
    x = np.random.default_rng(0).standard_normal((64, 8)).astype("float32")
    expected = run(x)
    for threads in (1, 3, 2):
        with config.update(threads=threads):
            np.testing.assert_array_equal(run(x), expected)
            assert run.executor.threads == threads
            assert {b.threads for pool in run.executor._pools.values() for b in pool} == {threads}
            assert fixed.executor.threads == 1
