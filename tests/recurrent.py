"""Recurrent nets made of ops, and what they compute with numpy: the material of loop tests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keraunos.compiler import ops
from keraunos.compiler.ir.graph import Graph, Node
from keraunos.compiler.ir.types import parse_type
from keraunos.compiler.ops.building import full, pieces

Arrays = Mapping[str, np.ndarray]


def weight(name: str, text: str) -> Node:
    return ops.parameter(name, parse_type(text))


def input_(name: str, text: str) -> Node:
    return ops.input_(name, parse_type(text))


def tanh_layer(x: Node, units: int, name: str, reverse: bool = False) -> tuple[Node, Node]:
    """The last state and all states of ``h = tanh(x W + b + h U)``."""
    w = weight(f"{name}.w", f"f32[{x.shape[-1]}, {units}]")
    u = weight(f"{name}.u", f"f32[{units}, {units}]")
    b = weight(f"{name}.b", f"f32[{units}]")

    def step(state, slices):
        projected = ops.add(ops.matmul(slices[0], w), b)
        h = ops.tanh(ops.add(projected, ops.matmul(state[0], u)))
        return [h], [h]

    zeros = full(0, (x.shape[0], units), x.dtype)
    (last,), (states,) = ops.trace_scan(step, [zeros], [x], reverse=reverse)
    return last, states


def lstm_layer(x: Node, units: int, name: str, reverse: bool = False) -> tuple[Node, Node]:
    """The last and all outputs of an LSTM; its gates are input, forget, cell, output."""
    w = weight(f"{name}.w", f"f32[{x.shape[-1]}, {4 * units}]")
    u = weight(f"{name}.u", f"f32[{units}, {4 * units}]")
    b = weight(f"{name}.b", f"f32[{4 * units}]")

    def step(state, slices):
        h, c = state
        z = ops.add(ops.add(ops.matmul(slices[0], w), b), ops.matmul(h, u))
        i, f, g, o = pieces(z, 1, [units] * 4)
        kept = ops.multiply(ops.sigmoid(f), c)
        c = ops.add(kept, ops.multiply(ops.sigmoid(i), ops.tanh(g)))
        h = ops.multiply(ops.sigmoid(o), ops.tanh(c))
        return [h, c], [h]

    zeros = full(0, (x.shape[0], units), x.dtype)
    (last, _), (outputs,) = ops.trace_scan(step, [zeros, zeros], [x], reverse=reverse)
    return last, outputs


def gru_layer(x: Node, units: int, name: str, reverse: bool = False) -> tuple[Node, Node]:
    """The last and all states of a GRU that resets before the product, as in its paper."""
    w = weight(f"{name}.w", f"f32[{x.shape[-1]}, {3 * units}]")
    u = weight(f"{name}.u", f"f32[{units}, {2 * units}]")
    v = weight(f"{name}.v", f"f32[{units}, {units}]")
    b = weight(f"{name}.b", f"f32[{3 * units}]")

    def step(state, slices):
        (h,) = state
        projected = ops.add(ops.matmul(slices[0], w), b)
        zx, rx, nx = pieces(projected, 1, [units] * 3)
        zh, rh = pieces(ops.matmul(h, u), 1, [units] * 2)
        z, r = ops.sigmoid(ops.add(zx, zh)), ops.sigmoid(ops.add(rx, rh))
        n = ops.tanh(ops.add(nx, ops.matmul(ops.multiply(r, h), v)))
        h = ops.add(ops.multiply(z, ops.subtract(h, n)), n)
        return [h], [h]

    zeros = full(0, (x.shape[0], units), x.dtype)
    (last,), (states,) = ops.trace_scan(step, [zeros], [x], reverse=reverse)
    return last, states


def tanh_reference(x: np.ndarray, weights: Arrays, name: str, reverse: bool = False) -> np.ndarray:
    """All states, float64[N, T, units]."""
    w, u, b = (weights[f"{name}.{part}"].astype(float) for part in "wub")
    states = np.zeros((*x.shape[:2], len(u)))
    h = np.zeros((len(x), len(u)))
    for t in _order(x, reverse):
        h = states[:, t] = np.tanh(x[:, t] @ w + b + h @ u)
    return states


def lstm_reference(x: np.ndarray, weights: Arrays, name: str, reverse: bool = False) -> np.ndarray:
    """All outputs, float64[N, T, units]."""
    w, u, b = (weights[f"{name}.{part}"].astype(float) for part in "wub")
    outputs = np.zeros((*x.shape[:2], len(u)))
    h = c = np.zeros((len(x), len(u)))
    for t in _order(x, reverse):
        i, f, g, o = np.split(x[:, t] @ w + b + h @ u, 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = outputs[:, t] = _sigmoid(o) * np.tanh(c)
    return outputs


def _order(x: np.ndarray, reverse: bool) -> range:
    steps = range(x.shape[1])
    return steps[::-1] if reverse else steps


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def stacked_lstms(units: int = 8, features: int = 5, sizes: str = "N, T") -> Graph:
    """Two LSTMs, the second over all outputs of the first; gives its last output."""
    x = input_("x", f"f32[{sizes}, {features}]")
    _, outputs = lstm_layer(x, units, "one")
    last, _ = lstm_layer(outputs, units, "two")
    return Graph("lstms", (x,), (last,))


def draw_weights(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    """Small normal float32 values for the parameters of ``graph``."""
    rng = np.random.default_rng(seed)
    return {
        node.attrs["name"]: (rng.standard_normal(node.shape) * 0.3).astype("float32")
        for node in graph.parameters
    }


def draw(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")
