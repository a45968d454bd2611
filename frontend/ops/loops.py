"""Loops whose number of steps is known when they begin: scan, map, fori_loop and their like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...compiler.ir.graph import Node
from ...compiler.ops.building import full
from ...compiler.ops.core import input_
from ...compiler.ops.stepping import AUTO, FULL, ScanStep, Unroll, at_one_step, close_scan, items_of
from ...runtime.dim import Dim, Size
from ..accepted import Function, is_flag, is_int
from ..errors import UsageError, of_users, shown
from ..tensor import KerasTensor
from .carried import Carried, Nodes, changing_nothing, nodes_of, packed
from .core import ir, normal_axis, operation, tensor
from .creation import arange
from .joining import concatenate, stack
from .shaping import reshape

Step = Callable[[Any, Any], tuple[Any, Any]]


@operation
def scan(
    f: Function,
    init: Any,
    xs: Any = None,
    length: Any = None,
    reverse: bool = False,
    unroll: Any = 1,
) -> tuple[Any, Any]:
    """Applies ``f`` to one slice after another: ``f(carry, x) -> (carry, y)``.

    Args:
        f: a function of tensors. It gives on a carry nested as ``init``, of the same shapes and
            types, and a result, nested in any way, or None.
        init: the first carry: tensors, nested. Python numbers take the type that ``f`` gives.
        xs: sequences of one length, steps first, nested; ``f`` gets a slice of each. Without
            them it gets None, ``length`` times.
        length: the number of steps.
        reverse: whether to begin with the last step. Results lie beside the slices they are of.
        unroll: whether the compiler lays the steps out one after another, or how many it makes one
            of; for 1 it chooses itself. Their number has to be known.

    Returns:
        The last carry, and the results of all steps, stacked along a new first axis.

    Raises:
        ValueError: the sequences differ in length; ``f`` does not give on what it is given.
    """
    if not is_flag(unroll) and not (is_int(unroll) and unroll >= 1):
        raise UsageError(f"scan: expected unroll as a bool, or an int from 1; received {unroll!r}")
    sequences = nodes_of(xs)
    steps = _steps("scan", sequences, length)
    carried = Carried.of(init)
    if steps == 0:
        return _without_steps(f, carried, (xs, sequences))
    return looped("scan", f, carried, (xs, sequences), steps, reverse, _how_to_unroll(unroll))


def _how_to_unroll(unroll: Any) -> Unroll:
    if isinstance(unroll, bool):
        return FULL if unroll else 1
    return AUTO if unroll == 1 else int(unroll)


def _steps(name: str, sequences: Sequence[Node], length: Any) -> Size:
    if length is not None and not (is_int(length) and (isinstance(length, Dim) or length >= 0)):
        raise UsageError(f"{name}: expected length as an int from 0; received {shown(length)}")
    if any(not node.shape for node in sequences):
        raise UsageError(f"{name}: expected xs with steps as their first axis; received a scalar")
    sizes = [node.shape[0] for node in sequences] + ([] if length is None else [length])
    if not sizes:
        raise UsageError(f"{name}: expected xs, or length; received neither")
    if any(size != sizes[0] for size in sizes):
        shapes = ", ".join(str(tensor(node).shape) for node in sequences)
        told = "" if length is None else f" and length={length}"
        raise UsageError(
            f"{name}: expected one number of steps, the first axis of all xs; received shapes "
            f"{shapes}{told}"
        )
    return sizes[0]


def looped(
    name: str,
    f: Step,
    carried: Carried,
    sequences: tuple[Any, Nodes],
    steps: Size,
    reverse: bool = False,
    unroll: Unroll = AUTO,
) -> tuple[Any, Any]:
    """The last carry and the results of ``f`` at each step, as one loop of the graph."""
    structure, given = sequences
    over = given or (ir.iota(shape=(steps,), axis=0, dtype="int32"),)
    slices = tuple(input_(f"x{i}", at_one_step(n.tensor_type, 0)) for i, n in enumerate(over))
    x = packed(structure, slices if given else ())
    state = carried.inputs()
    new, ys = _one_step(name, f, carried, packed(carried.structure, state), x)
    settled = carried.like(new)
    if settled.nodes != carried.nodes:
        return looped(name, f, settled, sequences, steps, reverse, unroll)
    step = ScanStep(state, slices, new, nodes_of(ys))
    if not (*step.new_state, *step.results):
        return carried.structure, ys
    items = items_of(close_scan(step, carried.nodes, over, axis=0, reverse=reverse, unroll=unroll))
    count = len(state)
    return packed(carried.structure, items[:count]), packed(ys, items[count:])


def _one_step(name: str, f: Step, carried: Carried, carry: Any, x: Any) -> tuple[Nodes, Any]:
    with changing_nothing(name):
        given = of_users(f, name, carry, x)
    if not isinstance(given, (list, tuple)) or len(given) != 2:
        raise UsageError(
            f"{name}: expected a step that returns a pair, (carry, result); received {shown(given)}"
        )
    return carried.check(name, given[0]), given[1]


def _without_steps(f: Step, carried: Carried, sequences: tuple[Any, Nodes]) -> tuple[Any, Any]:
    """The first carry, and results without rows: a step on zeros tells their shapes."""
    structure, given = sequences
    slices = [full(0, node.shape[1:], node.dtype) for node in given]
    carry = packed(carried.structure, carried.nodes)
    _, ys = _one_step("scan", f, carried, carry, packed(structure, slices))
    return carry, packed(ys, [full(0, (0, *n.shape), n.dtype) for n in nodes_of(ys)])


@operation
def map(f: Function, xs: Any) -> Any:
    """``f`` of each slice along the first axis of ``xs``, nested tensors; results are stacked."""
    return scan(lambda carry, x: (carry, of_users(f, "map", x)), (), xs)[1]


@operation
def vectorized_map(function: Function, elements: Any) -> Any:
    """``function`` of each slice along the first axis, as ``map``.

    Where its ops can be computed of all slices at once, they are: a loop without a carry is none.
    """
    return map(function, elements)


@operation
def fori_loop(lower: Any, upper: Any, body_fun: Function, init_val: Any) -> Any:
    """``body_fun(i, value) -> value`` for each ``i`` from ``lower`` to below ``upper``.

    Bounds are ints, or sizes as ``ops.shape`` gives them; ``init_val`` is tensors, nested.
    """
    for name, bound in (("lower", lower), ("upper", upper)):
        if not is_int(bound):
            raise UsageError(
                f"fori_loop: expected {name} as an int, or a size as ops.shape gives it; received "
                f"{shown(bound)}"
            )
    carried = Carried.of(init_val)
    counted = arange(lower, upper)
    if counted.sizes[0] == 0:
        return packed(init_val, carried.nodes)
    over = (counted, (counted.node,))
    return looped(
        "fori_loop",
        lambda value, i: (of_users(body_fun, "fori_loop", i, value), None),
        carried,
        over,
        counted.sizes[0],
    )[0]


@operation
def associative_scan(f: Function, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All sums so far along ``axis``, with ``f`` in place of ``+``.

    ``f(a, b)`` is associative, and combines each index along ``axis`` by itself: it gets pieces of
    ``elems`` of some length there, and gives such a piece. Where the length is known the sums are
    a tree (Blelloch 1990) of about twice its logarithm of calls; else one call a step.
    """
    leaves = [tensor(node) for node in nodes_of(elems)]
    if not leaves:
        raise UsageError(f"associative_scan: expected tensors; received {shown(elems)}")
    axes = [normal_axis(axis, leaf.ndim) for leaf in leaves]
    sizes = [leaf.sizes[place] for leaf, place in zip(leaves, axes, strict=True)]
    if any(size != sizes[0] for size in sizes):
        raise UsageError(
            f"associative_scan: expected one size along axis {axis}; received shapes "
            f"{', '.join(str(leaf.shape) for leaf in leaves)}"
        )
    sums = _Sums(f, elems, axes)
    ordered = sums.flipped(leaves) if reverse else leaves
    found = sums.tree(ordered) if isinstance(sizes[0], int) else sums.one_by_one(ordered)
    made = sums.flipped(found) if reverse else found
    return packed(elems, [each.node for each in made])


