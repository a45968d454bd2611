"""Python's operators on tensors and weights. The functions behind them are in ``frontend/ops``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import UsageTypeError

_FUNCTIONS: dict[str, Callable[..., Any]] = {}


def bind_operators(functions: dict[str, Callable[..., Any]]) -> None:
    """Says what the operators do; ``frontend/ops``, which needs tensors itself, calls this."""
    _FUNCTIONS.update(functions)


def _binary(name: str) -> Callable[[Any, Any], Any]:
    def operate(self: Any, other: Any) -> Any:
        return _FUNCTIONS[name](self, other)

    return operate


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    def operate(self: Any, other: Any) -> Any:
        return _FUNCTIONS[name](other, self)

    return operate


def _unary(name: str) -> Callable[[Any], Any]:
    def operate(self: Any) -> Any:
        return _FUNCTIONS[name](self)

    return operate


class Operators:
    """Arithmetic, comparisons (element by element, ``==`` too) and indexing."""

    __hash__ = object.__hash__

    __add__, __radd__ = _binary("add"), _reflected("add")
    __sub__, __rsub__ = _binary("subtract"), _reflected("subtract")
    __mul__, __rmul__ = _binary("multiply"), _reflected("multiply")
    __truediv__, __rtruediv__ = _binary("true_divide"), _reflected("true_divide")
    __floordiv__, __rfloordiv__ = _binary("floor_divide"), _reflected("floor_divide")
    __mod__, __rmod__ = _binary("mod"), _reflected("mod")
    __pow__, __rpow__ = _binary("power"), _reflected("power")
    __matmul__, __rmatmul__ = _binary("matmul"), _reflected("matmul")
    __and__, __rand__ = _binary("logical_and"), _reflected("logical_and")
    __or__, __ror__ = _binary("logical_or"), _reflected("logical_or")
    __xor__, __rxor__ = _binary("logical_xor"), _reflected("logical_xor")
    __lt__, __le__ = _binary("less"), _binary("less_equal")
    __gt__, __ge__ = _binary("greater"), _binary("greater_equal")
    __eq__ = _binary("equal")
    __ne__ = _binary("not_equal")
    __getitem__ = _binary("get_item")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """``array + tensor``, ``np.exp(tensor)``: the function of the same name on tensors."""
        function = _FUNCTIONS.get(ufunc.__name__)
        if function is None or method != "__call__" or kwargs:
            raise UsageTypeError(
                f"numpy.{ufunc.__name__} cannot be used on a symbolic tensor. Use keraunos.ops"
            )
        return function(*inputs)

    __neg__, __abs__, __invert__ = _unary("negative"), _unary("absolute"), _unary("logical_not")
