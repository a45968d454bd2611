"""The weights of a layer and of the layers inside it: finding, listing, getting and setting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .arguments import checked_method
from .dtypes import as_array
from .errors import LayerError
from .history import Operation
from .variable import Variable
from .watching import Watched

# Attributes in which no weights or layers of the layer itself are looked for.
_WITHIN = "layers within"
_BOOKKEEPING = frozenset({"inbound_nodes", "given_arguments", "programs", "source"})


class Weighted(Watched, Operation):
    """Finds weights and inner layers among its own attributes, lists and dicts included."""

    _trainable = True

    def __getstate__(self) -> dict[str, Any]:
        """The layers within come first, the innermost at the front.

        So none is reached through all that are around it, which Python's limit of recursion allows
        for some dozen of them.
        """
        within = [layer for layer in all_layers(self) if layer is not self]
        return {_WITHIN: within[::-1]} | super().__getstate__()

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({name: each for name, each in state.items() if name != _WITHIN})

    @property
    def own_variables(self) -> list[Variable]:
        """Weights of this layer itself: those to learn, then the running statistics."""
        found = [value for value in self._members() if isinstance(value, Variable)]
        return sorted(_each_once(found), key=lambda variable: variable.is_state)

    @property
    def sublayers(self) -> list[Weighted]:
        """The layers held by this one, in the order in which they were assigned."""
        found = [value for value in self._members() if isinstance(value, Weighted)]
        return _each_once(found)

    def _members(self) -> Iterator[Any]:
        for name, value in vars(self).items():
            if name not in _BOOKKEEPING:
                yield from found_in(value, (Variable, Weighted))

    @property
    def weights(self) -> list[Variable]:
        """Every weight, in the order of ``get_weights``: its own, then those of inner layers."""
        return _each_once([weight for layer in all_layers(self) for weight in layer.own_variables])

    @property
    def variables(self) -> list[Variable]:
        """The same as ``weights``."""
        return self.weights

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes."""
        learning = all_layers(self, lambda layer: layer._trainable)
        found = [weight for layer in learning for weight in layer.own_variables]
        return _each_once([weight for weight in found if weight.trainable])

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training leaves alone, running statistics among them."""
        learned = {id(weight) for weight in self.trainable_weights}
        return [weight for weight in self.weights if id(weight) not in learned]

    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it sets it for the inner layers too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in all_layers(self):
            layer._trainable = bool(value)
            for variable in layer.own_variables:
                variable.trainable = bool(value) and not variable.is_state

    def count_params(self) -> int:
        """The number of elements of all weights."""
        return sum(weight.size for weight in self.weights)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights, in the order of ``weights``."""
        return [weight.numpy() for weight in self.weights]

    @checked_method
    def set_weights(self, weights: Iterable[Any]) -> None:
        """Sets all weights, in the order of ``weights``; all or none of them.

        Raises:
            ValueError: another number of arrays, or a shape that differs.
        """
        given = list(weights)
        mine = self.weights
        if len(given) != len(mine):
            raise LayerError(self, self._wrong_number(len(given)))
        arrays = [as_array(array) for array in given]
        for index, (variable, array) in enumerate(zip(mine, arrays, strict=True)):
            if variable.shape != array.shape:
                raise LayerError(
                    self,
                    f"set_weights: expected shape {variable.shape} for {variable.path} (weight "
                    f"{index}); received shape {array.shape}. Nothing was set",
                )
        for variable, array in zip(mine, arrays, strict=True):
            variable.assign(array)

    def _wrong_number(self, received: int) -> str:
        mine = self.weights
        listed = ", ".join(f"{weight.path} {weight.shape}" for weight in mine[:6])
        more = f", ... ({len(mine) - 6} more)" if len(mine) > 6 else ""
        if not mine:
            return (
                f"set_weights: expected no arrays, as it has no weights; received {received}. "
                "A layer gets its weights when it is built: call it on an input first"
            )
        return f"set_weights: expected {len(mine)} arrays ({listed}{more}); received {received}"


def all_layers(
    layer: Weighted, enters: Callable[[Weighted], bool] = lambda layer: True
) -> Iterator[Weighted]:
    """The layer and those within, each once, holders first; only those that ``enters`` says.

    Without recursion: models can be nested as deep as anyone likes.
    """
    seen: set[int] = set()
    stack = [layer]
    while stack:
        current = stack.pop()
        if id(current) not in seen and enters(current):
            seen.add(id(current))
            yield current
            stack.extend(reversed(current.sublayers))


def found_in(value: Any, kinds: type | tuple[type, ...]) -> Iterator[Any]:
    """The instances of ``kinds`` in an attribute, in lists, tuples and dicts too."""
    stack = [value]
    while stack:
        current = stack.pop()
        if isinstance(current, kinds):
            yield current
        elif isinstance(current, (list, tuple)):
            stack.extend(reversed(current))
        elif isinstance(current, dict):
            stack.extend(reversed(current.values()))


def _each_once(values: list[Any]) -> list[Any]:
    return list({id(value): value for value in values}.values())