class _Sums:
    """Sums with ``f`` of pieces of ``structure``, whose tensors are added up along their axes."""

    def __init__(self, f: Any, structure: Any, axes: Sequence[int]) -> None:
        self.f = f
        self.structure = structure
        self.axes = axes

    def combined(self, left: Sequence[KerasTensor], right: Sequence[KerasTensor]) -> list[Any]:
        pair = (packed(self.structure, [each.node for each in side]) for side in (left, right))
        with changing_nothing("associative_scan"):
            given = of_users(self.f, "associative_scan", *pair)
        wanted = Carried.of(packed(self.structure, [each.node for each in right]))
        return [tensor(node) for node in wanted.check("associative_scan", given)]

    def part(self, leaves: Sequence[KerasTensor], *bounds: int | None) -> list[Any]:
        return [_part(leaf, axis, *bounds) for leaf, axis in self._with_axes(leaves)]

    def flipped(self, leaves: Sequence[KerasTensor]) -> list[Any]:
        pairs = zip(leaves, self.axes, strict=True)
        return [tensor(ir.flip(leaf.node, axes=(axis,))) for leaf, axis in pairs]

    def joined(self, *pieces: Sequence[KerasTensor]) -> list[Any]:
        columns = zip(zip(*pieces, strict=True), self.axes, strict=True)
        return [concatenate(list(column), axis) for column, axis in columns]

    def tree(self, leaves: Sequence[KerasTensor]) -> Sequence[KerasTensor]:
        """Those at odd places are sums of pairs; those at even ones add one more to these."""
        count: Any = leaves[0].sizes[self.axes[0]]
        if count < 2:
            return leaves
        whole = count - count % 2
        pairs = self.combined(self.part(leaves, 0, whole, 2), self.part(leaves, 1, whole, 2))
        odd = self.tree(pairs)
        even = self.part(leaves, 0, 1)
        if count > 2:
            before = self.part(odd, 0, (count - 1) // 2)
            even = self.joined(even, self.combined(before, self.part(leaves, 2, None, 2)))
        return self.interleaved(even, odd)

    def interleaved(self, even: Sequence[Any], odd: Sequence[Any]) -> list[Any]:
        """By turns, an even one first, and last if there is one more."""
        found = []
        for first, second, axis in zip(even, odd, self.axes, strict=True):
            count = second.sizes[axis]
            sizes = second.sizes
            both = stack([_part(first, axis, 0, count), second], axis + 1)
            mixed = reshape(both, (*sizes[:axis], 2 * count, *sizes[axis + 1 :]))
            if first.sizes[axis] > count:
                mixed = concatenate([mixed, _part(first, axis, count, None)], axis)
            found.append(mixed)
        return found

    def one_by_one(self, leaves: Sequence[KerasTensor]) -> Sequence[KerasTensor]:
        first = self.part(leaves, 0, 1)
        rest = self.part(leaves, 1, None)
        moved = [tensor(_steps_first(leaf.node, axis)) for leaf, axis in self._with_axes(rest)]

        def step(carry: Any, slices: Any) -> Any:
            wide = [
                reshape(x, (*x.sizes[:axis], 1, *x.sizes[axis:]))
                for x, axis in self._with_axes(slices)
            ]
            total = self.combined(carry, wide)
            return total, [
                reshape(x, (*x.sizes[:axis], *x.sizes[axis + 1 :]))
                for x, axis in self._with_axes(total)
            ]

        over = (moved, tuple(each.node for each in moved))
        steps = moved[0].sizes[0]
        _, sums = looped("associative_scan", step, Carried.of(first), over, steps)
        back = [tensor(_steps_back(leaf.node, axis)) for leaf, axis in self._with_axes(sums)]
        return self.joined(first, back)

    def _with_axes(self, leaves: Any) -> Any:
        return zip(leaves, self.axes, strict=True)


def _part(leaf: Any, axis: int, *bounds: int | None) -> Any:
    return leaf[(*(slice(None),) * axis, slice(*bounds))]


def _steps_first(node: Node, axis: int) -> Node:
    rank = node.tensor_type.rank
    return ir.transpose(node, axes=(axis, *range(axis), *range(axis + 1, rank)))


def _steps_back(node: Node, axis: int) -> Node:
    rank = node.tensor_type.rank
    return ir.transpose(node, axes=(*range(1, axis + 1), 0, *range(axis + 1, rank)))
