"""Random graphs around loops: steps of every kind that a body can have, over sizes of all kinds.

    graph = random_scan_graph(seed=7)

Inputs are batches of sequences ``f32[N, T, C]`` and more; both N and T are symbols, unless
the number of steps is given. Loops have up
to three carries of any rank and type, go either way along any axis, nest, share sequences, hand
carries on unchanged or swapped, and have results that nobody reads. All values stay moderate.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from keraunos.compiler.ir.graph import Graph, IRError, Node
from keraunos.compiler.ir.types import FLOAT32, INT32, DType, TensorType
from keraunos.compiler.ops import trace_scan
from keraunos.compiler.ops.building import full, pieces
from keraunos.compiler.ops.core import constant, input_, parameter
from keraunos.compiler.ops.registry import ops
from keraunos.runtime.dim import Size, symbol

N, T = symbol("N"), symbol("T")
LOOPS = (1, 3)
OPS_IN_A_STEP = (1, 7)


def random_scan_graph(seed: int, steps: Size = T) -> Graph:
    """A graph of one to three loops; always the same for one seed and number of steps."""
    return _Builder(random.Random(seed), steps).graph(seed)


Move = Callable[["_Builder", Node], "Node | None"]
MOVES: list[Move] = []


def move(function: Move) -> Move:
    """Enters a way to make a value of another; it may raise ``IRError`` where there is none."""
    MOVES.append(function)
    return function


class _Builder:
    def __init__(self, rng: random.Random, steps: Size) -> None:
        self.rng = rng
        self.steps = steps
        self.parameters = 0

    def graph(self, seed: int) -> Graph:
        channels, steps = self.rng.choice([2, 4, 6]), self.steps
        x = input_("x", TensorType(FLOAT32, (N, steps, channels)))
        h = input_("h", TensorType(FLOAT32, (N, channels)))
        more = [
            input_("image", TensorType(FLOAT32, (N, steps, 4, 4, 2))),
            input_("index", TensorType(INT32, (N, steps))),
            input_("late", TensorType(FLOAT32, (N, 3, steps))),
            input_("early", TensorType(FLOAT32, (steps, N, channels))),
        ]
        inputs = [x, h, *self.rng.sample(more, self.rng.randint(0, 2))]
        values = list(inputs)
        made: list[Node] = []
        for _ in range(self.rng.randint(*LOOPS)):
            results = self.loop(values)
            values += results
            made += results
        ends = [self.used(node) for node in self.rng.sample(made, min(len(made), 3))]
        return Graph(f"loops_{seed}", tuple(inputs), tuple(ends))

    def used(self, node: Node) -> Node:
        return node if self.rng.random() < 0.6 else ops.add(node, bounded(node))

    def parameter(self, *shape: Size) -> Node:
        self.parameters += 1
        return parameter(f"p{self.parameters}", TensorType(FLOAT32, shape))

    # Loops

    def loop(self, values: list[Node]) -> list[Node]:
        axis = self.rng.choice([1, 1, 1, 0, 2])
        sequences = [v for v in values if v.tensor_type.rank > axis and v.shape[axis] == self.steps]
        if not sequences:
            return self.loop(values)
        chosen = [self.rng.choice(sequences) for _ in range(self.rng.randint(1, 3))]
        others = [v for v in values if self.steps not in v.shape and v.dtype.is_float]
        return self.scan(chosen, others, axis, nested=False)

    def scan(
        self, sequences: list[Node], others: list[Node], axis: int, nested: bool
    ) -> list[Node]:
        starts = [self.start(others) for _ in range(self.rng.randint(0, 3))]

        def step(
            state: tuple[Node, ...], slices: tuple[Node, ...]
        ) -> tuple[list[Node], list[Node]]:
            pool = [*state, *slices, *self.rng.sample(others, min(len(others), 1))]
            first = len(pool)
            for _ in range(self.rng.randint(*OPS_IN_A_STEP)):
                self.grow(pool, nested)
            new_state = [self.like(start, pool, first) for start in starts]
            stackable = [v for v in pool if v.tensor_type.rank >= axis]
            count = self.rng.randint(0 if starts else 1, 3)
            results = [self.rng.choice(stackable) for _ in range(count)] if stackable else []
            return new_state, results

        try:
            reverse = self.rng.random() < 0.3
            finals, stacked = trace_scan(step, starts, sequences, axis=axis, reverse=reverse)
        except IRError as error:
            if "expected a body with results" not in str(error):
                raise
            return []
        return [*finals, *stacked]

    def start(self, others: list[Node]) -> Node:
        kind = self.rng.randint(0, 5)
        if kind == 0 and others:
            return self.rng.choice(others)
        shapes: list[tuple[Size, ...]] = [(N, 4), (N, 2, 3), (N, 4, 4, 2), (N,), (3,), ()]
        shape = self.rng.choice(shapes)
        if kind == 1:
            return full(1, shape, INT32)
        if kind == 2 and N not in shape:
            return self.parameter(*shape)
        return full(self.rng.choice([0.0, 0.5]), shape, FLOAT32)

    def like(self, start: Node, pool: list[Node], first: int) -> Node:
        """A value of the type of ``start``, bounded: the newest there is, or any."""
        fitting = [v for v in pool[first:] if v.type == start.type]
        if fitting and self.rng.random() < 0.8:
            return bounded(fitting[-1])
        return bounded(self.rng.choice([v for v in pool if v.type == start.type] or [start]))

    def grow(self, pool: list[Node], nested: bool) -> None:
        for _ in range(12):
            value = self.rng.choice(pool if self.rng.random() < 0.4 else pool[-4:])
            if not nested and self.rng.random() < 0.05 and value.tensor_type.rank > 1:
                made = self.scan([value], pool, 1, nested=True)
                if made:
                    pool += made
                    return
            self.others = pool
            try:
                result = self.rng.choice(MOVES)(self, value)
            except (IRError, IndexError, ZeroDivisionError):
                continue
            if result is not None and _is_small(result):
                pool.append(result)
                return

    def fellow(self, value: Node) -> Node | None:
        """Another value of the same type."""
        fitting = [v for v in self.others if v.type == value.type and v is not value]
        return self.rng.choice(fitting) if fitting else None


def bounded(node: Node) -> Node:
    return ops.tanh(node) if node.dtype.is_float else ops.minimum(node, constant(5, node.dtype))


def _is_small(node: Node) -> bool:
    fixed = 1
    for size in node.shape:
        fixed *= size if isinstance(size, int) else 1
    return fixed <= 128


def _last(node: Node) -> int:
    size = node.shape[-1]
    if not isinstance(size, int):
        raise IRError("the last axis has no fixed size")
    return size


def _is(node: Node, dtype: DType, *ranks: int) -> None:
    if node.dtype != dtype or (ranks and node.tensor_type.rank not in ranks):
        raise IRError("not for this value")


@move
def activate(b: _Builder, x: Node) -> Node:
    _is(x, FLOAT32)
    return b.rng.choice([ops.tanh, ops.sigmoid, ops.relu, ops.negative])(x)


@move
@move
@move
def combine(b: _Builder, x: Node) -> Node | None:
    other = b.fellow(x)
    if other is None:
        return None
    if not x.dtype.is_float:
        return ops.minimum(ops.add(x, other), constant(5, x.dtype))
    return ops.tanh(b.rng.choice([ops.add, ops.subtract, ops.multiply, ops.maximum])(x, other))


@move
@move
@move
def project(b: _Builder, x: Node) -> Node:
    _is(x, FLOAT32, 1, 2, 3, 4)
    product = ops.matmul(x, b.parameter(_last(x), b.rng.choice([2, 4, 4, 6])))
    if b.rng.random() < 0.5:
        product = ops.add(product, b.parameter(_last(product)))
    return ops.tanh(product)


@move
@move
def gate(b: _Builder, x: Node) -> Node:
    """Slices of a product, some activated, together: the cell of a recurrent net."""
    _is(x, FLOAT32, 2, 3, 4)
    gates, units, axis = b.rng.choice([2, 3, 4]), _last(x), x.tensor_type.rank - 1
    product = ops.matmul(x, b.parameter(units, gates * units))
    if b.rng.random() < 0.5:
        product = ops.add(product, b.parameter(gates * units))
    first, *others = pieces(product, axis, [units] * gates)
    result = ops.sigmoid(first)
    for other in others:
        result = b.rng.choice([ops.add, ops.multiply])(result, ops.tanh(other))
    fellow = b.fellow(result)
    return ops.tanh(result if fellow is None else ops.add(result, fellow))


@move
def attend(b: _Builder, x: Node) -> Node:
    _is(x, FLOAT32, 3, 4)
    rank = x.tensor_type.rank
    other = ops.transpose(x, axes=(*range(rank - 2), rank - 1, rank - 2))
    return ops.tanh(ops.matmul(ops.softmax(ops.matmul(x, other), axis=-1), x))


@move
def split(b: _Builder, x: Node) -> Node:
    _is(x, x.dtype, 2)
    return ops.reshape(x, shape=(x.shape[0], 2, _last(x) // 2))


@move
def flatten(b: _Builder, x: Node) -> Node:
    _is(x, x.dtype, 3, 4)
    rest: Size = 1
    for size in x.shape[1:]:
        rest = rest * size
    return ops.reshape(x, shape=(x.shape[0], rest))


@move
def swap_halves(b: _Builder, x: Node) -> Node:
    half, rank = _last(x) // 2, x.tensor_type.rank
    zeros = [0] * rank
    left = ops.slice(x, start=zeros, stop=(*x.shape[:-1], half), step=[1] * rank)
    right = ops.slice(x, start=(*zeros[:-1], half), stop=x.shape, step=[1] * rank)
    return ops.concatenate(right, left, axis=rank - 1)


@move
def turn(b: _Builder, x: Node) -> Node:
    rank = x.tensor_type.rank
    if rank < 3:
        return ops.flip(x, axes=(rank - 1,))
    return ops.transpose(x, axes=(0, *reversed(range(1, rank))))


@move
def reduce(b: _Builder, x: Node) -> Node:
    _is(x, FLOAT32, 2, 3, 4)
    op = b.rng.choice([ops.mean, ops.max])
    axes = (x.tensor_type.rank - 1,) if b.rng.random() < 0.7 else (1,)
    return op(x, axes=axes, keepdims=b.rng.random() < 0.5)


@move
def centre(b: _Builder, x: Node) -> Node:
    _is(x, FLOAT32, 2, 3)
    return ops.tanh(ops.subtract(x, ops.mean(x, axes=(1,), keepdims=True)))


@move
def mix_samples(b: _Builder, x: Node) -> Node:
    """What keeps a loop out of a batch tile."""
    _is(x, FLOAT32, 2)
    return ops.tanh(ops.subtract(x, ops.max(x, axes=(0,), keepdims=True)))


@move
@move
def convolve(b: _Builder, x: Node) -> Node:
    _is(x, FLOAT32, 4)
    padding = b.rng.choice(["same", "valid"])
    kernel = b.parameter(b.rng.choice([1, 3]), 3, _last(x), 2)
    return ops.tanh(ops.conv2d(x, kernel, padding=padding))


@move
def pool(b: _Builder, x: Node) -> Node:
    _is(x, FLOAT32, 4)
    op = b.rng.choice([ops.max_pool2d, ops.avg_pool2d])
    return op(x, window=(2, 2), strides=(1, 1), padding="same")


@move
def embed(b: _Builder, x: Node) -> Node:
    _is(x, INT32)
    inside = ops.maximum(ops.minimum(x, constant(4, INT32)), constant(0, INT32))
    return ops.gather(b.parameter(5, 4), inside, axis=0)


@move
def number(b: _Builder, x: Node) -> Node:
    _is(x, INT32)
    return ops.tanh(ops.cast(x, dtype=FLOAT32))


@move
def pad_or_crop(b: _Builder, x: Node) -> Node:
    _is(x, FLOAT32, 2, 3)
    rank = x.tensor_type.rank
    return ops.pad(x, low=[0] * (rank - 1) + [1], high=[0] * (rank - 1) + [b.rng.choice([0, -1])])


@move
def spread(b: _Builder, x: Node) -> Node:
    _is(x, FLOAT32, 0, 1)
    return ops.broadcast_to(x, shape=(N, *x.shape) if N not in x.shape else (2, *x.shape))
