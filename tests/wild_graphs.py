"""Random graphs that no model looks like: the corners of the compiler.

    graph = wild_graph(seed=7)

Values of any rank and dtype, empty and one-element axes, symbolic batch, height and width,
broadcasting, reductions over any axes, data movement before and after everything, convolutions of
every stride, dilation, padding and grouping, results that are inputs, repeated or used further on.
``graphs.random_arguments`` makes arguments for them.

A value is *exact* if float32 and float64 agree on it to the bit (an input, or moved, compared or
chosen from such): only those are compared, rounded or made integers, so that rounding errors cannot
turn a result over.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from keraunos.compiler.ir.graph import Graph, IRError, Node, Origin, origin_scope
from keraunos.compiler.ir.types import (
    BOOL,
    DTYPES,
    FLOAT32,
    FLOAT64,
    INT32,
    DType,
    TensorType,
)
from keraunos.compiler.ops.core import constant, input_, parameter
from keraunos.compiler.ops.registry import ops
from keraunos.runtime.dim import Size, evaluate, symbol

N, H, W = map(symbol, "NHW")
USUAL = {"N": 3, "H": 6, "W": 7}  # what sizes are taken for while a graph is built
MOST_ELEMENTS = 3000
SIZES = (1, 1, 2, 3, 4, 5, 8, 9, 16, 17, 33)
CHANNELS = (1, 2, 3, 4, 6, 8, 12, 15, 16, 17, 20, 31, 32, 33, 40)
INTEGERS = tuple(dtype for dtype in DTYPES if dtype.is_integer)


@dataclass(frozen=True)
class Made:
    """A value; about how large its elements get; whether it is exact."""

    node: Node
    bound: float = 4.0
    exact: bool = True

    @property
    def shape(self) -> tuple[Size, ...]:
        return self.node.shape

    @property
    def rank(self) -> int:
        return len(self.node.shape)

    @property
    def dtype(self) -> DType:
        return self.node.dtype

    def like(self, node: Node, growth: float = 1.0, exact: bool | None = None) -> Made:
        return Made(node, self.bound * growth, self.exact if exact is None else exact)


Move = Callable[["Wild", Made], "Made | None"]
MOVES: list[Move] = []


def move(weight: int = 1) -> Callable[[Move], Move]:
    """Enters a step of the generator: from a value to a new one, or None where it does not fit."""

    def enter(function: Move) -> Move:
        MOVES.extend([function] * weight)
        return function

    return enter


def wild_graph(seed: int) -> Graph:
    """The graph of this seed: 2 to 12 steps, one to four results."""
    return Wild(seed).graph()


class Wild:
    """The values made so far, and choices among them."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(f"wild {seed}")
        self.values: list[Made] = []
        self.inputs: list[Node] = []
        self.parameters = 0

    def graph(self) -> Graph:
        for _ in range(self.rng.choice([1, 1, 2, 3])):
            self.values.append(self.input())
        for step in range(self.rng.randint(2, 12)):
            with origin_scope(Origin(f"step_{step}", "wild.py", step + 1)):
                self.step()
        return Graph(f"wild_{self.seed}", tuple(self.inputs), self.outputs())

    def outputs(self) -> tuple[Node, ...]:
        """The last value, and others: in the middle, inputs, the same again."""
        found = [self.values[-1]]
        while self.rng.random() < 0.4 and len(found) < 4:
            found.append(self.rng.choice(self.values))
        self.rng.shuffle(found)
        return tuple(value.node for value in found)

    def input(self) -> Made:
        kind = self.rng.random()
        if kind < 0.4:
            batch, height, width = self.rng.choice([(N, 6, 7), (N, 8, 5), (N, H, W), (2, H, 9)])
            shape: tuple[Size, ...] = (batch, height, width, self.rng.choice(CHANNELS))
            dtype = FLOAT32
        else:
            rank = self.rng.choice([0, 1, 2, 2, 3, 3, 4])
            shape = tuple(self.rng.choice([*SIZES, N, N]) for _ in range(rank))
            if self.rng.random() < 0.6 and rank:
                shape = (N, *shape[1:])
            dtype = self.rng.choice([FLOAT32] * 6 + list(DTYPES))
        if self.rng.random() < 0.03 and shape:
            shape = (*shape[:-1], 0)
        if elements(shape) > MOST_ELEMENTS:
            shape = shape[:2]
        node = input_(f"x{len(self.inputs)}", TensorType(dtype, shape))
        self.inputs.append(node)
        return Made(node)

    def step(self) -> None:
        for _ in range(30):
            value = self.settled(self.pick())
            made = self.rng.choice(MOVES)(self, value)
            if made is not None and elements(made.shape) <= MOST_ELEMENTS:
                self.values.append(made)
                return

    def pick(self) -> Made:
        """A value, most likely one of the last."""
        back = min(int(self.rng.expovariate(0.7)), len(self.values) - 1)
        return self.values[-1 - back]

    def settled(self, value: Made) -> Made:
        """``value``, squashed where it has grown large."""
        if value.dtype.is_float and value.bound > 40:
            return Made(ops.tanh(value.node), 1.0, False)
        return value

    def knows_batch(self) -> bool:
        return any(N in node.shape for node in self.inputs)

    def parameter(self, shape: Sequence[Size], dtype: DType = FLOAT32) -> Made:
        self.parameters += 1
        return Made(parameter(f"p{self.parameters}", TensorType(dtype, tuple(shape))))

    def weight(self, fan_in: int, *shape: int) -> Node:
        """A parameter, scaled so that sums of ``fan_in`` products stay moderate."""
        scale = constant(round(max(fan_in, 1) ** -0.5, 3))
        return ops.multiply(self.parameter(shape).node, scale)

    def partner(self, value: Made) -> Made:
        """Something of the dtype of ``value`` to combine it with: it broadcasts, often."""
        fitting = [other for other in self.values if broadcasts(value, other)]
        if fitting and self.rng.random() < 0.6:
            return self.settled(self.rng.choice(fitting))
        shape = tuple(
            size if isinstance(size, int) and self.rng.random() < 0.6 else 1 for size in value.shape
        )
        shape = shape[self.rng.randint(0, len(shape)) :]
        if self.rng.random() < 0.5 or value.dtype == BOOL:
            return self.parameter(shape, value.dtype)
        count = elements(shape)
        numbers = np.array([(k * 7 % 5) - 2 for k in range(count)]).reshape(shape)
        if self.rng.random() < 0.5:
            numbers = np.asarray(self.rng.choice([0, 1, 2, -1]))
        return Made(constant(numbers.astype(value.dtype.numpy)))


