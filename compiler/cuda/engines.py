"""What multiplies on GPUs."""

from __future__ import annotations

from dataclasses import dataclass

from ..decisions import Refusal
from ..engine import Convolution, Engine
from ..ir.types import FLOAT32, DType


@dataclass(frozen=True, kw_only=True)
class Fma(Engine):
    """One float32 multiply-add a thread and instruction, which rounds as float32 does."""

    name: str = "fma"
    kinds: frozenset[str] = frozenset({"matmul", "transposed_matmul", "conv2d"})
    operand: DType = FLOAT32
    accumulator: DType = FLOAT32

    def refusal(self, convolution: Convolution) -> Refusal | None:
        return None

    def work(self, convolution: Convolution) -> float:
        rows, columns = convolution.known_places
        products = convolution.rows_seen(rows) * columns * convolution.window[1]
        return float(products * convolution.channels * convolution.filters)
