"""Traced calls, compiled: the one place where the frontend meets executables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compiler.evaluate import bind_sizes, evaluate
from ..compiler.nonfinite import first_nonfinite
from ..runtime.config import config
from ..runtime.dim import evaluate as size_of
from . import lazy
from .errors import UsageError
from .tracing import Traced
from .variable import Generation

if TYPE_CHECKING:
    from ..compiler.executable import Executable


def kept(programs: dict[Any, Program], key: Any, make: Callable[[], Program], most: int) -> Program:
    """The program under ``key``, made if need be; a new one replaces the oldest of ``most``."""
    if key not in programs:
        if len(programs) >= most:
            programs.pop(next(iter(programs)))
        programs[key] = make()
    return programs[key]


class Program:
    """A traced call and its executable, whose weights follow the variables.

    Those that the call updates are read and written where the variables keep them; calls of such a
    program come one after another.
    """

    def __init__(self, traced: Traced, executable: Executable | None = None) -> None:
        self.traced = traced
        self.executable = _compiled(traced) if executable is None else executable
        self.generation = -1
        self._updated = traced.updated
        kept = {id(variable) for variable in self._updated}
        self._read = [v for v in traced.variables.values() if id(v) not in kept]
        self._versions: tuple[int, ...] | None = None

    def __call__(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """One array per output. The arrays are of the graph's dtypes, and contiguous."""
        if Generation.count != self.generation:
            self.bind()
        if not all(array.size for array in arrays):
            return self._empty(arrays)
        results = self._checked(arrays) if config.check_finite else self.executable(*arrays)
        if self._updated:
            for variable in self._updated:
                variable.changed()
            self.generation = Generation.count
        return results

    def _checked(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """As a call, but what is not finite is an error, and leaves the weights as they were."""
        before = {name: value.copy() for name, value in self.traced.values().items()}
        results: tuple[np.ndarray, ...] = self.executable(*arrays)
        after = (variable.value for variable in self._updated)
        if all(np.isfinite(array).all() for array in (*results, *after)):
            return results
        for name, memory in self.traced.state().items():
            memory[...] = before[name]
        found = first_nonfinite(self.traced.graph, arrays, before)
        first = found or "every op computed alone is finite: the kernels differ, please report it"
        raise UsageError(f"{self.traced.graph.name}: expected finite results. The first: {first}")

    def bind(self) -> None:
        """Hands the weights over if one of them was assigned since the last time."""
        versions = tuple(variable.version for variable in self._read)
        if self.traced.variables and versions != self._versions:
            self.executable.set_parameters(self.traced.values())
            self._versions = versions
        self.generation = Generation.count

    def _empty(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The results of empty inputs: empty too, unless something is summed up over nothing."""
        graph = self.traced.graph
        bindings = bind_sizes(graph, [array.shape for array in arrays])
        types = [node.tensor_type for node in graph.returned]
        shapes = [tuple(size_of(size, bindings) for size in type_.shape) for type_ in types]
        if all(0 in shape for shape in shapes):
            pairs = zip(shapes, types, strict=True)
            return tuple(np.empty(shape, type_.dtype.numpy) for shape, type_ in pairs)
        return evaluate(graph, arrays, self.traced.values())[: len(types)]


def _compiled(traced: Traced) -> Executable:
    # Numba takes most of a second to import: it is loaded with the first program.
    compiler = lazy.load("..compiler.executable")
    executable: Executable = compiler.compile_graph(traced.graph, state=traced.state())
    return executable
