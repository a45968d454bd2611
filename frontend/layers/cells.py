"""Cells of recurrent layers: one step of a simple recurrent network, a GRU and an LSTM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

from .. import activations, constraints, initializers, ops, random, regularizers, tree
from ..accepted import Count, Share
from ..errors import LayerError, shown
from ..seeds import SeedGenerator
from ..tensor import KerasTensor
from ..variable import Variable
from .base import Layer
from .call_arguments import call_parameters
from .core import known_size
from .spec import InputSpec

# What dropout multiplies the input and the state with, the same at all steps; None leaves it.
Masks = tuple[KerasTensor | None, KerasTensor | None]

_NONE: Mapping[int, Masks] = MappingProxyType({})
_MASKS: ContextVar[Mapping[int, Masks]] = ContextVar("dropout_masks", default=_NONE)


@contextmanager
def fixed_masks(cell: Any, sizes: Sequence[Any]) -> Iterator[None]:
    """Within, the steps of ``cell`` share their dropout masks, drawn here for inputs of ``sizes``.

    Cells without dropout of their own draw none.
    """
    draw = getattr(cell, "drawn_masks", None)
    token = _MASKS.set({**_MASKS.get(), **(draw(tuple(sizes)) if draw else {})})
    try:
        yield
    finally:
        _MASKS.reset(token)


class DropoutCell(Layer):
    """The part of a cell that drops inputs and states in training.

    Within a recurrent layer each sample has one mask for its inputs, and one for its states, for
    all steps and gates (Gal and Ghahramani 2016).
    """

    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    seed_generator: SeedGenerator

    def set_dropout(self, dropout: float, recurrent_dropout: float, seed: int | None) -> None:
        """Says which shares of inputs and states are dropped."""
        self.dropout, self.recurrent_dropout = float(dropout), float(recurrent_dropout)
        self.seed = seed
        if self.dropout or self.recurrent_dropout:
            self.seed_generator = SeedGenerator(seed, name=self.name)

    def state_sizes(self, sizes: tuple[Any, ...]) -> tuple[Any, ...]:
        """The shape of the state that is dropped, for inputs of a shape."""
        raise NotImplementedError

    def drawn_masks(self, sizes: tuple[Any, ...]) -> dict[int, Masks]:
        """New masks for inputs of a shape, by the identity of the cell."""
        inputs = self._mask(self.dropout, sizes)
        return {id(self): (inputs, self._mask(self.recurrent_dropout, self.state_sizes(sizes)))}

    def _mask(self, rate: float, sizes: tuple[Any, ...]) -> KerasTensor | None:
        if rate == 0:
            return None
        if not hasattr(self, "seed_generator"):  # the rate was 0 when the cell was made
            self.seed_generator = SeedGenerator(self.seed, name=self.name)
        ones = ops.ones(sizes, self.compute_dtype)
        return random.dropout(ones, rate, seed=self.seed_generator)

    def masks(self, inputs: Any, training: bool) -> Masks:
        """What this step multiplies its inputs and its state with."""
        if not training or not (self.dropout or self.recurrent_dropout):
            return None, None
        return _MASKS.get().get(id(self)) or self.drawn_masks(inputs.sizes)[id(self)]

    def dropped(self, inputs: Any, state: Any, training: bool) -> tuple[Any, Any]:
        """Inputs and state as the step takes them."""
        pairs = zip((inputs, state), self.masks(inputs, training), strict=True)
        dropped, kept = (x if mask is None else x * mask for x, mask in pairs)
        return dropped, kept


class _Cell(DropoutCell):
    """What the three cells share: two kernels and a bias, with one part for each gate.

    Weights: kernel ``(n, gates * units)``, recurrent_kernel ``(units, gates * units)``, bias.
    """

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    input_spec = InputSpec(ndim=2, layout="(batch, features)")

    def set_up(self, options: Mapping[str, Any]) -> None:
        """Keeps the arguments of the constructor, which all cells share."""
        self.units = int(options["units"])
        self.activation = activations.get(options["activation"])
        self.use_bias = options["use_bias"]
        for weight in ("kernel", "recurrent", "bias"):
            for kind, package in _PACKAGES.items():
                name = f"{weight}_{kind}"
                setattr(self, name, package.get(options[name]))
        self.set_dropout(options["dropout"], options["recurrent_dropout"], options["seed"])
        self.kernel: Variable | None = None
        self.recurrent_kernel: Variable | None = None
        self.bias: Variable | None = None

    kernel_initializer: Any
    recurrent_initializer: Any
    bias_initializer: Any
    kernel_regularizer: Any
    recurrent_regularizer: Any
    bias_regularizer: Any
    kernel_constraint: Any
    recurrent_constraint: Any
    bias_constraint: Any

    @property
    def state_size(self) -> Any:
        """The size of each state, in a list if there are several."""
        return self.units if self.states == 1 else [self.units] * self.states

    @property
    def output_size(self) -> int:
        return self.units

    def state_sizes(self, sizes: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*sizes[:-1], self.units)

    def checked_states(self, inputs: Any, states: Any) -> list[Any]:
        """The states as a list. Raises ``ValueError`` for another number, or other shapes."""
        found = state_list(self, states, self.states)
        wanted = (inputs.shape[0], *self.state_sizes(inputs.sizes)[1:])
        shapes = [state.shape for state in found]
        if any(shape[1:] != wanted[1:] for shape in shapes):
            listed = ", ".join(map(str, shapes))
            raise LayerError(self, f"expected states of shape {wanted}; received {listed}")
        return found

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros for each state, shape ``(batch_size, units)``."""
        return [ops.zeros((batch_size, self.units), self.compute_dtype) for _ in range(self.states)]

    def kernel_shapes(self, input_shape: tuple[int | None, ...]) -> Any:
        """The shapes of the kernels, for inputs of a shape."""
        features, wide = known_size(self, input_shape, -1), self.gates * self.units
        self.input_spec = replace(self.input_spec, axes={-1: features})
        return (features, wide), (self.units, wide)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape, recurrent_shape = self.kernel_shapes(input_shape)
        self.kernel = self.add_weight(
            shape,
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        self.recurrent_kernel = self.add_weight(
            recurrent_shape,
            self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
            name="recurrent_kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                self.bias_shape,
                self.first_bias,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    @property
    def bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    @property
    def first_bias(self) -> Any:
        """What initializes the bias."""
        return self.bias_initializer


_PACKAGES: dict[str, Any] = {
    "initializer": initializers,
    "regularizer": regularizers,
    "constraint": constraints,
}


def state_list(layer: Layer, states: Any, count: int) -> list[Any]:
    """States as a list of so many tensors. Raises ``ValueError`` for another number."""
    found = list(states) if isinstance(states, (list, tuple)) else [states]
    if len(found) != count:
        raise LayerError(layer, f"expected {count} states; received {len(found)}")
    return found


def like_given(states: Any, new: list[Any]) -> Any:
    """New states nested as those given: one tensor stays one tensor."""
    return new if isinstance(states, (list, tuple)) else new[0]


class SimpleRNNCell(_Cell):
    """``h = activation(x @ kernel + bias + h @ recurrent_kernel)``; its output is h."""

    def __init__(
        self,
        units: Count,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: Share = 0.0,
        recurrent_dropout: Share = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.set_up(locals())

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, Any]:
        (state,) = self.checked_states(inputs, states)
        inputs, state = self.dropped(inputs, state, training)
        projected = ops.matmul(inputs, self.kernel)
        if self.use_bias:
            projected = projected + self.bias
        output = activations.get(self.activation)(
            projected + ops.matmul(state, self.recurrent_kernel)
        )
        return output, like_given(states, [output])


class GRUCell(_Cell):
    """Cho et al. 2014: gates z (update) and r (reset), in the order z, r, candidate.

    ``h = z * h + (1 - z) * activation(candidate)``; its output is h.

    Args:
        reset_after: whether r is applied after the product with the recurrent kernel, as cuDNN
            does; the bias is then ``(2, 3 * units)``, for inputs and for states.
    """

    gates = 3

    def __init__(
        self,
        units: Count,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: Share = 0.0,
        recurrent_dropout: Share = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = bool(reset_after)
        self.set_up(locals())

    @property
    def bias_shape(self) -> tuple[int, ...]:
        wide = self.gates * self.units
        return (2, wide) if self.reset_after else (wide,)

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, Any]:
        (before,) = self.checked_states(inputs, states)
        inputs, state = self.dropped(inputs, before, training)
        projected = ops.matmul(inputs, self.kernel)
        if self.bias is not None:
            projected = projected + (self.bias[0] if self.reset_after else self.bias)
        candidate, update = self._gated(projected, state)
        output = update * before + (1 - update) * candidate
        return output, like_given(states, [output])

    def _gated(self, projected: Any, state: Any) -> tuple[Any, Any]:
        """The candidate for the state, and the share of the old one that stays."""
        activate = activations.get(self.activation)
        gate = activations.get(self.recurrent_activation)
        zx, rx, hx = ops.split(projected, 3, axis=-1)
        if not self.reset_after:
            kernel = ops.convert_to_tensor(self.recurrent_kernel)
            zh, rh = ops.split(ops.matmul(state, kernel[:, : 2 * self.units]), 2, axis=-1)
            update, reset = gate(zx + zh), gate(rx + rh)
            return activate(hx + ops.matmul(reset * state, kernel[:, 2 * self.units :])), update
        recurrent = ops.matmul(state, self.recurrent_kernel)
        if self.bias is not None:
            recurrent = recurrent + self.bias[1]
        zh, rh, hh = ops.split(recurrent, 3, axis=-1)
        update, reset = gate(zx + zh), gate(rx + rh)
        return activate(hx + reset * hh), update


class LSTMCell(_Cell):
    """Hochreiter and Schmidhuber 1997, with a forget gate: gates i, f, candidate, o.

    ``c = f * c + i * activation(candidate)`` and ``h = o * activation(c)``; states are h and c, its
    output is h.

    Args:
        unit_forget_bias: whether the bias of f begins at 1.
    """

    gates = 4
    states = 2
    gate_axis = -1

    def __init__(
        self,
        units: Count,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: Share = 0.0,
        recurrent_dropout: Share = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = bool(unit_forget_bias)
        self.set_up(locals())

    @property
    def first_bias(self) -> Any:
        if not self.unit_forget_bias:
            return self.bias_initializer

        def bias(shape: Any, dtype: Any = None, **_: Any) -> Any:
            sizes = ((self.units,), (self.units,), (2 * self.units,))
            makers = (self.bias_initializer, initializers.Ones(), self.bias_initializer)
            return ops.concatenate(
                [make(size, dtype) for make, size in zip(makers, sizes, strict=True)], 0
            )

        return bias

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, Any]:
        state, carry = self.checked_states(inputs, states)
        gates = self.gate_sums(inputs, state, training)
        activate = activations.get(self.activation)
        gate = activations.get(self.recurrent_activation)
        i, f, candidate, o = ops.split(gates, 4, axis=self.gate_axis)
        carry = gate(f) * carry + gate(i) * activate(candidate)
        output = gate(o) * activate(carry)
        return output, [output, carry]

    def gate_sums(self, inputs: Any, state: Any, training: bool) -> Any:
        """What is activated, of all gates, side by side along ``gate_axis``."""
        inputs, state = self.dropped(inputs, state, training)
        projected = ops.matmul(inputs, self.kernel)
        if self.use_bias:
            projected = projected + self.bias
        return projected + ops.matmul(state, self.recurrent_kernel)


class StackedRNNCells(Layer):
    """Cells that work as one: each takes what the one before gives.

    Args:
        cells: cells, each with ``call(inputs, states)`` and a ``state_size``.
    """

    def __init__(self, cells: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        found = list(cells) if isinstance(cells, (list, tuple)) else []
        for cell in found or [cells]:
            check_cell(self, cell)
        self.cells = found

    @property
    def input_spec(self) -> Any:
        """What the first cell accepts."""
        return getattr(self.cells[0], "input_spec", None) if self.cells else None

    @property
    def state_size(self) -> list[Any]:
        """The size of the states of each cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        return output_size_of(self.cells[-1])

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """The initial states of each cell."""
        return [initial_state_of(cell, batch_size) for cell in self.cells]

    def drawn_masks(self, sizes: tuple[Any, ...]) -> dict[int, Masks]:
        """New dropout masks for inputs of a shape, of all cells that have some."""
        found: dict[int, Masks] = {}
        for cell in self.cells:
            draw = getattr(cell, "drawn_masks", None)
            found |= draw(sizes) if draw else {}
            sizes = (sizes[0], *_as_sizes(output_size_of(cell)))
        return found

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            input_shape = (input_shape[0], *_as_sizes(output_size_of(cell)))

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        new_states = []
        for cell, state in zip(self.cells, state_list(self, states, len(self.cells)), strict=True):
            inputs, new = step_of(cell, inputs, state, training)
            new_states.append(new)
        return inputs, new_states


def check_cell(layer: Layer, cell: Any) -> None:
    """Raises ``ValueError`` for what is no cell."""
    is_cell = callable(getattr(cell, "call", None)) and hasattr(cell, "state_size")
    if not is_cell or isinstance(cell, type):
        raise LayerError(
            layer,
            "expected a cell: a layer with a method call(self, inputs, states) and a state_size, "
            f"or a list of such; received {shown(cell)}",
        )


def step_of(cell: Any, inputs: Any, states: Any, training: bool) -> tuple[Any, Any]:
    """One step of a cell: its output, and its new states."""
    step = cell if isinstance(cell, Layer) else cell.call
    options = {"training": training} if "training" in call_parameters(type(cell).call) else {}
    output, new = step(inputs, states, **options)
    return output, new


def output_size_of(cell: Any) -> Any:
    """The size of a cell's output: by default that of its first state."""
    own = getattr(cell, "output_size", None)
    size = cell.state_size
    return own if own is not None else size[0] if isinstance(size, (list, tuple)) else size


def initial_state_of(cell: Any, batch_size: Any) -> Any:
    """The states that a cell begins with, in a list: its own, or zeros."""
    own = getattr(cell, "get_initial_state", None)
    if own is not None:
        made = own(batch_size=batch_size)
        return list(made) if isinstance(made, (list, tuple)) else [made]
    sizes = cell.state_size if isinstance(cell.state_size, (list, tuple)) else [cell.state_size]
    dtype = getattr(cell, "compute_dtype", None)
    return tree.map_structure(
        lambda size: ops.zeros((batch_size, *_as_sizes(size)), dtype), list(sizes)
    )


def _as_sizes(size: Any) -> tuple[Any, ...]:
    return tuple(size) if isinstance(size, (list, tuple)) else (size,)
