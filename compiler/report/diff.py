"""``diff()``: what a pass did to a graph, node by node, as lines.

    %0 and %1 became one group, which relu reads

    - %0 = conv2d(%x, $kernel)                  : f32[N, 26, 26, 32]   # conv2d  cnn.py:7
    - %1 = add(%0, $bias)                       : f32[N, 26, 26, 32]   # conv2d  cnn.py:7
    + %0 = fused conv2d+add(%x, $kernel, $bias) : f32[N, 26, 26, 32]   # conv2d  cnn.py:7
      %1 = relu(%0)                             : f32[N, 26, 26, 32]   # conv2d  cnn.py:7

What is gone has its name in the graph before, everything else in the graph after. A node with
other attributes, another type or other operands is marked ``~``, with what it was; the users of
what is new or gone have no mark; all others are left out, whatever their numbers are now.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import pairwise

from ..ir.graph import Graph, IRError, Node, Origin, bodies_of
from ..ir.node import exact
from ..ir.origin_text import format_origins
from ..ir.printer import body_names, format_value, node_call, node_lines, node_names
from ..pipeline import Stages
from ..suggest import did_you_mean
from .difference import CHANGED, GAP, GONE, NEW, USER, Difference, Line
from .matching import match_nodes


def diff(old: Graph, new: Graph, title: str = "") -> Difference:
    """What was added to ``old``, removed from it and changed in it to make ``new``."""
    if old is new:
        return Difference(title or new.name, ())
    lines = _Comparing(old, new, node_names(old), node_names(new), 0).lines()
    return Difference(title or new.name, tuple(lines))


def stage_diffs(stages: Stages) -> Iterator[tuple[str, Difference]]:
    """What each pass that ran made of the graph of the stage before it, by the pass's stage."""
    for (_, old), (stage, new) in pairwise(stages.graphs):
        yield stage, diff(old, new, stage)


def stage_diff(stages: Stages, stage: str) -> Difference:
    """What the pass of one stage made of the graph before it.

    Raises:
        ValueError: there is no such stage, or nothing before it.
    """
    names = list(stages)
    if stage not in names[1:]:
        known, hint = ", ".join(names[1:]), did_you_mean(str(stage), names[1:])
        raise IRError(f"diff: expected one of {known}; got {stage!r}{hint}")
    return diff(stages[names[names.index(stage) - 1]], stages[stage], stage)


class _Comparing:
    """Two graphs, or two bodies of one node, under the names that their nodes have."""

    def __init__(
        self,
        old: Graph,
        new: Graph,
        old_names: Mapping[Node, str],
        new_names: Mapping[Node, str],
        depth: int,
    ) -> None:
        self.old, self.new, self.depth = old, new, depth
        self.old_names, self.new_names = old_names, new_names
        self.old_of = match_nodes(old, new)
        self.kept = frozenset(self.old_of.values())

    def lines(self) -> list[Line]:
        """In the order of the new graph; what is gone stands before what took its place."""
        gone: dict[Node | None, list[Node]] = {}
        for each, place in self._places().items():
            gone.setdefault(place, []).append(each)
        found: list[Line] = []
        waiting: list[Line] = []  # new constants: of no layer, they belong to what follows
        left_out = False
        ends: tuple[Node | None, ...] = (*self.new.nodes, None)
        for node in ends:
            here = [] if node is None else self._lines_of(node)
            if node and not node.inputs and node not in gone:
                waiting += here
                continue
            shown = [self._line(GONE, old, self.old_names) for old in gone.get(node, [])]
            shown += [*waiting, *here] if shown or here or node is None else []
            if shown and left_out and found:
                found.append(Line(GAP, depth=self.depth))
            found += shown
            waiting = waiting if not shown else []
            left_out = not shown and (left_out or bool(found))
        return found + self._end_lines()

    def _places(self) -> dict[Node, Node | None]:
        """For each node that is gone the one of the new graph it is shown before.

        That is what came in its place: new, of the same layer and line, and the last such before
        what read it; or else the next node that is still there, and what is new in front of it.
        """
        heirs = _Heirs(self.new, self.old_of)
        new_of = {old: new for new, old in self.old_of.items()}
        ends = dict(zip(self.old.outputs, self.new.outputs, strict=False))
        places: dict[Node, Node | None] = {}
        following: Node | None = None
        for node in reversed(self.old.nodes):
            if node in self.kept:
                following = new_of[node] if node.inputs else following
            elif _has_line(node):
                readers = (new_of.get(user, places.get(user)) for user in self.old.users[node])
                read = [each for each in (*readers, ends.get(node)) if each is not None]
                places[node] = heirs.of(node, read) or heirs.in_front_of(following)
        return dict(reversed(places.items()))

    def _lines_of(self, node: Node) -> list[Line]:
        """The line of a node of the new graph, and of its bodies; none if nothing became of it."""
        if not _has_line(node):
            return []
        if node not in self.old_of:
            return [self._line(NEW, node, self.new_names)]
        old = self.old_of[node]
        was = self._was(old, node)
        inner = self._inner_lines(old, node)
        if was or inner:
            return [self._line(CHANGED, node, self.new_names, was), *inner]
        if self._reads_as_before(old, node):
            return []
        return [self._line(USER, node, self.new_names)]

    def _reads_as_before(self, old: Node, new: Node) -> bool:
        return len(old.inputs) == len(new.inputs) and all(
            self.old_of.get(operand) is before
            for before, operand in zip(old.inputs, new.inputs, strict=True)
        )

    def _was(self, old: Node, new: Node) -> str:
        """Attributes, type and operands that are others now."""
        parts = [
            f"{key}={format_value(value)}"
            for (key, value), (_, other) in zip(old.attributes, new.attributes, strict=True)
            if exact(value) != exact(other) and not isinstance(value, Graph)
        ]
        if self._reads_others(old, new):
            parts.insert(0, f"of {', '.join(self.old_names[each] for each in old.inputs)}")
        return ", ".join([*parts, *([f": {old.type}"] if old.type != new.type else [])])

    def _reads_others(self, old: Node, new: Node) -> bool:
        """Whether it reads other values, though none of them is new or gone."""
        known = all(each in self.old_of for each in new.inputs)
        stays = known and all(each in self.kept for each in old.inputs)
        return stays and not self._reads_as_before(old, new)

    def _inner_lines(self, old: Node, new: Node) -> list[Line]:
        found: list[Line] = []
        for (_, before), (_, after) in zip(bodies_of(old), bodies_of(new), strict=False):
            if before != after:
                names = (
                    body_names(old, before, self.old_names),
                    body_names(new, after, self.new_names),
                )
                found += _Comparing(before, after, *names, self.depth + 1).lines()
        return found

    def _line(self, mark: str, node: Node, names: Mapping[Node, str], was: str = "") -> Line:
        origins = format_origins(node.origins)
        if mark in (NEW, GONE) and bodies_of(node) and node.op.name != "fused":
            return Line(mark, tuple(node_lines(node, names)), "", was, "", self.depth)
        call = (node_call(node, names),)
        return Line(mark, call, str(node.type), was, origins, self.depth)

    def _end_lines(self) -> list[Line]:
        """Results and next values of parameters that are others though their nodes stayed."""
        found = []
        heads = ["return"] * len(self.new.returned)
        heads += [f"update {self.new_names[node]} =" for node in self.new.updates]
        for head, before, after in zip(heads, self.old.outputs, self.new.outputs, strict=False):
            if after in self.old_of and before in self.kept and self.old_of[after] is not before:
                call = (f"{head} {self.new_names[after]}",)
                found.append(Line(CHANGED, call, was=self.old_names[before], depth=self.depth))
        return found


