"""Symbolic sizes: a dimension is an ``int`` or a polynomial over named sizes and functions of them.

The functions are floor division, and the larger one of a size and 0, with which all maxima and
minima can be said.

The batch size ``N`` and a sequence length ``T`` stay symbols through the whole compiler; a program
evaluates its sizes once per distinct binding ``{"N": 32}``, so one compilation serves every batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import gcd
from typing import NoReturn, TypeAlias

from .forks import cached_property

Size: TypeAlias = "int | Dim"
Bindings: TypeAlias = Mapping[str, int]
Atom: TypeAlias = "str | Function"
Monomial: TypeAlias = tuple[Atom, ...]

MOST_COMPLEX = 1 << 16  # names and numbers in one size: a product of sums has more than its text
MOST_PRODUCTS = 1 << 18  # terms times terms, before equal ones are added up
MOST_DIVISIONS = 40  # and maxima, within each other
MOST = 1 << 63  # what counts bytes and elements has 64 bits, one of them the sign


class SizeError(ValueError):
    """A size beyond the bounds above, or more work on sizes than ``limited_work`` allows."""


# What users read who compute with the size of a tensor.
_NO_NUMBER = (
    "a size that only the data tell is added to, multiplied and divided by whole numbers only. "
    "Where a number is wanted, take ops.cast(size, 'float32')"
)


@dataclass(frozen=True)
class Function:
    """A function of ``size``: a part of other sizes, as a name is."""

    size: Dim

    @cached_property
    def complexity(self) -> int:
        """How many names and numbers its text has."""
        return 1 + self.size.complexity

    @cached_property
    def divisions(self) -> int:
        """How many divisions and maxima stand within each other, this one included."""
        return 1 + self.size.divisions

    def of(self, size: Size) -> Size:
        """The function of another size."""
        raise NotImplementedError


@dataclass(frozen=True)
class FloorDiv(Function):
    """``size // divisor`` that could not be divided exactly; ``divisor`` is positive."""

    divisor: int

    def of(self, size: Size) -> Size:
        return size // self.divisor

    def __str__(self) -> str:
        text = str(self.size)
        return f"{text if text.isidentifier() else f'({text})'}//{self.divisor}"


@dataclass(frozen=True)
class Positive(Function):
    """``size``, or 0 where it is negative; made by ``maximum``."""

    def of(self, size: Size) -> Size:
        return maximum(size, 0)

    def __str__(self) -> str:
        return f"max({self.size}, 0)"


