"""From a plan to a program: the target writes the text of each kernel."""

from __future__ import annotations

from typing import Any

from ..runtime.program import KernelText, Program
from .scheduling.plan import Plan
from .target import Target


def emit(plan: Plan, target: Target[Any]) -> Program:
    """The program of ``plan``: each of its kernels, which differ, becomes a text."""
    return Program(
        plan.name,
        tuple(KernelText(kernel.name, target.emit(kernel)) for kernel in plan.kernels),
        plan.slots,
        plan.rows,
        plan.inputs,
        plan.outputs,
        plan.symbols,
        plan.conditions,
        target.name,
    )
