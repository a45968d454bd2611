"""Where rows wait for one another: nowhere else, and wherever they would race."""

from __future__ import annotations

import random

import pytest
from tiers import seeds

from keraunos.runtime.cpu.barriers import Touch, set_barriers
from keraunos.runtime.cpu.dispatcher import LAUNCH, LOOP, TILE

pytestmark = pytest.mark.smoke


def touch(slot: int, write: bool, halo: bool = False) -> Touch:
    return Touch(slot, slot * 64, slot * 64 + 64, write, halo)


class Rows:
    """A table in the making, with what each row touches."""

    def __init__(self) -> None:
        self.words: list[list[int]] = []
        self.touched: list[list[Touch]] = []

    def launch(self, reads: str = "", writes: str = "", halo: bool = False) -> Rows:
        """``launch("ab", "c")``: reads values a and b, writes c."""
        self.words.append([LAUNCH, 0, 0, 0, 0, 0, 0, 0])
        touches = [touch(ord(name), False, halo) for name in reads]
        self.touched.append(touches + [touch(ord(name), True, halo) for name in writes])
        return self

    def loop(self, rows: int, trips: int = 3) -> Rows:
        self.words.append([LOOP, 0, rows, trips, 1, 0, 0, 0])
        self.touched.append([])
        return self

    def tile(self, rows: int, reads: str, writes: str) -> Rows:
        self.launch(reads, writes)
        self.words[-1] = [TILE, 1, rows, 8, 2, 1, 2, 0]
        return self

    def barriers(self) -> list[int]:
        """The rows after which there is one."""
        set_barriers(self.words, lambda row: self.touched[row])
        return [row for row, word in enumerate(self.words) if word[1]]


def test_readers_follow_the_writer_and_share_one_barrier():
    assert Rows().launch("a", "b").launch("b", "c").launch("b", "d").barriers() == [0]


def test_rows_that_share_nothing_or_only_read_do_not_wait():
    assert Rows().launch("a", "b").launch("a", "c").launch("a", "d").barriers() == []


def test_a_second_writer_and_a_writer_after_readers_wait():
    assert Rows().launch("a", "b").launch("c", "b").barriers() == [0]
    assert Rows().launch("a", "b").launch("c", "a").barriers() == [0]


def test_a_border_and_the_value_inside_are_written_at_once():
    rows = Rows().launch("", "b", halo=True).launch("a", "b").launch("b", "c")
    assert rows.barriers() == [1]


def test_a_tile_is_one_row_and_what_is_in_it_needs_nothing():
    rows = Rows().launch("", "a").tile(2, "ab", "bc").launch("a", "b").launch("b", "c")
    assert rows.launch("c", "d").barriers() == [0, 1]


def test_each_trip_waits_for_the_one_before():
    """The last row of the body writes what the first one reads."""
    assert Rows().loop(2).launch("h", "z").launch("z", "h").barriers() == [1, 2]


@pytest.mark.parametrize("trips", [2, 3])
def test_one_row_that_carries_waits_for_itself(trips):
    assert Rows().loop(1, trips).launch("h", "h").barriers() == [1]


def test_a_single_trip_of_rows_without_a_bond_needs_nothing():
    assert Rows().loop(2, trips=1).launch("a", "b").launch("a", "c").barriers() == []
    assert Rows().loop(2, trips=0).launch("h", "z").launch("z", "h").barriers() == []


def test_the_barrier_before_a_loop_stands_before_it():
    rows = Rows().launch("", "x").loop(2).launch("a", "b").launch("bx", "c")
    assert rows.barriers() == [0, 2, 3]


def test_after_a_loop_its_rows_since_the_last_barrier_count():
    rows = Rows().loop(2).launch("h", "z").launch("z", "h").launch("z", "y").launch("y", "w")
    # Every trip ended with a barrier, so the row after the loop waits for nothing.
    assert rows.barriers() == [1, 2, 3]


def test_a_loop_without_barriers_hides_nothing_before_it():
    rows = Rows().launch("", "x").loop(1).launch("a", "").launch("x", "y")
    assert rows.barriers() == [1]


def test_loops_nest():
    rows = Rows().loop(4).launch("", "c").loop(1).launch("c", "c").launch("c", "s")
    assert rows.barriers() == [1, 3, 4]


@pytest.mark.parametrize("seed", seeds(60, 200))
def test_random_tables_never_race(seed):
    """Unrolled, no row may touch what another wrote since the last barrier, or the reverse."""
    rng = random.Random(seed)
    rows = Rows()
    fill(rows, rng, depth=0)
    rows.barriers()
    since: list[Touch] = []
    for row in unrolled(rows.words, 0, len(rows.words)):
        if row is None:
            since = []
            continue
        assert not any(a.conflicts(b) for a in since for b in rows.touched[row])
        since += rows.touched[row]


def fill(rows: Rows, rng: random.Random, depth: int) -> None:
    for _ in range(rng.randint(1, 4)):
        if depth < 3 and rng.random() < 0.35:
            head = len(rows.words)
            rows.loop(0, rng.choice([0, 1, 2, 3]))
            fill(rows, rng, depth + 1)
            rows.words[head][2] = len(rows.words) - 1 - head
        else:
            rows.launch("".join(rng.sample("abcdef", 2)), rng.choice("abcdef"))


def unrolled(words: list[list[int]], first: int, end: int):
    """The launches as they run, None at each barrier."""
    while first < end:
        body = words[first][2] if words[first][0] == LOOP else 0
        if words[first][0] == LOOP:
            for _ in range(words[first][3]):
                yield from unrolled(words, first + 1, first + 1 + body)
        else:
            yield first
        if words[first][1]:
            yield None
        first += 1 + body
