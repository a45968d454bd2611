"""Where things lie: offsets in the arena, borders, strides, panels, and what contractions read.

Each is held against plain numpy: an array filled with its own positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from here import HERE
from machines import block_for, machine

from keraunos.compiler.cpu.blocking import Extent
from keraunos.compiler.cpu.layouts import merge_halos
from keraunos.compiler.cpu.packing import Panels
from keraunos.compiler.ir.graph import Graph, Node
from keraunos.compiler.ir.kinds import Contraction
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.loops.anchored import match_anchored
from keraunos.compiler.loops.layout import Layout, Placed, StridedView, are_even, at_index
from keraunos.compiler.loops.problems import Problem, conv_problem, matmul_problem
from keraunos.compiler.pipeline import optimize
from keraunos.compiler.scheduling.carry import Carry
from keraunos.compiler.scheduling.schedule import as_group, schedule
from keraunos.runtime.arrays import aligned_array
from keraunos.runtime.dim import symbol
from keraunos.runtime.memory import ALIGNMENT, Interval, align, assign_offsets
from keraunos.runtime.native.features import LANE_CHOICES

pytestmark = pytest.mark.smoke

N = symbol("N")

# Offsets


def test_values_that_meet_in_one_step_lie_apart() -> None:
    offsets, total = assign_offsets([Interval(64, 0, 3), Interval(64, 3, 5), Interval(64, 4, 6)])
    assert offsets[0] != offsets[1]
    assert offsets[1] != offsets[2]
    assert offsets[0] == offsets[2]
    assert total == 128


def test_a_gap_is_used_by_what_fits_it() -> None:
    """Between two that stay, one of 128 bytes has been: 100 find place there, 129 do not."""
    stay = [Interval(1024, 0, 9), Interval(512, 0, 9), Interval(256, 0, 4), Interval(192, 0, 9)]
    offsets, total = assign_offsets([*stay, Interval(100, 5, 9)])
    assert (offsets[4], total) == (offsets[2], 1984)
    small, large = (
        [Interval(1024, 0, 9), Interval(n, 0, 4), Interval(64, 0, 9)] for n in (128, 64)
    )
    assert assign_offsets([*small, Interval(65, 5, 9)])[1] == 1024 + 128 + 64
    assert assign_offsets([*large, Interval(65, 5, 9)])[1] == 1024 + 128 + 64


@pytest.mark.parametrize("seed", range(20))
def test_no_two_that_live_together_overlap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    intervals = [
        Interval(int(rng.integers(0, 400)), int(first), int(first + rng.integers(0, 6)))
        for first in rng.integers(0, 20, 40)
    ]
    offsets, total = assign_offsets(intervals)
    for step in range(26):
        owner = np.zeros(total, bool)
        for offset, each in zip(offsets, intervals, strict=True):
            if each.first <= step <= each.last:
                assert offset % ALIGNMENT == 0
                assert not owner[offset : offset + each.bytes].any()
                owner[offset : offset + each.bytes] = True


def test_lines_are_whole() -> None:
    assert [align(size) for size in (0, 1, 63, 64, 65)] == [0, 64, 64, 64, 128]
    for shape in ((), (0,), (3, 5), (1000,)):
        array = aligned_array(shape, np.dtype("float32"))
        assert array.shape == shape
        assert array.ctypes.data % ALIGNMENT == 0 or not array.size


# Layouts


def positions(layout: Layout) -> np.ndarray:
    """The elements of a value that lies so, each one's place in memory."""
    whole = np.arange(layout.elements).reshape([int(str(n)) for n in layout.padded_shape])
    halo = layout.halo or ((0, 0),) * layout.type.rank
    inside = (
        slice(int(str(before)), int(str(before)) + int(str(size)))
        for size, (before, _) in zip(layout.type.shape, halo, strict=True)
    )
    return whole[tuple(inside)]


def placed(layout: Placed) -> np.ndarray:
    """The same, by its origin and strides."""
    indices = np.indices(layout.type.shape)
    total = np.full(layout.type.shape, int(str(layout.origin)))
    for index, stride in zip(indices, layout.strides, strict=True):
        total += index * int(str(stride))
    return total


HALOS = [
    (),
    ((0, 0), (1, 1), (1, 1), (0, 0)),
    ((0, 0), (2, 0), (0, 3), (0, 0)),
    ((0, 0), (0, 0), (0, 0), (0, 16)),
]


@pytest.mark.parametrize("halo", HALOS)
def test_a_border_is_around_each_image(halo: tuple[tuple[int, int], ...]) -> None:
    layout = Layout(parse_type("f32[2, 3, 4, 5]"), halo)
    np.testing.assert_array_equal(placed(layout), positions(layout))
    assert layout.bytes == layout.elements * 4
    assert layout.has_halo == any(pair != (0, 0) for pair in halo[:-1])


