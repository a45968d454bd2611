"""The emulator of a GPU: what kernels compute there, and what it finds wrong in them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from keraunos.runtime.cuda.device import DEVICE, emulator
from keraunos.runtime.cuda.emulator import EmulationError
from keraunos.runtime.kernels import KernelError, LoadedKernel

HEADER = '''"""A kernel of a test."""

from numba import float32, float64, int32, int64
from keraunos.runtime.cuda.vocabulary import *

@gpu_kernel(arguments=3, threads=64)
def kernel(args):
    x = pointer_f32(args[0])
    y = pointer_f32(args[1])
    n = args[2]
    t = thread_index()
'''

# A row a block: its largest element by two warps, then what is left of each element.
ROWS = """
row = block_index() * n
m = float32(-1e38)
for j in range(t, n, 64):
    m = maximum(m, get(x, row + j))
d = 16
while d:
    m = maximum(m, shuffle_xor(m, d))
    d //= 2
s = shared_f32(2)
if t % 32 == 0:
    put(s, t // 32, m)
barrier()
m = maximum(get(s, 0), get(s, 1))
for j in range(t, n, 64):
    put(y, row + j, exp(get(x, row + j) - m))
"""


def text_of(body: str) -> str:
    return HEADER + "\n".join("    " + line for line in body.strip("\n").split("\n")) + "\n"


def run(kernel: LoadedKernel, arrays: Sequence[np.ndarray], n: int, blocks: int = 1) -> None:
    words = np.array([*(array.ctypes.data for array in arrays), n], np.int64)
    regions = [(array.ctypes.data, array.ctypes.data + array.nbytes) for array in arrays]
    emulator().launch(kernel, words, regions, blocks, 64)


def load(body: str) -> LoadedKernel:
    (kernel,) = DEVICE.load([text_of(body)])
    return kernel


@pytest.fixture
def arrays() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 100)).astype("float32"), np.zeros((3, 100), "float32")


def test_blocks_barriers_and_shuffles(
    arrays: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = arrays
    kernel = load(ROWS)
    run(kernel, arrays, 100, blocks=3)
    np.testing.assert_allclose(y, np.exp(x - x.max(1, keepdims=True)), rtol=1e-6)
    forwards = y.copy()
    monkeypatch.setattr(emulator(), "backwards", True)
    run(kernel, arrays, 100, blocks=3)
    np.testing.assert_array_equal(y, forwards)
    with pytest.raises(EmulationError, match="outside of the launch's arrays"):
        run(kernel, (x[:2], y[:2]), 100, blocks=3)


def test_values_of_other_lanes() -> None:
    kernel = load("""
v = float64(get(x, t))
put(y, t, shuffle_down(v, 3))
put(y, 64 + t, shuffle_xor(int32(t), 5))
put(y, 128 + t, shuffle_down(int64(t) << 33, 1) >> 33)
""")
    x, y = np.arange(64, dtype="float32") / 7, np.zeros((3, 64), "float32")
    run(kernel, (x, y), 64)
    lanes = np.arange(64)
    below = lambda d: np.where(lanes % 32 + d < 32, lanes + d, lanes)  # noqa: E731
    np.testing.assert_array_equal(y[0], x[below(3)])
    np.testing.assert_array_equal(y[1], lanes ^ 5)
    np.testing.assert_array_equal(y[2], below(1))


WRONG = {
    "outside": ("put(y, t * 2, float32(0))", "put", "outside of the launch's arrays: it writes 4"),
    "divergent": ("if t < 32:\n    barrier()", "barrier", "not all threads of the block reach"),
    "partial": (
        "if t != 5:\n    put(y, t, shuffle_xor(get(x, t), 1))",
        "put",
        "not all lanes of the warp reach",
    ),
    "unwritten": ("s = shared_f32(64)\nput(y, t, get(s, t))", "put", "read before it is written"),
    "race": (
        "s = shared_f32(64)\nput(s, t, get(x, t))\nput(y, t, get(s, 63 - t))",
        "put(y, t, get(s, 63 - t))",
        "read before it is written|it reads what thread",
    ),
    "two writers": (
        "s = shared_f32(1)\nput(s, 0, get(x, t))",
        "put(s",
        "it writes what thread 0 has touched",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_its_line(name: str) -> None:
    body, line, message = WRONG[name]
    kernel = load(body)
    with pytest.raises(EmulationError, match=message) as raised:
        run(kernel, (np.zeros(64, "float32"), np.zeros(64, "float32")), 64)
    place = re.search(rf"block 0, thread \d+, {kernel.path}:(\d+): (.*)$", str(raised.value))
    assert place is not None and place[2].startswith(line)
    assert kernel.path.read_text().splitlines()[int(place[1]) - 1].strip() == place[2]


def test_a_barrier_between_ends_the_race() -> None:
    kernel = load("s = shared_f32(64)\nput(s, t, get(x, t))\nbarrier()\nput(y, t, get(s, 63 - t))")
    x, y = np.arange(64, dtype="float32"), np.zeros(64, "float32")
    for _ in range(2):  # and the second launch does not see what the first has written
        run(kernel, (x, y), 64)
        np.testing.assert_array_equal(y, x[::-1])


def test_blocks_have_no_more_threads_than_a_gpu_allows() -> None:
    with pytest.raises(ValueError, match="expected up to 1024 threads a block; got 1025"):
        emulator().launch(load(ROWS), np.zeros(3, np.int64), [], 1, 1025)


def test_ptx_is_made_of_the_same_text() -> None:
    ptx = DEVICE.assembly(text_of(ROWS))
    for instruction in ("ld.global", "st.shared", "shfl.sync.bfly.b32", "bar", ".maxntid 64"):
        assert instruction in ptx
    assert ".target sm_90a" in ptx and "call" not in ptx


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DEVICE.assembly("kernel = 1\n"), "marked by @gpu_kernel, got 1"),
        (lambda: DEVICE.assembly(text_of("put(y, t, sin(get(x, t)))")), "needs sinf"),
        (lambda: DEVICE.load(["kernel = 2\n"]), "marked by @gpu_kernel, got 2"),
    ],
)
def test_what_is_no_kernel_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(KernelError, match=message):
        make()


def test_nobody_pays_for_it_who_does_not_ask() -> None:
    code = "import sys, keraunos; assert not [m for m in sys.modules if '.cuda.' in m], sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
