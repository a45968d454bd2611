"""Which steps run beside one another on a CPU: those that have too little work for all threads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...runtime.config import config
from ...runtime.cpu.tasks import TASK_FLOPS, least_tasks, task_count
from ..decisions import Decision, Decisions
from ..durations import NO_TIME, USUAL_SIZE, Duration, size_of
from ..loops.layout import Launch
from ..scheduling.forks import Stretch, Threads, by_start, dependences, stretches, with_forks
from ..scheduling.schedule import Fork, Schedule, Step
from ..units import count_of

# Microseconds: of any launch, and of waiting at its end, for threads that share it or for one.
# Those that share one read what others wrote: lines of the cache go from core to core.
LAUNCH, SHARED, ALONE = 0.05, 2.0, 0.1
CACHE_BYTES = 60_000  # that a core reads from its second cache in a microsecond
RESUMED = 1.5  # microseconds to begin a piece of a loop: its carries are copied
REFILLED = 100_000  # bytes that reach the second cache in a microsecond from the third
MOST = 64  # samples: with more there is work for all threads in any step
MUCH, PIPELINE = 1.25, 6  # times what its own order saves; loops, three in two pieces or more
TRAINED = 8  # samples: hardly anybody trains with fewer


def fork(schedule: Schedule, decisions: Decisions) -> Schedule:
    """The schedule with the steps that are worth running beside one another, and the decision on
    them recorded."""
    least = TRAINED if schedule.graph.updates else 1
    count = config.threads
    threads = Threads(max(count, 2), SHARED)
    ordered, chosen, nearest = _best_order(schedule, threads, least)
    if chosen and count < 2:
        reason = "ONE_THREAD", f"{chosen[0].compared} with two"
        decisions.add(_decision(chosen[0], ordered, "declined", *reason))
        return schedule
    if not chosen and nearest is not None and nearest.overlap > SHARED:
        detail = f"{nearest.compared} at batch {least}: threads share each step"
        decisions.add(_decision(nearest, ordered, "declined", "BUSY_THREADS", detail))
    forks = []
    for stretch in chosen:
        most = _most(stretch, ordered, threads, least)
        detail = f"up to batch {most}: {stretch.compared} at batch {least}"
        decisions.add(_decision(stretch, ordered, "forked", "IDLE_THREADS", detail))
        forks.append(Fork(stretch.branches, most))
    return with_forks(ordered, forks)


def _best_order(
    schedule: Schedule, threads: Threads, samples: int
) -> tuple[Schedule, tuple[Stretch, ...], Stretch | None]:
    """The schedule in the order that saves most, with its stretches.

    Another order than its own is one for pieces of stacked loops, and has to save much more. It may
    keep values for longer, and part what tiles would hold together.
    """
    durations = [_duration(step, samples, threads.count) for step in schedule.steps]
    dependent = dependences(schedule)
    chosen, nearest = stretches(dependent, durations, threads)
    loops = sum(step.loop is not None for step in schedule.steps)
    if schedule.graph.updates or loops < PIPELINE:
        return schedule, chosen, nearest
    order = by_start(dependent, durations)
    other = replace(schedule, steps=tuple(schedule.steps[i] for i in order))
    found, _ = stretches(dependences(other), [durations[i] for i in order], threads)
    if _gain(found) > MUCH * _gain(chosen):
        return other, found, nearest
    return schedule, chosen, nearest


def _gain(found: Iterable[Stretch]) -> float:
    return sum(stretch.gain for stretch in found)


def _most(stretch: Stretch, schedule: Schedule, threads: Threads, least: int) -> int:
    """The most samples with which the stretch still pays."""
    numbers = [i for branch in stretch.branches for i in branch]
    most = least
    while 2 * most <= MOST:
        costs = {i: _duration(schedule.steps[i], 2 * most, threads.count) for i in numbers}
        if not threads.stretch(stretch.branches, costs).pays:
            break
        most *= 2
    return most


def duration(flops: int, bytes_: int, threads: int) -> Duration:
    """How long a launch takes whose operands are in the cache; see ``Costs.duration``."""
    work = max(flops / TASK_FLOPS, bytes_ / CACHE_BYTES)
    tasks = task_count(least_tasks(flops, bytes_), threads)
    # Whoever is free takes all tasks where that is sooner than that others come.
    shared = min(work + ALONE, work / min(tasks, threads) + SHARED)
    return Duration(LAUNCH + work, LAUNCH + shared)


def _duration(step: Step, samples: int, threads: int) -> Duration:
    each = (_duration(inner, samples, threads) for body in step.bodies for inner in body.steps)
    within = sum(each, start=NO_TIME)
    if step.loop is None:
        return _of_launches(step.launches, samples, threads) + within
    loop = step.loop
    copies = (launch for each in (*loop.starts, *loop.finals) for launch in each)
    steps = USUAL_SIZE if loop.steps is None else size_of(loop.steps, samples)
    return _of_launches(copies, samples, threads) + within * steps


def _of_launches(launches: Iterable[Launch], samples: int, threads: int) -> Duration:
    sizes = ((size_of(each.flops, samples), size_of(each.bytes, samples)) for each in launches)
    return sum((duration(*each, threads) for each in sizes), start=NO_TIME)


def _decision(
    stretch: Stretch, schedule: Schedule, action: str, reason: str, detail: str
) -> Decision:
    steps = [schedule.steps[i] for branch in stretch.branches for i in branch]
    layers = tuple(dict.fromkeys(layer for step in steps for layer in step.node.layers))
    pattern = count_of(len(stretch.branches), "branch")
    return Decision("fork", pattern, layers, action, reason, detail)
