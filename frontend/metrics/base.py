"""What all metrics share: variables that add up batches, and a result made of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from .. import initializers, ops, tree
from ..arguments import Checked
from ..dtypes import compute_dtype_of
from ..errors import unmade
from ..naming import auto_name
from ..variable import Variable
from ..watching import Watched


def _values(leaf: Any) -> Any:
    return ops.convert_to_tensor(leaf) if isinstance(leaf, Variable) else leaf


def _giving_values(result: Callable[..., Any]) -> Callable[..., Any]:
    """``result`` with a variable's value in place of the variable, which the next batch changes."""

    @wraps(result)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = result(*args, **kwargs)
        if isinstance(given, (Variable, dict, list, tuple)):
            return tree.map_structure(_values, given)
        return given

    return call


class Metric(Checked, Watched):
    """A number that many batches add to. Subclasses define ``update_state`` and ``result``.

    Both are written with ``keraunos.ops`` and ``assign``: then they work on arrays at once, and
    become part of the compiled step when a model is trained.

    Args:
        dtype: of the results; the default float unless given.
        name: the key in the history.
    """

    name: str = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "result" in vars(cls):
            cls.result = _giving_values(cls.result)  # type: ignore[method-assign]

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or auto_name(type(self).__name__)
        self.dtype = compute_dtype_of(dtype).name
        self._made: list[Variable] = []

    def add_variable(
        self,
        shape: tuple[int, ...],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """A variable that keeps what was added up; ``aggregation`` as in ``Variable``."""
        if not self.name:
            raise unmade(self, "name=...")
        variable = Variable(
            initializers.get(initializer or "zeros"),
            tuple(shape),
            dtype,
            trainable=False,
            aggregation=aggregation,
            name=name or "variable",
            path=f"{self.name.replace('/', '>')}/{name or 'variable'}",
        )
        self._made.append(variable)
        return variable

    def add_weight(
        self,
        shape: tuple[int, ...] = (),
        initializer: Any = None,
        dtype: Any = None,
        name: str | None = None,
    ) -> Variable:
        """As ``add_variable``."""
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """The metric's own, then those of the metrics among its attributes."""
        inner = [value for value in vars(self).values() if isinstance(value, Metric)]
        return [*self._made, *(variable for metric in inner for variable in metric.variables)]

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Adds a batch."""
        raise NotImplementedError(f"{type(self).__name__} needs an update_state(self, ...)")

    def result(self) -> Any:
        """The metric of all batches since the last reset: a tensor, or a dict of them."""
        raise NotImplementedError(f"{type(self).__name__} needs a result(self)")

    def reset_state(self) -> None:
        """Forgets all batches."""
        for variable in self.variables:
            variable.clear()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Adds a batch, and gives the result."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
