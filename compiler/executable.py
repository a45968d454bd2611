"""From a graph to something that runs: the whole line, stage by stage, each stage kept."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.config import config
from ..runtime.device import Buffer
from ..runtime.devices import runs_here, targets_here
from ..runtime.dim import evaluate as size_of
from ..runtime.executor import Executor
from ..runtime.finite import call_checked, first_not_finite
from ..runtime.placement import place, solved
from ..runtime.program import Program
from .decisions import Decisions
from .emit import emit
from .ir.evaluate import bind_sizes, evaluate
from .ir.graph import Graph, IRError, Node
from .ir.nonfinite import not_finite
from .pipeline import FORK, TILE, TRACE, Stages, optimize
from .program_file import save_program
from .scheduling.conditions import check_choices
from .scheduling.forks import divided
from .scheduling.lower import lower
from .scheduling.plan import Plan, plan
from .scheduling.schedule import Schedule, schedule
from .scheduling.slots import Prepared
from .sources import described_sources, kernel_names
from .suggest import listed
from .target import Target
from .targets import CPU, target_named


@dataclass(frozen=True)
class Report:
    """What compiling cost and gave.

    Attributes:
        kernels: distinct kernels.
        launches: launches of one call that is not tiled.
        cache_hits: kernels that were compiled before, in this or another process.
        compile_seconds: from graph to loaded kernels.
        arena_bytes: memory for intermediate values, one sample.
        weight_bytes: memory for prepared weights.
    """

    kernels: int
    launches: int
    cache_hits: int
    compile_seconds: float
    arena_bytes: int
    weight_bytes: int

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(repr=False)
class Executable:
    """A compiled graph. Call it with arrays, after ``set_parameters`` if it has parameters."""

    target: Target[Any]
    stages: Stages
    schedule: Schedule
    plan: Plan
    program: Program
    decisions: Decisions
    loaded: Executor | None  # None where this machine cannot run the program
    compile_seconds: float
    _weights: _Weights

    def __repr__(self) -> str:
        program = self.program
        counts = f"{len(program.kernels)} kernels, {program.launches} launches"
        return f"<executable {program.name}: {counts}>"

    @property
    def graph(self) -> Graph:
        """The graph after the last pass."""
        return self.stages.last

    @property
    def executor(self) -> Executor:
        """What runs the program; raises ``IRError`` where this machine cannot."""
        if self.loaded is None:
            raise self._foreign()
        return self.loaded

    @property
    def source(self) -> dict[str, str]:
        """The generated text of each kernel, by a name unique within this program.

        It begins with a comment on the launches, layers and lines that the kernel serves here.
        What is compiled, ``program.kernels``, has none: models share it.
        """
        return described_sources(self.program, self.schedule)

    @property
    def source_path(self) -> dict[str, Path]:
        """Where each kernel's text lies in the cache."""
        paths = (kernel.path for kernel in self.executor.kernels)
        return dict(zip(kernel_names(self.program), paths, strict=True))

    @property
    def report(self) -> Report:
        program = self.program
        shapes = [
            tuple(size if isinstance(size, int) else 1 for size in program.slots[i].shape)
            for i in program.inputs
        ]
        slots = [program.slots[i] for i in program.constants]
        return Report(
            len(program.kernels),
            program.launches,
            0 if self.loaded is None else sum(kernel.cached for kernel in self.loaded.kernels),
            self.compile_seconds,
            place(program, solved(program, shapes), config.threads).arena_bytes,
            sum(int(slot.bytes) for slot in slots if isinstance(slot.bytes, int)),
        )

    def set_parameters(self, values: Mapping[str, np.ndarray]) -> None:
        """Prepares the weights: folded, packed, copied to where the kernels read them.

        Sets the state too. Raises ``ValueError`` naming a parameter that is missing, or has
        another shape or a dtype that does not become its own.
        """
        names = {node.attrs["name"] for node in self._weights.graph.parameters}
        self.bind_parameters({name: np.array(values[name]) for name in values if name in names})

    def bind_parameters(self, values: Mapping[str, np.ndarray]) -> None:
        """Like ``set_parameters``, for arrays that do not change until the next call.

        They are kept and not copied.
        """
        self._weights.prepare(values, self.executor)

    @property
    def state(self) -> Mapping[str, np.ndarray]:
        """The parameters that calls update, by name: copies of their values."""
        return {name: buffer.read().copy() for name, buffer in self.executor.state.items()}

    def __call__(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """The outputs for these inputs, as new arrays in the graph's order.

        Raises:
            ValueError: the arrays do not fit the graph's inputs: shapes, dtypes, layout in memory;
                parameters were not set; results are not finite, under ``config.check_finite``.
            TypeError: one is no numpy array.
        """
        if self._weights.values is None:
            raise self._unset()
        return self._checked(arrays) if config.check_finite else self.executor(*arrays)

    def _checked(self, arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """As a call, but what is not finite is an error, and leaves the state as it was."""
        return call_checked(self.executor, arrays, partial(self._not_finite, arrays))

    def _not_finite(
        self, arrays: tuple[np.ndarray, ...], state: Mapping[str, np.ndarray]
    ) -> IRError:
        values = {**(self._weights.values or {}), **state}
        return not_finite(self.stages[TRACE], arrays, values, partial(self._to_blame, arrays))

    def _to_blame(self, arrays: tuple[np.ndarray, ...]) -> str:
        """The first kernel whose result is not finite, where every op computed alone is."""
        label = first_not_finite(self.executor, arrays)
        kernel = "no kernel that runs on its own" if label is None else f"{label}, in its kernel"
        return f"{kernel}; every op computed alone is finite"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the program with its weights and state to a file, for ``load_program``.

        It holds for programs of this target and this version of the kernels, and is replaced at
        once or not at all.

        Raises:
            ValueError: parameters were not set; this machine does not run the program.
            OSError: the file cannot be written.
        """
        if self._weights.values is None:
            raise self._unset()
        save_program(path, self.program, self.plan.kernels, self.executor)

    def _foreign(self) -> IRError:
        here = " or ".join(map(repr, targets_here()))
        return IRError(
            f"{self.program.name}: compiled for {self.program.target!r}, which this machine "
            f"does not run; it runs {here}. Compile for one of these to run it here"
        )

    def _unset(self) -> IRError:
        if self.loaded is None:
            return self._foreign()
        names = ", ".join(f"${node.attrs['name']}" for node in self._weights.graph.parameters)
        return IRError(
            f"{self.program.name}: expected values for {names}; received none. Pass them to "
            "set_parameters({name: array, ...}) before the call"
        )


def compile_graph(
    graph: Graph,
    *,
    passes: str | Iterable[str] = "default",
    disable: str | Iterable[str] = (),
    stop_after: str | None = None,
    unroll: bool | int | None = None,
    target: str | Target[Any] = CPU,
    threads: int | None = None,
    state: Mapping[str, Buffer] | None = None,
) -> Executable:
    """Compiles ``graph``; raises ``IRError`` or ``ValueError`` where that is not possible.

    An executable for another target than this machine can be inspected, but not run. ``state``
    gives buffers for parameters that the graph updates: calls read and write them. Others are the
    executable's own, set by ``set_parameters``.
    """
    start = time.perf_counter()
    passes, disable = listed(passes), listed(disable)
    decisions = Decisions()
    aim = target_named(target) if isinstance(target, str) else target
    stages = optimize(graph, aim, passes, disable, stop_after, decisions, unroll)
    final = stages.last
    scheduled = lower(schedule(final, aim), aim)
    later = {
        name
        for name in (FORK, TILE)
        if (name in passes or "default" in passes) and name not in disable and stop_after is None
    }
    if FORK in later:
        scheduled = aim.fork(scheduled, decisions)
    tiles = divided(aim.tiles(scheduled, decisions), scheduled) if TILE in later else ()
    planned = plan(scheduled, tiles)
    program = emit(planned, aim)
    executor = Executor(program, threads, state) if runs_here(aim.name) else None
    seconds = time.perf_counter() - start
    weights = _Weights(final, planned.prepared)
    executable = Executable(
        aim, stages, scheduled, planned, program, decisions, executor, seconds, weights
    )
    if executor is not None:
        executor.on_empty = partial(_empty, graph, weights, executor)
        if not final.parameters:
            executable.set_parameters({})
    return executable


def _empty(
    graph: Graph, weights: _Weights, executor: Executor, arrays: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, ...]:
    """The results for empty inputs: empty too, except for reductions over no elements."""
    bindings = bind_sizes(graph, [array.shape for array in arrays])
    types = [node.tensor_type for node in graph.returned]
    shapes = [tuple(size_of(size, bindings) for size in type_.shape) for type_ in types]
    if all(0 in shape for shape in shapes):
        pairs = zip(shapes, types, strict=True)
        return tuple(np.empty(shape, type_.dtype.numpy) for shape, type_ in pairs)
    check_choices(graph, bindings)
    updated = {name: buffer.read() for name, buffer in executor.state.items()}
    results = evaluate(graph, arrays, {**(weights.values or {}), **updated})
    return tuple(result.copy() for result in results[: len(types)])


class _Weights:
    """Weight preprocessing: computes what depends on parameters alone, whenever they change.

    Attributes:
        values: those set last, by name; None before.
    """

    def __init__(self, graph: Graph, prepared: Mapping[int, Prepared]) -> None:
        self.graph = graph
        self.prepared = prepared
        self.values: Mapping[str, np.ndarray] | None = None
        values = dict.fromkeys(p.node for p in prepared.values())
        computed = [node for node in values if node.inputs]
        self.direct = [node for node in values if not node.inputs]
        self.preprocessing = Graph("preprocessing", (), tuple(computed))

    def prepare(self, values: Mapping[str, np.ndarray], executor: Executor) -> None:
        for node in self.graph.parameters:
            _check(node, values)
        for name, buffer in executor.state.items():
            if not np.may_share_memory(buffer.read(), values[name]):
                buffer.write(values[name])
        arrays: dict[Node, np.ndarray] = {node: _leaf(node, values) for node in self.direct}
        if self.preprocessing.outputs:
            # In float64, rounded once: folding costs no accuracy.
            wanted = {
                node.attrs["name"]: values[node.attrs["name"]]
                for node in self.preprocessing.parameters
            }
            results = evaluate(self.preprocessing, (), wanted, dtype="float64")
            arrays.update(zip(self.preprocessing.outputs, results, strict=True))
        for slot, prepared in self.prepared.items():
            array = arrays[prepared.node].astype(prepared.node.dtype.numpy, copy=False)
            packing = prepared.packing
            packed = array if packing is None else packing.pack(array)
            executor.set_constant(slot, packed)
        self.values = values


def _leaf(node: Node, values: Mapping[str, np.ndarray]) -> np.ndarray:
    if node.op.name == "constant":
        array: np.ndarray = node.attrs["value"].array
        return array
    return values[node.attrs["name"]]


def _check(node: Node, values: Mapping[str, np.ndarray]) -> None:
    name = node.attrs["name"]
    if name not in values:
        given = ", ".join(values) or "none"
        raise ValueError(f"parameter ${name}: expected a value of type {node.type}; given: {given}")
    if tuple(values[name].shape) != tuple(node.shape):
        raise ValueError(
            f"parameter ${name}: expected shape {node.shape}, got {tuple(values[name].shape)}"
        )
    if not np.can_cast(values[name].dtype, node.dtype.numpy, "same_kind"):
        raise ValueError(f"parameter ${name}: expected {node.dtype}, got {values[name].dtype}")
