from __future__ import annotations

from pathlib import Path

import pytest

from keraunos.runtime.config import ConfigError
from keraunos.runtime.cpu.host import (
    FALLBACK_BYTES,
    USUAL_GHZ,
    cache_bytes,
    clock_ghz,
    host,
    parse_size,
)
from keraunos.runtime.native.features import forced_lanes


def test_host_is_plausible() -> None:
    machine = host()
    assert machine.lanes in (4, 8, 16)
    assert machine.vector_registers == (32 if machine.lanes == 16 else 16)
    assert 8 * 1024 <= machine.l1_bytes <= machine.l2_bytes
    assert all(name in machine.versions for name in ("python", "numba", "llvmlite", "llvm"))
    assert host() is machine


def test_sizes() -> None:
    assert [parse_size(text) for text in ("48K", "32M\n", "512")] == [49152, 32 * 2**20, 512]


def test_cache_bytes_reads_the_data_cache(tmp_path: Path) -> None:
    levels = [("1", "Data", "40K"), ("1", "Instruction", "99K"), ("2", "Unified", "junk")]
    for number, (level, kind, size) in enumerate(levels):
        index = tmp_path / f"index{number}"
        index.mkdir()
        (index / "level").write_text(level)
        (index / "type").write_text(kind)
        (index / "size").write_text(size)
    assert cache_bytes(1, tmp_path) == 40 * 1024
    assert cache_bytes(2, tmp_path) == FALLBACK_BYTES[2]
    assert cache_bytes(3, tmp_path / "nowhere") == FALLBACK_BYTES[3]


def test_lanes_may_only_be_lowered() -> None:
    assert forced_lanes(16, None) == 16
    assert forced_lanes(16, "8") == 8
    with pytest.raises(ConfigError, match=r"KERAUNOS_LANES: expected one of \[4, 8\] here"):
        forced_lanes(8, "16")


def test_the_clock_is_what_the_system_tells(tmp_path: Path) -> None:
    frequency, info = tmp_path / "cpuinfo_max_freq", tmp_path / "cpuinfo"
    assert clock_ghz(frequency, info) == USUAL_GHZ
    info.write_text("processor : 0\ncpu MHz\t\t: 2445.5\nflags : fma\n")
    assert clock_ghz(frequency, info) == 2.4455
    frequency.write_text("3400000\n")
    assert clock_ghz(frequency, info) == 3.4
    frequency.write_text("unknown")
    info.write_text("flags : fma\n")
    assert clock_ghz(frequency, info) == USUAL_GHZ