def elements(shape: Sequence[Size]) -> int:
    """How many elements a shape has at the usual sizes."""
    return prod(evaluate(size, USUAL) for size in shape)


def broadcasts(left: Made, right: Made) -> bool:
    if left.dtype != right.dtype:
        return False
    try:
        return elements(ops.equal(left.node, right.node).shape) <= MOST_ELEMENTS
    except IRError:
        return False


def fixed(value: Made) -> bool:
    return all(isinstance(size, int) for size in value.shape)


# Element by element


SMOOTH = ("tanh", "sigmoid", "erf", "sin", "cos", "atan", "asinh", "silu", "gelu", "softplus")
EXACT_UNARY = ("negative", "abs", "relu", "copy")


@move(6)
def apply_smooth(b: Wild, x: Made) -> Made | None:
    if not x.dtype.is_float:
        return None
    return Made(getattr(ops, b.rng.choice(SMOOTH))(x.node), 4.0 + x.bound, False)


@move(4)
def apply_exact(b: Wild, x: Made) -> Made | None:
    if x.dtype == BOOL:
        return x.like(ops.logical_not(x.node))
    if x.dtype.is_integer and b.rng.random() < 0.5:
        return x.like(getattr(ops, b.rng.choice(["sign", "square"]))(x.node), x.bound)
    return x.like(getattr(ops, b.rng.choice(EXACT_UNARY))(x.node))


@move(2)
def apply_within_domain(b: Wild, x: Made) -> Made | None:
    """Functions with a domain, on values squashed into it."""
    if not x.dtype.is_float:
        return None
    inside = ops.add(ops.square(ops.tanh(x.node)), constant(0.5, x.dtype))
    return Made(
        getattr(ops, b.rng.choice(["log", "sqrt", "rsqrt", "exp", "log1p"]))(inside), 4, False
    )


