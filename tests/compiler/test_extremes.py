"""Compiled ops and their references at infinities, NaN, subnormals, halves and overflow.

Every elementwise op of the table, with every dtype it takes, on all pairs of extreme values: in
vectors and number by number, by default and without passes. ``compiler/ops/deviations.py`` says
how far the two may be apart.
"""

from __future__ import annotations

import numpy as np
import pytest
from extremes import Trial, extremes, grid, trials
from here import HERE
from ml_dtypes import finfo
from tiers import deep

from keraunos.compiler import ops
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError, Node
from keraunos.compiler.ir.types import (
    BOOL,
    DTYPES,
    FLOAT32,
    FLOAT64,
    INT8,
    INT32,
    INT64,
    UINT8,
    DType,
    TensorType,
    dtype_of,
)
from keraunos.compiler.ops.core import constant, input_
from keraunos.compiler.ops.deviations import Deviation, allowed
from keraunos.compiler.pipeline import optimize

TRIALS = list(trials())


def is_narrow(trial: Trial) -> bool:
    """Whether it is computed in a wider type than its own, by the kernels of that one."""
    return trial.op.name not in SAMPLE and any(dtype.wide for dtype in trial.dtypes)


SAMPLE = (
    "cast",
    "copy",
    "add",
    "equal",
    "select",
    "exp",
    "elu",
    "maximum",
)  # compiled in every type
NATIVE = [trial for trial in TRIALS if not is_narrow(trial)]
NARROW = [trial for trial in TRIALS if is_narrow(trial)]


def _spacing(array: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.spacing(np.abs(array)).astype(np.float64)


def agree(found: np.ndarray, expected: np.ndarray, deviation: Deviation) -> np.ndarray:
    """Where two arrays hold the same: NaN, infinities and signs of zero exactly.

    Types that are computed in a wider one agree there; a step of their own beyond that comes of
    rounding two such values.
    """
    dtype = dtype_of(expected.dtype)
    if not dtype.is_float:
        return found == expected
    special = ~np.isfinite(expected) | ~np.isfinite(found)
    step = np.zeros(1) if dtype.wide is None else _spacing(expected)
    found, expected = (array.astype(dtype.computed.numpy) for array in (found, expected))
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    info = np.finfo(expected.dtype)
    with np.errstate(all="ignore"):
        units = deviation.units * np.spacing(np.abs(np.where(special, 1, expected)))
        slack = (
            np.where(special, 0, step)
            + units
            + deviation.roundings * info.eps
            + deviation.normals * info.tiny
        )
        near = np.abs(found - expected) <= slack
    zeros = (found == 0) & (expected == 0)
    return np.where(special, same, near) & (~zeros | (np.signbit(found) == np.signbit(expected)))


def expect_agreement(
    found: np.ndarray, expected: np.ndarray, arrays: list[np.ndarray], op: str, how: str
) -> None:
    assert found.dtype == expected.dtype
    wrong = np.flatnonzero(~agree(found, expected, allowed(op)))
    lines = [
        f"{op}({', '.join(str(array[i]) for array in arrays)}): {found[i]!r}, not {expected[i]!r}"
        for i in wrong[:5]
    ]
    assert not lines, f"{how}: {wrong.size} of {found.size} differ, such as\n" + "\n".join(lines)


def reference(trial: Trial) -> tuple[list[np.ndarray], np.ndarray]:
    arrays = grid(*trial.dtypes)
    (expected,) = evaluate(trial.graph(), arrays)
    return arrays, expected


def repeats(number: int, *dtypes: DType) -> bool:
    """Whether the same op of other integers shows as much: two types are tried of each op."""
    tried = ((INT8, INT64), (UINT8, INT32))[number % 2]
    whole = [dtype for dtype in dtypes if not dtype.is_float and dtype is not BOOL]
    return bool(whole) and not set(whole) <= set(tried)


OPS = sorted({trial.op.name for trial in NATIVE})
TRIED = [
    each
    for trial in NATIVE
    for each in deep(trial, when=repeats(OPS.index(trial.op.name), *trial.dtypes))
]


@pytest.mark.parametrize("trial", TRIED, ids=lambda trial: trial.id)
def test_compiled_and_reference_agree_at_extremes(trial: Trial) -> None:
    arrays, expected = reference(trial)
    graph = trial.graph()
    for passes in ("default", "none"):
        (found,) = compile_graph(graph, passes=passes)(*arrays)
        expect_agreement(found, expected, arrays, trial.op.name, f"passes={passes}")


@pytest.mark.parametrize("trial", NARROW, ids=lambda trial: trial.id)
def test_what_is_narrow_is_computed_in_a_wider_type(trial: Trial) -> None:
    """Then kernels of that type compute it, which the other tests hold against it."""
    arrays, expected = reference(trial)
    graph = optimize(trial.graph(), HERE, stop_after="widen")["widen"]
    for node in graph.nodes:
        if node.op.name not in ("input", "constant", "cast"):
            assert all(n.dtype.wide is None for n in (node, *node.inputs))
    (found,) = evaluate(graph, arrays)
    expect_agreement(found, expected, arrays, trial.op.name, "widened")


def two_ways(trial: Trial) -> bool:
    """Whether vectors compute it, and its results can be told after another op."""
    return {*trial.dtypes, trial.graph(3).outputs[0].dtype} <= {FLOAT32, BOOL}


@pytest.mark.parametrize("trial", [t for t in TRIALS if two_ways(t)], ids=lambda trial: trial.id)
def test_vectors_and_single_numbers_agree_at_extremes(trial: Trial) -> None:
    """What the other test leaves out: truth values as masks, and float32 number by number."""
    arrays, expected = reference(trial)
    graph = trial.graph()
    (y,) = graph.outputs
    one, zero = constant(1.0, FLOAT32), constant(0.0, FLOAT32)
    other = ops.select(y, one, zero) if y.dtype is BOOL else ops.cast(y, dtype=FLOAT64)
    (found,) = compile_graph(graph.with_outputs((other,)))(*arrays)
    expect_agreement(found.astype(expected.dtype), expected, arrays, trial.op.name, "the other way")


BY_AXES = ("sum", "prod", "max", "min", "any", "all", "mean", "variance", "logsumexp")
BY_AXIS = ("argmax", "argmin", "softmax", "log_softmax")
ORDERLESS = ("max", "min", "any", "all", "argmax", "argmin")


def reduced(name: str, x: Node, axis: int) -> Node:
    return ops.get_op(name)(x, **({"axes": (axis,)} if name in BY_AXES else {"axis": axis}))


def takes(name: str, dtype: DType) -> bool:
    try:
        reduced(name, input_("x", TensorType(dtype, (3, 2))), 1)
    except IRError:
        return False
    return True


REDUCTIONS = [
    each
    for number, n in enumerate((*BY_AXES, *BY_AXIS))
    for d in DTYPES
    if takes(n, d) and (d.wide is None or n in ("sum", "argmax", "softmax"))
    for each in deep(n, d, when=repeats(number, d))
]


@pytest.mark.parametrize(("name", "dtype"), REDUCTIONS, ids=lambda each: str(each))
def test_reductions_agree_at_extremes(name: str, dtype: DType) -> None:
    """All pairs; long rows only where overflow on the way does not depend on the order."""
    arrays = [np.stack(grid(dtype, dtype), 1)]
    if name in ORDERLESS or not dtype.is_float:
        arrays.append(np.random.default_rng(0).choice(extremes(dtype), (300, 37)))
    for array, axis in [(a, 1) for a in arrays] + [(a.T.copy(), 0) for a in arrays]:
        x = input_("x", TensorType(dtype, array.shape))
        graph = Graph(name, (x,), (reduced(name, x, axis),))
        (expected,), (found,) = evaluate(graph, [array]), compile_graph(graph)(array)
        assert found.dtype == expected.dtype
        step = 0.0 if dtype.wide is None else float(finfo(dtype.numpy).eps)
        np.testing.assert_allclose(found, expected, rtol=2e-6 + step, atol=1e-6)


BY_CONSTANT = ("maximum", "minimum", "mod", "floor_divide", "power", "divide", "equal", "less")


CONSTANTS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 0.1, np.inf, -np.inf, np.nan)
OPERANDS = [
    each
    for row, name in enumerate(BY_CONSTANT)
    for column, value in enumerate(CONSTANTS)
    for each in deep(name, value, when=(row + column) % 2 == 1)
]


