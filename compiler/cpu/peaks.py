"""What a CPU reaches at most: as calibration measured it, or at a guess from its description."""

from __future__ import annotations

from ...runtime.cpu.calibration import Figures
from ...runtime.cpu.host import Host
from ..target import Peaks

ADDERS = 2  # vectors that a core adds, or multiplies and adds, in a cycle


def peaks(machine: Host, measured: Figures | None, threads: int) -> Peaks:
    """Of so many threads, float32; ``measured`` was with one and with another number of them."""
    if measured is None:
        flops = ADDERS * machine.lanes * (2 if machine.has_fma else 1)
        each = machine.clock_ghz * flops, machine.core_gbs
        return Peaks(each[0] * threads, each[1] * threads, measured=False)
    gflops = _scaled(measured.thread_gflops, measured.pool_gflops, measured.threads, threads)
    gbs = _scaled(measured.read_gbs, measured.team_read_gbs, measured.threads, threads)
    return Peaks(gflops, gbs, measured=True)


def _scaled(one: float, all_: float, count: int, threads: int) -> float:
    """Between what one thread reaches and what ``count`` do; beyond as the last ones added.

    All reach at least what one does: where that was measured otherwise, something else was running.
    """
    if count == 1:
        return one * threads
    return one + (max(all_, one) - one) / (count - 1) * (threads - 1)
