"""A kernel's parameters and, beside each, the value its launch passes.

A nest collects them as its accesses need them (``Arguments``). A body of its own has a record: one
field a parameter (``ArgumentRecord``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Generic, Self, TypeVar

from ...runtime.program import Scratch
from ..ir.types import FLOAT32, DType, Size
from .kernel import Param
from .layout import Address, Argument

P = TypeVar("P")  # a pointer
S = TypeVar("S")  # a size, a stride or another integer


@dataclass(frozen=True)
class Pointer:
    """The value of a pointer: an address in a launch, and what lies there."""

    address: Address | Scratch
    dtype: DType = FLOAT32


# The value of a field whose parameter a kernel of this structure does not have.
ABSENT: Any = None
_RECORD = "record"


def holds(kind: type[ArgumentRecord[Any, Any]]) -> Mapping[str, Any]:
    """The metadata of a field that is itself a record."""
    return {_RECORD: kind}


@dataclass(frozen=True, kw_only=True)
class ArgumentRecord(Generic[P, S]):
    """The parameters of one kernel body, a field each: a base class.

    A template makes one of values, ``Record[Pointer, Size]``: its ``params`` and ``values`` are the
    kernel's and its launch's. The emitter reads the names from ``Record[str, str].names()``. Fields
    are in the order of the launch, but that pointers come before sizes. A field may be a record,
    or a mapping of records by names that the body knows.
    """

    @classmethod
    def names(cls, name: str = "") -> Self:
        """The record of names: ``name`` is that of the field which holds it, if any does."""
        found: dict[str, Any] = {}
        for member in fields(cls):
            inner = cls.named(name, member.name)
            kind = member.metadata.get(_RECORD)
            if member.default_factory is MISSING:
                found[member.name] = inner if kind is None else kind.names(inner)
        return cls(**found)

    @classmethod
    def named(cls, name: str, member: str) -> str:
        """What a field is called in kernels, in a record that is itself called ``name``."""
        return member

    @property
    def params(self) -> tuple[Param, ...]:
        """The parameters, of a record of values."""
        return tuple(
            Param(name, value.dtype if isinstance(value, Pointer) else None)
            for name, value in self._ordered()
        )

    @property
    def values(self) -> tuple[Argument, ...]:
        """The arguments, of a record of values."""
        return tuple(
            value.address if isinstance(value, Pointer) else value for _, value in self._ordered()
        )

    def without(self, names: Iterable[str]) -> Self:
        """The same but for these fields, which become structure."""
        return replace(self, **dict.fromkeys(names, ABSENT))

    def _ordered(self) -> list[tuple[str, Any]]:
        return sorted(_leaves("", self), key=lambda leaf: not isinstance(leaf[1], Pointer))


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """All single arguments in ``value``, by name."""
    if isinstance(value, ArgumentRecord):
        for member in fields(value):
            yield from _leaves(value.named(name, member.name), getattr(value, member.name))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(key, inner)
    elif value is not ABSENT:
        yield name, value


@dataclass(frozen=True, kw_only=True)
class ImageArguments(ArgumentRecord[P, S]):
    """An array of images whose name the others follow: ``y``, ``y_image``, ``y_row``, ``y_col``."""

    at: P
    image: S = ABSENT
    row: S = ABSENT
    col: S = ABSENT

    @classmethod
    def named(cls, name: str, member: str) -> str:
        return name if member == "at" else f"{name}_{member}"


@dataclass(frozen=True, kw_only=True)
class EpilogueArguments(ArgumentRecord[P, S]):
    """The results of a kernel with an epilogue, and the operands of that, by ``EpilogueLoad``."""

    y: ImageArguments[P, S] = field(metadata=holds(ImageArguments))
    others: Mapping[str, ImageArguments[P, S]] = field(default_factory=dict)
    bias: P = ABSENT
    operands: Mapping[str, ImageArguments[P, S]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PoolingGradientArguments(ArgumentRecord[P, S]):
    """Of a pooling's gradient: ``x``, an image, and its ``pooled`` result are for "maximum"."""

    images: S
    rows: S
    cols: S
    channels: S
    window_rows: S
    window_cols: S
    stride_y: S
    stride_x: S
    pad_y: S
    pad_x: S
    kys: S
    kxs: S
    x: ImageArguments[P, S] = field(metadata=holds(ImageArguments), default=ABSENT)
    pooled: ImageArguments[P, S] = field(metadata=holds(ImageArguments), default=ABSENT)
    grad: ImageArguments[P, S] = field(metadata=holds(ImageArguments))
    epilogue: EpilogueArguments[P, S] = field(metadata=holds(EpilogueArguments))


@dataclass(frozen=True, kw_only=True)
class ScatterArguments(ArgumentRecord[P, S]):
    """Of a scatter: ``count`` rows of ``width`` elements to ``tables`` of ``size`` rows."""

    x: P
    picks: P
    y: P
    tables: S
    count: S
    size: S
    width: S


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
