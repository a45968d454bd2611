"""Random graphs and arguments for them: the material of fuzz tests.

    graph = random_graph(seed=7)
    inputs, parameters = random_arguments(graph, seed=7, sizes={"N": 3})
    evaluate(graph, inputs, parameters, dtype="float64")

A seed always gives the same graph. Graphs look like models: image-like values ``f32[N, H, W, C]``
and vector-like values ``f32[N, F]`` with residual connections, several outputs, values with
several users. Every step keeps values moderate and varies them continuously, so that rounding in
float32 cannot turn a result over: a comparison with float64 is fair.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, IRError, Node, Op, Origin, origin_scope
from keraunos.compiler.ir.kinds import Composite, Elementwise
from keraunos.compiler.ir.types import DType, TensorType, parse_type
from keraunos.compiler.ops.building import pieces
from keraunos.compiler.ops.core import constant, input_, parameter
from keraunos.compiler.ops.registry import all_ops, ops
from keraunos.compiler.ops.stepping import trace_scan
from keraunos.runtime.dim import Size, symbol

# Functions that jump somewhere: there a rounding error would turn the result over.
JUMPS = frozenset(
    [
        "floor",
        "ceil",
        "round",
        "sign",
        "cast",
        "is_nan",
        "is_inf",
        "is_finite",
        "floor_divide",
        "mod",
        "threshold",
        "hard_shrink",
    ]
)
STEPS = (3, 14)


def random_graph(seed: int) -> Graph:
    """A graph of 3 to 14 steps over one or two inputs of batch size ``N``."""
    return _Builder(random.Random(seed), seed).graph()


def random_arguments(
    graph: Graph, seed: int, sizes: Mapping[str, int] | None = None
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Inputs in order and parameters by name; symbols not in ``sizes`` are 2.

    Floats are normal, except for parameters called ``...variance``, which are positive; integers
    lie in [0, 4).
    """
    rng = np.random.default_rng(seed)
    bindings = dict.fromkeys(graph.symbols, 2) | dict(sizes or {})
    inputs = [_array(rng, node, bindings) for node in graph.inputs]
    parameters = {node.attrs["name"]: _array(rng, node, bindings) for node in graph.parameters}
    return inputs, parameters


def _array(rng: np.random.Generator, node: Node, bindings: Mapping[str, int]) -> np.ndarray:
    shape = tuple(node.tensor_type.bind(bindings).shape)
    if node.dtype.is_float:
        values = rng.normal(size=shape)
        if node.attrs["name"].endswith("variance"):
            values = np.abs(values) + 0.1
    else:
        values = rng.integers(0, 2 if node.dtype.name == "bool" else 4, shape)
    return np.asarray(values).astype(node.dtype.numpy)


