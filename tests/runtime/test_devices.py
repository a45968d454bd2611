"""Devices: what runs a program is asked for by its target, and may have memory of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from here import HERE
from numpy.typing import NDArray

import keraunos as keras
from keraunos import layers
from keraunos.compiler.executable import compile_graph
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.report.dump import dump
from keraunos.compiler.report.profile import profile
from keraunos.frontend.programs import TracedProgram
from keraunos.runtime import devices
from keraunos.runtime.arrays import address_of, array_at
from keraunos.runtime.cpu.device import DEVICE as CPU
from keraunos.runtime.device import Buffer, Device, HostMemory, Memory, Prepared
from keraunos.runtime.devices import device_for, runs_here, targets_here
from keraunos.runtime.kernels import LoadedKernel
from keraunos.runtime.program import Program

FLOAT = np.dtype("float32")


class FarMemory(Memory):
    """Memory that the host cannot see: it is copied in and out, which is counted."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.shape, self.dtype = shape, dtype
        self._there = HostMemory(shape, dtype)
        self.address = self._there.address
        self.copies = 0

    def read(self) -> np.ndarray:
        self.copies += 1
        copy = self._there.read().copy()
        copy.setflags(write=False)
        return copy

    def write(self, value: np.ndarray) -> None:
        self.copies += 1
        self._there.write(value)

    def clear(self) -> None:
        self._there.clear()


class FarPrepared(Prepared):
    """Arguments are copied to memory of the device, results back from there."""

    def __init__(self, program: Program, near: Prepared, sizes: Mapping[str, int]) -> None:
        self.near, self.shapes, self.sizes, self.rows = near, near.shapes, near.sizes, near.rows
        slots = [program.slots[i] for i in (*program.inputs, *program.outputs)]
        shapes = [tuple(_size(size, sizes) for size in slot.shape) for slot in slots]
        dtypes = [np.dtype(slot.dtype) for slot in slots]
        self.staged = [HostMemory(*pair) for pair in zip(shapes, dtypes, strict=True)]
        self.inputs = len(program.inputs)

    def run(self, callers: Sequence[int]) -> None:
        arrays = [
            array_at(address, memory.shape, memory.dtype)
            for address, memory in zip(callers, self.staged, strict=True)
        ]
        for memory, array in list(zip(self.staged, arrays, strict=True))[: self.inputs]:
            memory.write(array)
        self.near.run([memory.address for memory in self.staged])
        for memory, array in list(zip(self.staged, arrays, strict=True))[self.inputs :]:
            array[...] = memory.read()

    def timed(self, callers: Sequence[int]) -> NDArray[np.float64]:
        return self.near.timed(callers)


def _size(size: Any, sizes: Mapping[str, int]) -> int:
    return size if isinstance(size, int) else int(size.evaluate(sizes))


class Far(Device):
    """A device that computes as the CPU does, behind memory of its own."""

    name, model, targets = "far", "a far processor", ("far:one",)

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> FarMemory:
        return FarMemory(shape, dtype)

    def load(self, sources: Sequence[str]) -> tuple[LoadedKernel, ...]:
        return CPU.load(sources)

    def assembly(self, source: str) -> str:
        return "far away"

    def prepare(
        self,
        program: Program,
        kernels: Sequence[LoadedKernel],
        memory: Mapping[int, Memory],
        sizes: Mapping[str, int],
        threads: int,
        profile: bool = False,
    ) -> FarPrepared:
        assert all(isinstance(each, FarMemory) for each in memory.values())
        near = CPU.prepare(program, kernels, memory, sizes, threads, profile)
        return FarPrepared(program, near, sizes)


