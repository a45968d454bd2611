"""Engines: choices range over those of a target, one that no machine has yet among them."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from machines import machine, target_of

from keraunos.compiler.context import Context
from keraunos.compiler.cpu.blocking import BlockEngine, Extent, choose
from keraunos.compiler.cpu.bodies import Contract, RegisterBlock
from keraunos.compiler.cpu.emit.kernel import emit
from keraunos.compiler.cpu.packing import Panels
from keraunos.compiler.cpu.passes.winograd import winograd
from keraunos.compiler.cpu.target import CpuTarget
from keraunos.compiler.decisions import Decisions, Refusal
from keraunos.compiler.engine import Convolution, engines_for
from keraunos.compiler.ir.parser import parse_ir
from keraunos.compiler.ir.types import FLOAT32, FLOAT64, INT8, INT32, DType, parse_type
from keraunos.compiler.loops.layout import Address, Layout
from keraunos.compiler.pipeline import optimize
from keraunos.compiler.scheduling.lower import lower
from keraunos.compiler.scheduling.schedule import schedule
from keraunos.runtime.cpu.parallel_compilation import load_kernels


@dataclass(frozen=True, kw_only=True)
class Dot4(BlockEngine):
    """Adds four products of neighbours at once: three columns, of whatever is the cheapest."""

    name: str = "dot4"
    kinds: frozenset[str] = frozenset({"matmul", "conv2d"})
    operand: DType = INT8
    accumulator: DType = INT32
    interleave: int = 4
    unit: float = 1.0

    def blocks(self, extent: Extent) -> Iterator[RegisterBlock]:
        for vectors in (1, 2, 3):
            yield RegisterBlock(1, 3, vectors)

    def gates_refusal(self, channels: int, depth: int, gates: int) -> Refusal | None:
        return "REGISTERS", "it has one accumulator an element"

    def cost(self, block: RegisterBlock, extent: Extent) -> float:
        panels = -(-self.vectors(extent.channels) // block.vectors)
        return self.unit * panels * block.vectors * extent.depth / self.interleave

    def refusal(self, convolution: Convolution) -> Refusal | None:
        return None

    def work(self, convolution: Convolution) -> float:
        return self.unit


@dataclass(frozen=True)
class WithEngines(CpuTarget):
    """A CPU that has these too."""

    more: tuple[BlockEngine, ...] = ()
    usual: bool = True

    @property
    def engines(self) -> tuple[BlockEngine, ...]:
        return (*(super().engines if self.usual else ()), *self.more)


MACHINE = machine(8)
ENGINES = target_of(MACHINE).engines
DOT4 = Dot4(machine=MACHINE)
PRODUCT = Extent(rows=1, columns=64, channels=40, depth=128)
NARROW = replace(PRODUCT, dtype=INT8)


def test_an_engine_takes_operands_of_its_dtype():
    assert engines_for("conv2d", INT8, (*ENGINES, DOT4)) == (DOT4,)
    assert choose("matmul", NARROW, ENGINES) is None
    chosen = choose("matmul", NARROW, (*ENGINES, DOT4))
    assert chosen is not None and chosen.engine == DOT4
    other = choose("matmul", PRODUCT, (*ENGINES, DOT4))
    assert other is not None and other.engine.name == "fma"


def test_the_cheapest_engine_and_block_are_chosen():
    costs = {block: DOT4.cost(block, NARROW) for block in DOT4.blocks(NARROW)}
    chosen = choose("matmul", NARROW, (DOT4,))
    assert chosen is not None and costs[chosen.block] == min(costs.values()) < max(costs.values())
    cheap, dear = replace(DOT4, unit=0.5, name="cheap"), replace(DOT4, unit=2.0, name="dear")
    for engines in ((cheap, dear), (dear, cheap)):
        found = choose("matmul", NARROW, engines)
        assert found is not None and found.engine == cheap


def test_of_equal_engines_the_first_is_chosen():
    first, second = replace(DOT4, name="first"), replace(DOT4, name="second")
    found = choose("matmul", NARROW, (first, second))
    assert found is not None and found.engine == first


def test_neighbours_along_a_sum_have_to_lie_so():
    assert choose("matmul", replace(NARROW, depth=130), (DOT4,)) is None
    assert choose("matmul", replace(NARROW, depth=12, sweeps=3), (DOT4,)) is not None
    assert choose("matmul", replace(NARROW, depth=12, sweeps=6), (DOT4,)) is None
    assert choose("matmul", replace(NARROW, in_place=True), (DOT4,)) is None


def test_blocks_are_as_wide_as_accumulators_lie_in_vectors():
    wide = replace(DOT4, accumulator=FLOAT64)
    for engine, lanes in ((DOT4, 8), (wide, 4)):
        chosen = choose("matmul", NARROW, (engine,))
        assert chosen is not None and chosen.width == chosen.block.vectors * lanes


@pytest.mark.parametrize("shape", [(8, 40), (10, 40), (3, 3, 4, 7)])
def test_packed_weights_have_neighbours_along_the_sum_side_by_side(shape):
    chosen = choose("matmul", NARROW, (DOT4,))
    assert chosen is not None
    packing, width = chosen.packing(), chosen.width
    weights = np.random.default_rng(0).integers(1, 100, shape, "int8")
    packed = packing.pack(weights)
    assert packed.dtype == np.int8
    assert packed.size == packing.elements(parse_type(f"i8[{', '.join(map(str, shape))}]"))
    for (depth, channel), weight in np.ndenumerate(weights.reshape(-1, shape[-1])):
        place = (0, 0, channel // width, depth // 4, channel % width, depth % 4)
        assert packed[place] == weight
    assert np.count_nonzero(packed) == weights.size


@pytest.mark.parametrize("packing", [Panels(16, interleave=4), Panels(16, 2, 1, interleave=2)])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_what_is_computed_is_packed_as_weights_are(packing, dtype):
    source = np.arange(1, 1 + 3 * 7 * 20).reshape(3, 7, 20).astype(dtype)
    type_ = parse_type(f"{'i8' if dtype == 'int8' else 'f32'}[3, 7, 20]")
    launch = packing.launch(Layout(type_))
    expected = packing.pack(source)
    made = np.full(expected.size, 77, dtype)
    (kernel,) = load_kernels([emit(launch.kernel, 8)])
    addresses = (source.ctypes.data, made.ctypes.data)
    values = [addresses[a.index] if isinstance(a, Address) else int(str(a)) for a in launch.args]
    arguments = np.array(values, np.int64)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(kernel.address)
    for thread in range(3):
        call(arguments.ctypes.data, thread, 3)
    np.testing.assert_array_equal(made, expected.reshape(-1))


DENSE = """graph g(%x: f32[N, DEPTH]) -> f32[N, 24] {
  $k : f32[DEPTH, 24]
  %0 = matmul(%x, $k)
  return %0
}"""


@pytest.mark.parametrize(("depth", "engine"), [(64, "dot4"), (63, "fma")])
def test_a_target_with_one_more_engine_has_its_kernels(depth, engine):
    fast = replace(DOT4, operand=FLOAT32, accumulator=FLOAT32, unit=1e-6)
    target = WithEngines("cpu:avx2", MACHINE, more=(fast,))
    graph = parse_ir(DENSE.replace("DEPTH", str(depth)))
    (step,) = lower(schedule(optimize(graph, target).last, target), target).steps
    (launch,) = step.launches
    body = launch.kernel.body
    assert isinstance(body, Contract) and body.engine == engine
    (packing,) = [a.packing for a in launch.args if isinstance(a, Address) and a.packing]
    assert isinstance(packing, Panels) and packing.width == body.block.vectors * 8
    assert packing.interleave == (4 if engine == "dot4" else 1)
    assert (body.block.columns == 3) == (engine == "dot4")


CONVOLUTION = """graph g(%x: f32[N, 14, 14, 64]) -> f32[N, 12, 12, 64] {
  $k : f32[3, 3, 64, 64]
  %0 = conv2d(%x, $k)
  return %0
}"""


def decided(target):
    decisions = Decisions()
    made = winograd(parse_ir(CONVOLUTION), Context(target, decisions))
    return [node.op.name for node in made.nodes], [d.reason for d in decisions]


def test_tiles_are_transformed_where_no_engine_does_it_faster():
    fast = replace(DOT4, operand=FLOAT32, unit=1.0)
    usual, faster = target_of(MACHINE), WithEngines("cpu:avx2", MACHINE, more=(fast,))
    assert decided(usual) == (decided(usual)[0], ["FEWER_PRODUCTS"])
    assert "winograd_conv2d" in decided(usual)[0]
    assert decided(faster)[1] == ["LITTLE_GAIN"]
    assert "conv2d" in decided(faster)[0]


def test_nothing_is_said_of_tiles_where_no_engine_makes_them():
    direct = replace(DOT4, operand=FLOAT32)
    names, reasons = decided(WithEngines("cpu:avx2", MACHINE, more=(direct,), usual=False))
    assert "conv2d" in names and reasons == []
