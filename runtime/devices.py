"""Devices by name. Of the runtime, this module alone knows what devices there are."""

from __future__ import annotations

import importlib
from functools import cache

from .device import Assembler, Device

KINDS = ("cpu", "cuda-emulated")
FOLDERS = {"cuda-emulated": "cuda"}  # of the runtime, with a device in its `device.py`


@cache
def _device(kind: str) -> Device:
    """Loaded when a program first asks for it: a device brings compilers and drivers."""
    device: Device = importlib.import_module(
        f".{FOLDERS.get(kind, kind)}.device", __package__
    ).DEVICE
    return device


def targets_here() -> tuple[str, ...]:
    """The targets whose programs this machine runs."""
    return tuple(target for kind in KINDS for target in _device(kind).targets)


def runs_here(target: str) -> bool:
    """Whether this machine runs programs for ``target``."""
    kind = target.partition(":")[0]
    return kind in KINDS and target in _device(kind).targets


def device_for(target: str) -> Device:
    """What runs programs for ``target``, such as ``"cpu:avx2"``.

    Raises:
        ValueError: nothing does on this machine.
    """
    if not runs_here(target):
        raise ValueError(
            f"expected a program for {' or '.join(targets_here())}, which this machine runs; got "
            f"one for {target!r}"
        )
    return _device(target.partition(":")[0])


def assembler_for(target: str) -> Assembler | None:
    """What makes instructions of kernels for ``target``; None if nothing does on this machine.

    Kernels for GPUs are compiled where there is none.
    """
    if runs_here(target):
        return device_for(target)
    kind, _, architecture = target.partition(":")
    if kind not in FOLDERS.values():
        return None
    found: Assembler = importlib.import_module(f".{kind}.toolchain", __package__).assembler(
        architecture
    )
    return found
