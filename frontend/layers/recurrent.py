"""RNN: a layer that applies a cell step by step."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.ops.core import input_
from ...compiler.ops.stepping import AUTO, FULL, ScanStep, Unroll, close_scan, items_of
from .. import ops, tree
from ..errors import LayerError, shown
from ..ops.carried import changing_nothing
from ..ops.core import as_node
from ..tensor import KerasTensor
from ..variable import Variable
from .base import Layer
from .cells import (
    StackedRNNCells,
    check_cell,
    fixed_masks,
    initial_state_of,
    step_of,
)
from .spec import InputSpec


class Carried:
    """The states that a stateful layer keeps from call to call; no weights of it."""

    def __init__(self, variables: Any) -> None:
        self.variables = variables  # nested as the states of the cell


@dataclass(frozen=True)
class Results:
    """What the steps of a cell gave: the last output, all outputs, the last states."""

    last: Any
    every: Any
    states: Any


class RNN(Layer):
    """A cell applied to each step of sequences: ``(N, T, ...)`` to ``(N, ...)``.

    Args:
        cell: a layer with ``call(inputs, states) -> (output, new_states)``, a ``state_size`` (an
            int, or a list of them) and perhaps an ``output_size`` and ``get_initial_state``; or a
            list of cells, each of which takes what the one before gives.
        return_sequences: whether to return the outputs of all steps, ``(N, T, ...)``.
        return_state: whether to return the last states too.
        go_backwards: whether to begin with the last step; outputs are in the order of the steps
            taken.
        stateful: whether a call begins with the states that the one before ended with: sample by
            sample, so the batch size has to be known. ``reset_state()`` begins anew.
        unroll: whether the compiler lays the steps out one after another, for which their number
            has to be known; False leaves it to the compiler.
        zero_output_for_mask: whether the output of a masked step is 0; else it is that of the step
            before. States stay as they were, either way.
    """

    supports_masking = True

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cell = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell
        check_cell(self, self.cell)
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.stateful = bool(stateful)
        self.unroll = bool(unroll)
        self.zero_output_for_mask = bool(zero_output_for_mask)
        self.carried: Carried | None = None
        self.input_spec = _over_steps(self.cell)

    # States

    @property
    def state_size(self) -> list[Any]:
        """The size of each state."""
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    @property
    def states(self) -> Any:
        """The states of a stateful layer, variables nested as the cell's; None of others."""
        return None if self.carried is None else self.carried.variables

    @property
    def fixes_batch(self) -> bool:
        return self.stateful

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """The states that a call begins with: the cell's own, or zeros."""
        found: list[Any] = initial_state_of(self.cell, batch_size)
        return found

    def reset_state(self) -> None:
        """Sets the states of a stateful layer to 0."""
        for variable in tree.flatten(self.states):
            if variable is not None:
                variable.assign(np.zeros(variable.shape, variable.dtype))

    reset_states = reset_state

    # Building

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        sizes = (sequences_shape[0], *sequences_shape[2:])
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build(sizes)
        self.input_spec = _over_steps(self.cell)
        if self.stateful:
            self._make_states(sequences_shape)

    def _make_states(self, shape: Any) -> None:
        if shape[0] is None:
            raise LayerError(
                self,
                "stateful=True: expected a known batch size, as each sample has its own state; "
                f"received shape {shape}. Give it in Input(batch_shape=(32, ...))",
            )
        first = self.get_initial_state(shape[0])
        self.carried = Carried(tree.map_structure(self._state_variable, first))

    def _state_variable(self, value: Any) -> Variable:
        return Variable(
            np.asarray(value),
            dtype=self.dtype,
            trainable=False,
            name="rnn_state",
            path=f"{self.name}/rnn_state",
        )

    # Calling

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        if self.unroll and sequences.shape[1] is None:
            raise LayerError(
                self,
                "unroll=True: expected a known number of steps; received shape "
                f"{sequences.shape}. Give it in Input(shape=(steps, features)), or drop unroll",
            )
        if sequences.shape[1] == 0:
            raise LayerError(
                self, f"expected sequences of 1 step or more; received shape {sequences.shape}"
            )
        states = self._first_states(sequences, initial_state)
        sizes = (sequences.sizes[0], *sequences.sizes[2:])
        with fixed_masks(self.cell, sizes) if training else nullcontext():
            mask = self._checked_mask(sequences, mask)
            results = self._looped(sequences, states, mask, training)
        if self.stateful:
            pairs = zip(tree.flatten(self.states), tree.flatten(results.states), strict=True)
            for variable, state in pairs:
                variable.assign(state)
        output = results.every if self.return_sequences else results.last
        return (output, *results.states) if self.return_state else output

    def _first_states(self, sequences: Any, given: Any) -> list[Any]:
        """The states to begin with, as tensors of the layer's dtype."""
        wanted = self.get_initial_state(sequences.sizes[0])
        if isinstance(given, dict):  # whose order is not that of the states
            raise LayerError(
                self,
                f"initial_state: expected a tensor, or a list of them; received {shown(given)}",
            )
        if given is None:
            found = self.states if self.stateful else wanted
        else:
            found = list(given) if isinstance(given, (list, tuple)) else [given]
        self._check_batch(sequences)
        tensors = tree.map_structure(self._state_tensor, found)
        have, want = tree.flatten(tensors), tree.flatten(wanted)
        shapes = [tensor.shape for tensor in have]
        expected = [tensor.shape for tensor in want]
        if len(have) != len(want) or not all(map(_agree, shapes, expected)):
            raise LayerError(
                self,
                f"initial_state: expected states of shapes {_listed(expected)}, of the batch size "
                f"of the sequences; received {_listed(shapes)}",
            )
        packed: list[Any] = tree.pack_as(wanted, have)
        return packed

    def _state_tensor(self, value: Any) -> KerasTensor:
        try:
            return ops.cast(ops.convert_to_tensor(value), self.dtype)
        except TypeError as error:
            raise LayerError(self, f"initial_state: {error}") from None

    def _check_batch(self, sequences: Any) -> None:
        if not self.stateful:
            return
        known = tree.flatten(self.states)[0].shape[0]
        if sequences.shape[0] != known:
            raise LayerError(
                self,
                f"stateful=True: expected batches of {known} samples, as the states have; received "
                f"shape {sequences.shape}",
            )

    def _checked_mask(self, sequences: Any, mask: Any) -> Any:
        """The mask, of a row for each sequence, or one for all; None where there is none."""
        found = _step_mask(mask)
        if found is None:
            return None
        if not isinstance(found, KerasTensor):
            raise LayerError(
                self, f"mask: expected a tensor of shape (batch, steps); received {shown(found)}"
            )
        if found.ndim == 3 and found.shape[2] == 1:
            found = found[:, :, 0]
        batch, steps = sequences.shape[:2]
        fits = found.ndim == 2 and found.shape[0] in (batch, 1, None)
        if not fits or (None not in (found.shape[1], steps) and found.shape[1] != steps):
            raise LayerError(
                self,
                f"mask: expected shape (batch, steps), here {(batch, steps)}, or one more axis of "
                f"size 1; received {found.shape}",
            )
        return found

    def _one_step(self, inputs: Any, states: list[Any], training: bool) -> tuple[Any, list[Any]]:
        """The cell's output and its new states, of the types that they had."""
        with changing_nothing(f"{type(self).__name__} over {type(self.cell).__name__}"):
            output, new = step_of(self.cell, inputs, states, training)
        found = list(new) if isinstance(new, (list, tuple)) else [new]
        have, want = tree.flatten(found), tree.flatten(states)
        if [each.shape for each in have] != [each.shape for each in want]:
            raise LayerError(
                self,
                f"expected a cell whose new states have the shapes {_listed_of(want)} of the old "
                f"ones; it gives {_listed_of(have)}",
            )
        cast = [ops.cast(h, w.dtype) for h, w in zip(have, want, strict=True)]
        packed: list[Any] = tree.pack_as(states, cast)
        return output, packed

    def _looped(self, sequences: Any, states: list[Any], mask: Any, training: bool) -> Results:
        """All steps as one loop of the graph."""
        leaves = [
            input_(f"c{i}", as_node(s).tensor_type) for i, s in enumerate(tree.flatten(states))
        ]
        carried = list(map(KerasTensor.of, leaves))
        given = [sequences] if mask is None else [sequences, mask]
        slices = [input_(f"x{i}", _without_steps(as_node(each))) for i, each in enumerate(given)]
        inputs = [KerasTensor.of(leaf) for leaf in slices]
        old = tree.pack_as(states, carried)
        output, new = self._one_step(inputs[0], old, training)
        begins = [as_node(state) for state in tree.flatten(states)]
        if mask is not None or not self._gives_a_state(output, new):
            before = input_(f"c{len(leaves)}", as_node(output).tensor_type)
            begins.append(as_node(ops.zeros(before.shape, output.dtype)))
            leaves.append(before)
            if mask is not None:
                output, new = self._masked(inputs[1], output, KerasTensor.of(before), new, old)
            last = len(leaves) - 1
            news = [*tree.flatten(new), output]
        else:
            news = tree.flatten(new)
            last = [as_node(state) for state in news].index(as_node(output))
        step = ScanStep(
            tuple(leaves),
            tuple(slices),
            tuple(map(as_node, news)),
            (as_node(output),) if self.return_sequences else (),
        )
        over = [as_node(each) for each in given]
        how: Unroll = FULL if self.unroll else AUTO
        scan = close_scan(step, begins, over, reverse=self.go_backwards, least=1, unroll=how)
        items = items_of(scan)
        found = list(map(KerasTensor.of, items))
        every = found[len(leaves)] if self.return_sequences else None
        if every is not None and self.go_backwards:
            every = ops.flip(every, 1)  # a loop leaves results beside the inputs they were made of
        return Results(found[last], every, tree.pack_as(states, found[: len(carried)]))

    @staticmethod
    def _gives_a_state(output: Any, new: list[Any]) -> bool:
        return as_node(output) in [as_node(state) for state in tree.flatten(new)]

    def _masked(
        self, mask: Any, output: Any, before: Any, new: list[Any], old: list[Any]
    ) -> tuple[Any, list[Any]]:
        """Output and states of a step: where the mask is off, as they were."""
        rest = ops.zeros_like(output) if self.zero_output_for_mask else before
        pairs = zip(tree.flatten(new), tree.flatten(old), strict=True)
        states = [_where(mask, state, kept) for state, kept in pairs]
        return _where(mask, output, rest), tree.pack_as(new, states)

    # Shapes and masks

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the outputs of all steps; the last output and states have none."""
        mask = _step_mask(previous_mask) if self.return_sequences else None
        return [mask, *(None for _ in self.state_size)] if self.return_state else mask


def _over_steps(cell: Any) -> InputSpec:
    """What a layer takes whose steps take what ``cell`` does."""
    spec = getattr(cell, "input_spec", None)
    if not isinstance(spec, InputSpec):
        return InputSpec(min_ndim=3, layout="(batch, steps, features)")
    return spec.over_steps()


def _step_mask(mask: Any) -> Any:
    """The mask of the sequences, shape ``(N, T)``; None where there is none."""
    found = tree.flatten([mask])
    return found[0] if found else None


def _without_steps(node: Any) -> Any:
    shape = node.shape
    return node.tensor_type.with_shape((shape[0], *shape[2:]))


def _where(mask: Any, chosen: Any, other: Any) -> Any:
    """One or the other by sample."""
    wide = ops.reshape(mask, (*mask.sizes, *(1 for _ in chosen.shape[1:])))
    return ops.where(wide, chosen, other)


def _agree(shape: Any, wanted: Any) -> bool:
    """Whether a state's shape is, or may be, the one that is wanted."""
    return len(shape) == len(wanted) and all(
        size in (None, other) for size, other in zip(shape, wanted, strict=True)
    )


def _listed(shapes: Sequence[Any]) -> str:
    return ", ".join(map(str, shapes))


def _listed_of(tensors: Sequence[Any]) -> str:
    return _listed([tensor.shape for tensor in tensors])