@move(2)
def round_exact(b: Wild, x: Made) -> Made | None:
    """Functions that jump."""
    if not x.exact or not x.dtype.is_float:
        return None
    return x.like(getattr(ops, b.rng.choice(["floor", "ceil", "round", "sign"]))(x.node))


@move(2)
def clip(b: Wild, x: Made) -> Made | None:
    if x.dtype == BOOL:
        return None
    bounds = [(0.0, 6.0), (1.0, 3.0)] + [(-1.0, 2.0), (-np.inf, 1.0)] * x.dtype.is_float
    low, high = b.rng.choice(bounds)
    return x.like(ops.clip(x.node, low=low, high=high))


@move(8)
def combine(b: Wild, x: Made) -> Made | None:
    y = b.partner(x)
    if x.dtype == BOOL:
        name = b.rng.choice(["logical_and", "logical_or", "logical_xor", "equal", "less"])
        return x.like(getattr(ops, name)(x.node, y.node))
    if b.rng.random() < 0.3:
        x, y = y, x
    name = b.rng.choice(["add", "subtract", "multiply", "maximum", "minimum"])
    node = getattr(ops, name)(x.node, y.node)
    exact = x.exact and y.exact and (x.dtype.is_integer or name in ("maximum", "minimum"))
    bound = x.bound * max(1.0, y.bound) if name == "multiply" else x.bound + y.bound
    return Made(node, bound, exact)


@move(1)
def divide(b: Wild, x: Made) -> Made | None:
    if x.dtype.is_integer:
        divisor = constant(b.rng.choice([2, 3, 5]), x.dtype)
        op = b.rng.choice([ops.floor_divide, ops.mod])
        return x.like(op(x.node, divisor))
    if not x.dtype.is_float:
        return None
    below = ops.add(ops.square(b.partner(x).node), constant(1.0, x.dtype))
    return x.like(ops.divide(x.node, below), exact=False)


@move(3)
def compare(b: Wild, x: Made) -> Made | None:
    y = b.partner(x)
    if not (x.exact and y.exact):
        return None
    names = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
    return Made(getattr(ops, b.rng.choice(names))(x.node, y.node), 1.0)


@move(4)
def choose(b: Wild, x: Made) -> Made | None:
    """A condition picks between two values."""
    conditions = [v for v in b.values if v.dtype == BOOL]
    condition = b.rng.choice(conditions) if conditions else compare(b, b.rng.choice(b.values))
    if condition is None:
        return None
    y = b.partner(x)
    try:
        node = ops.select(condition.node, x.node, y.node)
    except IRError:
        return None
    return Made(node, max(x.bound, y.bound), x.exact and y.exact)


@move(3)
def cast(b: Wild, x: Made) -> Made | None:
    if not x.exact or x.bound > 100:
        return None
    dtype = b.rng.choice([FLOAT32, FLOAT32, FLOAT64, BOOL, *INTEGERS])
    if x.dtype.is_float and dtype.is_integer:
        x = x.like(ops.clip(x.node, low=0.0, high=100.0))  # other numbers may not fit
    return Made(ops.cast(x.node, dtype=dtype), x.bound, x.dtype != FLOAT64 or not dtype.is_float)


@move(2)
def count(b: Wild, x: Made) -> Made | None:
    """With the index along an axis added."""
    if x.dtype == BOOL or not x.rank:
        return None
    index = ops.iota(shape=x.shape, axis=b.rng.randrange(-x.rank, x.rank), dtype=x.dtype)
    return Made(ops.add(x.node, index), x.bound + 40, x.exact and x.dtype.is_integer)


@move(3)
def disturb(b: Wild, x: Made) -> Made | None:
    """With some elements dropped, or noise added."""
    if x.dtype != FLOAT32:
        return None
    key = constant(np.array([b.rng.randrange(99), 1]), INT32)
    drawn = ops.random_uniform(b.rng.choice([key, b.parameter((2,), INT32).node]), shape=x.shape)
    if b.rng.random() < 0.5:
        kept = ops.less(drawn, constant(0.5))
        return x.like(ops.select(kept, x.node, constant(0.0)))
    return Made(ops.add(x.node, drawn), x.bound + 1, False)


