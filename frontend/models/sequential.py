"""A plain stack of layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..arguments import checked_method
from ..dtypes import as_array
from ..errors import LayerError, UsageError, UsageTypeError, shown, user_facing
from ..history import Operation
from ..layers.base import Layer
from ..layers.core import Embedding
from ..layers.data_layer import DataLayer
from ..layers.input import InputLayer
from ..programs import TracedProgram
from ..scope import enclosing
from ..tensor import KerasTensor
from .ends import check_names
from .model import Model
from .network import Network, network_between


class Sequential(Model):
    """Layers one after another, each with one input and one output.

    Its weights exist once the shape of its input is known: from an ``Input`` at the beginning, from
    ``input_shape=`` of the first layer, from ``build`` or from the first data.

    Args:
        layers: layers or models; the first may be an ``Input``.
    """

    def __init__(
        self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(trainable=trainable, name=name)
        self.stack: list[Any] = []
        self.start: InputLayer | None = None
        self._results: dict[tuple[int, int], KerasTensor] = {}
        for layer in () if layers is None else layers:
            self.add(layer, rebuild=False)
        self._connect_stack()  # once: what lies between input and output is looked for each time

    def __getstate__(self) -> dict[str, Any]:
        """A copy knows results anew: they are kept by the identities of layers and tensors."""
        return {**super().__getstate__(), "_results": {}}

    @property
    def sublayers(self) -> list[Any]:
        return list(self.stack)

    @property
    def operations(self) -> list[Operation]:
        return list(self.stack)

    @checked_method
    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Puts a layer on top.

        Args:
            rebuild: whether it is connected at once; if not, then by ``build`` or the next call,
                which also find out what is wrong with it.

        Raises:
            ValueError: its name is taken, or it does not fit what comes before.
            TypeError: it is no layer.
        """
        if isinstance(layer, KerasTensor) and layer.history is not None:
            layer = layer.history.operation  # what Input() gave
        if isinstance(layer, InputLayer):
            self._begin(layer)
            return
        if not isinstance(layer, Layer):
            raise UsageTypeError(f"Sequential: expected a layer; received {shown(layer)}")
        if isinstance(layer, DataLayer):
            layer.refuse_models()
        if not self.stack and self.start is None:
            self.start = _input_asked_for(layer)
        self.stack.append(layer)
        try:
            self._connect_stack(rebuild)
        except Exception:
            self.stack.pop()
            raise

    @checked_method
    def pop(self, rebuild: bool = True) -> Any:
        """Takes the last layer off; ``rebuild`` as in ``add``."""
        if not self.stack:
            raise UsageError("Sequential: expected a layer to pop; there is none")
        layer = self.stack.pop()
        self._connect_stack(rebuild)
        return layer

    def _begin(self, layer: InputLayer) -> None:
        if self.stack or self.start is not None:
            raise UsageError("Sequential: expected an Input as the first layer only")
        self.start = layer

    def _connect_stack(self, now: bool = True) -> None:
        """Makes the model what leads through all layers, or if not ``now``, what is to be built."""
        if now:
            check_names(self, self.stack)
        if self.start is None or not self.stack or not now:
            self.connect(None)
            return
        self.connect(self._changed_network() or self._new_network(self.start.output))

    def _changed_network(self) -> Network | None:
        """The network at hand with a layer more or less at its end: the others stay unlooked at."""
        known = self.network
        if known is None or len(known.operations) < 2:
            return None
        if len(self.stack) == len(known.operations):
            return known.extended(self._result(self.stack[-1], known.outputs))
        below = known.nodes[-1].input_tensors
        return known.shortened(below[0]) if len(self.stack) + 2 == len(known.operations) else None

    def _new_network(self, tensor: KerasTensor) -> Network:
        first = tensor
        for layer in self.stack:
            tensor = self._result(layer, tensor)
        return network_between(first, tensor)

    def _result(self, layer: Any, tensor: KerasTensor) -> KerasTensor:
        """What a layer makes of a tensor; each pair is called once."""
        key = (id(layer), id(tensor))
        if key not in self._results:
            with enclosing(self):
                result = layer(tensor)
            if not isinstance(result, KerasTensor):
                raise LayerError(
                    layer, f"expected one result, as part of a Sequential; received {shown(result)}"
                )
            self._results[key] = result
        return self._results[key]

    @user_facing
    def build(self, input_shape: Any = None) -> None:
        """Makes the weights for an input shape such as ``(None, 28, 28, 1)``."""
        if not self.stack:
            raise LayerError(self, "expected layers; it has none. Add some with add(layer)")
        if self.start is None:
            if input_shape is None:
                raise LayerError(self, "build: expected an input_shape; received None")
            if any(isinstance(size, (list, tuple)) for size in input_shape):
                raise LayerError(
                    self,
                    f"expected one input; received {len(input_shape)} of shapes {input_shape}. If "
                    "these are x and y, make two arguments of them: fit(x, y)",
                )
            dtype = _input_dtype(self.stack[0])
            self.start = InputLayer(batch_shape=tuple(input_shape), dtype=dtype)
        if self.network is None:
            self._connect_stack()

    def prepare(
        self, inputs: Any, training: bool = False
    ) -> tuple[TracedProgram, list[np.ndarray]]:
        if self.network is None:
            self.build(_batch_shape(inputs, self.fixes_batch))
        return super().prepare(inputs, training)

    def _top_level_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.network is None and args and not isinstance(args[0], KerasTensor):
            self.build(_batch_shape(args[0], self.fixes_batch))
        return super()._top_level_call(args, kwargs)


def _batch_shape(inputs: Any, fixed: bool) -> tuple[int | None, ...]:
    """The shape of the first data, the batch size left open unless it is ``fixed``."""
    alone = isinstance(inputs, (list, tuple)) and len(inputs) == 1
    wrapped = alone and hasattr(inputs[0], "__array__") and np.ndim(inputs[0]) > 1
    shape = as_array(inputs[0] if wrapped else inputs).shape
    return shape if fixed else (None, *shape[1:])


def _input_asked_for(layer: Layer) -> InputLayer | None:
    """The input for a first layer that knows its shape, else None."""
    known = getattr(layer, "input_structure", None)
    if isinstance(known, KerasTensor):
        return InputLayer(batch_shape=known.shape, dtype=known.dtype)
    asked = layer.input_arguments
    shape = asked.get("batch_shape", asked.get("batch_input_shape"))
    if shape is None and "input_shape" in asked:
        shape = (asked.get("batch_size"), *asked["input_shape"])
    if shape is None and "input_dim" in asked:
        shape = (asked.get("batch_size"), asked["input_dim"])
    return None if shape is None else InputLayer(batch_shape=shape, dtype=_input_dtype(layer))


def _input_dtype(first: Layer) -> str:
    return "int32" if isinstance(first, Embedding) else first.compute_dtype
