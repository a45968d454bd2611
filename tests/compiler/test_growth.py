"""Compile time follows the size of a graph: calls are counted, which no other load disturbs.

A model of three sizes ``n``, ``2 n``, ``3 n``: where each function is called in proportion, the
second step adds as many calls as the first. Pairs of nodes looked at would add more.
"""

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from counting import counted_calls
from here import HERE
from recurrent import input_, tanh_layer

import keraunos as keras
from keraunos import layers
from keraunos.compiler import ops
from keraunos.compiler.autodiff import grad
from keraunos.compiler.cpu.lower import lower_group
from keraunos.compiler.decisions import Decisions
from keraunos.compiler.emit import emit
from keraunos.compiler.ir.graph import Graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.verify import verify
from keraunos.compiler.pipeline import optimize
from keraunos.compiler.scheduling.lower import lower
from keraunos.compiler.scheduling.partial_order import Order
from keraunos.compiler.scheduling.plan import plan
from keraunos.compiler.scheduling.schedule import schedule
from keraunos.runtime.cpu.barriers import Touch, set_barriers
from keraunos.runtime.cpu.dispatcher import LAUNCH
from keraunos.runtime.memory import Interval, assign_offsets

N = 8  # of 3 N ops whole groups can be made, which are not proportional within
Build = Callable[[keras.KerasTensor, int], object]


def chain(x, n):
    for _ in range(n):
        x = layers.Dense(4, activation="tanh")(x)
    return x


def residual(x, n):
    for _ in range(n):
        x = layers.Add()([x, layers.Dense(4, activation="relu")(x)])
    return x


def elementwise(x, n):
    for _ in range(3 * n):
        x = keras.ops.sin(keras.ops.add(x, 1.5))
    return x


def wide_sum(x, n):
    return layers.Add()([layers.Dense(4)(x) for _ in range(n)])


def wide_concatenation(x, n):
    return layers.Concatenate()([layers.Dense(4)(x) for _ in range(n)])


def many_outputs(x, n):
    return [layers.Dense(4)(x) for _ in range(n)]


def many_uses(x, n):
    first = layers.Dense(4)(x)
    for _ in range(3 * n):
        x = keras.ops.multiply(keras.ops.tanh(x), first)
    return x


def normalized(x, n):
    for _ in range(n):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(4)(x)))
    return x


def inference(build: Build, n: int) -> Graph:
    x = keras.Input((4,))
    return keras.trace(keras.Model(x, build(x, n)))


def training(build: Build, n: int) -> Graph:
    x = keras.Input((4,))
    model = keras.Model(x, build(x, n))
    model.compile("adam", "mse")
    size = model.output_shape[-1]
    return model.training_step(np.ones((2, 4), "f4"), np.ones((2, size), "f4")).graph


def compiled(graph: Graph) -> None:
    lowered = lower(schedule(optimize(graph, HERE).last, HERE), HERE)
    emit(plan(lowered, HERE.tiles(lowered, Decisions())), HERE)
    parse_ir(str(graph))


def calls(work: Callable[[], object]) -> dict[object, int]:
    """How often each function is called in ``work``."""
    gc.collect()
    with counted_calls() as counted:
        work()
    return {
        function: count
        for function, count in counted.by_function.items()
        if not _by_chance(function)
    }


def _by_chance(function: object) -> bool:
    """Keys of equal hashes are compared, and seeds out of range drawn again, by chance."""
    if isinstance(function, str):
        return "getrandbits" in function
    return isinstance(function, tuple) and function[0] == "<string>"


def assert_linear(work: Callable[[int], object]) -> None:
    work(2)  # what is done once
    one, two, three = (calls(lambda size=size: work(size)) for size in (N, 2 * N, 3 * N))
    assert sum(three.values()) > sum(one.values()) + N, "more is done for more"
    bent = {
        function: counts
        for function, last in three.items()
        if _bends(counts := (one.get(function, 0), two.get(function, 0), last))
    }
    assert not bent


def _bends(counts: tuple[int, int, int]) -> bool:
    """Whether counts grow faster than the size; the first may have what is done once, too."""
    one, two, three = counts
    return three - 2 * two + min(one, two) > 0.1 * three + 4 * N


