"""Builds ``Nest`` kernels: the path that serves every group no other template takes.

A group here is elementwise code over one domain, with operands read through broadcasting or data
movement, and at most one set of reduced axes. Reductions split the work in stages: what a later
stage needs of an earlier sweep is computed again rather than kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..ir import Graph, Node
from ..kernels import (
    Access,
    Accumulate,
    Axis,
    Block,
    Gathered,
    Kernel,
    Let,
    Load,
    Nest,
    ScalarArg,
    Stage,
    Store,
    Term,
)
from ..layout import Address, Argument, Launch, Layout
from ..lowering import AxisMap, Elementwise, Gather, IndexMap, Movement, Reduction
from ..types import BOOL, FLOAT32, DType, Size
from .arguments import Arguments
from .scalars import scalar_argument, sum_bytes

PRELUDE = 0  # the stage before the first sweep: values that vary along kept axes only


@dataclass(frozen=True)
class Domain:
    """The loop axes of a group: the shape computed on, and which of its axes are reduced."""

    shape: tuple[Size, ...]
    reduced: frozenset[int] = frozenset()

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(i for i in range(len(self.shape)) if i not in self.reduced)


@dataclass(frozen=True)
class Strided:
    """An access before it has parameter names: elements per step along each domain axis."""

    slot: int
    strides: tuple[Size, ...]
    offset: Size
    special: tuple[tuple[int | None, AxisMap, Size, Size], ...] = ()  # (axis, map, stride, bound)
    fill: float | None = None


def find_domain(body: Graph) -> Domain | None:
    """The domain every node of the group fits, or None if there is no such domain."""
    reductions = [n for n in body.nodes if isinstance(n.op.lowering, Reduction)]
    if not reductions:
        shapes = {node.shape for node in body.outputs}
        return Domain(shapes.pop()) if len(shapes) == 1 else None
    first = reductions[0]
    domain = Domain(first.inputs[0].shape, reduced_axes(first))
    same = all(
        r.inputs[0].shape == domain.shape and reduced_axes(r) == domain.reduced for r in reductions
    )
    return domain if same else None


def reduced_axes(node: Node) -> frozenset[int]:
    """The axes a reduction combines, counted from the front."""
    rank = node.inputs[0].tensor_type.rank
    return frozenset(axis % rank for axis in node.attrs["axes"])


def build_nest(
    body: Graph, operands: tuple[Layout, ...], results: tuple[Layout, ...], name: str
) -> Launch | None:
    """The launch that computes ``body``, or None where its nodes share no loop domain."""
    domain = find_domain(body)
    if domain is None:
        return None
    return NestBuilder(body, operands, results, domain).build(name)


class NestBuilder:
    """Turns one group into a ``Nest`` and its arguments."""

    def __init__(
        self, body: Graph, operands: tuple[Layout, ...], results: tuple[Layout, ...], domain: Domain
    ) -> None:
        self.body = body
        self.operands = operands
        self.results = results
        self.domain = domain
        self.index = {node: i for i, node in enumerate(body.nodes)}
        self.compact = {node: self._is_compact(node) for node in body.nodes if node.inputs}
        self.args = Arguments()
        self.accesses: dict[tuple[Node, bool], Strided] = {}

    # Frames: a value's axes are those of the domain, or of its kept axes only ("compact").

    def _is_compact(self, node: Node) -> bool:
        if isinstance(node.op.lowering, Reduction):
            return not node.attrs["keepdims"] and bool(self.domain.reduced)
        return any(self._is_compact(i) for i in node.inputs if i.inputs)

    def _domain_axes(self, rank: int, compact: bool) -> tuple[int, ...]:
        frame = self.domain.kept if compact else tuple(range(len(self.domain.shape)))
        return frame[len(frame) - rank :]

    def _is_inside(self, node: Node, compact: bool) -> bool:
        """Whether a value varies along the reduced axes."""
        if isinstance(node.op.lowering, Reduction) or compact:
            return False
        axes = self._domain_axes(len(node.shape), compact)
        return any(
            a in self.domain.reduced and n != 1 for a, n in zip(axes, node.shape, strict=True)
        )

    def _is_load(self, node: Node) -> bool:
        return node.op.name == "input" or isinstance(node.op.lowering, (Movement, Gather))

    # Stages

    def stage_of(self, node: Node, compact: bool) -> int:
        """The sweep in which a value is first available (``PRELUDE``: before all of them)."""
        key = (node, compact)
        if key not in self._stages:
            self._stages[key] = self._find_stage(node, compact)
        return self._stages[key]

    _stages: dict[tuple[Node, bool], int]

    def _find_stage(self, node: Node, compact: bool) -> int:
        inside = self._is_inside(node, compact)
        if self._is_load(node) or not node.inputs:
            return 1 if inside else PRELUDE
        if isinstance(node.op.lowering, Reduction):
            return max(1, self._inside_stage(node.inputs[0], False))
        frame = self.compact[node]
        if inside:
            return max(1, *(self._inside_stage(i, frame) for i in node.inputs))
        return max(self.stage_of(i, self._frame(i, frame)) for i in node.inputs)

    def _inside_stage(self, node: Node, compact: bool) -> int:
        """The sweep in which a value can be used inside: kept ones come a sweep later."""
        frame = self._frame(node, compact)
        stage = self.stage_of(node, frame)
        if self._is_inside(node, frame) or stage == PRELUDE:
            return max(1, stage)
        return stage + 1

    def _frame(self, node: Node, user: bool) -> bool:
        """The frame a value is seen in: its own, or for a load that of its user."""
        return self.compact.get(node, user) if not self._is_load(node) else user

    def build(self, name: str) -> Launch:
        self._stages = {}
        outputs = [(n, self.compact.get(n, False)) for n in self.body.outputs]
        plan = self._plan(outputs)
        self._collect(plan)
        self._collapse()
        return self._finish(name, plan)

    def _plan(self, outputs: list[tuple[Node, bool]]) -> list[dict[str, list[tuple[Node, bool]]]]:
        """Per stage: the reductions, and the values computed inside and after the sweep."""
        if not self.domain.reduced:
            inside = self._closure(outputs)
            return [{"reductions": [], "inside": inside, "kept": [], "stores": outputs}]
        reductions = [n for n in self.body.nodes if isinstance(n.op.lowering, Reduction)]
        last = max(
            [self.stage_of(n, c) for n, c in outputs]
            + [self.stage_of(r, self.compact[r]) for r in reductions]
            + [1]
        )
        stages = []
        for stage in range(last + 1):
            done = [r for r in reductions if self.stage_of(r, self.compact[r]) == stage]
            stores = [o for o in outputs if self.stage_of(*o) == stage]
            inside_roots = [(r.inputs[0], False) for r in done]
            inside_roots += [o for o in stores if self._is_inside(*o)]
            kept = [
                (n, self.compact[n])
                for n in self.body.nodes
                if n.inputs
                and not self._is_load(n)
                and not isinstance(n.op.lowering, Reduction)
                and not self._is_inside(n, self.compact[n])
                and self.stage_of(n, self.compact[n]) == stage
            ]
            stages.append(
                {
                    "reductions": [(r, self.compact[r]) for r in done],
                    "inside": self._closure(inside_roots),
                    "kept": kept,
                    "stores": stores,
                }
            )
        return stages

    def _closure(self, roots: list[tuple[Node, bool]]) -> list[tuple[Node, bool]]:
        """The values a sweep computes for ``roots``: all that varies inside it, operands first."""
        found: dict[tuple[Node, bool], None] = {}

        def visit(node: Node, compact: bool) -> None:
            frame = self._frame(node, compact)
            if (node, frame) in found or is_constant(node):
                return
            if self.domain.reduced and not self._is_inside(node, frame):
                return
            if not self._is_load(node):
                for operand in node.inputs:
                    visit(operand, frame)
            found[node, frame] = None

        for node, compact in roots:
            visit(node, compact)
        return list(found)

    # Accesses

    def _collect(self, plan: list[dict[str, list[tuple[Node, bool]]]]) -> None:
        for stage in plan:
            for node, compact in [*stage["inside"], *stage["kept"]]:
                for operand in (node, *node.inputs):
                    frame = self._frame(operand, compact)
                    if self._is_load(operand) and not is_constant(operand):
                        self.accesses.setdefault((operand, frame), self._strided(operand, frame))
        for i, node in enumerate(self.body.outputs):
            compact = self.compact.get(node, False)
            layout = self.results[i]
            axes = self._domain_axes(len(node.shape), compact)
            self.stores_at = getattr(self, "stores_at", {})
            self.stores_at[i] = self._dense(len(self.operands) + i, layout, axes)

    def _dense(self, slot: int, layout: Layout, axes: tuple[int, ...]) -> Strided:
        strides: list[Size] = [0] * len(self.domain.shape)
        for axis, size, stride in zip(axes, layout.type.shape, layout.strides, strict=True):
            strides[axis] = 0 if size == 1 else stride
        return Strided(slot, tuple(strides), layout.origin)

    def _strided(self, node: Node, compact: bool) -> Strided:
        if node.op.name == "input":
            slot = self.body.inputs.index(node)
            axes = self._domain_axes(len(node.shape), compact)
            return self._dense(slot, self.operands[slot], axes)
        source = node.inputs[0]
        slot = self.body.inputs.index(source)
        axes = self._domain_axes(len(node.shape), compact)
        if isinstance(node.op.lowering, Gather):
            return self._gathered(node, slot, axes)
        assert isinstance(node.op.lowering, Movement)
        return self._moved(node, node.op.lowering.index(node), slot, axes)

    def _moved(self, node: Node, index: IndexMap, slot: int, axes: tuple[int, ...]) -> Strided:
        layout = self.operands[slot]
        strides: list[Size] = [0] * len(self.domain.shape)
        offset = layout.origin
        special = []
        for axis_map, size, stride in zip(
            index.axes, layout.type.shape, layout.strides, strict=True
        ):
            axis = None if axis_map.axis is None else axes[axis_map.axis]
            if _is_linear(axis_map, index, node, size):
                offset = offset + axis_map.offset * stride
                if axis is not None:
                    strides[axis] = strides[axis] + stride * axis_map.stride
            else:
                special.append((axis, axis_map, stride, size))
        fill = index.fill if special else None
        return Strided(slot, tuple(strides), offset, tuple(special), fill)

    def _gathered(self, node: Node, slot: int, axes: tuple[int, ...]) -> Strided:
        """The table's access without its picked axis (the index has an access of its own)."""
        layout, at = self.operands[slot], node.attrs["axis"] % len(node.inputs[0].shape)
        picked = node.inputs[1].tensor_type.rank
        strides: list[Size] = [0] * len(self.domain.shape)
        for k, stride in enumerate(layout.strides):
            if k != at:
                strides[axes[k if k < at else k + picked - 1]] = stride
        return Strided(slot, tuple(strides), layout.origin)

    def _index_access(self, node: Node, compact: bool) -> Strided:
        at = node.attrs["axis"] % len(node.inputs[0].shape)
        axes = self._domain_axes(len(node.shape), compact)
        slot = self.body.inputs.index(node.inputs[1])
        rank = node.inputs[1].tensor_type.rank
        return self._dense(slot, self.operands[slot], axes[at : at + rank])

    # Axes

    def _collapse(self) -> None:
        """Finds the axes that can be walked as one because every access is linear across them."""
        groups: list[list[int]] = [[axis] for axis in range(len(self.domain.shape))]
        position = len(groups) - 1
        while position > 0:
            outer, inner = groups[position - 1], groups[position]
            if self._can_merge(outer[-1], inner):
                groups[position - 1 : position + 1] = [outer + inner]
            position -= 1
        self.groups = [g for g in groups if self._extent(g) != 1] or groups[-1:]

    def _extent(self, group: list[int]) -> Size:
        total: Size = 1
        for axis in group:
            total = total * self.domain.shape[axis]
        return total

    def _can_merge(self, outer: int, inner: list[int]) -> bool:
        if (outer in self.domain.reduced) != (inner[0] in self.domain.reduced):
            return False
        everything = [*self.accesses.values(), *self.stores_at.values()]
        everything += [self._index_access(n, c) for n, c in self.accesses if is_gather(n)]
        extent = self._extent(inner)
        for access in everything:
            if any(axis in (outer, *inner) for axis, *_ in access.special):
                return False
            if self.domain.shape[outer] != 1 and (
                access.strides[outer] != access.strides[inner[-1]] * extent
            ):
                return False
        return True

    def _axis_name(self, group: list[int]) -> str:
        kind = "r" if group[0] in self.domain.reduced else "i"
        return f"{kind}{self.groups.index(group)}"

    def _axes(self, reduced: bool) -> tuple[Axis, ...]:
        return tuple(
            Axis(self._axis_name(g), self.args.size(self._extent(g), "n"))
            for g in self.groups
            if (g[0] in self.domain.reduced) == reduced
        )

    def _access(self, strided: Strided, role: str) -> Access:
        type_ = (self.operands + self.results)[strided.slot].type
        pointer = self.args.pointer(role, type_.dtype, Address(strided.slot, strided.offset))
        terms = []
        for group in self.groups:
            stride = strided.strides[group[-1]]
            if stride != 0:
                terms.append(Term(self._axis_name(group), self.args.stride(stride)))
        for axis, axis_map, stride, bound in strided.special:
            terms.append(self._special_term(axis, axis_map, stride, bound))
        return Access(pointer, type_.dtype, tuple(terms), strided.fill)

    def _special_term(self, axis: int | None, m: AxisMap, stride: Size, bound: Size) -> Term:
        group = next((g for g in self.groups if axis in g), None)
        name = None if group is None else self._axis_name(group)
        offset = self.args.size(m.offset, "o") if m.offset != 0 else "0"
        return Term(
            name,
            self.args.stride(stride),
            m.stride,
            offset,
            m.divisor,
            m.exact,
            self.args.size(bound, "b"),
        )

    # The kernel

    def _finish(self, name: str, plan: list[dict[str, list[tuple[Node, bool]]]]) -> Launch:
        parallel, reduce = self._axes(False), self._axes(True)
        stages = tuple(self._stage(stage) for stage in plan)
        body = Nest(parallel, reduce, tuple(filter(_has_work, stages)), None)
        vector = self._vector_axis(body)
        kernel = Kernel(name, self.args.params, replace(body, vector=vector))
        elements = self._extent(list(range(len(self.domain.shape))))
        nodes = sum(1 for n in self.body.nodes if isinstance(n.op.lowering, (Elementwise, Reduction)))
        args: tuple[Argument, ...] = self.args.values
        return Launch(kernel, args, elements * nodes, sum_bytes(self.operands, self.results))

    def _stage(self, plan: dict[str, list[tuple[Node, bool]]]) -> Stage:
        inside = [(n, c) for n, c in plan["inside"]]
        stores = plan["stores"]
        if not self.domain.reduced:
            return Stage(
                loads=tuple(self._loads(inside)),
                block=self._block(inside),
                stores=tuple(self._stores(stores)),
            )
        outside = [o for o in stores if not self._is_inside(*o)]
        return Stage(
            loads=tuple(self._loads(inside)),
            block=self._block(inside),
            accumulate=tuple(self._accumulates(plan["reductions"])),
            stores=tuple(self._stores([o for o in stores if o not in outside])),
            after_loads=tuple(self._kept_loads(plan["kept"], outside)),
            after=self._block(plan["kept"]),
            after_stores=tuple(self._stores(outside)),
        )

    def _name(self, node: Node, compact: bool) -> str:
        if node.op.name == "input":
            return f"a{self.index[node]}" + ("k" if compact else "")
        return f"{node.op.name}_{self.index[node]}"

    def _loads(self, values: list[tuple[Node, bool]]) -> Iterator[Load | Gathered]:
        for node, compact in values:
            if self._is_load(node):
                yield self._load(node, compact)

    def _load(self, node: Node, compact: bool) -> Load | Gathered:
        access = self._access(self.accesses[node, compact], "x")
        name = self._name(node, compact)
        if not is_gather(node):
            return Load(name, access)
        table = self.operands[self.accesses[node, compact].slot]
        at = node.attrs["axis"] % len(node.inputs[0].shape)
        index = self._access(self._index_access(node, compact), "x")
        bound = self.args.size(table.type.shape[at], "n")
        return Gathered(name, index, access, self.args.size(table.strides[at], "s"), bound)

    def _kept_loads(
        self, kept: list[tuple[Node, bool]], stores: list[tuple[Node, bool]]
    ) -> Iterator[Load | Gathered]:
        """Loads that the code after a sweep needs, and in the prelude those of every sweep."""
        seen: set[tuple[Node, bool]] = set()
        for node, compact in kept:
            for operand in node.inputs:
                key = (operand, self._frame(operand, compact))
                if self._is_load(operand) and key not in seen and key not in self._loaded:
                    seen.add(key)
                    self._loaded.add(key)
                    yield self._load(*key)

    _loaded: set[tuple[Node, bool]]

    def _accumulates(self, reductions: list[tuple[Node, bool]]) -> Iterator[Accumulate]:
        for node, compact in reductions:
            facet = node.op.lowering
            value = self._name(node.inputs[0], self._frame(node.inputs[0], False))
            initial = initial_value(facet, node.dtype)
            yield Accumulate(self._name(node, compact), facet.combine, value, initial, node.dtype)

    def _block(self, values: list[tuple[Node, bool]]) -> Block:
        lets = []
        for node, _ in values:
            if self._is_load(node):
                continue
            frame = self.compact[node]
            args = [
                scalar_argument(i) if is_constant(i) else self._name(i, self._frame(i, frame))
                for i in node.inputs
            ]
            lets.append(let_of(node, self._name(node, frame), args))
        return tuple(lets)

    def _stores(self, outputs: list[tuple[Node, bool]]) -> Iterator[Store]:
        for i, node in enumerate(self.body.outputs):
            key = (node, self.compact.get(node, False))
            if key in outputs:
                yield Store(self._access(self.stores_at[i], "y"), self._name(*key))

    def _vector_axis(self, body: Nest) -> str | None:
        """The innermost axis, if float32 values lie side by side along it everywhere."""
        if not self.groups:
            return None
        name = self._axis_name(self.groups[-1])
        values = [n for n in self.body.nodes if n.inputs or n.op.name == "input"]
        used = [n for n in values if not any(is_gather(u) and n is u.inputs[1] for u in values)]
        if any(n.dtype not in (FLOAT32, BOOL) for n in used):
            return None
        for stage in body.stages:
            for load in (*stage.loads, *stage.after_loads):
                if load.access.dtype != FLOAT32 or load.access.stride_along(name) not in "01":
                    return None
                if isinstance(load, Gathered) and load.index.stride_along(name) != "0":
                    return None
            for store in (*stage.stores, *stage.after_stores):
                inside = store.access.stride_along(name)
                wanted = "01" if name.startswith("r") else "1"
                if store.access.dtype != FLOAT32 or inside not in wanted:
                    return None
        return name


