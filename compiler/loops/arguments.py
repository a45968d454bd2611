"""Collects a kernel's parameters and, beside each, the value its launch passes."""

from __future__ import annotations

from ..ir.types import DType, Size
from .kernel import Param
from .layout import Address, Argument


class Arguments:
    """Parameters in order of first use; equal sizes share one parameter."""

    def __init__(self) -> None:
        self._params: list[Param] = []
        self._values: list[Argument] = []
        self._sizes: dict[Size, str] = {}
        self._addresses: dict[tuple[str, Address], str] = {}

    @property
    def params(self) -> tuple[Param, ...]:
        return tuple(self._params)

    @property
    def values(self) -> tuple[Argument, ...]:
        return tuple(self._values)

    def pointer(self, role: str, dtype: DType, address: Address) -> str:
        """The name of a pointer parameter, e.g. ``x0`` for the first with role ``x``."""
        key = (role, address)
        if key not in self._addresses:
            count = sum(1 for known, _ in self._addresses if known == role)
            self._addresses[key] = self.add(f"{role}{count}", address, dtype)
        return self._addresses[key]

    def size(self, size: Size, role: str) -> str:
        """The name of an integer parameter holding ``size``."""
        if size not in self._sizes:
            self._sizes[size] = self.add(f"{role}{len(self._sizes)}", size)
        return self._sizes[size]

    def stride(self, stride: Size) -> str:
        """``"1"`` for neighbours (that is structure), else a parameter."""
        return "1" if stride == 1 else self.size(stride, "s")

    def add(self, name: str, value: Argument, dtype: DType | None = None) -> str:
        self._params.append(Param(name, dtype))
        self._values.append(value)
        return name
