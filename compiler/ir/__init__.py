"""The graph: types, nodes, text that reads back, verification, the reference interpreter."""

from .graph import Graph, IRError, Node

__all__ = ["Graph", "IRError", "Node"]
