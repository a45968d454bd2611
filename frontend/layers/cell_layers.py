"""Recurrent layers that make their own cell: SimpleRNN, GRU, LSTM."""

from __future__ import annotations

from typing import Any, ClassVar

from ..accepted import Count, Share
from ..errors import UsageError
from ..naming import snake_case
from ..serialize import parameters_of, plain
from .cells import GRUCell, LSTMCell, SimpleRNNCell
from .recurrent import RNN

# What makes the layer, as against its cell.
_OF_LAYER = (
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "unroll",
    "zero_output_for_mask",
)
_OF_ANY_LAYER = ("name", "trainable", "dtype")


class CellLayer(RNN):
    """A recurrent layer that makes its own cell, and has the attributes of that."""

    cell_class: ClassVar[Any]

    def __init__(self, arguments: dict[str, Any], options: dict[str, Any]) -> None:
        given = {**arguments, **options}
        if given.get("use_cudnn", "auto") not in ("auto", False):
            raise UsageError(
                f'{type(self).__name__}: expected use_cudnn as "auto" or False, as kernels are '
                f"compiled here; received {given['use_cudnn']!r}"
            )
        of_cell = {name: given[name] for name in parameters_of(self.cell_class)}
        of_base = {name: options[name] for name in ("dtype", "trainable") if name in options}
        super().__init__(
            self.cell_class(**of_cell, **of_base, name=snake_case(self.cell_class.__name__)),
            activity_regularizer=given["activity_regularizer"],
            **{name: given[name] for name in _OF_LAYER if name in given},
            **{name: value for name, value in options.items() if name not in _OF_LAYER},
        )

    def __getattr__(self, name: str) -> Any:
        """What is not the layer's own is its cell's: ``units``, ``activation``, ``kernel``, ..."""
        cell = vars(self).get("cell")
        if cell is None or name.startswith("_") or name not in parameters_of(self.cell_class):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(cell, name)

    def get_config(self) -> dict[str, Any]:
        cell = self.cell.get_config()
        return {
            **{name: getattr(self, name) for name in (*_OF_ANY_LAYER, *_OF_LAYER)},
            **{name: cell[name] for name in parameters_of(type(self)) if name in cell},
            "activity_regularizer": plain(self.activity_regularizer),
        }


class SimpleRNN(CellLayer):
    """A plain recurrent network: ``h = activation(x @ kernel + bias + h @ recurrent_kernel)``.

    Arguments as ``SimpleRNNCell`` and ``RNN`` take them.
    """

    cell_class = SimpleRNNCell

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: Share = 0.0,
        recurrent_dropout: Share = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(locals(), kwargs)


class GRU(CellLayer):
    """Gated recurrent units, as in ``GRUCell``.

    Arguments as ``GRUCell`` and ``RNN`` take them.
    """

    cell_class = GRUCell

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
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(locals(), kwargs)


class LSTM(CellLayer):
    """Long short-term memory, as in ``LSTMCell``.

    Arguments as ``LSTMCell`` and ``RNN`` take them.
    """

    cell_class = LSTMCell

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
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(locals(), kwargs)
