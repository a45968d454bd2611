"""Where a model begins."""

from __future__ import annotations

from typing import Any

from ..accepted import Natural, SizesOrNone, is_int
from ..arguments import checked
from ..dtypes import standard_dtype
from ..errors import UsageError
from ..tensor import KerasTensor
from .base import Layer


class InputLayer(Layer):
    """Stands for an input: ``output`` is the symbolic tensor.

    Args:
        shape: of one sample; None for sizes that vary.
        batch_size: where it is fixed.
        batch_shape: shape with the batch, in place of both.
        sparse, input_tensor, optional: not to be had.

    Raises:
        ValueError: neither or both of the shapes are given, or an option that is not supported.
    """

    def __init__(
        self,
        shape: SizesOrNone | None = None,
        batch_size: Natural | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        batch_shape: SizesOrNone | None = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.is_named = name is not None
        super().__init__(name=name, dtype=dtype, **kwargs)
        _decline(sparse=sparse, tensor=input_tensor, optional=optional)
        if (shape is None) == (batch_shape is None):
            raise UsageError(
                "Input: expected either shape=(...) of one sample or batch_shape=(None, ...); "
                f"received shape={shape}, batch_shape={batch_shape}"
            )
        whole = (batch_size, *_sizes(shape)) if batch_shape is None else _sizes(batch_shape)
        self.batch_shape = whole
        self.dtype = standard_dtype(dtype).name
        self.built = True
        tensor = KerasTensor(whole, self.dtype, self.name)
        self.record((), {}, tensor)
        self.inbound_nodes[0].outputs._name = self.name

    def call(self) -> Any:
        return self.output


def _decline(**given: Any) -> None:
    for name, value in given.items():
        if value is not None and value is not False:
            raise UsageError(f"Input: expected no {name}, which there is not; received {value!r}")


def _sizes(shape: Any) -> tuple[int | None, ...]:
    sizes = (shape,) if shape is None or is_int(shape) else tuple(shape)
    return tuple(size if size is None else int(size) for size in sizes)


@checked
def Input(
    shape: SizesOrNone | None = None,
    batch_size: Natural | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    batch_shape: SizesOrNone | None = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> KerasTensor:
    """The symbolic input of a functional model; arguments and errors as those of ``InputLayer``."""
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return layer.output
