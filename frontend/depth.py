"""Layers within layers within layers: calls as deep as models are nested.

A call of a layer calls those within, and so on: some ten frames of Python each. Users may nest
layers as deep as they like, deeper than Python's limit of recursion. So every so many layers the
call goes on in a thread of its own, whose stack is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any

LEVELS = 30  # layers within each other on one stack

_DEPTH: ContextVar[int] = ContextVar("depth", default=0)


def one_deeper(function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)``, counted as one more call within those under way."""
    depth = _DEPTH.get() + 1
    token = _DEPTH.set(depth)
    try:
        return function(*args) if depth % LEVELS else _with_stack_of_its_own(function, *args)
    finally:
        _DEPTH.reset(token)


def _with_stack_of_its_own(function: Callable[..., Any], *args: Any) -> Any:
    context = copy_context()
    with ThreadPoolExecutor(1, "keraunos-depth") as thread:
        return thread.submit(context.run, function, *args).result()