def let_of(node: Node, name: str, args: list) -> Let:
    """The dialect's assignment for an elementwise node; attributes follow as constants."""
    assert isinstance(node.op.lowering, Elementwise), node.op
    fixed = () if node.op.name == "cast" else tuple(node.attrs.values())
    return Let(name, node.op.lowering.fn, (*args, *fixed), node.dtype)


def initial_value(facet: Reduction, dtype: DType) -> ScalarArg:
    """What a reduction starts from: integers have no infinities."""
    if dtype == BOOL:
        return bool(facet.initial)
    if dtype.is_integer and math.isinf(facet.initial):
        limits = np.iinfo(dtype.numpy)
        return int(limits.max if facet.initial > 0 else limits.min)
    return facet.initial


def is_constant(node: Node) -> bool:
    """A constant that is written into the kernel."""
    return node.op.name == "constant"


def is_gather(node: Node) -> bool:
    return isinstance(node.op.lowering, Gather)


def _is_linear(m: AxisMap, index: IndexMap, node: Node, size: Size) -> bool:
    """Whether every read along this axis is inside, so that no check is needed."""
    if m.divisor != 1:
        return False
    if index.fill is None or m.axis is None:
        return True
    return m.offset == 0 and m.stride == 1 and node.shape[m.axis] == size


def _has_work(stage: Stage) -> bool:
    return any((stage.loads, stage.block, stage.accumulate, stage.stores, stage.after_loads, stage.after, stage.after_stores))
