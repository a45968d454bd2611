"""The loops of a ``Nest``, and how the values of a group lie in them.

A group is elementwise code over one domain, with operands read through broadcasting or data
movement, and at most one set of reduced axes.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from ...runtime.forks import cached_property
from ..ir.graph import Graph, Node
from ..ir.kinds import Elementwise, FromIndex, Gather, Movement, Reduction
from ..ir.types import Size
from .scalars import is_constant


@dataclass(frozen=True)
class Domain:
    """The loop axes of a group: the shape computed on, and which of its axes are reduced."""

    shape: tuple[Size, ...]
    reduced: frozenset[int] = frozenset()

    @property
    def axes(self) -> tuple[int, ...]:
        return tuple(range(len(self.shape)))

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(axis for axis in self.axes if axis not in self.reduced)


def reduced_axes(node: Node) -> frozenset[int]:
    """The axes a reduction combines, counted from the front."""
    rank = node.inputs[0].tensor_type.rank
    return frozenset(axis % rank for axis in node.attrs["axes"])


def find_domain(body: Graph) -> Domain | None:
    """The domain that the results and reductions of ``body`` name, or None if they differ."""
    reductions = [node for node in body.nodes if is_reduction(node)]
    if not reductions:
        shapes = {node.shape for node in body.outputs}
        return Domain(shapes.pop()) if len(shapes) == 1 else None
    domains = {Domain(node.inputs[0].shape, reduced_axes(node)) for node in reductions}
    return domains.pop() if len(domains) == 1 else None


def is_reduction(node: Node) -> bool:
    return isinstance(node.op.kind, Reduction)


def is_gather(node: Node) -> bool:
    return isinstance(node.op.kind, Gather)


def is_generated(node: Node) -> bool:
    return isinstance(node.op.kind, FromIndex)


def is_load(node: Node) -> bool:
    """Whether a kernel gets the node's elements by their index: from memory, or made of it."""
    kinds = (FromIndex, Gather, Movement)
    return node.op.name == "input" or isinstance(node.op.kind, kinds)


@dataclass(frozen=True)
class Value:
    """A node as the loops see it: the domain axis along each of its own, None where its size is 1.

    One node may be seen in several ways: ``f32[4]`` is read along the last axis beside
    ``f32[3, 4]`` and along the first one beside a sum over the last.
    """

    node: Node
    axes: tuple[int | None, ...]


@dataclass(frozen=True)
class Values:
    """The values of a group: from its results back to what it reads."""

    body: Graph
    domain: Domain

    @cached_property
    def outputs(self) -> tuple[Value, ...]:
        """The results, in the order of the body."""
        return tuple(aligned(n, self._frame(n)) for n in self.body.outputs)

    @cached_property
    def reachable(self) -> tuple[Value, ...]:
        """Every value but the constants, operands before users."""
        return self.closure(self.outputs)

    def closure(
        self,
        roots: Iterable[Value],
        inside_only: bool = False,
        known: Container[Value] = (),
    ) -> tuple[Value, ...]:
        """``roots`` and all they are computed from but what is ``known``; ``inside_only`` stops
        where sweeps end."""
        found: dict[Value, None] = {}

        def visit(value: Value) -> None:
            if value in found or value in known or is_constant(value.node):
                return
            if inside_only and not self.is_inside(value):
                return
            for operand in self.operands(value):
                visit(operand)
            found[value] = None

        for root in roots:
            visit(root)
        return tuple(found)

    def operands(self, value: Value) -> tuple[Value, ...]:
        """What ``value`` is computed from; nothing for what is loaded."""
        node = value.node
        if is_load(node):
            return ()
        frame = self.domain.axes if is_reduction(node) else value.axes
        return tuple(aligned(operand, frame) for operand in node.inputs)

    def is_inside(self, value: Value) -> bool:
        """Whether a value varies along the reduced axes (or there are none)."""
        if not self.domain.reduced:
            return True
        return any(axis in self.domain.reduced for axis in value.axes)

    def fit(self) -> bool:
        """Whether all values can be computed in these loops, each result element once."""
        return all(map(self._fits, self.reachable)) and all(map(self._is_covered, self.outputs))

    def _fits(self, value: Value) -> bool:
        node, shape = value.node, self.domain.shape
        if not is_load(node) and not isinstance(node.op.kind, (Elementwise, Reduction)):
            return False
        if len(value.axes) != len(node.shape):
            return False
        if is_reduction(node) and value != aligned(node, self._frame(node)):
            return False
        pairs = zip(value.axes, node.shape, strict=True)
        return all(size == (1 if axis is None else shape[axis]) for axis, size in pairs)

    def _is_covered(self, value: Value) -> bool:
        wanted = self.domain.axes if self.is_inside(value) else self.domain.kept
        return all(axis in value.axes or self.domain.shape[axis] == 1 for axis in wanted)

    def _frame(self, node: Node) -> tuple[int, ...]:
        """The axes a result has: the kept ones alone after a reduction that dropped the others."""
        return self.domain.kept if node in self._compact else self.domain.axes

    @cached_property
    def _compact(self) -> frozenset[Node]:
        """Reductions that drop their axes, and what is computed from them."""
        found: set[Node] = set()
        for node in self.body.nodes:
            if is_reduction(node):
                drops = not node.attrs["keepdims"]
            else:
                drops = not is_load(node) and any(operand in found for operand in node.inputs)
            if drops:
                found.add(node)
        return frozenset(found)


def aligned(node: Node, frame: Sequence[int | None]) -> Value:
    """``node`` broadcast from the right into ``frame``, as numpy does."""
    rank = node.tensor_type.rank
    axes = frame[len(frame) - rank :] if rank <= len(frame) else ()
    return Value(node, tuple(None if n == 1 else a for a, n in zip(axes, node.shape, strict=False)))