def poisoned(arrays: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """Copies with a NaN, infinities and zeros of both signs at random places of the floats."""
    rng = np.random.default_rng(seed)
    copies = [array.copy() for array in arrays]
    for copy in copies:
        if copy.size and copy.dtype.kind == "f":
            for value in (np.nan, np.inf, -np.inf, 0.0, -0.0):
                copy.flat[rng.integers(copy.size)] = value
    return copies


def assert_same_values(
    before: Graph,
    after: Graph,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    rtol: float = 1e-10,
    poison: bool = False,
) -> None:
    """Both graphs give the same outputs in float64; ``poison`` puts NaN and infinity in."""
    inputs, parameters = random_arguments(before, seed, sizes)
    if poison:
        inputs = poisoned(inputs, seed)
    expected = evaluate(before, inputs, parameters, "float64")
    found = evaluate(after, inputs, parameters, "float64")
    assert len(expected) == len(found)
    for one, other in zip(expected, found, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(other, one, rtol=rtol, atol=rtol)


Move = Callable[["_Builder", Node], "Node | None"]
MOVES: list[tuple[int, Move]] = []  # the rank a move takes (0: any), and the move


def move(rank: int, weight: int = 1) -> Callable[[Move], Move]:
    """Enters a step of the generator: from a value of ``rank`` to a new one, or None."""

    def enter(function: Move) -> Move:
        MOVES.extend([(rank, function)] * weight)
        return function

    return enter


class _Builder:
    """The values made so far, and ways to make more."""

    def __init__(self, rng: random.Random, seed: int) -> None:
        self.rng = rng
        self.seed = seed
        self.values: list[Node] = []
        self.inputs: list[Node] = []
        self.parameters = 0

    def graph(self) -> Graph:
        self.start()
        for step in range(self.rng.randint(*STEPS)):
            with origin_scope(Origin(f"layer_{step}", "fuzz.py", step + 1)):
                self.step()
        made = [value for value in self.values if value not in self.inputs] or self.values
        outputs = [made[-1]]
        if self.rng.random() < 0.3:
            outputs.append(self.rng.choice(made))
        return Graph(f"fuzz_{self.seed}", tuple(self.inputs), tuple(outputs))

    def start(self) -> None:
        kind = self.rng.choice(["image", "image", "vector", "both"])
        if kind in ("image", "both"):
            height, width = self.rng.choice([(8, 8), (9, 7), (12, 5)])
            self.add_input("image", (height, width, self.rng.choice([1, 3, 4])))
        if kind in ("vector", "both"):
            self.add_input("vector", (self.rng.choice([3, 8, 17]),))

    def add_input(self, name: str, sizes: tuple[int, ...]) -> None:
        node = input_(name, TensorType(FLOAT, (symbol("N"), *sizes)))
        self.inputs.append(node)
        self.values.append(node)

    def step(self) -> None:
        for _ in range(20):
            value = self.pick()
            rank, function = self.rng.choice(MOVES)
            if rank not in (0, value.tensor_type.rank):
                continue
            made = function(self, value)
            if made is not None:
                self.values.append(made)
                return

    def pick(self) -> Node:
        """A value, most likely one of the last."""
        back = min(int(self.rng.expovariate(0.9)), len(self.values) - 1)
        return self.values[-1 - back]

    def like(self, value: Node) -> Node | None:
        """Another value of the same type."""
        others = [v for v in self.values if v.type == value.type and v is not value]
        return self.rng.choice(others) if others else None

    def parameter(self, *shape: int, role: str = "kernel") -> Node:
        self.parameters += 1
        return parameter(f"p{self.parameters}.{role}", TensorType(FLOAT, shape))

    def weight(self, fan_in: int, *shape: int) -> Node:
        """A parameter scaled so that sums of ``fan_in`` products stay moderate."""
        return ops.multiply(self.parameter(*shape), constant(round(fan_in**-0.5, 3)))


FLOAT: DType = parse_type("f32[]").dtype


def _size(size: Size) -> int:
    """A size that is fixed in these graphs (all but the batch)."""
    assert isinstance(size, int)
    return size


# Moves over images


@move(4, weight=4)
def convolve(b: _Builder, x: Node) -> Node | None:
    height, width, channels = map(_size, x.shape[1:])
    k = b.rng.choice([1, 3, 3])
    if min(height, width) < k:
        return None
    groups = b.rng.choice([1, 1, 2]) if channels % 2 == 0 else 1
    kernel = b.weight(k * k * channels, k, k, channels // groups, b.rng.choice([2, 4, 6]))
    strides = b.rng.choice([(1, 1), (1, 1), (2, 2), (2, 1)])
    padding = b.rng.choice(["same", "valid", ((1, 0), (0, 1))])
    y = ops.conv2d(x, kernel, strides=strides, padding=padding, groups=groups)
    if b.rng.random() < 0.7:
        y = ops.add(y, b.parameter(_size(y.shape[-1]), role="bias"))
    return y


@move(4)
def convolve_many_channels(b: _Builder, x: Node) -> Node | None:
    """As many channels as Winograd's kernels take: a vector of them."""
    if min(_size(x.shape[1]), _size(x.shape[2])) < 4:
        return None
    channels = _size(x.shape[-1])
    wide = ops.conv2d(x, b.weight(channels, 1, 1, channels, 16))
    kernel = b.weight(9 * 16, 3, 3, 16, b.rng.choice([5, 16]))
    y = ops.conv2d(wide, kernel, padding=b.rng.choice(["same", "valid", ((2, 0), (1, 2))]))
    return ops.relu(y) if b.rng.random() < 0.5 else y


@move(4)
def convolve_depthwise(b: _Builder, x: Node) -> Node | None:
    if min(_size(x.shape[1]), _size(x.shape[2])) < 3:
        return None
    multiplier = b.rng.choice([1, 1, 2])
    kernel = b.weight(9, 3, 3, _size(x.shape[-1]), multiplier)
    padding = b.rng.choice(["same", "valid"])
    return ops.depthwise_conv2d(x, kernel, padding=padding)


@move(4)
@move(2)
def normalize_batch(b: _Builder, x: Node) -> Node:
    channels = _size(x.shape[-1])
    roles = ("gamma", "beta", "mean", "variance")
    return ops.batch_norm(x, *(b.parameter(channels, role=role) for role in roles))


@move(4, weight=2)
def pool(b: _Builder, x: Node) -> Node | None:
    if min(_size(x.shape[1]), _size(x.shape[2])) < 2:
        return None
    op = b.rng.choice([ops.max_pool2d, ops.avg_pool2d])
    strides = b.rng.choice([(1, 1), (2, 2)])
    return op(x, window=(2, 2), strides=strides, padding=b.rng.choice(["same", "valid"]))


@move(4)
def upsample(b: _Builder, x: Node) -> Node | None:
    small = _size(x.shape[1]) * _size(x.shape[2]) <= 64
    return ops.repeat(x, factors=(1, 2, 2, 1)) if small else None


@move(4)
def pad_or_crop(b: _Builder, x: Node) -> Node | None:
    height, width, channels = x.shape[1:]
    if b.rng.random() < 0.5:
        return ops.pad(x, low=(0, 1, 0, 0), high=(0, 0, 2, 0))
    if _size(height) < 4:
        return None
    stop = (x.shape[0], height, width, channels)
    return ops.slice(x, start=(0, 1, 0, 0), stop=stop, step=(1, 2, 1, 1))


@move(4)
def flip_or_transpose(b: _Builder, x: Node) -> Node:
    if b.rng.random() < 0.5:
        return ops.flip(x, axes=(1, 2))
    return ops.transpose(x, axes=(0, 2, 1, 3))


@move(4)
def pool_globally(b: _Builder, x: Node) -> Node:
    return b.rng.choice([ops.mean, ops.max])(x, axes=(1, 2))


@move(4)
def flatten(b: _Builder, x: Node) -> Node | None:
    features = np.prod([_size(size) for size in x.shape[1:]], dtype=int).item()
    return ops.reshape(x, shape=(x.shape[0], features)) if features <= 512 else None


@move(4)
def scale_channels(b: _Builder, x: Node) -> Node:
    """Squeeze and excitation."""
    gate = ops.sigmoid(ops.mean(x, axes=(1, 2), keepdims=True))
    return ops.multiply(x, gate)


# Moves over vectors


@move(2, weight=4)
def project(b: _Builder, x: Node) -> Node:
    features = _size(x.shape[-1])
    units = b.rng.choice([4, 8, 13])
    y = ops.matmul(x, b.weight(features, features, units))
    return ops.add(y, b.parameter(units, role="bias")) if b.rng.random() < 0.7 else y


@move(2, weight=2)
def normalize_row(b: _Builder, x: Node) -> Node:
    op = b.rng.choice([ops.softmax, ops.log_softmax])
    return op(x, axis=-1)


@move(2)
def standardize_row(b: _Builder, x: Node) -> Node:
    centred = ops.subtract(x, ops.mean(x, axes=(1,), keepdims=True))
    spread = ops.mean(ops.square(centred), axes=(1,), keepdims=True)
    return ops.multiply(centred, ops.rsqrt(ops.add(spread, constant(0.1))))


@move(2)
def attend(b: _Builder, x: Node) -> Node | None:
    """A row as a sequence of pairs that attend to one another."""
    features = _size(x.shape[-1])
    if features % 2:
        return None
    tokens = ops.reshape(x, shape=(x.shape[0], features // 2, 2))
    keys = ops.transpose(tokens, axes=(0, 2, 1))
    weights = ops.softmax(ops.tanh(ops.matmul(tokens, keys)), axis=-1)
    return ops.reshape(ops.matmul(weights, tokens), shape=x.shape)


@move(2, weight=2)
def recur(b: _Builder, x: Node) -> Node | None:
    """A row as a short sequence that a gated recurrent step runs over."""
    features = _size(x.shape[-1])
    lengths = [n for n in (2, 3, 4) if features % n == 0 and features <= 32]
    if not lengths:
        return None
    length, units = b.rng.choice(lengths), b.rng.choice([3, 8])
    width = features // length
    w, u = b.weight(width, width, 2 * units), b.weight(units, units, 2 * units)
    start = ops.broadcast_to(b.parameter(units, role="start"), shape=(x.shape[0], units))

    def step(state: Sequence[Node], slices: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        z = ops.add(ops.matmul(slices[0], w), ops.matmul(state[0], u))
        gate, new = pieces(z, 1, [units, units])
        gate = ops.sigmoid(gate)
        kept = ops.multiply(gate, state[0])
        h = ops.add(kept, ops.multiply(ops.subtract(constant(1.0), gate), ops.tanh(new)))
        return [h], [h]

    sequence = ops.reshape(x, shape=(x.shape[0], length, width))
    reverse = b.rng.random() < 0.3
    (last,), (states,) = trace_scan(step, [start], [sequence], reverse=reverse)
    flat = (x.shape[0], length * units)
    return last if b.rng.random() < 0.5 else ops.reshape(states, shape=flat)


@move(2)
def widen_to_image(b: _Builder, x: Node) -> Node | None:
    features = _size(x.shape[-1])
    if features % 4:
        return None
    return ops.reshape(x, shape=(x.shape[0], 2, 2, features // 4))


@move(2)
def split_and_swap(b: _Builder, x: Node) -> Node | None:
    features = _size(x.shape[-1])
    if features < 2:
        return None
    half = features // 2
    left = ops.slice(x, start=(0, 0), stop=(x.shape[0], half), step=(1, 1))
    right = ops.slice(x, start=(0, half), stop=x.shape, step=(1, 1))
    return ops.concatenate(right, left, axis=1)


# Moves over any value


def _same_shape_functions() -> list[tuple[Op, Mapping[str, Any], float, float]]:
    """Functions of one float value that keep its type, with the bounds they can be tried on."""
    found = []
    for op in all_ops():
        fitting = isinstance(op.kind, (Elementwise, Composite)) and op.name not in JUMPS
        for sample in op.samples if fitting else ():
            if _keeps_type(op, sample.types, sample.attrs):
                found.append((op, sample.attrs, sample.low, sample.high))
    return found


def _keeps_type(op: Op, types: Sequence[str], attrs: Mapping[str, Any]) -> bool:
    if len(types) != 1 or {"axis", "axes", "shape"} & set(op.attrs):
        return False
    (type_,) = map(parse_type, types)
    if type_.dtype is not FLOAT:
        return False
    try:
        return op(input_("x", type_), **attrs).type == type_
    except IRError:
        return False


FUNCTIONS = _same_shape_functions()


@move(0, weight=5)
def activate(b: _Builder, x: Node) -> Node:
    common = [ops.relu, ops.relu, ops.tanh, ops.sigmoid, ops.negative, ops.silu]
    return b.rng.choice(common)(x)


@move(0, weight=4)
def apply_function(b: _Builder, x: Node) -> Node:
    """A function out of the op table, on operands squashed into its domain."""
    op, attrs, low, high = b.rng.choice(FUNCTIONS)
    unit = ops.sigmoid(x)
    inside = ops.add(ops.multiply(unit, constant(float(high - low))), constant(float(low)))
    return op(inside, **attrs)


@move(0, weight=4)
def combine(b: _Builder, x: Node) -> Node | None:
    """A residual connection, or another function of two values."""
    other = b.like(x)
    if other is None:
        return None
    ways = [
        lambda: ops.add(x, other),
        lambda: ops.add(other, x),
        lambda: ops.subtract(x, other),
        lambda: ops.multiply(x, ops.tanh(other)),
        lambda: ops.divide(x, ops.add(ops.square(other), constant(1.0))),
        lambda: ops.maximum(x, other),
        lambda: ops.minimum(x, other),
        lambda: ops.select(ops.greater(x, other), x, other),
        lambda: ops.concatenate(x, other, axis=x.tensor_type.rank - 1),
    ]
    return b.rng.choice(ways)()


@move(0, weight=2)
def shift_or_scale(b: _Builder, x: Node) -> Node:
    number = constant(b.rng.choice([0.0, 1.0, -1.0, 0.5, 2.0]))
    op = b.rng.choice([ops.add, ops.subtract, ops.multiply, ops.maximum])
    return op(x, number)


@move(0)
def subtract_largest(b: _Builder, x: Node) -> Node:
    last = x.tensor_type.rank - 1
    op = b.rng.choice([ops.max, ops.mean, ops.sum])
    return ops.tanh(ops.subtract(x, op(x, axes=(last,), keepdims=True)))