@dataclass(frozen=True)
class Dim:
    """A sum of integer multiples of products of atoms; never a plain constant (that is an int)."""

    terms: tuple[tuple[Monomial, int], ...]

    @cached_property
    def complexity(self) -> int:
        """How many names and numbers its text has."""
        atoms = (
            1 if isinstance(a, str) else a.complexity for atoms, _ in self.terms for a in atoms
        )
        return len(self.terms) + sum(atoms)

    @cached_property
    def divisions(self) -> int:
        """How many divisions and maxima stand within each other."""
        atoms = (atom for atoms, _ in self.terms for atom in atoms)
        return max((0 if isinstance(atom, str) else atom.divisions for atom in atoms), default=0)

    # Arithmetic with tensors is for these to know.

    def __add__(self, other: Size) -> Size:
        if not _is_size(other):
            return NotImplemented
        return _normal(_sum(_terms(self), _terms(other)))

    def __mul__(self, other: Size) -> Size:
        if not _is_size(other):
            return NotImplemented
        if isinstance(other, int):
            return _scaled(self, other)
        return _normal(_product(_terms(self), _terms(other)))

    def __sub__(self, other: Size) -> Size:
        if not _is_size(other):
            return NotImplemented
        return self + (other * -1)

    def __rsub__(self, other: Size) -> Size:
        return (self * -1) + other

    def __neg__(self) -> Size:
        return self * -1

    def __floordiv__(self, divisor: int) -> Size:
        if not isinstance(divisor, int) or divisor <= 0:
            raise ValueError(f"a size can be divided by a positive integer only, not {divisor!r}")
        if all(factor % divisor == 0 for _, factor in self.terms):
            return _normal({atoms: factor // divisor for atoms, factor in self.terms})
        return _normal({(FloorDiv(self, divisor),): 1})

    def __truediv__(self, other: object) -> object:
        if isinstance(other, (int, float, Dim)):
            raise TypeError(f"{_NO_NUMBER}; received {self} / {other}")
        return NotImplemented

    def __rtruediv__(self, other: object) -> NoReturn:
        raise TypeError(f"{_NO_NUMBER}; received {other} / {self}")

    def __pow__(self, other: object) -> NoReturn:
        raise TypeError(f"{_NO_NUMBER}; received {self} ** {other}")

    def __float__(self) -> NoReturn:
        raise TypeError(f"{_NO_NUMBER}; received {self}")

    def __mod__(self, divisor: int) -> Size:
        return self - (self // divisor) * divisor

    __radd__ = __add__
    __rmul__ = __mul__

    def __str__(self) -> str:
        return " + ".join(_term_text(atoms, factor) for atoms, factor in self.terms).replace(
            "+ -", "- "
        )

    __repr__ = __str__

    @property
    def symbols(self) -> frozenset[str]:
        """The names this size depends on."""
        return frozenset(_symbols(self))

    def evaluate(self, bindings: Bindings) -> int:
        """The size as an int. Raises ``KeyError`` naming a symbol that has no binding."""
        total = 0
        for atoms, factor in self.terms:
            for atom in atoms:
                factor *= _atom_value(atom, bindings)
            total += factor
        return total


def maximum(left: Size, right: Size) -> Size:
    """The larger one of two sizes: one of them where it is known which."""
    gap = left - right
    if is_never_negative(gap):
        return left
    return right if is_never_negative(-gap) else right + _positive(gap)


def minimum(left: Size, right: Size) -> Size:
    """The smaller one of two sizes: one of them where it is known which."""
    return left + right - maximum(left, right)


def _positive(size: Size) -> Size:
    """``max(size, 0)``: one form for all multiples, and for ``size`` and ``-size``."""
    assert isinstance(size, Dim), "that of an int is known"
    factors = [factor for _, factor in size.terms]
    scale = gcd(*factors)
    one = Dim(tuple((atoms, factor // scale) for atoms, factor in size.terms))
    if factors[0] < 0:  # max(-a, 0) = max(a, 0) - a
        negated = -one
        assert isinstance(negated, Dim)
        return (_normal({(Positive(negated),): 1}) + one) * scale
    return _normal({(Positive(one),): scale})


def is_never_negative(size: Size) -> bool:
    """Whether ``size`` is surely 0 or more, whatever its symbols are: they stand for sizes."""
    if isinstance(size, int):
        return size >= 0
    if all(factor >= 0 and all(map(_is_atom_positive, atoms)) for atoms, factor in size.terms):
        return True
    for atoms, factor in sorted(size.terms, key=lambda term: term[1]):
        if len(atoms) != 1 or not isinstance(atoms[0], Positive):
            continue
        # The atom is 0 or its size, whichever is more: it adds either, and takes away both.
        without = size - _normal({atoms: factor})
        cases = map(is_never_negative, (without, without + atoms[0].size * factor))
        if factor < 0:
            return all(cases)
        if any(cases):
            return True
    return False


def is_bounded(size: Size) -> bool:
    """Whether a maximum is part of ``size``."""
    if isinstance(size, int):
        return False
    atoms = [atom for factors, _ in size.terms for atom in factors]
    return any(
        isinstance(atom, Positive) or (isinstance(atom, FloorDiv) and is_bounded(atom.size))
        for atom in atoms
    )


def _is_atom_positive(atom: Atom) -> bool:
    return not isinstance(atom, FloorDiv) or is_never_negative(atom.size)


def _is_size(other: object) -> bool:
    """Whether ``other`` is a size. Raises ``TypeError`` for other numbers."""
    if isinstance(other, float):
        raise TypeError(f"{_NO_NUMBER}; received {other}")
    return isinstance(other, (int, Dim))


def symbol(name: str) -> Dim:
    """The size called ``name``; raises ``ValueError`` unless it is an identifier."""
    if not name.isidentifier():
        raise ValueError(f"a symbolic size needs an identifier for a name, not {name!r}")
    return Dim((((name,), 1),))


def evaluate(size: Size, bindings: Bindings) -> int:
    """``size`` with its symbols bound: always an int."""
    return size if isinstance(size, int) else size.evaluate(bindings)


def substitute(size: Size, values: Mapping[str, Size]) -> Size:
    """``size`` with some symbols replaced by other sizes."""
    if isinstance(size, int):
        return size
    total: Size = 0
    for atoms, factor in size.terms:
        product: Size = factor
        for atom in atoms:
            product = product * _substitute_atom(atom, values)
        total = total + product
    return total


def coefficient(size: Size, name: str) -> Size | None:
    """How much ``size`` grows when ``name`` grows by one, or None if that depends on ``name``."""
    if isinstance(size, int):
        return 0
    found: Size = 0
    for atoms, factor in size.terms:
        if name not in _symbols(Dim(((atoms, factor),))):
            continue
        others = tuple(atom for atom in atoms if atom != name)
        if len(others) != len(atoms) - 1 or name in _symbols(Dim(((others, 1),))):
            return None
        found = found + _normal({others: factor})
    return found


def symbols_of(size: Size) -> frozenset[str]:
    """The names ``size`` depends on; empty for an int."""
    return frozenset() if isinstance(size, int) else size.symbols


def _terms(size: Size) -> dict[Monomial, int]:
    return {(): size} if isinstance(size, int) else dict(size.terms)


def _sum(left: dict[Monomial, int], right: dict[Monomial, int]) -> Counter[Monomial]:
    spend(len(left) + len(right))
    total = Counter(left)
    for atoms, factor in right.items():
        total[atoms] += factor
    return total


def _product(left: dict[Monomial, int], right: dict[Monomial, int]) -> Counter[Monomial]:
    if len(left) * len(right) > MOST_PRODUCTS:
        raise SizeError(f"a product of sizes of {len(left)} and {len(right)} terms is too long")
    spend(len(left) * len(right))
    total: Counter[Monomial] = Counter()
    for a, m in left.items():
        for b, n in right.items():
            total[tuple(sorted(a + b, key=str))] += m * n
    return total


def _scaled(size: Dim, factor: int) -> Size:
    """``size`` times a number: its terms stay in order, so that nothing is sorted again."""
    if factor == 0:
        return 0
    if factor == 1:
        return size
    spend(len(size.terms))
    return _bounded(Dim(tuple((atoms, factor * own) for atoms, own in size.terms)))


def _normal(terms: Mapping[Monomial, int]) -> Size:
    kept = {atoms: factor for atoms, factor in terms.items() if factor}
    if not kept:
        return 0
    if set(kept) == {()}:
        return kept[()]
    # Constants last, then by text, so that equal sizes print and hash alike.
    return _bounded(
        Dim(tuple(sorted(kept.items(), key=lambda item: (item[0] == (), str(item[0])))))
    )


def _bounded(size: Dim) -> Dim:
    if any(not -MOST <= factor < MOST for _, factor in size.terms):
        raise SizeError("a factor of a symbolic size has more than 64 bits")
    if size.complexity > MOST_COMPLEX:
        raise SizeError(
            f"a size of {size.complexity} names and numbers; at most {MOST_COMPLEX} are taken"
        )
    if size.divisions > MOST_DIVISIONS:
        raise SizeError(
            f"a size of more than {MOST_DIVISIONS} divisions and maxima within each other"
        )
    spend(size.complexity)
    return size


# Work


_WORK_LEFT: ContextVar[list[int] | None] = ContextVar("work_left", default=None)


@contextmanager
def limited_work(most: int) -> Iterator[None]:
    """Inside, arithmetic on sizes raises ``SizeError`` once it made ``most`` names and numbers."""
    token = _WORK_LEFT.set([most])
    try:
        yield
    finally:
        _WORK_LEFT.reset(token)


def spend(complexity: int) -> None:
    """Counts names and numbers of sizes as made, where ``limited_work`` bounds them."""
    left = _WORK_LEFT.get()
    if left is None:
        return
    left[0] -= complexity
    if left[0] < 0:
        raise SizeError("the symbolic sizes take too much work for the length of the text")


def _term_text(atoms: Monomial, factor: int) -> str:
    if not atoms:
        return str(factor)
    alone = len(atoms) == 1 and factor == 1
    product = "*".join(str(atom) if alone else _factor_text(atom) for atom in atoms)
    if factor == 1:
        return product
    return f"-{product}" if factor == -1 else f"{factor}*{product}"


def _factor_text(atom: Atom) -> str:
    """``*``, ``//`` and a leading minus bind from the left: a division within needs parentheses."""
    return f"({atom})" if isinstance(atom, FloorDiv) else str(atom)


def _symbols(size: Dim) -> Iterator[str]:
    for atoms, _ in size.terms:
        for atom in atoms:
            if isinstance(atom, str):
                yield atom
            else:
                yield from _symbols(atom.size)


def _atom_value(atom: Atom, bindings: Bindings) -> int:
    if isinstance(atom, str):
        return bindings[atom]
    value = atom.of(atom.size.evaluate(bindings))
    assert isinstance(value, int), "that of an int is one"
    return value


def _substitute_atom(atom: Atom, values: Mapping[str, Size]) -> Size:
    if isinstance(atom, str):
        return values.get(atom, symbol(atom))
    return atom.of(substitute(atom.size, values))