@pytest.mark.parametrize(("name", "value"), OPERANDS)
def test_a_constant_operand_changes_nothing(name: str, value: float) -> None:
    """Constants are folded, simplified, and have instructions of their own."""
    op, array = ops.get_op(name), extremes(FLOAT32)
    x = input_("x", TensorType(FLOAT32, (array.size,)))
    k = constant(value, FLOAT32)
    graph = Graph(name, (x,), (op(x, k), op(k, x)))
    for found, expected in zip(compile_graph(graph)(array), evaluate(graph, [array]), strict=True):
        if name in ("maximum", "minimum"):  # of two zeros, either
            found, expected = found + 0.0, expected + 0.0
        expect_agreement(found, expected, [array], name, f"{value}")


@pytest.mark.parametrize("name", ["mod", "floor_divide"])
@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_remainders_are_exact_for_any_quotient(name: str, dtype: DType) -> None:
    rng = np.random.default_rng(0)
    sizes = 2.0 ** rng.uniform(-20, 20, (2, 100_000))
    a, b = (sizes * rng.choice([-1, 1], sizes.shape)).astype(dtype.numpy)
    a[::2], b[::2] = np.round(a[::2], 1), np.round(b[::2] + 0.05, 1)
    x, y = (input_(each, TensorType(dtype, a.shape)) for each in "xy")
    (found,) = compile_graph(Graph(name, (x, y), (ops.get_op(name)(x, y),)))(a, b)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, getattr(np, name)(a, b))


@pytest.mark.parametrize("target", [UINT8, INT64], ids=str)
def test_floats_beyond_an_integer_type_become_its_ends(target: DType) -> None:
    x = input_("x", TensorType(FLOAT32, (4,)))
    graph = Graph("cast", (x,), (ops.cast(x, dtype=target),))
    array = np.array([-1e30, 1e30, np.nan, 3.9], "float32")
    info = np.iinfo(target.numpy)
    for (found,) in (compile_graph(graph)(array), evaluate(graph, [array])):
        np.testing.assert_array_equal(found, [info.min, info.max, 0, 3])


@pytest.mark.parametrize("name", ["left_shift", "right_shift"])
@pytest.mark.parametrize("dtype", [UINT8, INT64], ids=str)
def test_shifts_by_all_places_and_by_none(name: str, dtype: DType) -> None:
    x, y = (input_(n, TensorType(dtype, (4,))) for n in "xy")
    graph = Graph(name, (x, y), (ops.get_op(name)(x, y),))
    values, places = np.full(4, 200, dtype.numpy), np.array([0, 1, 8, 64]).astype(dtype.numpy)
    whole = [200, 400, 51200, 0] if name == "left_shift" else [200, 100, 0, 0]
    expected = np.array(whole).astype(dtype.numpy)
    for (found,) in (compile_graph(graph)(values, places), evaluate(graph, [values, places])):
        np.testing.assert_array_equal(found, expected)