# Reductions


@move(7)
def reduce(b: Wild, x: Made) -> Made | None:
    if not x.rank:
        return None
    axes = tuple(sorted(b.rng.sample(range(x.rank), b.rng.randint(1, x.rank))))
    if b.rng.random() < 0.2:
        axes = tuple(axis - x.rank for axis in axes)
    attrs = {"axes": axes, "keepdims": b.rng.random() < 0.5}
    if x.dtype == BOOL:
        return x.like(b.rng.choice([ops.any, ops.all])(x.node, **attrs))
    count = elements([x.shape[axis] for axis in axes])
    if x.dtype.is_float and x.bound <= 2 and count <= 8 and b.rng.random() < 0.3:
        return Made(ops.prod(x.node, **attrs), max(x.bound, 1.0) ** count, False)
    op = b.rng.choice([ops.sum, ops.sum, ops.max, ops.min, ops.mean])
    if op is ops.mean and not x.dtype.is_float:
        op = ops.sum
    if count == 0 and op is ops.mean:
        return None
    exact = x.exact and (op in (ops.max, ops.min) or x.dtype.is_integer)
    return x.like(op(x.node, **attrs), count if op is ops.sum else 1.0, exact)


@move(2)
def normalize(b: Wild, x: Made) -> Made | None:
    if not x.dtype.is_float or not x.rank:
        return None
    axis = b.rng.randrange(x.rank)
    op = b.rng.choice([ops.softmax, ops.log_softmax])
    return Made(op(x.node, axis=axis), 10.0, False)


@move(2)
def centre(b: Wild, x: Made) -> Made | None:
    """Minus the mean or the extreme over some axes."""
    if not x.dtype.is_float or not x.rank or 0 in x.shape:
        return None
    axes = tuple(b.rng.sample(range(x.rank), b.rng.randint(1, x.rank)))
    op = b.rng.choice([ops.mean, ops.max])
    return Made(ops.subtract(x.node, op(x.node, axes=axes, keepdims=True)), 2 * x.bound, False)


@move(1)
def find_extreme(b: Wild, x: Made) -> Made | None:
    if not x.exact or not x.rank or x.dtype == BOOL or not fixed(x) or 0 in x.shape:
        return None
    op = b.rng.choice([ops.argmax, ops.argmin])
    return Made(op(x.node, axis=b.rng.randrange(x.rank)))


# Movement


@move(4)
def transpose(b: Wild, x: Made) -> Made | None:
    axes = list(range(x.rank))
    b.rng.shuffle(axes)
    return x.like(ops.transpose(x.node, axes=tuple(axes)))


@move(4)
def slice_(b: Wild, x: Made) -> Made | None:
    start, stop, step = [], [], []
    for size in x.shape:
        low = b.rng.choice([0, 0, 1, 2]) if isinstance(size, int) and size > 3 else 0
        high = b.rng.choice([0, 0, 1]) if isinstance(size, int) and size > 3 else 0
        start.append(low)
        stop.append(size - high)
        step.append(b.rng.choice([1, 1, 2, 3]))
    return x.like(ops.slice(x.node, start=tuple(start), stop=tuple(stop), step=tuple(step)))


@move(3)
def flip(b: Wild, x: Made) -> Made | None:
    if not x.rank:
        return None
    axes = b.rng.sample(range(x.rank), b.rng.randint(1, x.rank))
    return x.like(ops.flip(x.node, axes=tuple(axes)))


@move(4)
def pad(b: Wild, x: Made) -> Made | None:
    def side(size: Size) -> int:
        return b.rng.choice([0, 0, 1, 2, -1]) if isinstance(size, int) and size > 2 else 0

    low = tuple(map(side, x.shape))
    high = tuple(map(side, x.shape))
    interior = tuple(b.rng.choice([0, 0, 1, 2]) if isinstance(size, int) else 0 for size in x.shape)
    value = b.rng.choice([0.0, 0.0, 1.0, 2.0])
    attrs = {"low": low, "high": high, "value": value}
    if b.rng.random() < 0.4:
        attrs["interior"] = interior
    return x.like(ops.pad(x.node, **attrs))


