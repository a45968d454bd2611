"""Names of layers, models and tensors: snake case, and unique within a session as in Keras."""

from __future__ import annotations

import gc
import re
from collections import Counter

_COUNTS: Counter[str] = Counter()


def snake_case(name: str) -> str:
    """``"MaxPooling2D"`` becomes ``"max_pooling2d"``, ``"PReLU"`` becomes ``"p_re_lu"``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def unique_name(prefix: str) -> str:
    """``prefix`` the first time, then ``prefix_1``, ``prefix_2``, ..."""
    count = _COUNTS[prefix]
    _COUNTS[prefix] += 1
    return f"{prefix}_{count}" if count else prefix


def auto_name(class_name: str) -> str:
    """The next free name for an object of a class, as Keras gives them."""
    return unique_name(snake_case(class_name))


def clear_session(free_memory: bool = True) -> None:
    """Starts the automatic names over: the next ``Conv2D`` is ``conv2d`` again.

    There is no other state; with ``free_memory`` models that nobody holds are collected at once.
    """
    _COUNTS.clear()
    if free_memory:
        gc.collect()
