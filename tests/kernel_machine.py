"""A machine that runs programs in plain Python, slowly and under supervision.

    outputs = Supervised(graph, parameters)(*inputs, threads=2)

Kernels are read from their generated text and run on numpy, without Numba. Every load and store is
checked, which compiled code cannot do:

- it lies inside the memory of the operand that the launch named, border included;
- stores go to values that the row says it writes;
- between two barriers no part of a launch or piece of a tile touches what another one writes,
  for threads take them in any order.

Memory that nothing has written yet holds NaN.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from here import HERE

from keraunos.compiler.decisions import Decisions
from keraunos.compiler.emit import emit
from keraunos.compiler.executable import _Weights
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.types import BFLOAT16, FLOAT16, DType
from keraunos.compiler.ops import get_op
from keraunos.compiler.pipeline import optimize
from keraunos.compiler.scheduling.lower import lower
from keraunos.compiler.scheduling.plan import plan
from keraunos.compiler.scheduling.schedule import schedule
from keraunos.compiler.target import Target
from keraunos.runtime.cpu.binding import Binding
from keraunos.runtime.cpu.dispatcher import LAUNCH, LOOP, ROW
from keraunos.runtime.dim import evaluate
from keraunos.runtime.dim_solver import solve
from keraunos.runtime.erf_inverse import erf_inverse
from keraunos.runtime.program import ARENA, CONSTANT, LaunchRow, Location, Program, Scratch
from keraunos.runtime.threefry import uniform

WHOLE = ("power", "mod", "floor_divide", "left_shift", "right_shift")  # of Python's integers too
HALVES = {each.numpy: each for each in (FLOAT16, BFLOAT16)}
LANES = 0  # of the machine that runs; set by each launch from its text


class MemoryFault(AssertionError):
    """A kernel touched memory that is not its to touch."""


# Memory


class Memory:
    """An array with, for every byte, who has read and who has written it since the last barrier.

    Actors are numbered from 1; 0 is nobody, ``MANY`` more than one.
    """

    def __init__(self, array: np.ndarray) -> None:
        self.bytes = array.reshape(-1).view(np.uint8)
        self.start = array.ctypes.data
        self.readers = np.zeros(self.bytes.size, np.int32)
        self.writers = np.zeros(self.bytes.size, np.int32)

    def barrier(self) -> None:
        self.readers[:] = 0
        self.writers[:] = 0


MANY = -1


@dataclass(frozen=True)
class Region:
    """The memory of one operand: ``size`` bytes from ``start`` on (an address)."""

    memory: Memory
    name: str
    start: int
    size: int
    writable: bool
    actor: int


class Word(int):
    """A launch argument; an address knows its region."""

    region: Region | None = None


def word(value: int, region: Region | None) -> Word:
    made = Word(value)
    made.region = region
    return made


@dataclass(frozen=True)
class Pointer:
    """What a kernel sees: an address in a region, elements of a dtype."""

    region: Region
    address: int
    dtype: np.dtype

    @property
    def is_half(self) -> bool:
        """Whether elements are floats of two bytes, which registers hold as float32."""
        return self.dtype in HALVES

    def span(self, first: int, count: int) -> slice:
        """The bytes of ``count`` elements, as a slice of the memory."""
        low = self.address + int(first) * self.dtype.itemsize
        high = low + count * self.dtype.itemsize
        region = self.region
        if low < region.start or high > region.start + region.size:
            raise MemoryFault(
                f"{region.name}: elements {first} to {first + count} of a pointer "
                f"{self.address - region.start} bytes in lie outside its {region.size} bytes"
            )
        return slice(low - region.memory.start, high - region.memory.start)

    def read(self, first: int, count: int) -> np.ndarray:
        where, memory, actor = self.span(first, count), self.region.memory, self.region.actor
        if not _only(memory.writers[where], actor).all():
            raise MemoryFault(f"{self.region.name}: read while another thread may write it")
        readers = memory.readers[where]
        memory.readers[where] = np.where(_only(readers, actor), actor, MANY)
        values = memory.bytes[where].copy().view(self.dtype)
        return values.astype(np.float32) if self.is_half else values

    def write(self, first: int, values: np.ndarray) -> None:
        where, memory, actor = self.span(first, values.size), self.region.memory, self.region.actor
        if not self.region.writable:
            raise MemoryFault(f"{self.region.name}: written, but the row does not say so")
        if self.is_half:
            values = HALVES[self.dtype].of(np.asarray(values))
        new = np.ascontiguousarray(values, self.dtype).view(np.uint8)
        # Two threads may write the same value twice, as overlapping blocks do.
        alone = _only(memory.writers[where], actor)
        if not (alone | (memory.bytes[where] == new)).all():
            raise MemoryFault(f"{self.region.name}: written while another thread may write it")
        if not _only(memory.readers[where], actor).all():
            raise MemoryFault(f"{self.region.name}: written while another thread may read it")
        memory.writers[where] = np.where(alone, actor, MANY)
        memory.bytes[where] = new


def _only(actors: np.ndarray, actor: int) -> np.ndarray:
    """Where nobody but ``actor`` was at work."""
    return (actors == 0) | (actors == actor)


# The vocabulary of kernels on numpy; a vector is an array of LANES float32


def _pointer(dtype: str | np.dtype) -> Callable[[Word], Pointer]:
    def make(value: Word) -> Pointer:
        assert value.region is not None, "an integer is used as an address"
        return Pointer(value.region, int(value), np.dtype(dtype))

    return make


def _load(p: Pointer, i: int) -> np.ndarray:
    return p.read(i, LANES)


def _load_masked(p: Pointer, i: int, mask: np.ndarray) -> np.ndarray:
    values = np.zeros(LANES, np.float32)
    for lane in _runs(mask):
        values[lane] = p.read(i + lane.start, lane.stop - lane.start)
    return values


def _store_masked(p: Pointer, i: int, values: np.ndarray, mask: np.ndarray) -> None:
    for lane in _runs(mask):
        p.write(i + lane.start, values[lane])


def _runs(mask: np.ndarray) -> Iterable[slice]:
    """The stretches of lanes that are on."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return (slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True))


