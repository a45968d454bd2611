"""Into how many tasks a launch is divided, by what it computes and moves."""

from __future__ import annotations

# A launch is divided into tasks of at least about a microsecond of one core's work, and into a few
# tasks a thread where there is enough work, so that nobody waits for a late thread.
TASK_FLOPS = 60_000
TASK_BYTES = 32_768
TASKS_PER_THREAD = 4
LONG_TASK = 8  # times the least: the size of tasks from which there are more tasks than threads


def least_tasks(flops: int, bytes_: int) -> float:
    """The work of a launch in the smallest tasks, each about a microsecond of a core."""
    return max(flops / TASK_FLOPS, bytes_ / TASK_BYTES)


def task_count(work: float, threads: int) -> int:
    """The number of tasks of a launch whose work is ``work`` times that of the smallest task."""
    if work < threads:
        return max(1, int(work))
    most = TASKS_PER_THREAD * threads
    return min(most, max(threads, int(work / LONG_TASK) // threads * threads))
