"""Convolutional LSTMs: of sequences, of images and of volumes that change over time."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import ops
from ..accepted import Count, Share
from .arguments import checked_format, choice, sizes
from .cell_layers import CellLayer
from .cells import LSTMCell, Masks
from .core import known_size
from .sliding import check_strides, image_spec
from .spec import InputSpec


class ConvLSTMCell(LSTMCell):
    """An LSTM step whose products are convolutions (Shi et al. 2015); see ``LSTMCell``.

    The convolution of the inputs is as ``strides``, ``padding`` and ``dilation_rate`` say; that of
    the state keeps its size. In training each gate has a dropout mask of its own.

    Weights: kernel ``(*kernel_size, channels, 4 * filters)``, recurrent_kernel ``(*kernel_size,
    filters, 4 * filters)``, bias ``(4 * filters,)``.

    Args:
        rank: how many spatial axes there are, 1 to 3.
    """

    def __init__(
        self,
        rank: Count,
        filters: Count,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
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
        super().__init__(
            filters,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            unit_forget_bias,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            **kwargs,
        )
        self.rank, self.filters = int(rank), self.units
        self.kernel_size = sizes(self, "kernel_size", kernel_size, self.rank)
        self.strides = sizes(self, "strides", strides, self.rank)
        self.dilation_rate = sizes(self, "dilation_rate", dilation_rate, self.rank)
        check_strides(self)
        lowered = padding.lower() if isinstance(padding, str) else padding
        self.padding = choice(self, "padding", lowered, ("valid", "same"))
        self.data_format = checked_format(self, data_format)
        self.input_spec = image_spec(self.rank, self.data_format)
        self.state_shape: tuple[int, ...] | None = None  # of a sample, known once built

    @property
    def gate_axis(self) -> int:  # type: ignore[override]
        return -1 if self.data_format == "channels_last" else 1

    # Sizes

    @property
    def state_size(self) -> list[Any]:
        """The shape of the states h and c of a sample; None before it is built."""
        return [self.state_shape, self.state_shape]

    @property
    def output_size(self) -> Any:
        return self.state_shape

    def state_sizes(self, sizes: tuple[Any, ...]) -> tuple[Any, ...]:
        return (sizes[0], *(self.state_shape or ()))

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros for h and c, shape ``(batch_size, *state_size)``; of a cell that is built."""
        shape = self.state_sizes((batch_size,))
        return [ops.zeros(shape, self.compute_dtype) for _ in range(self.states)]

    def kernel_shapes(self, input_shape: tuple[int | None, ...]) -> Any:
        axis = self.gate_axis % (self.rank + 2)
        given = [known_size(self, input_shape, i) for i in range(1, self.rank + 2)]
        channels, wide = given.pop(axis - 1), self.gates * self.filters
        shape = list(map(self._result_size, given, range(self.rank)))
        shape.insert(axis - 1, self.filters)
        self.state_shape = tuple(shape)
        layout = self.input_spec.layout
        self.input_spec = InputSpec(shape=(None, *input_shape[1:]), layout=layout)
        return (*self.kernel_size, channels, wide), (*self.kernel_size, self.filters, wide)

    def _result_size(self, size: int, axis: int) -> int:
        stride, reach = self.strides[axis], (self.kernel_size[axis] - 1) * self.dilation_rate[axis]
        return -(-(size if self.padding == "same" else size - reach) // stride)

    # A step

    def drawn_masks(self, sizes: tuple[Any, ...]) -> dict[int, Masks]:
        """New masks for inputs of a shape: those of all gates, side by side as channels."""
        inputs = self._mask(self.dropout, self._of_gates(sizes))
        state = self._mask(self.recurrent_dropout, self._of_gates(self.state_sizes(sizes)))
        return {id(self): (inputs, state)}

    def _of_gates(self, sizes: tuple[Any, ...]) -> tuple[Any, ...]:
        wide = list(sizes)
        wide[self.gate_axis] *= self.gates
        return tuple(wide)

    def gate_sums(self, inputs: Any, state: Any, training: bool) -> Any:
        pair = zip((inputs, state), self.masks(inputs, training), strict=True)
        inputs, state = (self._dropped_by_gate(value, mask) for value, mask in pair)
        projected = ops.conv(
            inputs,
            self.kernel,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
        )
        if self.use_bias:
            wide = (1, -1, *(1,) * self.rank) if self.gate_axis == 1 else (-1,)
            projected = projected + ops.reshape(self.bias, wide)
        return projected + ops.conv(state, self.recurrent_kernel, 1, "same", self.data_format)

    def _dropped_by_gate(self, value: Any, mask: Any) -> Any:
        """``value`` for each gate, as groups of channels; once for all where nothing is dropped."""
        if mask is None:
            return value
        return ops.concatenate([value] * self.gates, axis=self.gate_axis) * mask


class ConvLSTM(CellLayer):
    """What the layers share, their arguments too; ``rank`` is the number of spatial axes."""

    cell_class = ConvLSTMCell
    rank: ClassVar[int]

    def __init__(
        self,
        filters: Count,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: Share = 0.0,
        recurrent_dropout: Share = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__({**locals(), "rank": self.rank}, kwargs)


class ConvLSTM1D(ConvLSTM):
    """An LSTM of sequences that change over time, as in ``ConvLSTMCell``.

    ``(batch, steps, size, channels)`` to ``(batch, size', filters)``, or with ``return_sequences``
    to ``(batch, steps, size', filters)``. Other arguments are as ``Conv1D``, ``LSTM`` and ``RNN``
    take them.
    """

    rank = 1


class ConvLSTM2D(ConvLSTM):
    """An LSTM of images that change over time, as in ``ConvLSTMCell``.

    ``(batch, steps, height, width, channels)`` to ``(batch, height', width', filters)``, or with
    ``return_sequences`` to those of all steps. Other arguments are as ``Conv2D``, ``LSTM`` and
    ``RNN`` take them.
    """

    rank = 2


class ConvLSTM3D(ConvLSTM):
    """An LSTM of volumes that change over time, as in ``ConvLSTMCell``.

    ``(batch, steps, depth, height, width, channels)`` to ``(batch, depth', height', width',
    filters)``, or with ``return_sequences`` to those of all steps. Other arguments are as
    ``ConvLSTM2D`` takes them.
    """

    rank = 3
