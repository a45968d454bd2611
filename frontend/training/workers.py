"""Batches of a sequence, made ahead of time by threads or processes."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent import futures  # its executors are imported when they are used
from typing import Any

# In a process that makes batches: the sequence, sent once.
_SEQUENCE: list[Any] = []


def fetched(sequence: Any, order: Iterable[int]) -> Iterator[Any]:
    """``sequence[i]`` for each i of ``order``, in that order.

    A sequence whose ``workers`` are more than 1, or that has ``use_multiprocessing``, is read
    ahead by at most ``max_queue_size`` batches. An error in a worker comes out here.
    """
    workers = getattr(sequence, "workers", 1)
    in_processes = bool(getattr(sequence, "use_multiprocessing", False))
    if workers > 1 or (workers > 0 and in_processes):
        most_prefetched = max(getattr(sequence, "max_queue_size", 10), 1)
        return _prefetched(sequence, order, workers, in_processes, most_prefetched)
    return (sequence[index] for index in order)


def _prefetched(
    sequence: Any, order: Iterable[int], workers: int, in_processes: bool, most_prefetched: int
) -> Iterator[Any]:
    pool, fetch = _pool(sequence, workers, in_processes)
    pending: deque[futures.Future[Any]] = deque()
    indices = iter(order)
    try:
        for index in itertools.islice(indices, most_prefetched):
            pending.append(pool.submit(fetch, index))
        while pending:
            ready = pending.popleft().result()
            for index in itertools.islice(indices, 1):
                pending.append(pool.submit(fetch, index))
            yield ready
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _pool(sequence: Any, workers: int, in_processes: bool) -> tuple[futures.Executor, Any]:
    if not in_processes:
        return futures.ThreadPoolExecutor(workers), sequence.__getitem__
    return futures.ProcessPoolExecutor(workers, initializer=_keep, initargs=(sequence,)), _item


def _keep(sequence: Any) -> None:
    _SEQUENCE[:] = [sequence]


def _item(index: int) -> Any:
    return _SEQUENCE[0][index]
