"""Targets by name. Of the compiler, this module alone knows what targets there are."""

from __future__ import annotations

from typing import Any

from ..runtime.cpu.calibration import described, figures
from ..runtime.cpu.host import DESCRIBED, host
from .cpu.target import CpuTarget
from .ir.node import IRError
from .suggest import did_you_mean
from .target import Target

CPU = "cpu"
NAMES = (CPU, *(f"{CPU}:{width}" for width in DESCRIBED))


def target_named(name: str) -> Target[Any]:
    """The target called ``name``; raises ``IRError`` if there is none.

    ``"cpu"`` is this machine, as described, and as measured where it was. ``"cpu:avx2"`` and its
    like are machines of a usual size with such vectors, the same wherever one asks: what is
    compiled for them can be read on any machine.
    """
    if name not in NAMES:
        known = ", ".join(map(repr, NAMES))
        raise IRError(f"target: expected one of {known}; got {name!r}{did_you_mean(name, NAMES)}")
    measured = figures() if name == CPU else None
    machine = described(host(), measured) if name == CPU else DESCRIBED[name.partition(":")[2]]
    return CpuTarget(f"{CPU}:{machine.vectors}", machine, measured)
