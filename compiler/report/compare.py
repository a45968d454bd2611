"""``compare()``: one graph compiled in several ways, timed side by side, held against float64.

The baseline ``none`` runs the same kernels with the same vector code, one op at a time; each
further variant adds a pass. Runs of the variants take turns, so that what else the machine does
falls on all of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from ...runtime.dim import evaluate as size_of
from ...runtime.program import BranchRow, Program, TileRow
from ..executable import Executable, compile_graph
from ..ir.evaluate import evaluate
from ..ir.graph import Graph, IRError
from ..ops.registry import ops
from ..pipeline import FORK, TILE, mandatory, passes_for, stage_names
from ..suggest import did_you_mean, listed
from ..targets import CPU, target_named
from .comparison import DEFAULT, NONE, Comparison, Options, Variant

Arrays: TypeAlias = Sequence[np.ndarray]
Variants: TypeAlias = "str | Iterable[str] | Mapping[str, Options] | None"

WARM_UPS = 3
SECONDS = 3.0  # spent on timing unless the caller says how often
FEWEST, MOST = 5, 200  # rounds
TURN_SECONDS = 1e-3  # a variant whose calls are shorter makes several in its turn


def compare_graph(
    graph: Graph,
    arrays: Arrays,
    parameters: Mapping[str, np.ndarray],
    variants: Variants = None,
    repeats: int | None = None,
    reference: bool = True,
) -> Comparison:
    """Compiles ``graph`` in several ways, checks each against float64, and times them in turn.

    Args:
        arrays: the inputs, C-contiguous and of the graph's dtypes.
        variants: names among ``none``, ``+simplify``, ``+fuse``, ... and ``default``; or options
            of ``compile_graph`` by names of your own, such as
            ``{"no fusion": {"disable": ("fuse",)}}``. By default each pass added to those before,
            and of a graph with loops what becomes of these: ``rolled``, ``hoisted``,
            ``cell fused``, ``unrolled``, ``wavefront``; variants that make the same program as an
            earlier one are left out.
        repeats: rounds; by default what three seconds allow, between 5 and 200. In each round
            every variant is called once, or for a millisecond where calls are shorter.
        reference: whether to compute the error, which takes numpy a while on large networks.

    Raises:
        ValueError: an unknown variant or option, or inputs that do not fit.
    """
    if repeats is not None and repeats < 1:
        raise IRError(f"repeats: expected 1 or more, got {repeats}")
    chosen = _options(variants, graph)
    executables, same = _distinct(graph, chosen, keep_all=variants is not None)
    expected = evaluate(graph, arrays, parameters, "float64") if reference else None
    errors = {}
    for name, executable in executables.items():
        executable.set_parameters(parameters)
        errors[name] = _error(_results(executable, arrays), expected)
    times = _times(executables, arrays, repeats)
    sizes = next(iter(executables.values())).executor.sizes([array.shape for array in arrays])
    measured = tuple(
        _variant(name, chosen[name], executable, times[name], sizes, errors[name])
        for name, executable in executables.items()
    )
    return Comparison(graph.name, sizes, measured, same)


def cumulative_variants() -> dict[str, Options]:
    """``none``, then each pass added to those before, then forks and tiling: options by name."""
    variants: dict[str, Options] = {NONE: {"passes": "none"}}
    names: list[str] = []
    target = target_named(CPU)
    for stage, run in zip(stage_names(target), passes_for(target), strict=True):
        if run not in mandatory(target):
            names.append(stage)
            variants[f"+{stage}"] = {"passes": tuple(names)}
    variants[f"+{FORK}"] = {"passes": (*names, FORK)}
    return {**variants, f"+{TILE}": {"passes": "default"}, DEFAULT: {"passes": "default"}}


def loop_variants() -> dict[str, Options]:
    """What becomes of loops, each step added to those before: options by name."""
    names = stage_names(target_named(CPU))
    apart = ("wavefront", FORK, TILE)
    hoisted = tuple(name for name in names[: names.index("hoist") + 1] if name != "wavefront")
    return {
        "rolled": {"passes": NONE},
        "hoisted": {"passes": hoisted},
        "cell fused": {"disable": apart, "unroll": False},
        "unrolled": {"disable": apart, "unroll": True},
        "wavefront": {"disable": (TILE,), "unroll": True},
        DEFAULT: {"passes": DEFAULT},
    }


_OPTIONS = {"passes", "disable", "stop_after", "unroll"}


def _options(variants: Variants, graph: Graph) -> dict[str, Options]:
    if isinstance(variants, Mapping):
        for name, options in variants.items():
            if not isinstance(options, Mapping) or not set(options) <= _OPTIONS:
                raise IRError(
                    f"compare: expected options of variant {name!r} among "
                    f"{', '.join(sorted(_OPTIONS))}; got {options!r}"
                )
        return dict(variants)
    known = cumulative_variants()
    if any(node.op is ops.scan for node in graph.nodes):
        known |= loop_variants()
        if variants is None:
            return loop_variants()
    if variants is None:
        return known
    names = listed(variants)
    for name in names:
        if name not in known:
            raise IRError(
                f"compare: expected variants among {', '.join(known)}, or options by name such as "
                f"{{'no fusion': {{'disable': ('fuse',)}}}}; got {name!r}"
                f"{did_you_mean(name, known)}"
            )
    if not names:
        raise IRError("compare: expected at least one variant; got none")
    return {name: known[name] for name in names}


def _distinct(
    graph: Graph, chosen: Mapping[str, Options], keep_all: bool
) -> tuple[dict[str, Executable], dict[str, str]]:
    """The executables by variant, without those that are programs of earlier ones again."""
    executables: dict[str, Executable] = {}
    first: dict[Program, str] = {}
    same: dict[str, str] = {}
    for name, options in chosen.items():
        executable = compile_graph(graph, **options)
        earlier = first.setdefault(_without_labels(executable.program), name)
        if earlier == name or keep_all:
            executables[name] = executable
        else:
            same[name] = earlier
    return executables, same


def _without_labels(program: Program) -> Program:
    """What runs: labels and names of values aside."""
    rows = tuple(
        row if isinstance(row, (TileRow, BranchRow)) else replace(row, label="")
        for row in program.rows
    )
    slots = tuple(replace(slot, name="") for slot in program.slots)
    return replace(program, rows=rows, slots=slots)


def _results(executable: Executable, arrays: Arrays) -> Arrays:
    """The outputs of the first call, and the next values of what it updates."""
    outputs = executable(*arrays)
    updated = (executable.state[node.attrs["name"]].copy() for node in executable.graph.updates)
    return (*outputs, *updated)


def _error(results: Arrays, expected: Arrays | None) -> float | None:
    if expected is None:
        return None
    return max(map(_difference, results, expected), default=0.0)


def _difference(result: np.ndarray, expected: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.asarray(result, np.float64) - np.asarray(expected, np.float64))
    alike = (result == expected) | (np.isnan(result) & np.isnan(expected))
    apart = np.where(alike, 0.0, apart)
    return float(np.where(np.isnan(apart), np.inf, apart).max(initial=0.0))


def _times(
    executables: Mapping[str, Executable], arrays: Arrays, repeats: int | None
) -> dict[str, list[float]]:
    """Seconds of every timed call; the variants take turns, some calls at a time."""
    calls = {
        name: 1 + int(TURN_SECONDS / min(_timed_calls(executable, arrays, WARM_UPS)))
        for name, executable in executables.items()
    }
    times: dict[str, list[float]] = {name: [] for name in executables}
    names = list(executables)
    stop = time.perf_counter() + SECONDS
    for index in range(repeats or MOST):
        if repeats is None and index >= FEWEST and time.perf_counter() > stop:
            break
        # Each round starts with another variant: none always follows the same one.
        first = index % len(names)
        for name in (*names[first:], *names[:first]):
            times[name] += _timed_calls(executables[name], arrays, calls[name])
    return times


def _timed_calls(executable: Executable, arrays: Arrays, calls: int) -> list[float]:
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        executable(*arrays)
        seconds.append(time.perf_counter() - start)
    return seconds


def _variant(
    name: str,
    options: Options,
    executable: Executable,
    seconds: Sequence[float],
    sizes: Mapping[str, int],
    error: float | None,
) -> Variant:
    program = executable.program
    return Variant(
        name,
        options,
        tuple(sorted(seconds)),
        len(program.kernels),
        program.launches,
        size_of(program.bytes, sizes),
        executable.compile_seconds,
        sum(kernel.cached for kernel in executable.executor.kernels),
        error,
    )
