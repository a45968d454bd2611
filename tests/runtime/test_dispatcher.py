"""The interpreter against a plain interpreter of the same table: loops, tiles, patches, nesting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from keraunos.runtime.cpu.dispatcher import LAUNCH, LOOP, TILE, Dispatch, TableError
from keraunos.runtime.cpu.toolchain import KERNELS

from .conftest import kernel_source

# Adds one to its share of n elements from x[offset] on.
ADD = """
x = pointer_i64(args[0])
offset = args[1]
n = args[2]
for i in range(thread * n // threads, (thread + 1) * n // threads):
    put(x, offset + i, get(x, offset + i) + args[3])
"""
# Writes (value, thread, threads) to a log and moves its end; for serial rows.
NOTE = """
log = pointer_i64(args[0])
end = get(log, 0)
put(log, end, args[1])
put(log, end + 1, thread)
put(log, end + 2, threads)
put(log, 0, end + 3)
"""
# Claims of launches of three tasks, one and two, by a thread whose number is the second argument.
CLAIMS = """
progress = pointer_i64(args[0])
claimed = pointer_i64(args[1])
put(claimed, 0, claim_seat(progress, 0, 3, args[2]))
put(claimed, 1, claim_seat(progress, 0, 3, 1))
put(claimed, 2, claim_seat(progress, 0, 3, args[2]))
put(claimed, 3, claim_seat(progress, 0, 3, 0))
put(claimed, 4, claim(progress, 4))
put(claimed, 5, claim_seat(progress, 0, 3, 1))
put(claimed, 6, claim_seat(progress, 4, 6, 1))
put(claimed, 7, claim_seat(progress, 4, 6, 1))
put(claimed, 8, claim(progress, 6))
"""
# y[i] = x[n - 1 - i] + 1: every thread reads what others wrote, so a lost barrier shows.
REVERSE = """
x = pointer_i64(args[0])
y = pointer_i64(args[1])
n = args[2]
for i in range(thread * n // threads, (thread + 1) * n // threads):
    put(y, i, get(x, n - 1 - i) + 1)
"""


@dataclass
class Table:
    """Builds rows; `patches` of a launch are (argument, counter, coefficient)."""

    rows: list[list[int]] = field(default_factory=list)
    args: list[int] = field(default_factory=list)
    patches: list[int] = field(default_factory=list)
    keep: list[Any] = field(default_factory=list)

    def launch(
        self,
        body: str,
        *arguments: Any,
        serial: bool = False,
        barrier: bool = True,
        patches: tuple[tuple[int, int, int], ...] = (),
    ) -> Table:
        address = KERNELS.load(kernel_source(body)).address
        words = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments]
        here, there = len(self.args), len(self.patches)
        count = len(patches)
        self.rows.append([LAUNCH, barrier, address, here, len(words), there, count, serial])
        self.args += words
        self.patches += [word for patch in patches for word in patch]
        self.keep += arguments
        return self

    def tile(self, body: int, total: int, tile: int, start: int, count: int) -> Table:
        self.rows.append([TILE, 1, body, total, tile, start, count, 0])
        return self

    def loop(self, body: int, trips: int, counter: int, parity: int = 0) -> Table:
        self.rows.append([LOOP, 1, body, trips, counter, parity, 0, 0])
        return self

    def dispatch(self, threads: int, profile: bool = False) -> Dispatch:
        return Dispatch(
            np.array(self.rows, np.int64).reshape(-1, 8),
            np.array(self.args, np.int64),
            np.array(self.patches, np.int64),
            counters=8,
            threads=threads,
            profile=profile,
        )


THREADS = pytest.mark.parametrize("threads", [1, 2, 3, 5])


@THREADS
def test_barriers_order_launches(threads: int) -> None:
    n = 1001
    x, y = np.arange(n), np.zeros(n, np.int64)
    table = Table()
    for _ in range(50):
        table.launch(REVERSE, x, y, n).launch(REVERSE, y, x, n)
    table.dispatch(threads).run()
    np.testing.assert_array_equal(x, np.arange(n) + 100)


@THREADS
def test_loop_honours_barriers(threads: int) -> None:
    n = 333
    x, y = np.arange(n), np.zeros(n, np.int64)
    Table().loop(2, 40, 1).launch(REVERSE, x, y, n).launch(REVERSE, y, x, n).dispatch(threads).run()
    np.testing.assert_array_equal(x, np.arange(n) + 80)


@THREADS
def test_serial_launch_runs_once(threads: int) -> None:
    log = np.zeros(64, np.int64)
    log[0] = 1
    table = Table().launch(NOTE, log, 11, serial=True).launch(NOTE, log, 12, serial=True)
    table.dispatch(threads).run()
    assert log[1:7].tolist() == [11, 0, 1, 12, 0, 1]


@pytest.mark.parametrize(("own", "left"), [(2, 0), (1, 2), (0, 2)])
def test_a_thread_takes_its_own_task_while_nobody_has_it(
    run_kernel: Callable[..., None], own: int, left: int
) -> None:
    progress, claimed = np.zeros(32, np.int64), np.full(9, -9, np.int64)
    run_kernel(CLAIMS, progress, claimed, own)
    second = 1 if own != 1 else 0
    assert claimed.tolist() == [own, second, left, -1, 3, -1, 1, 0, -1]


@THREADS
def test_spread_launch_has_a_part_for_each_thread(threads: int) -> None:
    seen = np.zeros((threads, 16), np.int64)
    body = "put(pointer_i64(args[0]), thread * 16, threads)"
    Table().launch(body, seen).dispatch(threads).run()
    assert np.all(seen[:, 0] == threads)


@THREADS
@pytest.mark.parametrize("tasks", [1, 2, 7, 40])
def test_every_part_runs_once(threads: int, tasks: int) -> None:
    seen = np.zeros(tasks, np.int64)
    body = "put(pointer_i64(args[0]), thread, get(pointer_i64(args[0]), thread) + threads)"
    table = Table()
    for _ in range(20):
        table.launch(body, seen)
        table.rows[-1][7] = tasks
    table.dispatch(threads).run()
    assert np.all(seen == 20 * tasks)


@THREADS
@pytest.mark.parametrize(("total", "tile"), [(0, 4), (1, 4), (7, 3), (100, 8), (101, 1000)])
def test_tile_covers_every_sample_once(threads: int, total: int, tile: int) -> None:
    width = 3
    x = np.zeros((total + 1, width), np.int64)
    body = """
x = pointer_i64(args[0])
for i in range(args[1], args[1] + args[2] * 3):
    put(x, i, get(x, i) + 1 + 100 * thread + 1000 * (threads - 1))
assert_small = args[2]
"""
    table = Table().tile(2, total, tile, 1, 2)
    table.launch(body, x, 0, 0, patches=((1, 1, width), (2, 2, 1)))
    table.launch(ADD, x, 0, 0, 10, patches=((1, 1, width), (2, 2, width)))
    table.dispatch(threads).run()
    assert np.all(x[:total] == 11)
    assert not x[total:].any()


@THREADS
def test_tile_chunks_are_at_most_the_tile(threads: int) -> None:
    sizes = np.zeros(100, np.int64)
    body = "put(pointer_i64(args[0]), args[1], args[2])"
    table = Table().tile(1, 100, 7, 3, 4)
    table.launch(body, sizes, 0, 0, patches=((1, 3, 1), (2, 4, 1)))
    table.dispatch(threads).run()
    assert sizes.sum() == 100
    assert sizes.max() <= 7
    starts = np.flatnonzero(sizes)
    np.testing.assert_array_equal(starts, np.cumsum(np.append(0, sizes[starts]))[:-1])


@THREADS
def test_loop_counter_patches_arguments(threads: int) -> None:
    x = np.zeros((9, 64), np.int64)
    table = Table().loop(1, 9, 5).launch(ADD, x, 0, 64, 1, patches=((1, 5, 64), (3, 5, 2)))
    dispatch = table.dispatch(threads)
    dispatch.run()
    dispatch.run()  # arguments themselves are untouched
    np.testing.assert_array_equal(x, np.repeat(2 * (1 + 2 * np.arange(9)), 64).reshape(9, 64))


@THREADS
@pytest.mark.parametrize("trips", [0, 1, 2, 7])
def test_parity_alternates_between_two_places(threads: int, trips: int) -> None:
    """Each trip reads what the last one wrote; a loop starts with the first place."""
    places = np.zeros((2, 640), np.int64)
    table = Table().loop(3, 2, 1).loop(1, trips, 2, 3)
    table.launch(
        """
x = pointer_i64(args[0])
for i in range(640 * thread // threads, 640 * (thread + 1) // threads):
    put(x, args[2] + i, 2 * get(x, args[1] + 639 - i) + args[3])
""",
        places,
        0,
        640,
        1,
        patches=((1, 3, 640), (2, 3, -640)),
    )
    # Between the trips of the outer loop the result goes back to the first place.
    table.launch(
        """
x = pointer_i64(args[0])
for i in range(640):
    put(x, i, get(x, args[1] + i))
""",
        places,
        640 * (trips % 2),
        serial=True,
    )
    table.dispatch(threads).run()
    assert np.all(places[0] == 2 ** (2 * trips) - 1)


@THREADS
def test_loop_in_tile_in_loop(threads: int) -> None:
    outer, samples, inner = 3, 37, 4
    x = np.zeros((samples, inner), np.int64)
    after = np.zeros(samples * inner, np.int64)
    table = Table().loop(6, outer, 1)
    table.tile(2, samples, 5, 2, 3).loop(1, inner, 4)
    table.launch(
        """
x = pointer_i64(args[0])
for i in range(args[2]):
    j = (args[1] + i) * 4 + args[3]
    put(x, j, get(x, j) * 10 + args[4])
""",
        x,
        0,
        0,
        0,
        1,
        patches=((1, 2, 1), (2, 3, 1), (3, 4, 1), (4, 1, 1)),
    )
    table.launch(REVERSE, x, after, x.size)
    table.launch(REVERSE, after, x, x.size)
    table.launch(ADD, x, 0, x.size, -2)
    table.dispatch(threads).run()
    assert np.all(x == 123)


@THREADS
def test_tile_in_tile_takes_everything(threads: int) -> None:
    x = np.zeros((6, 10), np.int64)
    table = Table().tile(2, 6, 2, 1, 2).tile(1, 10, 3, 3, 4)
    table.launch(
        """
x = pointer_i64(args[0])
for r in range(args[1], args[1] + args[2]):
    for c in range(args[3], args[3] + args[4]):
        put(x, r * 10 + c, get(x, r * 10 + c) + 1)
""",
        x,
        0,
        0,
        0,
        0,
        patches=((1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 4, 1)),
    )
    table.dispatch(threads).run()
    assert np.all(x == 1)


@THREADS
def test_empty_loops_are_skipped_with_their_bodies(threads: int) -> None:
    log = np.zeros(32, np.int64)
    log[0] = 1
    table = Table().loop(2, 0, 1).tile(1, 5, 2, 2, 3).launch(NOTE, log, 1)
    table.tile(1, 0, 2, 2, 3).launch(NOTE, log, 2)
    table.launch(NOTE, log, 3, serial=True)
    table.dispatch(threads).run()
    assert log[:4].tolist() == [4, 3, 0, 1]


def test_counter_zero_is_the_thread() -> None:
    x = np.zeros(64, np.int64)
    body = "put(pointer_i64(args[0]), args[1], thread + 1)"
    Table().launch(body, x, 0, patches=((1, 0, 16),)).dispatch(3).run()
    by_thread = x[:48:16]
    assert set(by_thread.tolist()) <= {0, 1, 2, 3}
    assert by_thread.max() == 3
    assert x.sum() == by_thread.sum()


def test_a_smaller_team_does_the_same() -> None:
    x, y = np.arange(100), np.zeros(100, np.int64)
    dispatch = Table().launch(REVERSE, x, y, 100).launch(REVERSE, y, x, 100).dispatch(4)
    for threads in (4, 1, 2, 3, 4, 9):
        dispatch.run(threads)
    np.testing.assert_array_equal(x, np.arange(100) + 12)


def test_an_empty_table_runs() -> None:
    Table().dispatch(2).run()


def test_several_python_threads_at_once() -> None:
    """More threads than cores, each with a pool and arrays of its own."""
    start = threading.Barrier(4)

    def work(seed: int) -> np.ndarray:
        x, y = np.arange(200) + seed, np.zeros(200, np.int64)
        table = Table().loop(2, 10, 1).launch(REVERSE, x, y, 200).launch(REVERSE, y, x, 200)
        dispatch = table.dispatch(2)
        start.wait()
        for _ in range(25):
            dispatch.run()
        return x

    with ThreadPoolExecutor(4) as pool:
        for seed, x in enumerate(pool.map(work, range(4))):
            np.testing.assert_array_equal(x, np.arange(200) + seed + 500)


def test_profile_counts_nanoseconds() -> None:
    x = np.zeros(1000, np.int64)
    table = Table().loop(1, 1000, 1).launch(ADD, x, 0, 1000, 1).launch(ADD, x, 0, 10, 1)
    dispatch = table.dispatch(2, profile=True)
    dispatch.run()
    loop, body, last = dispatch.times.tolist()
    assert loop == 0
    assert body > last > 0
    assert body < 10e9
    dispatch.run()
    assert dispatch.times[1] > body
    dispatch.start_timing()
    assert not dispatch.times.any()
    assert not Table().launch(ADD, x, 0, 10, 1).dispatch(2).times.any()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[3, 0, 0, 0, 0, 0, 0, 0]], "row 0: expected operation 0, 1 or 2, got 3"),
        ([[LOOP, 0, 2, 1, 1, 0, 0, 0], [LAUNCH] + [0] * 7], "row 0: its body of 2 rows"),
        ([[LOOP, 0, 0, 1, 9, 0, 0, 0]], "row 0: expected counters 1 to 3"),
        ([[LOOP, 0, 0, 1, 0, 0, 0, 0]], "row 0: expected counters 1 to 3"),
        ([[LOOP, 0, 0, 1, 1, 9, 0, 0]], "row 0: expected counters 1 to 3"),
        ([[TILE, 0, 0, 1, 0, 1, 2, 0]], "row 0: expected a tile of 1 or more"),
        ([[LAUNCH, 0, 1, 0, 5, 0, 0, 0]], "arguments outside the 2 there are"),
        ([[LAUNCH, 0, 1, 0, 1, 0, 2, 0]], "patches outside the 1 there are"),
        ([[LOOP, 0, 17 - k, 1, 1, 0, 0, 0] for k in range(18)], "nested more than 16 deep"),
        (
            [[LOOP, 0, 1, 1, 1, 0, 0, 0], [LOOP, 0, 1, 1, 1, 0, 0, 0], [LAUNCH] + [0] * 7],
            "row 1: its body of 1 rows does not fit",
        ),
    ],
)
def test_malformed_tables_are_refused(rows: list[list[int]], message: str) -> None:
    with pytest.raises(TableError, match=message):
        Dispatch(np.array(rows), np.zeros(2, np.int64), np.array([0, 1, 1]), counters=4, threads=1)


def test_arrays_must_be_int64() -> None:
    rows = np.zeros((1, 8), np.int32)
    with pytest.raises(TableError, match="code: expected an int64 array, got int32"):
        Dispatch(rows, np.zeros(0, np.int64), np.zeros(0, np.int64))  # type: ignore[arg-type]
