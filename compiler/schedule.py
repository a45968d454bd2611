"""Orders a graph's kernels and decides where each value is stored.

A ``Schedule`` is what remains of the graph once it is a sequence: ``Step`` after ``Step``, each a
group of ops with its launches; which values are views of others; which have a border of zeros
around them; and what is computed from weights alone, once, before all steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .ir import Graph, Node
from .layout import Launch, Layout
from .lower import lower_group
from .lowering import Projection, View
from .ops.core import fuse_nodes
from .passes.borders import Halo, free_layout, wanted_halo
from .prologue import prologue_nodes
from .types import Size, TupleType


@dataclass(frozen=True)
class Step:
    """One group: the node it computes, the values it reads and makes, the launches that do it."""

    node: Node
    operands: tuple[Node, ...]
    results: tuple[Node, ...]
    launches: tuple[Launch, ...]

    @property
    def label(self) -> str:
        """What the step does and for which layers, e.g. ``conv2d+relu (conv2d_1)``."""
        name = self.node.attrs.get("label") or self.node.op.name
        layers = ", ".join(self.node.layers)
        return f"{name} ({layers})" if layers else str(name)

    @property
    def flops(self) -> Size:
        total: Size = 0
        for launch in self.launches:
            total = total + launch.flops
        return total


@dataclass(frozen=True)
class Schedule:
    """Steps in order; ``homes`` maps each value to the one whose memory it lies in."""

    graph: Graph
    steps: tuple[Step, ...]
    layouts: Mapping[Node, Layout]
    homes: Mapping[Node, Node]
    prologue: frozenset[Node]

    def __str__(self) -> str:
        lines = [f"schedule {self.graph.name}: {len(self.steps)} steps"]
        for i, step in enumerate(self.steps):
            kernels = ", ".join(launch.kernel.name for launch in step.launches)
            lines.append(f"  {i:3}  {step.label:50}  {kernels}  {step.flops} flops")
        return "\n".join(lines)


def schedule(graph: Graph) -> Schedule:
    """The schedule of a legalized graph, in the graph's own order."""
    prologue = prologue_nodes(graph)
    homes = _homes(graph, prologue)
    layouts = _layouts(graph)
    steps = [
        _step(node, graph, layouts, homes)
        for node in graph.nodes
        if node.inputs and node not in prologue and not _is_alias(node)
    ]
    return Schedule(graph, tuple(steps), layouts, homes, prologue)


def _is_alias(node: Node) -> bool:
    return isinstance(node.op.lowering, (View, Projection))


def _homes(graph: Graph, prologue: frozenset[Node]) -> dict[Node, Node]:
    homes: dict[Node, Node] = {}
    for node in graph.nodes:
        view = isinstance(node.op.lowering, View) and node.inputs and node not in prologue
        homes[node] = homes[node.inputs[0]] if view else node
    return homes


def _layouts(graph: Graph) -> dict[Node, Layout]:
    halos: dict[Node, Halo] = {}
    for node in graph.nodes:
        found = wanted_halo(node) if node.inputs else None
        if found is not None:
            x, halo = found
            halos[x] = merge_halos(halos[x], halo) if x in halos else halo
    _spread_channels(graph, halos)
    return {
        node: Layout(node.type, halos.get(node, ()))
        for node in graph.nodes
        if not isinstance(node.type, TupleType)
    }


def _spread_channels(graph: Graph, halos: dict[Node, Halo]) -> None:
    """Keeps the pixels of wide images apart by an odd number of cache lines.

    A convolution reads the same channel of a dozen pixels at once. Where they lie a multiple of
    2 KB apart they fall in the same few sets of the first-level cache and evict each other.
    """
    images = (node.inputs[0] for node in graph.nodes if is_convolution(node))
    for node in dict.fromkeys(images):
        channels = node.shape[-1]
        if not isinstance(channels, int) or channels % CONFLICTING or not free_layout(node, graph):
            continue
        halo = halos.get(node, ((0, 0),) * node.tensor_type.rank)
        halos[node] = (*halo[:-1], (0, CACHE_LINE))


CONFLICTING = 512  # float32 channels: 2 KB
CACHE_LINE = 16  # float32 elements


def is_convolution(node: Node) -> bool:
    """Whether ``node`` is a conv2d, alone or at the head of a group."""
    if node.op.name == "fused":
        body: Graph = node.attrs["body"]
        return any(n.op.name == "conv2d" and n.inputs[0] is body.inputs[0] for n in body.nodes)
    return node.op.name == "conv2d"


def merge_halos(first: Halo, second: Halo) -> Halo:
    """A border wide enough for both; where a symbol hides which is wider, their sum."""

    def wider(a: Size, b: Size) -> Size:
        if a == b:
            return a
        return max(a, b) if isinstance(a, int) and isinstance(b, int) else a + b

    return tuple((wider(a, c), wider(b, d)) for (a, b), (c, d) in zip(first, second, strict=True))


def _step(node: Node, graph: Graph, layouts: dict[Node, Layout], homes: dict[Node, Node]) -> Step:
    group = as_group(node)
    results, operands = _results(node, graph), group.inputs
    launches = lower_group(
        group.attrs["body"],
        tuple(layouts[i] for i in operands),
        tuple(layouts[r] for r in results),
    )
    return Step(node, operands, results, launches)


def as_group(node: Node) -> Node:
    """A ``fused`` node itself; of any other node, the group it makes alone.

    Its operands may be fewer: each once, and no constants of one element, which are in the body.
    """
    return node if node.op.name == "fused" else fuse_nodes((node,), (node,), node.op.name)


def _results(node: Node, graph: Graph) -> tuple[Node, ...]:
    if not isinstance(node.type, TupleType):
        return (node,)
    items = {user.attrs["index"]: user for user in graph.users[node]}
    return tuple(items[i] for i in range(len(node.type.items)))
