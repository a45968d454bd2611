"""Builds ``Nest`` kernels: the path that serves every group no other template takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from ..ir.graph import Graph
from ..ir.types import FLOAT32, Size
from ..ops.indexing import gather_fill
from .accesses import Accesses, Group, Guard, Strided, extent, loop_groups
from .arguments import Arguments
from .domain import (
    Domain,
    Value,
    Values,
    find_domain,
    is_gather,
    is_generated,
    is_load,
    is_reduction,
)
from .kernel import (
    VECTOR,
    Access,
    Accumulate,
    AnyLoad,
    Axis,
    Block,
    Gathered,
    Generated,
    Kernel,
    Let,
    Load,
    Nest,
    Number,
    ScalarArg,
    Stage,
    Store,
    Term,
)
from .layout import Address, Launch, Placed
from .scalars import in_vectors, is_constant, let_of, scalar_argument, sum_bytes
from .sweeps import Output, Sweep, plan_sweeps

LONG_SUM = 512  # terms from which a sum is blocked, for less rounding


def build_nest(
    body: Graph,
    operands: tuple[Placed, ...],
    results: tuple[Placed, ...],
    name: str,
    expensive: Collection[str] = (),
) -> Launch | None:
    """The launch that computes ``body``, or None where its nodes share no loop domain.

    What the ops named in ``expensive`` compute is rather read back than computed again.
    """
    domain = find_domain(body)
    if domain is None:
        return None
    values = Values(body, domain)
    if not values.fit():
        return None
    return _Builder(values, Accesses(body, operands, results, domain), expensive).launch(name)


class _Builder:
    """Names values and parameters while it writes down the stages of one nest."""

    def __init__(self, values: Values, accesses: Accesses, expensive: Collection[str]) -> None:
        self.values = values
        self.domain: Domain = values.domain
        self.accesses = accesses
        self.sweeps = plan_sweeps(values, expensive)
        self.args = Arguments()
        self.names: dict[Value, str] = {}
        self.groups: tuple[Group, ...] = loop_groups(self.domain, list(self._all_accesses()))

    def launch(self, name: str) -> Launch:
        stages = tuple(filter(_has_work, map(self._stage, self.sweeps)))
        nest = Nest(self._axes(False), self._axes(True), stages, None, self._is_blocked())
        kernel = Kernel(name, self.args.params, replace(nest, vector=self._vector_axis(nest)))
        steps = extent(self.domain, self.domain.axes)
        flops = steps * sum(not is_load(value.node) for value in self.values.reachable)
        return Launch(kernel, self.args.values, flops, self._moved())

    def _moved(self) -> Size:
        """Bytes that are read and written: of a table the rows that are picked."""
        addresses = (value for value in self.args.values if isinstance(value, Address))
        seldom = {address.index for address in addresses if address.seldom}
        read = (layout for slot, layout in enumerate(self.accesses.operands) if slot not in seldom)
        picked = (v.node.tensor_type.bytes for v in self.values.reachable if is_gather(v.node))
        return sum(picked, sum_bytes(read, self.accesses.results))

    def _is_blocked(self) -> bool:
        """Whether a float32 sum has many terms, or nobody knows how many."""
        sums = (v.node for v in self.values.reachable if is_reduction(v.node))
        if not any(n.dtype == FLOAT32 and n.op.kind.combine == "add" for n in sums):
            return False
        terms = extent(self.domain, tuple(self.domain.reduced))
        return not isinstance(terms, int) or terms > LONG_SUM

    # Axes and accesses

    def _all_accesses(self) -> Iterable[Strided]:
        for value in self.values.reachable:
            if is_generated(value.node):
                yield self.accesses.index(value)
            elif is_load(value.node):
                yield self.accesses.read(value)
                if is_gather(value.node):
                    yield self.accesses.picks(value)
        for index, value in enumerate(self.values.outputs):
            yield self.accesses.write(index, value)

    def _axis_name(self, group: Group) -> str:
        kind = "r" if group[0] in self.domain.reduced else "i"
        return f"{kind}{self.groups.index(group)}"

    def _axes(self, reduced: bool) -> tuple[Axis, ...]:
        return tuple(
            Axis(self._axis_name(group), self.args.size(extent(self.domain, group), "n"))
            for group in self.groups
            if (group[0] in self.domain.reduced) == reduced
        )

    def _access(self, strided: Strided, role: str, seldom: bool = False) -> Access:
        layouts = (*self.accesses.operands, *self.accesses.results)
        dtype = layouts[strided.slot].type.dtype
        address = Address(strided.slot, strided.offset, seldom=seldom)
        pointer = self.args.pointer(role, dtype, address)
        guarded = map(self._guarded_term, strided.guards)
        return Access(pointer, dtype, (*self._plain_terms(strided), *guarded), strided.fill)

    def _plain_terms(self, strided: Strided) -> tuple[Term, ...]:
        return tuple(
            Term(self._axis_name(group), self.args.stride(strided.strides[group[-1]]))
            for group in self.groups
            if strided.strides[group[-1]] != 0
        )

    def _guarded_term(self, guard: Guard) -> Term:
        group = next((g for g in self.groups if guard.axis in g), None)
        m = guard.map
        return Term(
            None if group is None else self._axis_name(group),
            self.args.stride(guard.stride),
            m.stride,
            self.args.size(m.offset, "o") if m.offset != 0 else "0",
            m.divisor,
            m.exact,
            self.args.size(guard.bound, "b"),
        )

    # Stages

    def _stage(self, sweep: Sweep) -> Stage:
        return Stage(
            loads=(*map(self._read_back, sweep.kept), *self._loads(sweep.inside)),
            block=self._block(sweep.inside),
            accumulate=tuple(map(self._accumulate, sweep.reductions)),
            stores=self._stores(sweep.inside_outputs),
            after_loads=self._loads(sweep.after),
            after=self._block(sweep.after),
            after_stores=self._stores(sweep.after_outputs),
        )

    def _loads(self, values: Iterable[Value]) -> tuple[AnyLoad, ...]:
        return tuple(self._load(value) for value in values if is_load(value.node))

    def _read_back(self, kept: Output) -> Load:
        """A load of what an earlier sweep stored where the result ``kept.index`` will lie."""
        access = self._access(self.accesses.write(kept.index, kept.value), "y")
        return Load(self._name(kept.value), access)

    def _load(self, value: Value) -> AnyLoad:
        if is_generated(value.node):
            return self._generated(value)
        access = self._access(self.accesses.read(value), "x", seldom=is_gather(value.node))
        name = self._name(value)
        if not is_gather(value.node):
            return Load(name, access)
        table = self.accesses.operands[self.accesses.body.inputs.index(value.node.inputs[0])]
        at = value.node.attrs["axis"] % table.type.rank
        index = self._access(self.accesses.picks(value), "x")
        bound = self.args.size(table.type.shape[at], "n")
        stride = self.args.size(table.strides[at], "s")
        fill = Number.of(gather_fill(access.dtype, value.node.attrs["fill"]), access.dtype)
        from_end = value.node.attrs["from_end"]
        return Gathered(name, index, access, stride, bound, from_end, fill)

    def _generated(self, value: Value) -> Generated:
        kind, (operand,) = value.node.op.kind, value.node.inputs
        addresses = self.accesses.numbers(value)
        numbers = (self.args.pointer("x", operand.dtype, address) for address in addresses)
        terms = self._plain_terms(self.accesses.index(value))
        return Generated(self._name(value), kind.fn, tuple(numbers), terms, value.node.dtype)

    def _accumulate(self, value: Value) -> Accumulate:
        kind, (operand,) = value.node.op.kind, self.values.operands(value)
        initial = Number.of(kind.initial, value.node.dtype)
        return Accumulate(
            self._name(value), kind.combine, self._name(operand), initial, value.node.dtype
        )

    def _block(self, values: Iterable[Value]) -> Block:
        return tuple(self._let(value) for value in values if not is_load(value.node))

    def _let(self, value: Value) -> Let:
        args = [self._argument(operand) for operand in self.values.operands(value)]
        return let_of(value.node, self._name(value), args)

    def _stores(self, outputs: Iterable[Output]) -> tuple[Store, ...]:
        return tuple(
            Store(
                self._access(self.accesses.write(output.index, output.value), "y"),
                self._name(output.value),
            )
            for output in outputs
        )

    def _argument(self, value: Value) -> ScalarArg:
        return scalar_argument(value.node) if is_constant(value.node) else self._name(value)

    def _name(self, value: Value) -> str:
        """``add_4`` for the fifth node of the body; ``add_4b`` where it is seen a second way."""
        if value not in self.names:
            seen = sum(value.node is other.node for other in self.names)
            kind = "a" if value.node.op.name == "input" else f"{value.node.op.name}_"
            index = self.values.body.nodes.index(value.node)
            self.names[value] = f"{kind}{index}{'bcdefgh'[seen - 1] if seen else ''}"
        return self.names[value]

    # Vectors

    def _vector_axis(self, nest: Nest) -> str | None:
        """The innermost axis, if float32 values lie side by side along it everywhere."""
        if not self.groups:
            return None
        name = self._axis_name(self.groups[-1])
        # Around a sweep in vectors all is numbers, of any kind.
        swept = name.startswith("r")
        within = [v for v in self.values.reachable if not swept or self._is_swept(v)]
        if not all(map(_in_vectors, within)):
            return None
        for stage in nest.stages:
            loads = (*stage.loads, *(() if swept else stage.after_loads))
            stores = (*stage.stores, *(() if swept else stage.after_stores))
            if not all(_is_contiguous(load, name) for load in loads):
                return None
            if not all(_is_stored(store, name) for store in stores):
                return None
        return name

    def _is_swept(self, value: Value) -> bool:
        return self.values.is_inside(value) or is_reduction(value.node)


def _in_vectors(value: Value) -> bool:
    if is_load(value.node):
        return value.node.dtype.computed == VECTOR
    return in_vectors(value.node)


def _is_contiguous(load: AnyLoad, axis: str) -> bool:
    if isinstance(load, Generated):
        return True
    if isinstance(load, Gathered) and load.index.stride_along(axis) != "0":
        return False
    return load.access.stride_along(axis) in ("0", "1")


def _is_stored(store: Store, axis: str) -> bool:
    return store.access.dtype.computed == VECTOR and store.access.stride_along(axis) == "1"


def _has_work(stage: Stage) -> bool:
    return any(vars(stage).values())
