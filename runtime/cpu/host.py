"""What this machine offers generated code: vector width, registers, cache sizes, versions."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import llvmlite.binding as llvm

from ..native.features import features, lanes, versions

CACHE_ROOT = Path("/sys/devices/system/cpu/cpu0/cache")
FREQUENCY = Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
CPU_INFO = Path("/proc/cpuinfo")
USUAL_GHZ, USUAL_GBS = 3.0, 10.0
FALLBACK_BYTES = {1: 32 * 1024, 2: 512 * 1024, 3: 8 * 1024 * 1024}
UNITS = {"K": 1024, "M": 1024 * 1024, "G": 1024 * 1024 * 1024}
# Cores by LLVM's names that start four micro-operations a cycle; later ones start five and more.
# Source: https://www.agner.org/optimize/microarchitecture.pdf
FOUR_WIDE = frozenset(
    {
        "nehalem",
        "westmere",
        "sandybridge",
        "ivybridge",
        "haswell",
        "broadwell",
        "skylake",
        "skylake-avx512",
        "cascadelake",
        "cooperlake",
        "cannonlake",
        "x86-64",
    }
)
ONE_LOAD = frozenset({"nehalem", "westmere", "x86-64"})  # a cycle, where later cores start two
WIDE = 6  # the others: five (Ice Lake) to eight (Zen 5)


@dataclass(frozen=True)
class Host:
    """A machine that kernels are generated for.

    Attributes:
        lanes: float32 lanes of one vector register (16, 8 or 4).
        vector_registers: how many such registers there are.
        issue_width: micro-operations that a core starts in a cycle.
        load_ports: vectors that it loads in one.
        l1_bytes: data cache of one core.
        l2_bytes, l3_bytes: as seen by core 0.
        versions: what, besides a kernel's own text, decides its machine code.
        unrolled, prefetches: as measured, see ``calibration.Figures``; None: by the table.
        clock_ghz: cycles of a core, as the system tells them; kernels do not depend on it.
        core_gbs: memory that a core reads, at a guess.
    """

    cpu_name: str
    features: frozenset[str]
    lanes: int
    vector_registers: int
    has_fma: bool
    issue_width: int
    load_ports: int
    l1_bytes: int
    l2_bytes: int
    l3_bytes: int
    versions: str
    unrolled: int | None = None
    prefetches: bool | None = None
    clock_ghz: float = field(default=USUAL_GHZ, compare=False)
    core_gbs: float = field(default=USUAL_GBS, compare=False)

    @property
    def vectors(self) -> str:
        """The name of its vector instructions."""
        return VECTORS[self.lanes]


VECTORS = {16: "avx512", 8: "avx2", 4: "sse"}


def _described(cpu_name: str, lanes: int, issue_width: int, l2_bytes: int) -> Host:
    return Host(
        cpu_name=cpu_name,
        features=frozenset(),
        lanes=lanes,
        vector_registers=registers_of(lanes),
        has_fma=lanes > 4,
        issue_width=issue_width,
        load_ports=2,
        l1_bytes=32 * 1024,
        l2_bytes=l2_bytes,
        l3_bytes=32 * 1024 * 1024,
        versions="",
    )


def registers_of(lanes: int) -> int:
    """How many vector registers come with so many lanes."""
    return 32 if lanes == 16 else 16


# Machines of a usual size, to compile for on any other, by the names of their vectors.
DESCRIBED = {
    "avx512": _described("x86-64-v4", 16, WIDE, 1024 * 1024),
    "avx2": _described("x86-64-v3", 8, WIDE, 512 * 1024),
    "sse": _described("x86-64-v2", 4, 4, 256 * 1024),
}


def parse_size(text: str) -> int:
    """Bytes of a size as the kernel prints it: `48K`, `32M`, `1024`."""
    text = text.strip()
    if text[-1:] in UNITS:
        return int(text[:-1]) * UNITS[text[-1]]
    return int(text)


def cache_bytes(level: int, root: Path = CACHE_ROOT) -> int:
    """Bytes of the data cache of a level, or a modest guess where the system does not say."""
    for index in sorted(root.glob("index*")):
        try:
            if int((index / "level").read_text()) != level:
                continue
            if (index / "type").read_text().strip() == "Instruction":
                continue
            return parse_size((index / "size").read_text()) or FALLBACK_BYTES[level]
        except (OSError, ValueError):
            continue
    return FALLBACK_BYTES[level]


def clock_ghz(frequency: Path = FREQUENCY, info: Path = CPU_INFO) -> float:
    """The highest clock the system tells of, else the present one, else a usual one."""
    with suppress(OSError, ValueError):
        return int(frequency.read_text()) / 1e6
    with suppress(OSError, ValueError):
        found = re.search(r"^cpu MHz\s*:\s*([\d.]+)", info.read_text(), re.MULTILINE)
        return float(found[1]) / 1e3 if found else USUAL_GHZ
    return USUAL_GHZ


@cache
def host() -> Host:
    """The machine this process runs on (looked at once)."""
    name = llvm.get_host_cpu_name()
    return Host(
        cpu_name=name,
        features=features(),
        lanes=lanes(),
        vector_registers=registers_of(lanes()),
        has_fma="fma" in features(),
        issue_width=4 if name in FOUR_WIDE else WIDE,
        load_ports=1 if name in ONE_LOAD else 2,
        l1_bytes=cache_bytes(1),
        l2_bytes=cache_bytes(2),
        l3_bytes=cache_bytes(3),
        versions=versions(),
        clock_ghz=clock_ghz(),
    )
