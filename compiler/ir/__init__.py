"""The graph: types, nodes, text that reads back, verification, the reference interpreter."""
