"""GPUs by architecture: what kernels and estimates depend on."""

from __future__ import annotations

from dataclasses import dataclass

WARP = 32  # threads that run one instruction together
THREADS = 256  # of a block, where nothing else is said
SAMPLES = 64  # what an unknown batch is taken to be


@dataclass(frozen=True)
class Gpu:
    """A GPU that kernels are generated for.

    Attributes:
        architecture: as compilers call it: ``"sm_90a"``.
        multiprocessors: how many blocks run at least at a time.
        gflops: 10^9 float32 operations a second, of multiply-adds without tensor cores.
        gbs: 10^9 bytes a second from its memory.
        launch: microseconds of a launch within a graph of launches.
    """

    architecture: str
    multiprocessors: int
    gflops: float
    gbs: float
    launch: float


# Cards that are usual of an architecture: A100 (SXM, 40 GB) and H100 (SXM), by their data sheets.
DESCRIBED = {
    "sm_80": Gpu("sm_80", 108, 19_500.0, 1_555.0, 0.6),
    "sm_90a": Gpu("sm_90a", 132, 66_900.0, 3_350.0, 0.6),
}
NEWEST = "sm_90a"

CUDA, EMULATED = "cuda", "cuda-emulated"
NAMES = (CUDA, *(f"{CUDA}:{architecture}" for architecture in DESCRIBED), EMULATED)  # of targets