def _transpose(
    p: Pointer, i: int, step: int, rows: int, q: Pointer, o: int, stride: int, cols: int
) -> None:
    rows, cols = min(rows, LANES), min(cols, LANES)
    square = np.array([p.read(i + row * step, cols) for row in range(rows)])
    for column, values in enumerate(square.T):
        q.write(o + column * stride, values)


def _get(p: Pointer, i: int) -> Any:
    value = p.read(i, 1)[0]
    return int(value) if p.dtype.kind == "i" else value


def _put(p: Pointer, i: int, value: Any) -> None:
    if p.dtype.kind in "iu":
        value = _wrapped(p.dtype)(value)
    p.write(i, np.array([value], np.asarray(value).dtype if p.is_half else p.dtype))


def _wrapped(dtype: np.dtype) -> Callable[[Any], int]:
    """Conversion to an integer type as machines do it: higher bits are dropped."""
    bits, signed = dtype.itemsize * 8, dtype.kind == "i"

    def convert(value: Any) -> int:
        number = int(value) & ((1 << bits) - 1)
        return number - (1 << bits) if signed and number >> (bits - 1) else number

    return convert


def _rounded_to(dtype: DType) -> Callable[[Any], Any]:
    """The float32 of numbers rounded to a type of two bytes."""
    return lambda value: dtype.of(np.asarray(value)).astype(np.float32)[()]


def _sum_error(a: Any, b: Any) -> Any:
    exact = np.float64(a) + np.float64(b)
    error = np.where(np.isfinite(exact), exact - np.float64(a + b), 0)
    return np.asarray(error, np.float32)[()]