@pytest.mark.parametrize("axis", range(4))
@pytest.mark.parametrize("halo", HALOS)
def test_a_part_at_an_index_has_the_strides_of_the_whole(
    halo: tuple[tuple[int, int], ...], axis: int
) -> None:
    whole = Layout(parse_type("f32[2, 3, 4, 5]"), halo)
    np.testing.assert_array_equal(placed(at_index(whole, axis)), positions(whole).take(0, axis))


@pytest.mark.parametrize("axis", range(4))
def test_slices_along_the_outermost_axis_follow_one_another(axis: int) -> None:
    layout = Layout(parse_type("f32[2, 3, 4, 5]"), outermost=axis)
    slices = np.moveaxis(placed(layout), axis, 0)
    np.testing.assert_array_equal(slices.reshape(-1), np.arange(120))
    assert layout.bytes == 480


@pytest.mark.parametrize("halo", HALOS)
@pytest.mark.parametrize(("first", "last"), [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)])
def test_axes_are_even_where_their_elements_follow_one_another(
    first: int, last: int, halo: tuple[tuple[int, int], ...]
) -> None:
    layout = Layout(parse_type("f32[2, 3, 4, 5]"), halo)
    index = tuple(slice(None) if first <= axis <= last else 0 for axis in range(4))
    steps = np.diff(positions(layout)[index].reshape(-1))
    assert are_even(layout, first, last) == bool((steps == steps[0]).all())


def test_along_an_axis_of_one_element_nothing_is_walked() -> None:
    part = StridedView(parse_type("f32[3, 1, 4]"), (4, 77, 1), 0)
    assert are_even(part, 0, 2)
    assert not are_even(StridedView(parse_type("f32[3, 2, 4]"), (8, 77, 1), 0), 0, 2)


def test_the_wider_of_two_borders_and_the_sum_of_those_that_cannot_be_told() -> None:
    one, other = ((0, 0), (3, 0), (1, N)), ((0, 0), (1, 2), (1, 2))
    assert merge_halos(one, other) == ((0, 0), (3, 2), (1, N + 2))
    assert merge_halos(one, one) == one


@pytest.mark.parametrize("text", ["f32[]", "f32[4]", "f32[N]", "f32[N, 4]", "f32[4, N, 2]"])
def test_the_two_places_of_a_carry_do_not_meet(text: str) -> None:
    carry = Carry(parse_type(text))
    assert carry.apart == carry.both.strides[carry.axis] * 4
    sizes = tuple(3 if n == N else n for n in carry.type.shape)
    known = Carry(carry.type.with_shape(sizes))
    first = placed(known.place)
    second = first + int(str(known.apart)) // 4
    assert set(first.reshape(-1)).isdisjoint(second.reshape(-1))
    assert max(first.max(), second.max()) < known.both.elements


# Panels


@pytest.mark.parametrize("width", [4, 16, 32])
@pytest.mark.parametrize(
    ("shape", "groups", "batch_axes"),
    [((3, 3, 5, 20), 1, 0), ((1, 1, 4, 24), 2, 0), ((7, 16), 1, 0), ((2, 3, 6, 9), 1, 2)],
)
def test_panels_hold_each_weight_once_and_zeros(
    shape: tuple[int, ...], groups: int, batch_axes: int, width: int
) -> None:
    packing = Panels(width, groups, batch_axes)
    weights = np.arange(1, 1 + np.prod(shape), dtype="float32").reshape(shape)
    packed = packing.pack(weights)
    type_ = parse_type(f"f32[{', '.join(map(str, shape))}]")
    assert packed.size == packing.elements(type_)
    batch, channels = int(np.prod(shape[:batch_axes])), shape[-1] // groups
    rows = weights.reshape(batch, -1, groups, channels)
    for place in np.ndindex(rows.shape):
        b, depth, group, channel = place
        panel, lane = divmod(channel, width)
        assert packed[b, group, panel, depth, lane] == rows[place]
    assert np.count_nonzero(packed) == weights.size


# Problems of contractions


def problem_of(text: str) -> tuple[Problem, Layout, Layout, Mapping[str, Any]]:
    """The problem of the one contraction, where its data and its result lie, its attributes."""
    known = schedule(optimize(parse_ir(text), HERE).last, HERE)
    (step,) = (
        s
        for s in known.steps
        if any(isinstance(n.op.kind, Contraction) for n in group_of(s.node).nodes)
    )
    operands = tuple(known.layouts[node] for node in step.operands)
    results = tuple(known.layouts[node] for node in step.results)
    group = match_anchored(group_of(step.node), operands, results, Contraction)
    assert group is not None
    make = conv_problem if group.anchor.op.name == "conv2d" else matmul_problem
    problem = make(group, (group.x, group.result, *group.element_layouts))
    x, result = group.x, group.result
    assert problem is not None and isinstance(x, Layout) and isinstance(result, Layout)
    return problem, x, result, group.anchor.attrs


