"""The same tests with narrower vectors, as AVX2 and plain machines have them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from keraunos.runtime.cpu.host import host
from keraunos.runtime.native.features import LANE_CHOICES

HERE = Path(__file__).parent
VECTORS = "test_vectors_and_single_numbers_agree_at_extremes"


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [lanes for lanes in LANE_CHOICES if lanes < host().lanes])
def test_narrower_vectors(lanes: int) -> None:
    extremes = HERE.parent / "compiler" / "test_extremes.py"
    files = [str(HERE / name) for name in ("test_simd.py", "test_vecmath.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *files, f"{extremes}::{VECTORS}"],
        env=os.environ | {"KERAUNOS_LANES": str(lanes)},
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
