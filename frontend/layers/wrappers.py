"""Layers around a layer: in both directions of time, or at each step by itself."""

from __future__ import annotations

from typing import Any

from .. import ops, tree
from ..errors import LayerError, UsageError, UsageTypeError, shown
from ..tensor import KerasTensor
from .arguments import choice
from .base import Layer
from .call_arguments import call_parameters
from .recurrent import RNN

_SHARED = ("return_sequences", "return_state", "stateful")
_MERGE_MODES = ("sum", "mul", "concat", "ave", None)


class Bidirectional(Layer):
    """A recurrent layer, and the same from the last step to the first; results side by side.

    Args:
        layer: recurrent; new ones are made as it was made, with weights of their own.
        merge_mode: what becomes of both outputs: "concat" (along the last axis), "sum", "mul",
            "ave", or None, which returns both.
        weights: of both layers, for ``set_weights``.
        backward_layer: goes backwards in place of one like ``layer``; as given.
    """

    supports_masking = True

    def __init__(
        self,
        layer: Any,
        merge_mode: Any = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for each in (layer, *([] if backward_layer is None else [backward_layer])):
            _check_recurrent(self, each)
        self.merge_mode = choice(self, "merge_mode", merge_mode, _MERGE_MODES)
        name = layer.name
        self.forward_layer = made_like(layer, name=f"forward_{name.removeprefix('forward_')}")
        self.backward_layer = backward_layer
        if backward_layer is None:
            name = f"backward_{name.removeprefix('backward_')}"
            self.backward_layer = made_like(layer, name=name, go_backwards=not layer.go_backwards)
        self._check_pair()
        for each in (self.forward_layer, self.backward_layer):
            each.zero_output_for_mask = each.return_sequences
        self.first_weights = weights
        self.input_spec = layer.input_spec

    def _check_pair(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise LayerError(
                self,
                "expected layers of different go_backwards; received "
                f"go_backwards={forward.go_backwards} of both",
            )
        for name in _SHARED:
            pair = getattr(forward, name), getattr(backward, name)
            if pair[0] != pair[1]:
                raise LayerError(self, f"expected one {name} of both layers; received {pair}")

    @property
    def layer(self) -> Any:
        """The layer that goes forward."""
        return self.forward_layer

    @property
    def return_sequences(self) -> bool:
        return bool(self.forward_layer.return_sequences)

    @property
    def return_state(self) -> bool:
        return bool(self.forward_layer.return_state)

    @property
    def stateful(self) -> bool:
        return bool(self.forward_layer.stateful)

    @property
    def fixes_batch(self) -> bool:
        return self.stateful

    @property
    def states(self) -> Any:
        """The states of both layers, those of the forward one first; None if not stateful."""
        if self.forward_layer.states is None:
            return None
        return (*self.forward_layer.states, *self.backward_layer.states)

    def reset_state(self) -> None:
        """Sets the states of both layers to 0."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
        self.input_spec = self.forward_layer.input_spec
        if self.first_weights is not None:
            self.set_weights(self.first_weights)

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        forward, backward = self._halves(initial_state)
        options = {"mask": mask, "training": training}
        left = self.forward_layer(sequences, initial_state=forward, **options)
        right = self.backward_layer(sequences, initial_state=backward, **options)
        states: tuple[Any, ...] = ()
        if self.return_state:
            states = (*left[1:], *right[1:])
            left, right = left[0], right[0]
        if self.return_sequences:
            right = ops.flip(right, 1)
        merged = _merged(left, right, self.merge_mode)
        if not states:
            return merged
        return (*merged, *states) if self.merge_mode is None else (merged, *states)

    def _halves(self, states: Any) -> tuple[Any, Any]:
        """The initial states of both layers."""
        if states is None:
            return None, None
        found, count = list(states), len(self.forward_layer.state_size)
        if len(found) != 2 * count:
            raise LayerError(
                self,
                f"initial_state: expected {2 * count} states, {count} for each direction; received "
                f"{len(found)}",
            )
        return found[:count], found[count:]

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of outputs of all steps, for each result."""
        mask = previous_mask if self.return_sequences else None
        found = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state:
            found += [None] * (2 * len(self.forward_layer.state_size))
        return found if len(found) > 1 else mask


def _check_recurrent(owner: Layer, layer: Any) -> None:
    if not isinstance(layer, RNN):
        raise LayerError(
            owner, f"expected a recurrent layer such as LSTM(32); received {shown(layer)}"
        )


def _merged(left: Any, right: Any, mode: str | None) -> Any:
    match mode:
        case "concat":
            return ops.concatenate([left, right], axis=-1)
        case "sum":
            return left + right
        case "ave":
            return (left + right) / 2
        case "mul":
            return left * right
    return left, right


def made_like(layer: Any, **changed: Any) -> Any:
    """A new layer made by the arguments of another one, some of them ``changed``, without weights.

    Layers among the arguments, such as cells, are made anew too.
    """
    args, kwargs = tree.map_structure(_made_anew, layer.given_arguments)
    return type(layer)(*args, **{**kwargs, **changed})


def _made_anew(value: Any) -> Any:
    return made_like(value) if isinstance(value, Layer) else value


class TimeDistributed(Layer):
    """A layer applied to each step of sequences: ``(N, T, ...)``, all by the same weights.

    The steps are one batch of ``N * T`` samples. In training a layer that keeps statistics, such as
    ``BatchNormalization``, takes one step after another, as in Keras, where their number is known.
    """

    supports_masking = True

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise UsageTypeError(f"TimeDistributed: expected a layer; received {shown(layer)}")
        self.layer = layer

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 3:
            raise UsageError(
                "TimeDistributed: expected sequences of shape (batch, steps, ...), three axes or "
                f"more; received shape {input_shape}"
            )
        if not self.layer.built:
            self.layer.build((None, *input_shape[2:]))
            self.layer.built = True

    def call(self, inputs: KerasTensor, training: Any = None, mask: Any = None) -> Any:
        self._check_mask(inputs, mask)
        accepted, options = call_parameters(type(self.layer).call), {}
        if "training" in accepted:
            options["training"] = training
        given = mask if "mask" in accepted else None
        by_step = training and self.layer.trainable and self.layer.non_trainable_weights
        if by_step and inputs.shape[1] is not None:
            return self._step_by_step(inputs, given, options)
        batch, steps = inputs.sizes[:2]
        if given is not None:
            options["mask"] = ops.reshape(given, (batch * steps, *given.sizes[2:]))
        results = self.layer(ops.reshape(inputs, (batch * steps, *inputs.sizes[2:])), **options)
        return tree.map_structure(
            lambda result: ops.reshape(result, (batch, steps, *result.sizes[1:])), results
        )

    def _step_by_step(self, inputs: KerasTensor, mask: Any, options: dict[str, Any]) -> Any:
        found = []
        for step in range(inputs.shape[1] or 0):
            if mask is not None:
                options["mask"] = mask[:, step]
            found.append(self.layer(inputs[:, step], **options))
        columns = zip(*map(tree.flatten, found), strict=True)
        return tree.pack_as(found[0], [ops.stack(list(column), 1) for column in columns])

    def _check_mask(self, inputs: KerasTensor, mask: Any) -> None:
        if mask is None:
            return
        pairs = zip(inputs.shape[:2], mask.shape[:2], strict=False)
        if mask.ndim < 2 or any(None not in pair and pair[0] != pair[1] for pair in pairs):
            raise LayerError(
                self,
                f"mask: expected a shape that begins with (batch, steps), here {inputs.shape[:2]}; "
                f"received {mask.shape}",
            )