@pytest.mark.parametrize(
    "build",
    [
        *(chain, residual, elementwise, wide_sum, wide_concatenation, many_outputs, many_uses),
        normalized,
    ],
)
def test_models_compile_in_proportion(build: Build) -> None:
    assert_linear(lambda n: compiled(inference(build, n)))


@pytest.mark.slow
@pytest.mark.parametrize("build", [residual, wide_sum, wide_concatenation, many_uses, normalized])
def test_other_training_steps_compile_in_proportion(build: Build) -> None:
    assert_linear(lambda n: compiled(training(build, n)))


def test_training_steps_are_traced_in_proportion() -> None:
    assert_linear(lambda n: training(chain, n))


@pytest.mark.slow
def test_training_steps_compile_in_proportion() -> None:
    assert_linear(lambda n: compiled(training(chain, n)))


def nested(n: int) -> keras.Model:
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(4)(x))
    for _ in range(n):
        x = keras.Input((4,))
        model = keras.Model(x, model(x))
    return model


def nested_stacks(n: int) -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    for _ in range(n):
        model = keras.Sequential([keras.Input((4,)), model])
    return model


def added(n: int) -> keras.Model:
    model = keras.Sequential([keras.Input((4,))])
    for _ in range(n):
        model.add(layers.Dense(4))
    return model


def popped(n: int) -> keras.Model:
    model = added(n)
    for _ in range(n):
        model.pop()
    return model


@pytest.mark.parametrize("make", [nested, nested_stacks, added, popped])
def test_models_are_put_together_in_proportion(make: Callable[[int], keras.Model]) -> None:
    assert_linear(make)


def test_nested_models_are_saved_and_loaded_in_proportion(tmp_path: Path) -> None:
    def saved_and_loaded(n: int) -> None:
        model = nested(n)
        model.save_weights(tmp_path / "nested.weights.h5")
        model.load_weights(tmp_path / "nested.weights.h5")

    assert_linear(saved_and_loaded)


def test_a_summary_walks_through_nested_models_once() -> None:
    def walked(n: int) -> int:
        model = nested(n)
        with counted_calls() as counted:
            model.summary(expand_nested=True, print_fn=len)
        places = counted.by_function.items()
        return sum(count for place, count in places if place[0].endswith("weights.py"))

    one, two, three = (walked(size) for size in (N, 2 * N, 3 * N))
    assert three - two == two - one > 0


def loops(n: int) -> Graph:
    """The gradient of ``n`` recurrent layers, each on what the one before gives."""
    x = states = input_("x", "f32[N, T, 4]")
    for i in range(n):
        _, states = tanh_layer(states, 4, f"layer_{i}")
    graph = Graph("loops", (x,), (ops.sum(ops.multiply(states, states), axes=(0, 1, 2)),))
    return grad(graph, graph.parameters)


def test_loops_are_optimized_in_proportion() -> None:
    passes = ["trim", "hoist", "retain", "sink", "inline"]
    assert_linear(lambda n: optimize(loops(n), HERE, passes=passes))


def test_the_gradient_of_a_loop_keeps_what_each_computed() -> None:
    """One forward and one backward loop a layer, whose products are stacked, not computed again."""
    last = optimize(loops(3), HERE)["sink"]
    assert sum(node.op is ops.scan for node in last.nodes) == 2 * 3


def fused_alike(n: int) -> None:
    optimize(inference(chain, n), HERE, passes=["expand", "fuse"])


def test_groups_are_found_without_looking_at_all_that_is_upstream() -> None:
    assert_linear(fused_alike)


def count(function: Callable[..., object], work: Callable[[], object]) -> int:
    """How often ``function`` is called in ``work``."""
    code = function.__code__
    return calls(work).get((code.co_filename, code.co_firstlineno, code.co_name), 0)


def test_groups_that_are_alike_are_lowered_once() -> None:
    graphs = (optimize(inference(chain, n), HERE).last for n in (N, 3 * N))
    few, many = (schedule(graph, HERE) for graph in graphs)
    once = count(lower_group, lambda: lower(few, HERE))
    assert 0 < once == count(lower_group, lambda: lower(many, HERE))
    steps = lower(many, HERE).steps
    assert len(steps) == 3 * N and len({id(step.launches) for step in steps}) < 4