def _cast_to(name: str) -> Callable[[Any], int]:
    wrap, cast = _wrapped(np.dtype(name)), get_op("cast").reference

    def convert(value: Any) -> int:
        floats = isinstance(value, np.floating)
        return int(cast(np.asarray(value), dtype=name)) if floats else wrap(value)

    return convert


def _by_reference(name: str) -> Callable[[Any, Any], Any]:
    """What the op table's reference gives for vectors, floats and Python's integers."""
    reference = get_op(name).reference

    def call(a: Any, b: Any) -> Any:
        result = reference(np.asarray(a), np.asarray(b))
        return int(result) if isinstance(a, int) else result[()]

    return call


def _splat(value: Any) -> np.ndarray:
    return np.full(LANES, value, np.float32)


def _count_lanes(start: Any, index: int, step: int) -> np.ndarray:
    return np.float32(start) + (index + step * np.arange(LANES)).astype(np.float32)


def _first(count: int) -> np.ndarray:
    return np.arange(LANES) < count


def _wide(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` computed in float64 and rounded once to the type of its operands."""

    def call(*args: Any) -> Any:
        dtype = np.result_type(*args)
        return dtype.type(0) + np.asarray(function(*(np.float64(a) for a in args))).astype(dtype)

    return call


def _fma(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return (a.astype(np.float64) * b + c).astype(np.float32)


def _pick(better: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """maximum and minimum: NaN if one is."""

    def call(a: Any, b: Any) -> Any:
        if isinstance(a, (int, bool)) and isinstance(b, (int, bool)):
            return a if better(a, b) else b
        return np.where(np.isnan(a) | better(a, b), a, b).astype(np.result_type(a, b))[()]

    return call


def _clamp(beyond: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def call(a: Any, bound: Any) -> Any:
        if isinstance(a, int):
            return bound if beyond(bound, a) else a
        return np.where(beyond(bound, a), bound, a).astype(np.result_type(a, bound))[()]

    return call


def _select(condition: Any, a: Any, b: Any) -> Any:
    if isinstance(condition, np.ndarray):
        return np.where(condition, a, b)
    return a if condition else b


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _erf(x: Any) -> Any:
    return ops_erf(np.asarray(x, np.float64))


def _fold(function: Callable[[Any, Any], Any]) -> Callable[[np.ndarray], Any]:
    """Lanes combined by halves, as the SIMD layer does."""

    def call(vector: np.ndarray) -> Any:
        while vector.size > 1:
            half = vector.size // 2
            vector = function(vector[:half], vector[half:])
        return vector[0]

    return call


def _rounding(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: x if isinstance(x, int) else function(x)


ops_erf = np.vectorize(__import__("math").erf, otypes=[np.float64])
_maximum = _pick(lambda a, b: a > b)
_minimum = _pick(lambda a, b: a < b)
POINTERS = {"f32": "float32", "f64": "float64", "i8": "int8", "i32": "int32", "i64": "int64"}
VOCABULARY: dict[str, Any] = {
    **{f"pointer_{short}": _pointer(name) for short, name in POINTERS.items()},
    "pointer_u8": _pointer("uint8"),
    **{f"pointer_{each.short}": _pointer(each.numpy) for each in HALVES.values()},
    **{f"to_{each.name}": _rounded_to(each) for each in HALVES.values()},
    **{name: _wrapped(np.dtype(name)) for name in ("int8", "int32", "int64", "uint8")},
    "float32": np.float32,
    "float64": np.float64,
    "kernel_jit": lambda function: function,
    "load": _load,
    "load_masked": _load_masked,
    "load_splat": lambda p, i: _splat(p.read(i, 1)[0]),
    "load_mask": lambda p, i: p.read(i, LANES) != 0,
    "store": lambda p, i, v: p.write(i, v),
    "store_masked": _store_masked,
    "get": _get,
    "transpose": _transpose,
    "put": _put,
    "splat": _splat,
    "first": _first,
    "prefetch": lambda p, i: None,
    "fma": _fma,
    "maximum": _maximum,
    "minimum": _minimum,
    "clamp_low": _clamp(lambda bound, a: bound > a),
    "clamp_high": _clamp(lambda bound, a: bound < a),
    "sum_error": _sum_error,
    "select": _select,
    "absolute": np.abs,
    "sqrt": np.sqrt,
    "floor": _rounding(np.floor),
    "ceil": _rounding(np.ceil),
    "round": _rounding(np.rint),
    "truncate": _rounding(np.trunc),
    "is_nan": np.isnan,
    "mask_to_float": lambda m: m.astype(np.float32),
    "to_bool": bool,
    "to_float32": np.float32,
    "to_float64": np.float64,
    **{f"to_{name}": _cast_to(name) for name in ("int8", "int32", "int64", "uint8")},
    "sum_lanes": _fold(np.add),
    "prod_lanes": _fold(np.multiply),
    "max_lanes": _fold(_maximum),
    "min_lanes": _fold(_minimum),
    "all_lanes": np.all,
    "any_lanes": np.any,
    "uniform": lambda a, b, i: uniform((a, b), i)[()],
    "uniform_lanes": lambda a, b, i, step: uniform((a, b), i + step * np.arange(LANES)),
    "count_lanes": lambda start, i, step: (
        np.float32(start) + np.float32(i + step * np.arange(LANES))
    ),
    "sigmoid": _wide(_sigmoid),
    "erf_inverse": _wide(erf_inverse),
    "erf": _wide(_erf),
    "rsqrt": _wide(lambda x: 1 / np.sqrt(x)),
    "softplus": _wide(lambda x: np.logaddexp(x, 0)),
    **{name: _by_reference(name) for name in WHOLE},
    **{
        name: _wide(getattr(np, name))
        for name in ("exp", "expm1", "log", "log1p", "tanh", "sin", "cos", "tan")
    },
    **{name: _wide(getattr(np, name)) for name in ("asin", "acos", "atan", "sinh", "cosh")},
    **{name: _wide(getattr(np, name)) for name in ("asinh", "acosh", "atanh")},
}


@cache
def read_kernel(source: str) -> tuple[Callable[..., None], int]:
    """The function of a generated text, over this machine's vocabulary, and its lanes."""
    found = re.search(r"generated by Keraunos for (\d+) float32 lanes", source)
    assert found, "the text does not say for how many lanes it is"
    text = "".join(line for line in source.splitlines(True) if not line.startswith("from "))
    wanted = set(re.findall(r"^from \S+ import (.*)$", source, re.MULTILINE))
    names = {name.strip() for line in wanted for name in line.split(",")} - {"annotations"}
    assert names <= VOCABULARY.keys(), f"unknown: {sorted(names - VOCABULARY.keys())}"
    namespace = {name: VOCABULARY[name] for name in names}
    exec(compile(text, "<kernel>", "exec"), namespace)
    return namespace["kernel"], int(found[1])


# Walking the table


@dataclass(frozen=True)
class Unit:
    """What one thread does in one go: a part of a launch, or a piece of a tile."""

    number: int
    row: int
    task: int
    tasks: int
    thread: int
    counters: tuple[int, ...]


@dataclass
class Machine:
    """One call of a program: its binding, its memory, threads that take units of work in turn."""

    program: Program
    binding: Binding
    constants: dict[int, np.ndarray]
    callers: list[np.ndarray]
    order: Callable[[list[Unit]], list[Unit]]
    memories: dict[int, Memory] = field(default_factory=dict)

    def run(self) -> None:
        arrays = [self.binding._arena, *self.constants.values(), *self.callers]
        self.memories = {id(array): Memory(array) for array in arrays}
        self.rows = self.binding.dispatch.code.reshape(-1, ROW).tolist()
        units: list[Unit] = []
        counters = [0] * (int(self.binding.dispatch._counter_words) or 1)
        for index in self.walk(0, len(self.rows), counters):
            if index is not None:
                units += self.units(index, len(units), tuple(counters))
                continue
            self.work(units)
            units = []
        self.work(units)

    def walk(self, first: int, end: int, counters: list[int]) -> Iterable[int | None]:
        """Launches and tiles in the order in which they run, None at each barrier."""
        while first < end:
            row = self.rows[first]
            body = row[2] if row[0] != LAUNCH else 0
            if row[0] == LOOP:
                for _ in self.trips(row, counters):
                    yield from self.walk(first + 1, first + 1 + body, counters)
            else:
                yield first
            if row[1]:
                yield None
            first += 1 + body

    def trips(self, row: list[int], counters: list[int]) -> Iterable[int]:
        """The trips of a loop, its counters set for each."""
        for trip in range(row[3]):
            counters[row[4]] = trip
            if row[5]:
                counters[row[5]] = trip % 2
            yield trip

    def units(self, index: int, number: int, counters: tuple[int, ...]) -> list[Unit]:
        row, threads = self.rows[index], self.binding.threads
        if row[0] == LAUNCH:
            tasks = row[7] or threads
        else:
            tasks = -(-row[3] // row[4])
        return [
            Unit(number + k, index, k, tasks, k % threads, (k % threads, *counters[1:]))
            for k in range(tasks)
        ]

    def work(self, units: list[Unit]) -> None:
        """All that is done between two barriers."""
        for unit in self.order(units):
            row = self.rows[unit.row]
            if row[0] == LAUNCH:
                self.launch(unit, unit.row, unit.counters, unit.task, unit.tasks)
                continue
            start = unit.task * row[4]
            counters = list(unit.counters)
            counters[row[5]], counters[row[6]] = start, min(row[4], row[3] - start)
            for inner in self.walk(unit.row + 1, unit.row + 1 + row[2], counters):
                if inner is not None:
                    self.launch(unit, inner, tuple(counters), 0, 1)
        for memory in self.memories.values():
            memory.barrier()

    def launch(
        self, unit: Unit, index: int, counters: tuple[int, ...], task: int, tasks: int
    ) -> None:
        _, _, kernel, first, count, patch, patches, _ = self.rows[index]
        dispatch = self.binding.dispatch
        values = dispatch.args[first : first + count].tolist()
        for k in range(patch, patch + 3 * patches, 3):
            position, counter, factor = dispatch.patches[k : k + 3].tolist()
            values[position] += counters[counter] * factor
        source = self.program.rows[self.binding.rows[index]]
        assert isinstance(source, LaunchRow)
        pairs = zip(values, source.arguments, strict=True)
        words = [self.word(value, argument, source, unit) for value, argument in pairs]
        function, lanes = read_kernel(self.program.kernels[kernel].source)
        globals()["LANES"] = lanes
        try:
            function(words, task, tasks)
        except MemoryFault as fault:
            raise MemoryFault(f"row {index}, {source.label}: {fault}") from fault

    def word(self, value: int, argument: Any, row: LaunchRow, unit: Unit) -> Word:
        if isinstance(argument, Scratch):
            # Memory of the thread that runs, which nothing has written yet.
            memory = Memory(np.full(argument.bytes // 4, np.nan, np.float32))
            region = Region(memory, "scratch", memory.start, memory.bytes.size, True, 1)
            return word(memory.start, region)
        if not isinstance(argument, Location):
            return word(value, None)
        slot = self.program.slots[argument.slot]
        array = self.array(argument.slot)
        start, size = self.stretch(argument.slot, array, unit.thread)
        # A tile's own memory is a thread's: its pieces use it one after another.
        own = argument.slot in self.binding.placement.tile_of
        actor = len(self.rows) * 1000 + unit.thread if own else 1 + unit.number
        writable = argument.slot in row.writes
        region = Region(self.memories[id(array)], slot.name, start, size, writable, actor)
        return word(value, region)

    def array(self, slot: int) -> np.ndarray:
        kind = self.program.slots[slot].kind
        if kind == ARENA:
            return self.binding._arena
        if kind == CONSTANT:
            return self.constants[slot]
        return self.callers[(*self.program.inputs, *self.program.outputs).index(slot)]

    def stretch(self, slot: int, array: np.ndarray, thread: int) -> tuple[int, int]:
        """Where a slot starts for a thread, and its bytes."""
        binding, size = self.binding, self.program.slots[slot].bytes
        if self.program.slots[slot].kind != ARENA:
            return array.ctypes.data, array.nbytes
        placed = binding.placement
        if slot not in placed.tile_of:
            return binding._base + placed.offsets[slot], evaluate(size, placed.sizes)
        tile = placed.tile_of[slot]
        sizes = {**placed.sizes, placed.tiles[tile].symbol: placed.tiles[tile].tile}
        base = binding._base + placed.tile_offsets[tile] + placed.inner[slot]
        return base + thread * placed.tile_bytes[tile], evaluate(size, sizes)


class Supervised:
    """A compiled graph on this machine; takes the place of the executor it would have."""

    def __init__(
        self,
        graph: Graph,
        parameters: Mapping[str, np.ndarray],
        passes: Any = "default",
        target: Target[Any] = HERE,
    ) -> None:
        decisions = Decisions()
        self.stages = optimize(graph, target, passes=passes, decisions=decisions)
        lowered = lower(schedule(self.stages.last, target), target)
        self.tiles = target.tiles(lowered, decisions) if passes == "default" else ()
        planned = plan(lowered, self.tiles)
        self.program = emit(planned, target)
        self.state: dict[str, np.ndarray] = {}  # graphs that update parameters do not come here
        slots = self.program.slots
        self.constants = {i: np.zeros(slots[i].bytes, np.uint8) for i in self.program.constants}
        _Weights(self.stages.last, planned.prepared).prepare(parameters, self)

    def set_constant(self, slot: int, value: np.ndarray) -> None:
        self.constants[slot][: value.nbytes] = np.ascontiguousarray(value).reshape(-1).view("u1")

    def __call__(
        self, *inputs: np.ndarray, threads: int = 2, seed: int = 0
    ) -> tuple[np.ndarray, ...]:
        """The outputs. ``seed`` shuffles what is done between two barriers; 0 keeps the order.

        Raises:
            MemoryFault: a kernel read or wrote where it must not, or threads race.
        """
        slots = self.program.slots
        sizes = solve(
            [(slots[i].name, slots[i].shape) for i in self.program.inputs],
            [array.shape for array in inputs],
        )
        addresses = {slot: array.ctypes.data for slot, array in self.constants.items()}
        binding = Binding(self.program, range(len(self.program.kernels)), addresses, sizes, threads)
        outputs = [
            undefined(shape, slots[i].dtype)
            for shape, i in zip(binding.shapes, self.program.outputs, strict=True)
        ]
        callers = [*inputs, *outputs]
        binding._arena[:] = UNDEFINED
        for port in binding._ports:
            binding.dispatch.args[port.position] = callers[port.argument].ctypes.data + port.offset
        machine = Machine(self.program, binding, self.constants, callers, shuffled(seed))
        with np.errstate(all="ignore"):
            machine.run()
        return tuple(outputs)


def shuffled(seed: int) -> Callable[[list[Unit]], list[Unit]]:
    """A way to order units of work: as they are for 0, reversed for 1, at random for others."""
    if seed <= 1:
        return lambda units: units[::-1] if seed else units
    rng = random.Random(seed)
    return lambda units: rng.sample(units, len(units))


UNDEFINED = 0xFF  # every byte of memory not written yet: NaN in every float type


def undefined(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[:] = UNDEFINED
    return array