@move(2)
def repeat(b: Wild, x: Made) -> Made | None:
    factors = tuple(b.rng.choice([1, 1, 2, 3]) for _ in x.shape)
    return x.like(ops.repeat(x.node, factors=factors))


@move(2)
def broadcast(b: Wild, x: Made) -> Made | None:
    shape = tuple(b.rng.choice([1, 3, 5]) if size == 1 else size for size in x.shape)
    if len(shape) < 4 and b.rng.random() < 0.5:
        shape = (b.rng.choice([2, N] if b.knows_batch() else [2]), *shape)
    return x.like(ops.broadcast_to(x.node, shape=shape))


@move(4)
def reshape(b: Wild, x: Made) -> Made | None:
    """Axes joined, split, or ones put in: a view."""
    shape = list(x.shape)
    way = b.rng.random()
    if way < 0.4 and len(shape) > 1:
        at = b.rng.randrange(len(shape) - 1)
        shape[at : at + 2] = [shape[at] * shape[at + 1]]
    elif way < 0.7:
        shape.insert(b.rng.randint(0, len(shape)), 1)
    else:
        even = [k for k, size in enumerate(shape) if isinstance(size, int) and size % 2 == 0]
        if not even:
            return None
        at = b.rng.choice(even)
        shape[at : at + 1] = [2, shape[at] // 2]
    return x.like(ops.reshape(x.node, shape=tuple(shape))) if len(shape) <= 5 else None


@move(4)
def concatenate(b: Wild, x: Made) -> Made | None:
    if not x.rank:
        return None
    axis = b.rng.randrange(x.rank)
    others = [v for v in b.values if v.dtype == x.dtype and _beside(x, v, axis)]
    parts = [x, *b.rng.choices(others, k=b.rng.randint(1, 2))]
    b.rng.shuffle(parts)
    exact = all(part.exact for part in parts)
    node = ops.concatenate(*(part.node for part in parts), axis=axis)
    return Made(node, max(part.bound for part in parts), exact)


def _beside(x: Made, y: Made, axis: int) -> bool:
    drop = [(*v.shape[:axis], *v.shape[axis + 1 :]) for v in (x, y)]
    return x.rank == y.rank and drop[0] == drop[1]


@move(2)
def gather(b: Wild, x: Made) -> Made | None:
    if not x.rank or 0 in x.shape:
        return None
    indices = [v for v in b.values if v.dtype.is_integer and v.rank + x.rank <= 5]
    if indices and b.rng.random() < 0.7:
        picked = b.rng.choice(indices).node
    else:
        picked = constant(np.array([[0, -2, 1], [1, 9, -1]]))
    # What lies outside is 0 here: NaN would be all that is left of most graphs.
    axis, from_end = b.rng.randrange(x.rank), b.rng.random() < 0.5
    return x.like(ops.gather(x.node, picked, axis=axis, from_end=from_end, fill=0))


# Contractions and windows


def _image(x: Made) -> bool:
    channels = x.shape[-1] if x.rank == 4 else None
    return (
        x.dtype == FLOAT32 and isinstance(channels, int) and 0 < channels <= 64 and 0 not in x.shape
    )


@move(10)
def convolve(b: Wild, x: Made) -> Made | None:
    if not _image(x):
        return None
    channels = int(evaluate(x.shape[-1], {}))
    groups = b.rng.choice([g for g in (1, 1, 1, 2, 3, 4, channels) if channels % g == 0])
    filters = groups * b.rng.choice([k for k in CHANNELS if k * groups <= 64] or [1])
    kernel = (b.rng.choice([1, 1, 2, 3, 3, 5]), b.rng.choice([1, 1, 2, 3, 3, 5]))
    if b.rng.random() < 0.4:
        kernel = b.rng.choice([(1, 1), (3, 3)])
    attrs = {
        "strides": b.rng.choice([(1, 1), (1, 1), (2, 2), (2, 1), (1, 3)]),
        "dilation": b.rng.choice([(1, 1), (1, 1), (1, 1), (2, 2), (1, 2)]),
        "padding": b.rng.choice(["same", "valid", ((1, 0), (0, 2)), ((2, 2), (1, 1))]),
    }
    w = b.weight(prod(kernel) * channels // groups, *kernel, channels // groups, filters)
    try:
        y = Made(ops.conv2d(x.node, w, groups=groups, **attrs), 3 * x.bound, False)
    except IRError:
        return None
    return _followed(b, y)


def _followed(b: Wild, y: Made) -> Made:
    """An epilogue: bias, batch norm, residual, activation, pooling, in any order."""
    steps = [_bias, _residual, apply_smooth, apply_exact, pool, _scale, clip]
    for _ in range(b.rng.choice([0, 1, 2, 3])):
        y = b.rng.choice(steps)(b, y) or y
    return y


def _bias(b: Wild, y: Made) -> Made | None:
    if not isinstance(y.shape[-1], int):
        return None
    return y.like(ops.add(y.node, b.parameter(y.shape[-1:]).node), 2.0, False)


def _scale(b: Wild, y: Made) -> Made | None:
    if not isinstance(y.shape[-1], int):
        return None
    shape = b.rng.choice([y.shape[-1:], (1, 1, 1, y.shape[-1]), (1,), ()])
    return y.like(ops.multiply(b.parameter(shape).node, y.node), 3.0, False)


def _residual(b: Wild, y: Made) -> Made | None:
    others = [v for v in b.values if v.node.type == y.node.type]
    if not others:
        return None
    other = b.rng.choice(others)
    return Made(ops.add(*b.rng.sample([y.node, other.node], 2)), y.bound + other.bound, False)


@move(4)
def convolve_depthwise(b: Wild, x: Made) -> Made | None:
    if not _image(x):
        return None
    channels, multiplier = int(evaluate(x.shape[-1], {})), b.rng.choice([1, 1, 1, 2])
    kernel = (b.rng.choice([1, 2, 3, 5]), b.rng.choice([1, 2, 3, 5]))
    attrs = {
        "strides": b.rng.choice([(1, 1), (1, 1), (2, 2), (2, 1)]),
        "dilation": b.rng.choice([(1, 1), (1, 1), (2, 1)]),
        "padding": b.rng.choice(["same", "valid", ((1, 0), (0, 2))]),
    }
    w = b.weight(prod(kernel), *kernel, channels, multiplier)
    try:
        y = Made(ops.depthwise_conv2d(x.node, w, **attrs), 3 * x.bound, False)
    except IRError:
        return None
    return _followed(b, y)


@move(4)
def pool(b: Wild, x: Made) -> Made | None:
    if not _image(x):
        return None
    window = b.rng.choice([(2, 2), (2, 2), (3, 3), (1, 2), (3, 2)])
    strides = b.rng.choice([window, window, (1, 1), (2, 2)])
    padding = b.rng.choice(["valid", "valid", "same", ((1, 0), (0, 1))])
    op = b.rng.choice([ops.max_pool2d, ops.avg_pool2d])
    try:
        node = op(x.node, window=window, strides=strides, padding=padding)
    except IRError:
        return None
    return x.like(node, exact=x.exact and op is ops.max_pool2d)


@move(6)
def multiply_matrices(b: Wild, x: Made) -> Made | None:
    depth = x.shape[-1] if x.rank else 0
    if x.dtype != FLOAT32 or not isinstance(depth, int) or not depth:
        return None
    units = b.rng.choice(CHANNELS)
    batches = [x.shape[:-2]] if fixed(x) else []
    shape = (*b.rng.choice([(), (), (2,), *batches]), depth, units)
    shape = (depth,) if b.rng.random() < 0.1 else shape
    try:
        product = ops.matmul(x.node, b.weight(depth, *shape))
    except IRError:
        return None
    y = Made(product, 3 * x.bound, False)
    return _followed(b, y) if y.rank else y


@move(3)
def attend(b: Wild, x: Made) -> Made | None:
    """A product with values computed at run time."""
    if x.dtype != FLOAT32 or x.rank < 2 or 0 in x.shape:
        return None
    axes = (*range(x.rank - 2), x.rank - 1, x.rank - 2)
    other = b.settled(b.rng.choice([v for v in b.values if v.node.type == x.node.type] or [x]))
    transposed = ops.transpose(ops.tanh(other.node), axes=axes)
    return Made(ops.matmul(x.node, transposed), 20 * x.bound, False)