def test_graphs_that_a_pass_leaves_as_they_are_were_verified_before() -> None:
    x = keras.Input((4,))
    graph = keras.trace(keras.Model(x, keras.ops.tanh(x)))
    assert all(after is graph for after in optimize(graph, HERE).values())
    assert count(verify, lambda: optimize(graph, HERE)) == 1


def test_an_order_is_kept_while_more_is_asked_for() -> None:
    """Each number waits for the one before; then every tenth for one a little further on."""
    assert_linear(lambda n: _ordered(40 * n))
    order = _ordered(2000)
    place = {number: rank for rank, number in enumerate(_sorted(order))}
    assert all(place[a] < place[b] for b, before in enumerate(order.before) for a in before)


def _ordered(n: int) -> Order:
    order = Order([[], *([i] for i in range(0, n, 2) for _ in range(2))])
    for later in range(0, n - 20, 10):
        assert order.put_before([later + 15], later + 1)
    return order


def _sorted(order: Order) -> list[int]:
    done: dict[int, None] = {}
    waiting = list(range(len(order.before)))
    while waiting:
        ready = [n for n in waiting if order.before[n] <= done.keys()]
        assert ready, "a circle"
        done.update(dict.fromkeys(ready))
        waiting = [n for n in waiting if n not in done]
    return list(done)


@pytest.mark.parametrize("seed", range(20))
def test_an_order_refuses_circles_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before: list[set[int]] = [
        set(map(int, rng.integers(0, i, 2))) if i else set() for i in range(30)
    ]
    order = Order(before)
    for _ in range(60):
        earlier, later = {int(rng.integers(30))}, int(rng.integers(30))
        if later in earlier:
            continue
        waits = _all_before(order.before, earlier)
        assert order.put_before(earlier, later) is (later not in waits)
    assert len(_sorted(order)) == 30


def _all_before(before: list[set[int]], numbers: set[int]) -> set[int]:
    found: set[int] = set()
    stack = [*numbers]
    while stack:
        number = stack.pop()
        if number not in found:
            found.add(number)
            stack.extend(before[number])
    return found


@pytest.mark.parametrize("seed", range(10))
def test_values_that_live_together_never_overlap_and_fill_gaps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts, sizes = rng.integers(0, 40, 60), rng.integers(0, 500, 60)
    intervals = [
        Interval(int(size), int(first), int(first + rng.integers(0, 6)))
        for first, size in zip(starts, sizes, strict=True)
    ]
    offsets, total = assign_offsets(intervals)
    rows = list(zip(offsets, intervals, strict=True))
    for i, (low, one) in enumerate(rows):
        assert low % 64 == 0 and low + one.bytes <= total
        for other_low, other in rows[:i]:
            if one.bytes and other.bytes and one.first <= other.last and other.first <= one.last:
                assert low + one.bytes <= other_low or other_low + other.bytes <= low
    alive = max(sum(i.bytes for i in intervals if i.first <= step <= i.last) for step in range(46))
    assert total < 1.6 * alive + 64 * 60


def test_many_rows_that_do_not_race_need_no_barriers() -> None:
    assert_linear(lambda n: _without_barriers(20 * n))


def _without_barriers(n: int) -> None:
    words = [[LAUNCH, 0, 0, 0, 0, 0, 0, 1] for _ in range(n)]

    def touches(row: int) -> list[Touch]:
        own = Touch(row, 64 * row, 64 * row + 64, True, False)
        return [Touch(n, -1 - n, -n, False, False), own]

    set_barriers(words, touches)
    assert not any(word[1] for word in words)


@pytest.mark.parametrize("seed", range(10))
def test_barriers_stand_where_pairs_race(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        [
            Touch(
                int(s),
                int(64 * s),
                int(64 * s + rng.integers(0, 200)),
                bool(rng.integers(2)),
                False,
            )
            for s in rng.integers(0, 40, 3)
        ]
        for _ in range(60)
    ]
    words = [[LAUNCH, 0, 0, 0, 0, 0, 0, 1] for _ in rows]
    set_barriers(words, lambda row: rows[row])
    expected, since = [0] * len(rows), []
    for row, touched in enumerate(rows):
        if any(a.conflicts(b) for a in since for b in touched):
            expected[row - 1], since = 1, []
        since = [*since, *touched]
    assert [word[1] for word in words] == expected