def group_of(node: Node) -> Graph:
    body: Graph = as_group(node).attrs["body"]
    return body


CONVOLUTIONS = {
    "plain": ("2, 6, 5, 3", "3, 3, 3, 8", ""),
    "padded": ("2, 6, 5, 3", "3, 3, 3, 8", ', padding="same"'),
    "strides": ("2, 9, 8, 3", "3, 2, 3, 8", ', strides=(2, 3), padding="same"'),
    "dilated": ("2, 9, 9, 3", "3, 3, 3, 8", ", dilation=(2, 3)"),
    "groups": ("2, 6, 5, 6", "3, 3, 3, 8", ', groups=2, padding="same"'),
    "pixels": ("2, 6, 5, 3", "1, 1, 3, 8", ""),
    "uneven": ("2, 6, 5, 3", "3, 3, 3, 8", ", padding=((2, 0), (0, 1))"),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_reads_the_window_of_each_place(name: str) -> None:
    """Offsets that the problem names, against windows cut out of an array of positions."""
    image, kernel, attributes = CONVOLUTIONS[name]
    text = f"""graph g(%x: f32[{image}]) {{ $k : f32[{kernel}]
        %0 = exp(%x) %1 = conv2d(%0, $k{attributes}) return %1 }}"""
    problem, x, result, _ = problem_of(text)
    body = optimize(parse_ir(text), HERE).last
    attrs = next(
        n for g in body.nodes if g.inputs for n in group_of(g).nodes if "strides" in n.attrs
    ).attrs
    (sy, sx), (dy, dx) = attrs["strides"], attrs["dilation"]
    kh, kw, cin, _ = map(int, kernel.split(", "))
    whole = np.arange(int(str(x.elements))).reshape([int(str(n)) for n in x.padded_shape])
    batch, rows, columns, _ = (int(str(n)) for n in result.type.shape)
    found = np.array(
        [
            problem.x_offset + i * problem.x_image + r * problem.x_row + c * problem.x_col
            for i in range(known(problem.images))
            for r in range(known(problem.rows))
            for c in range(known(problem.columns))
        ]
    ).reshape(batch, rows, columns)
    steps = np.array(
        [
            y * problem.x_ky + z * problem.x_kx + e * known(problem.x_run)
            for y in range(known(problem.kys))
            for z in range(known(problem.kxs))
            for e in range(known(problem.run))
        ]
    ).reshape(kh, kw, cin)
    for place in np.ndindex(batch, rows, columns):
        i, r, c = place
        window = whole[i, r * sy : r * sy + (kh - 1) * dy + 1 : dy]
        window = window[:, c * sx : c * sx + (kw - 1) * dx + 1 : dx, :cin]
        np.testing.assert_array_equal(found[place] + steps, window)
    assert problem.x_group == cin
    assert problem.flops == 2 * kh * kw * cin * result.type.elements


def known(size: object) -> int:
    return int(str(size))


@pytest.mark.parametrize(
    ("left", "right", "walked"),
    [
        ("6, 5", "5, 8", 6),
        ("2, 3, 5", "5, 8", 6),
        ("2, 3, 5", "2, 5, 8", 3),
        ("2, 4, 3, 5", "2, 4, 5, 8", 3),
    ],
)
def test_a_product_reads_each_row(left: str, right: str, walked: int) -> None:
    text = f"""graph g(%x: f32[{left}], %y: f32[{right}]) {{
        %0 = exp(%x) %1 = exp(%y) %2 = matmul(%0, %1) return %2 }}"""
    problem, x, result, _ = problem_of(text)
    rows = placed(x).reshape(-1, x.type.shape[-1])
    found = [
        problem.x_offset + i * problem.x_image + c * problem.x_col
        for i in range(known(problem.images))
        for c in range(known(problem.columns))
    ]
    np.testing.assert_array_equal(np.array(found)[:, None] + np.arange(5), rows)
    assert problem.columns == walked
    assert problem.flops == 2 * 5 * result.type.elements


# Blocks


@pytest.mark.parametrize("lanes", LANE_CHOICES)
@pytest.mark.parametrize("unit", [(1, 1), (2, 2), (3, 3), (2, 1)])
def test_a_block_holds_whole_pooling_windows(unit: tuple[int, int], lanes: int) -> None:
    for size in (1, 3, 6, 7, 28):
        extent = Extent(size, size, 32, 27, 3, row_unit=unit[0], column_unit=unit[1])
        block = block_for(extent, machine(lanes))
        assert block.rows % unit[0] == 0
        assert block.columns % unit[1] == 0
        assert block.rows <= max(size, unit[0])
        assert block.columns <= max(size, unit[1])