FAR = replace(HERE, name="far:one")  # the compiler's part: kernels as here


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    """A second kind of device, found as the first one is: a folder's `device.py`."""
    module: Any = ModuleType("keraunos.runtime.far.device")
    module.DEVICE = Far()
    monkeypatch.setitem(sys.modules, "keraunos.runtime.far", ModuleType("keraunos.runtime.far"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(devices, "KINDS", (*devices.KINDS, "far"))
    devices._device.cache_clear()
    yield module.DEVICE
    devices._device.cache_clear()


def test_a_device_is_asked_for_by_the_target(far: Far) -> None:
    assert device_for("far:one") is far and device_for(targets_here()[0]) is CPU
    assert targets_here() == (*CPU.targets, "cuda-emulated", "far:one")
    assert not any(map(runs_here, ("far:two", "far", "cpu", "", "cuda:sm_90")))


@pytest.mark.parametrize("name", ["far:one", "cpu:none", "", "os.path"])
def test_what_nothing_runs_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"expected a program for cpu:.* got one for '{name}'"):
        device_for(name)


# Programs on a device whose memory the host does not see.


def test_weights_are_prepared_there_and_results_come_back(far: Far, tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5)]
    )
    traced = keras.trace(model)
    rng = np.random.default_rng(0)
    weights = {
        node.attrs["name"]: rng.normal(size=node.shape).astype("float32")
        for node in traced.parameters
    }
    runs = [compile_graph(traced, target=target) for target in (FAR, HERE)]
    for run in runs:
        run.set_parameters(weights)
    x = rng.normal(size=(6, 8, 8, 3)).astype("float32")
    for n in (6, 1, 6):
        there, here = (run(x[:n])[0] for run in runs)
        np.testing.assert_array_equal(there, here)
    assert runs[0].executor.device is far
    assert profile(runs[0], x, repeats=2).launches
    instructions = [p for p in dump(runs[0], tmp_path) if p.suffix == ".s"]
    assert "a far processor" in instructions[0].read_text().splitlines()[0]


def test_a_step_updates_variables_there_and_reading_fetches_them(far: Far) -> None:
    """Above a device nothing differs: variables, optimizer and metrics as with the CPU."""
    values = []
    for target in (HERE, FAR):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dropout(0.5)])
        model.compile("adam", "mse", metrics=["mae"])
        x, y = np.ones((2, 4), "float32"), np.zeros((2, 3), "float32")
        step = model.training_step(x, y)
        traced = step.traced
        made = compile_graph(traced.graph, target=target, state=traced.state())
        run = TracedProgram(traced, made)
        results = [run(*step.arrays) for _ in range(3)]
        if target is FAR:
            memory = model.layers[0].kernel.buffer._memory
            assert isinstance(memory, FarMemory)
            before = memory.copies
            run(*step.arrays)
            assert memory.copies == before  # a step copies no weights
        else:
            run(*step.arrays)
        model.layers[0].bias.assign(np.ones(3))
        results.append(run(*step.arrays))
        values.append([*(r for each in results for r in each), *model.get_weights()])
    for here, there in zip(*values, strict=True):
        np.testing.assert_array_equal(there, here)


def test_what_is_updated_on_one_device_is_not_updated_on_another(far: Far) -> None:
    graph = parse_ir("""graph step(%x: f32[4]) -> f32[4] {
      $w : f32[4]
      %0 = add($w, %x)
      update $w = %0
      return %0
    }""")
    buffer = Buffer((4,), FLOAT)
    for _ in range(2):
        compile_graph(graph, target=FAR, state={"w": buffer})
    with pytest.raises(ValueError, match="programs on 'cpu' alone update; it is updated on 'far'"):
        compile_graph(graph, state={"w": buffer})


@pytest.mark.parametrize("kind", [HostMemory, FarMemory, Buffer])
def test_memory_is_written_read_and_cleared(kind: Any) -> None:
    memory = kind((2, 3), FLOAT)
    assert memory.shape == (2, 3) and memory.dtype == FLOAT and not memory.read().any()
    memory.write(np.arange(3, dtype="float64"))  # broadcast, cast
    np.testing.assert_array_equal(memory.read(), [[0, 1, 2]] * 2)
    with pytest.raises(ValueError, match="read-only"):
        memory.read()[0, 0] = 1
    with pytest.raises(ValueError, match="broadcast"):
        memory.write(np.zeros(4))
    memory.clear()
    assert not memory.read().any()
    assert kind((), FLOAT).read().shape == () and kind((0, 2), FLOAT).read().size == 0


def test_a_buffer_moves_with_its_value(far: Far) -> None:
    buffer = Buffer((3,), FLOAT)
    buffer.write(np.arange(3))
    on_host = buffer.read()
    assert buffer.place(far) is buffer.place(far)
    np.testing.assert_array_equal(buffer.read(), np.arange(3))
    assert not np.may_share_memory(buffer.read(), on_host)
    near = Buffer((3,), FLOAT)
    host = near.read()
    assert near.place(CPU).address == address_of(host)