class _Heirs:
    """What is new in a graph, by where it comes from and what it does."""

    def __init__(self, new: Graph, old_of: Mapping[Node, Node]) -> None:
        self.nodes = [node for node in new.nodes if node.inputs]
        self.place = {node: index for index, node in enumerate(self.nodes)}
        self.made: dict[tuple[Origin, str], list[int]] = {}
        self.runs: dict[int, int] = {}  # of each new node the first of those in a row
        # Of a layer and line, likewise.
        self.first: dict[Origin, tuple[list[int], list[int]]] = {}
        for node, index in self.place.items():
            if node not in old_of:
                self.runs[index] = self.runs.get(index - 1, index)
                for origin in node.origins:
                    self._add(origin, node, index)

    def _add(self, origin: Origin, node: Node, index: int) -> None:
        for name in _ops_in(node):
            self.made.setdefault((origin, name), []).append(index)
        places, firsts = self.first.setdefault(origin, ([], []))
        follows = places and places[-1] == index - 1
        firsts.append(firsts[-1] if follows else index)
        places.append(index)

    def of(self, gone: Node, readers: list[Node]) -> Node | None:
        """What came in its place, of the same layer and line, before ``readers``.

        That is the last node that has its op in it, or else the first of several in a row.
        """
        end = min((self.place[node] for node in readers if node.inputs), default=len(self.nodes))
        for origin in gone.origins:
            places = self.made.get((origin, gone.op.name))
            if places is not None:
                return self.nodes[_last(places, places, end)]
        for origin in gone.origins:
            if origin in self.first:
                return self.nodes[_last(*self.first[origin], end)]
        return None

    def in_front_of(self, node: Node | None) -> Node | None:
        """The first of the new nodes right before ``node``, or before the end; else ``node``."""
        index = len(self.nodes) if node is None else self.place[node]
        start = self.runs.get(index - 1)
        return node if start is None else self.nodes[start]


def _last(places: list[int], values: list[int], end: int) -> int:
    """The value of the last place up to ``end``, or of the first place of all."""
    return values[max(bisect_right(places, end) - 1, 0)]


def _has_line(node: Node) -> bool:
    """Constants of rank 0 stand where they are used, and inputs in the head of a graph."""
    return bool(node.op.name != "input" and (node.op.name != "constant" or node.shape))


def _ops_in(node: Node) -> frozenset[str]:
    bodies = (inner.op.name for _, body in bodies_of(node) for inner in body.nodes)
    return frozenset((node.op.name, *bodies))
