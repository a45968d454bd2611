"""What an optimizer remembers: the steps done, the learning rate, and arrays beside each weight."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import initializers, ops
from ..arguments import Checked
from ..errors import UsageError, UsageTypeError
from ..programs import Identity
from ..variable import Variable
from ..watching import Watched
from ..weights import found_in
from .options import at_least
from .schedules import LearningRateSchedule


class OptimizerState(Checked, Watched):
    """The variables of an optimizer, in the order in which Keras saves them.

    Attributes:
        name: unique unless given; the paths of the variables begin with it.
        built: whether there are variables for each weight.
    """

    name = ""
    built = False
    gradient_accumulation_steps: int | None = None

    def start(self, learning_rate: Any) -> None:
        """Makes the count of steps, and the learning rate where it is a number."""
        self.programs: dict[Any, Any] = {}
        self._variables: list[Variable] = []
        self._trainable_variables: list[Variable] = []
        self._indices: dict[Identity, int] = {}
        self._iterations = self.add_variable((), dtype="int32", name="iteration")
        self._learning_rate = self._rate(learning_rate)

    # The learning rate

    def _rate(self, value: Any) -> Any:
        if callable(value):
            return value
        number = at_least(self, "learning_rate", value)
        return self.add_variable((), initializers.Constant(number), name="learning_rate")

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the step under way: a variable, or what a schedule gives.

        It may be set to a number, or to a schedule. A function is called with no arguments, once
        for a step that is compiled; a schedule is part of the step.

        Raises:
            TypeError: when set to a number where it is a schedule or a function.
        """
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate(self._iterations)
        return self._learning_rate() if callable(self._learning_rate) else self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if callable(value):
            self._replace_rate(value)
            return
        if not isinstance(self._learning_rate, Variable):
            raise UsageTypeError(
                f"{type(self).__name__}: expected a schedule as the learning rate, as it was made "
                f"with {type(self._learning_rate).__name__}; received {value!r}. Make the "
                "optimizer with a number to set it later"
            )
        plain = value.view if isinstance(value, Variable) else value
        self._learning_rate.assign(at_least(self, "learning_rate", plain))

    def _replace_rate(self, value: Callable[..., Any]) -> None:
        self._variables = [each for each in self._variables if each is not self._learning_rate]
        self._learning_rate = value

    @property
    def has_function_as_rate(self) -> bool:
        """Whether the learning rate is a function that knows no step."""
        rate = self._learning_rate
        return callable(rate) and not isinstance(rate, LearningRateSchedule)

    @property
    def iterations(self) -> Any:
        """The number of updates so far: a variable, or a quotient where gradients accumulate."""
        if self.gradient_accumulation_steps:
            return ops.floor_divide(self._iterations, self.gradient_accumulation_steps)
        return self._iterations

    # Variables

    @property
    def variables(self) -> list[Variable]:
        """Steps, learning rate (unless it is a schedule), then what ``build`` made.

        Variables that a subclass keeps in attributes come last.
        """
        known = {id(each) for each in (*self._variables, *self._trainable_variables)}
        tracked = {id(each): each for each in self._tracked() if id(each) not in known}
        return [*self._variables, *tracked.values()]

    def _tracked(self) -> Iterator[Variable]:
        for name, value in vars(self).items():
            if name != "programs" and isinstance(value, (Variable, list, tuple, dict)):
                yield from found_in(value, Variable)

    def add_variable(
        self,
        shape: Iterable[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """A new variable of the optimizer; ``aggregation`` as in ``Variable``.

        Raises:
            ValueError: a ``layout`` is given, which is for several devices.
        """
        if layout is not None:
            raise UsageError(
                f"add_variable: expected layout None, on one device; received {layout!r}"
            )
        label = name or f"variable_{len(self._variables)}"
        variable = Variable(
            initializers.get(initializer),
            tuple(shape),
            dtype,
            trainable=False,
            aggregation=aggregation,
            name=label,
            path=f"{self.name}/{label}",
        )
        self._variables.append(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A new variable of the shape and dtype of a weight: ``dense_kernel_momentum``."""
        return self.add_variable(
            reference_variable.shape,
            initializer,
            reference_variable.dtype,
            name=f"{reference_variable.path.replace('/', '_')}_{name or 'var'}",
        )

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """A list with a variable for each weight; a list for each name where there are several.

        Args:
            name: of the variables of a weight, which follow one another.
            initializer: for all, or one for each name.

        Raises:
            ValueError: there are more or fewer initializers than names.
        """
        if isinstance(name, str):
            return self.add_optimizer_variables(trainable_variables, [name], [initializer])[0]
        several = isinstance(initializer, (list, tuple))
        starts = list(initializer) if several else [initializer] * len(name)
        if len(starts) != len(name):
            raise UsageError(
                f"add_optimizer_variables: expected an initializer for each of {len(name)} names; "
                f"received {len(starts)}"
            )
        made = [
            [
                self.add_variable_from_reference(weight, each, start)
                for each, start in zip(name, starts, strict=True)
            ]
            for weight in trainable_variables
        ]
        return tuple([row[index] for row in made] for index in range(len(name)))

    def remember(self, trainable_variables: Sequence[Variable]) -> None:
        """Takes down which weights there are, and in which order."""
        self._trainable_variables = list(trainable_variables)
        self._indices = {Identity(each): index for index, each in enumerate(trainable_variables)}

    def _get_variable_index(self, variable: Variable) -> int:
        """The place of a weight among those that the optimizer was built for."""
        return self._indices[Identity(variable)]

    def _check_known(self, weights: Sequence[Variable]) -> None:
        unknown = [weight.path for weight in weights if Identity(weight) not in self._indices]
        if unknown:
            raise UsageError(
                f"{type(self).__name__}: expected weights that it was built for; received "
                f"{', '.join(unknown)}. Make another optimizer, or compile the model again, when "
                "the weights to train have changed"
            )

    # Updates, under the names that Keras gives them

    def assign(self, variable: Variable, value: Any) -> None:
        """Sets a variable."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Adds to a variable."""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Subtracts from a variable."""
        variable.assign_sub(value)

    # Saving

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all variables, in the order of ``variables``; all or none of them.

        Raises:
            ValueError: the optimizer is not built; another number of arrays, or another shape.
        """
        mine = self.variables
        if not self.built:
            raise UsageError(
                f"{type(self).__name__}: set_weights: expected a call of build(variables) before"
            )
        if len(weights) != len(mine):
            raise UsageError(
                f"{type(self).__name__}: set_weights: expected {len(mine)} arrays; received "
                f"{len(weights)}"
            )
        for variable, value in zip(mine, weights, strict=True):
            variable.check_shape(np.shape(value))
        for variable, value in zip(mine, weights, strict=True):
            variable.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Puts the variables into ``store`` as ``"0"``, ``"1"``, ..."""
        for index, variable in enumerate(self.variables):
            store[str(index)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Takes the variables from ``store``; warns and leaves them where the numbers differ."""
        mine = self.variables
        if len(store.keys()) != len(mine):
            hint = "" if self.built else ": it is not built yet"
            warnings.warn(
                f"{type(self).__name__}: the saved state of the optimizer is left out, as it has "
                f"{len(store.keys())} variables and the optimizer {len(mine)}{hint}",
                stacklevel=2,
            )
            return
        for index, variable in enumerate(mine):
            variable.assign(np.asarray(store[str(index)]))
