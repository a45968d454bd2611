"""Which steps run beside one another on a CPU: those that have too little work for all threads."""

from __future__ import annotations

from collections.abc import Iterable

from ...runtime.config import config
from ...runtime.cpu.tasks import least_tasks, task_count
from ...runtime.dim import Size, evaluate, symbols_of
from ..decisions import Decision, Decisions
from ..loops.layout import Launch
from ..scheduling.forks import Cost, Stretch, Threads, dependences, stretches
from ..scheduling.schedule import Fork, Schedule, Step
from ..units import BATCH, count_of, format_seconds
from .segments import USUAL_SIZE

# Microseconds: of any launch, and of waiting at its end, for threads that share it or for one.
LAUNCH, SHARED, ALONE = 0.05, 1.0, 0.1
MOST = 64  # samples: with more there is work for all threads in any step
TRAINED = 8  # samples: hardly anybody trains with fewer


def choose_forks(schedule: Schedule, decisions: Decisions) -> tuple[Fork, ...]:
    """The steps worth running beside one another, with the decision on them recorded."""
    least = TRAINED if schedule.graph.updates else 1
    count = config.threads
    threads = Threads(max(count, 2), SHARED)
    costs = [_cost(step, least, threads.count) for step in schedule.steps]
    chosen, nearest = stretches(dependences(schedule), costs, threads)
    if chosen and count < 2:
        reason = "ONE_THREAD", f"{_compared(chosen[0])} with two"
        decisions.add(_decision(chosen[0], schedule, "declined", *reason))
        return ()
    if not chosen and nearest is not None and nearest.after > 0:
        detail = f"{_compared(nearest)} at batch {least}: threads share each step"
        decisions.add(_decision(nearest, schedule, "declined", "BUSY_THREADS", detail))
    forks = []
    for stretch in chosen:
        most = _most(stretch, schedule, threads, least)
        detail = f"up to batch {most}: {_compared(stretch)} at batch {least}"
        decisions.add(_decision(stretch, schedule, "forked", "IDLE_THREADS", detail))
        forks.append(Fork(stretch.branches, most))
    return tuple(forks)


def _most(stretch: Stretch, schedule: Schedule, threads: Threads, least: int) -> int:
    """The most samples with which the stretch still pays."""
    numbers = [i for branch in stretch.branches for i in branch]
    most = least
    while 2 * most <= MOST:
        costs = {i: _cost(schedule.steps[i], 2 * most, threads.count) for i in numbers}
        if not threads.stretch(stretch.branches, costs).pays:
            break
        most *= 2
    return most


def _cost(step: Step, samples: int, threads: int) -> Cost:
    if step.loop is None:
        return _total(_launch_cost(launch, samples, threads) for launch in step.launches)
    loop = step.loop
    copies = (launch for each in (*loop.starts, *loop.finals) for launch in each)
    around = _total(_launch_cost(launch, samples, threads) for launch in copies)
    body = _total(_cost(inner, samples, threads) for inner in loop.body.steps)
    steps = _sized(loop.steps, samples)
    return Cost(around.alone + steps * body.alone, around.shared + steps * body.shared)


def _launch_cost(launch: Launch, samples: int, threads: int) -> Cost:
    work = least_tasks(_sized(launch.flops, samples), _sized(launch.bytes, samples))
    tasks = task_count(work, threads)
    share = work / min(tasks, threads)
    return Cost(LAUNCH + work, LAUNCH + share + (SHARED if tasks > 1 else ALONE))


def _total(costs: Iterable[Cost]) -> Cost:
    found = list(costs)
    return Cost(sum(each.alone for each in found), sum(each.shared for each in found))


def _sized(size: Size, samples: int) -> int:
    """``size`` for so many samples; other symbols are taken to be a usual length."""
    usual = dict.fromkeys(symbols_of(size), USUAL_SIZE)
    return evaluate(size, {**usual, BATCH: samples})


def _compared(stretch: Stretch) -> str:
    beside, after = (format_seconds(each / 1e6) for each in (stretch.beside, stretch.after))
    return f"{beside} beside one another, {after} one after another"


def _decision(
    stretch: Stretch, schedule: Schedule, action: str, reason: str, detail: str
) -> Decision:
    steps = [schedule.steps[i] for branch in stretch.branches for i in branch]
    layers = tuple(dict.fromkeys(layer for step in steps for layer in step.node.layers))
    pattern = count_of(len(stretch.branches), "branch")
    return Decision("fork", pattern, layers, action, reason, detail)
