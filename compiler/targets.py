"""Targets by name. Of the compiler, this module alone knows what targets there are."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ..runtime.cpu.calibration import Figures, described, figures, keep_figures
from ..runtime.cpu.host import DESCRIBED, host
from .cpu.calibrate import calibrate
from .cpu.target import CpuTarget
from .cuda.machine import NAMES as GPU_NAMES
from .ir.node import IRError
from .suggest import did_you_mean
from .target import CompiledFor, Target

CPU = "cpu"
CPU_NAMES = (CPU, *(f"{CPU}:{width}" for width in DESCRIBED))
NAMES = (*CPU_NAMES, *GPU_NAMES)


def target_named(name: str) -> Target[Any]:
    """The target called ``name``; raises ``IRError`` if there is none.

    ``"cpu"`` is this machine, as described, and as measured where it was. ``"cpu:avx2"`` and its
    like are machines of a usual size with such vectors, the same wherever one asks: what is
    compiled for them can be read on any machine.
    """
    if name not in NAMES:
        known = ", ".join(map(repr, NAMES))
        raise IRError(f"target: expected one of {known}; got {name!r}{did_you_mean(name, NAMES)}")
    if name in GPU_NAMES:
        return _gpu(name)
    own = figures() if name == CPU else None
    machine = described(host(), own) if name == CPU else DESCRIBED[name.partition(":")[2]]
    return CpuTarget(f"{CPU}:{machine.vectors}", machine, own)


def _gpu(name: str) -> Target[Any]:
    """Loaded when it is first asked for: few programs are for GPUs."""
    found: Target[Any] = importlib.import_module(".cuda.target", __package__).cuda_target(name)
    return found


def measured(compiled: CompiledFor) -> tuple[Figures, Path]:
    """What is measured of this machine, by programs that ``compiled`` gives, and where it is kept.

    Programs compiled for ``"cpu"`` from now on use it.
    """
    found = calibrate(compiled)
    return found, keep_figures(found)


def processor_name() -> str:
    """What this machine's processor is called."""
    return host().cpu_name
