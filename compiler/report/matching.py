"""Which node of one graph is which of another: what a pass left, though it built it anew.

A rewrite rebuilds everything after it on other operands, and numbers it anew. So nodes are paired
by what they are: interned nodes with themselves, others by op, attributes and type together with
where they come from, and then with their neighbours: the operands and users of what is paired.
Each pair is looked at a few times, so the time follows the size of the graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeAlias

from ..ir.graph import Graph, Node

Kind: TypeAlias = Callable[[Node], Hashable]  # None: a node that is not paired so


def match_nodes(old: Graph, new: Graph) -> dict[Node, Node]:
    """For nodes of ``new`` their counterparts in ``old``, each once.

    A pair has the same op; other attributes or another type make it a node that was changed.
    """
    return _Matching(old, new).pairs()


class _Matching:
    def __init__(self, old: Graph, new: Graph) -> None:
        self.old, self.new = old, new
        self.old_of: dict[Node, Node] = {}
        self.new_of: dict[Node, Node] = {}
        self._kinds: dict[Hashable, int] = {}
        self._same: dict[Node, int] = {}
        # What is still to be done for each pair, the most certain first.
        self._waiting: tuple[list[tuple[Node, Node]], ...] = ([], [], [], [])

    def pairs(self) -> dict[Node, Node]:
        self._pair_alike(_leaf_name)
        self._pair_built_alike()
        self._pair_alike(self._same_from_there, only_single=True)
        self._pair_all(zip(self.old.outputs, self.new.outputs, strict=False), self._same_kind)
        self._spread(self._waiting[:2])
        self._pair_alike(self._same_from_there)
        self._spread(self._waiting[:2])
        self._pair_alike(_like_from_there)
        self._spread(self._waiting)
        return self.old_of

    def _pair(self, old: Node, new: Node) -> None:
        self.old_of[new], self.new_of[old] = old, new
        for waiting in self._waiting:
            waiting.append((old, new))

    def _are_free(self, old: Node, new: Node) -> bool:
        return old not in self.new_of and new not in self.old_of

    def _pair_all(self, pairs: Iterable[tuple[Node, Node]], kind: Kind) -> None:
        for old, new in pairs:
            if self._are_free(old, new) and kind(old) == kind(new) is not None:
                self._pair(old, new)

    def _pair_alike(self, kind: Kind, only_single: bool = False) -> None:
        """Pairs nodes of one kind in their order; ``only_single`` those alone of their kind."""
        olds = _by_kind(self.old.nodes, self.new_of, kind)
        news = _by_kind(self.new.nodes, self.old_of, kind)
        for found, nodes in news.items():
            others = olds.get(found, [])
            if not only_single or len(nodes) == len(others) == 1:
                for old, new in zip(others, nodes, strict=False):
                    self._pair(old, new)

    def _pair_built_alike(self) -> None:
        """The same node, or the same computation on operands that are paired."""
        same = frozenset(self.old.nodes)
        built = {(self._same_kind(node), node.inputs): node for node in self.old.nodes}
        for node in self.new.nodes:
            if node in self.old_of:
                continue
            operands = tuple(self.old_of.get(each, each) for each in node.inputs)
            found = node if node in same else built.get((self._same_kind(node), operands))
            if found is not None and self._are_free(found, node):
                self._pair(found, node)

    def _spread(self, levels: Iterable[list[tuple[Node, Node]]]) -> None:
        """From pairs to their operands and users, the more certain ways first."""
        levels = tuple(levels)
        ways = (
            (self._operands, self._same_kind),
            (self._users, self._same_kind),
            (self._operands, _like),
            (self._users, _like),
        )
        while any(levels):
            index = next(i for i, level in enumerate(levels) if level)
            neighbours, kind = ways[index]
            self._pair_all(neighbours(*levels[index].pop(), kind), kind)

    def _operands(self, old: Node, new: Node, kind: Kind) -> Iterable[tuple[Node, Node]]:
        return zip(old.inputs, new.inputs, strict=False)

    def _users(self, old: Node, new: Node, kind: Kind) -> Iterable[tuple[Node, Node]]:
        """Users that are alike, where there are as many of them before and after."""
        if old.op.name == "constant":  # a number is read by what has nothing to do with another
            return
        olds = _by_kind(self.old.users[old], self.new_of, kind)
        news = _by_kind(self.new.users[new], self.old_of, kind)
        for found, nodes in news.items():
            others = olds.get(found, [])
            if len(others) == len(nodes):
                yield from zip(others, nodes, strict=True)

    # Kinds

    def _same_kind(self, node: Node) -> Hashable:
        """A number for op, attributes and type: graphs among attributes are hashed once."""
        found = self._same.get(node)
        if found is None:
            key = (node.op, node.exact_attributes, node.type)
            found = self._same[node] = self._kinds.setdefault(key, len(self._kinds))
        return found

    def _same_from_there(self, node: Node) -> Hashable:
        return (self._same_kind(node), node.origins) if node.origins and node.inputs else None


def _by_kind(
    nodes: Iterable[Node], paired: Mapping[Node, Node], kind: Kind
) -> dict[Hashable, list[Node]]:
    found: dict[Hashable, list[Node]] = {}
    for node in nodes:
        if node not in paired and (key := kind(node)) is not None:
            found.setdefault(key, []).append(node)
    return found


def _leaf_name(node: Node) -> Hashable:
    """What inputs and parameters go by."""
    return (node.op, node.attrs["name"]) if node.op.name in ("input", "parameter") else None


def _like(node: Node) -> Hashable:
    """The op, of a group all its ops."""
    return (node.op, node.attrs.get("label")) if node.inputs else None


def _like_from_there(node: Node) -> Hashable:
    return (_like(node), node.origins) if node.origins and node.inputs else None
