"""Every sample of every op as a case: a graph of one node, and arrays to run it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keraunos.compiler import ops
from keraunos.compiler.ir.evaluate import evaluate
from keraunos.compiler.ir.graph import Graph, Node, Op, Sample
from keraunos.compiler.ir.kinds import NoGrad
from keraunos.compiler.ir.types import TensorType, parse_type


@dataclass(frozen=True)
class Case:
    """An op on one of its samples."""

    op: Op
    sample: Sample
    inputs: tuple[Node, ...]
    node: Node

    def arrays(self, seed: int = 0) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        return [draw(node.tensor_type, self.sample, rng) for node in self.inputs]

    def run(self, *outputs: Node, arrays: Sequence[np.ndarray], dtype: str | None = None):
        return evaluate(Graph("case", self.inputs, outputs), arrays, dtype=dtype)


def draw(type_: TensorType, sample: Sample, rng: np.random.Generator) -> np.ndarray:
    """Values of ``type_`` within the bounds of ``sample``."""
    if type_.dtype.name == "bool":
        return np.asarray(rng.random(type_.shape) < 0.5)
    if type_.dtype.is_integer:
        low, high = int(sample.low), int(sample.high)
        return rng.integers(low, high, type_.shape, type_.dtype.numpy, endpoint=True)
    return rng.uniform(sample.low, sample.high, type_.shape).astype(type_.dtype.numpy)


def make_case(op: Op, sample: Sample) -> Case:
    types = [parse_type(text) for text in sample.types]
    inputs = tuple(ops.input_(f"x{i}", type_) for i, type_ in enumerate(types))
    return Case(op, sample, inputs, op(*inputs, **sample.attrs))


CASES = [make_case(op, sample) for op in ops.all_ops() for sample in op.samples]
CASE_IDS = [f"{case.op.name}-{case.op.samples.index(case.sample)}" for case in CASES]


def is_differentiable(case: Case) -> bool:
    floats = any(node.dtype.is_float for node in case.inputs)
    if case.op is ops.stop_gradient or isinstance(case.op.gradient, NoGrad):
        return False
    return floats and case.node.dtype.is_float
