"""Measures what the model of costs cannot tell of a machine; see ``runtime/cpu/calibration.py``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from ...runtime.config import config
from ...runtime.cpu.calibration import Figures
from ...runtime.cpu.host import Host, host
from ..ir.graph import Graph
from ..ir.types import FLOAT32, TensorType
from ..ops import matmul
from ..ops.core import input_, parameter
from ..target import CompiledFor
from .engines.fma import Fma
from .target import CpuTarget

Run = Callable[[], object]
# Seconds of each of some functions, given a clock.
Measure = Callable[[Sequence[Run], Callable[[], float]], list[float]]

# Rows, depth and channels of products: one in a core's caches, one whose weights are beyond them.
IN_CACHE, IN_MEMORY = (192, 256, 256), (48, 2048, 512)
POOL = (1536, 256, 256)
MEMORY_BYTES = 2**27  # more than caches hold
ROUND_SECONDS, SECONDS = 0.01, 0.5  # a function's turn; all the turns of one
GAIN = 0.98  # a loop that is not the table's is to be so much faster
VARIANTS = ((1, True), (1, False), (2, True), (2, False), (4, False))


def fastest(runs: Sequence[Run], clock: Callable[[], float]) -> list[float]:
    """Seconds of the fastest of many runs of each, in turn: what slows one slows its neighbours."""
    best = [math.inf] * len(runs)
    for _ in range(round(SECONDS / ROUND_SECONDS)):
        for index, run in enumerate(runs):
            stop = time.perf_counter() + ROUND_SECONDS
            while time.perf_counter() < stop:
                start = clock()
                run()
                best[index] = min(best[index], clock() - start)
    return best


def calibrate(compiled: CompiledFor, measure: Measure = fastest) -> Figures:
    """The figures of this machine, measured in some ten seconds; ``keep_figures`` keeps them.

    ``compiled`` gives executables, ``measure`` the seconds of functions, as ``fastest`` does.
    """
    usual, threads = host(), config.threads
    machines = [
        replace(usual, unrolled=steps, prefetches=prefetching) for steps, prefetching in VARIANTS
    ]
    with config.update(threads=1):
        runs = [
            _product(machine, size, compiled)
            for size in (IN_CACHE, IN_MEMORY)
            for machine in machines
        ]
        # The time of a thread: what others on the machine do counts less.
        seconds = measure(runs, time.thread_time)
    in_cache, in_memory = seconds[: len(VARIANTS)], seconds[len(VARIANTS) :]
    engine = Fma(machine=usual)
    chosen = _best(in_cache, in_memory, VARIANTS.index((engine.unrolled, engine.prefetches)))
    (whole,) = measure([_product(machines[chosen], POOL, compiled)], time.perf_counter)
    read, written = measure(_memory(), time.thread_time)
    with ThreadPoolExecutor(threads) as pool:
        (read_by_all,) = measure([_memory_of_all(pool, threads)], time.perf_counter)
    return Figures(
        thread_gflops=2 * math.prod(IN_CACHE) / min(in_cache) / 1e9,
        pool_gflops=2 * math.prod(POOL) / whole / 1e9,
        threads=threads,
        read_gbs=MEMORY_BYTES / read / 1e9,
        write_gbs=MEMORY_BYTES / written / 1e9,
        team_read_gbs=MEMORY_BYTES / read_by_all / 1e9,
        unrolled=VARIANTS[chosen][0],
        prefetches=VARIANTS[chosen][1],
    )


def _best(in_cache: Sequence[float], in_memory: Sequence[float], usual: int) -> int:
    """Which loop is the fastest for both products; the usual one unless that is clearly slower."""
    times = [
        (n / in_cache[usual] + f / in_memory[usual]) / 2
        for n, f in zip(in_cache, in_memory, strict=True)
    ]
    best = min(range(len(times)), key=lambda index: times[index])
    return best if times[best] < GAIN else usual


def _product(machine: Host, size: tuple[int, int, int], compiled: CompiledFor) -> Run:
    """A call of a matrix product whose kernel is generated for ``machine``."""
    rows, depth, channels = size
    x = input_("x", TensorType(FLOAT32, (rows, depth)))
    k = parameter("k", TensorType(FLOAT32, (depth, channels)))
    target = CpuTarget(f"cpu:{machine.vectors}", machine)
    run = compiled(Graph("calibrate", (x,), (matmul(x, k),)), target=target)
    run.set_parameters({"k": np.ones((depth, channels), np.float32)})
    values = np.ones((rows, depth), np.float32)
    return lambda: run(values)


def _memory() -> tuple[Run, Run]:
    """Reads and writes more memory than caches hold."""
    values = np.ones(MEMORY_BYTES // 8, np.int64)
    return lambda: np.bitwise_or.reduce(values), lambda: values.fill(1)


def _memory_of_all(pool: ThreadPoolExecutor, threads: int) -> Run:
    """Reads such memory by all threads, each its share; numpy lets them run side by side."""
    shares = np.array_split(np.ones(MEMORY_BYTES // 8, np.int64), threads)
    return lambda: list(pool.map(np.bitwise_or.reduce, shares))
