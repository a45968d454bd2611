"""Einstein summation as transposes, reshapes and one matrix product per operand pair."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from string import ascii_letters

from ...runtime.dim import Size
from ..ir.graph import IRError, Node
from ..ir.types import INT64
from .building import count, number, reshaped
from .registry import ops

Term = tuple[Node, str]  # a value and one letter per axis


def einsum(*operands: Node, equation: str) -> Node:
    """``einsum(x, y, equation="bij,bjk->bik")``; ``...`` stands for leading axes.

    Built of transpose, reshape, matmul and sum, two operands at a time from the left.

    Raises:
        IRError: the equation does not fit the operands.
    """
    inputs, output = _parsed(equation, operands)
    terms = list(zip(operands, inputs, strict=True))
    sizes = _sizes(terms, equation)
    for letter in output:
        if letter not in sizes:
            raise IRError(f"einsum {equation!r}: {letter!r} on the right is not on the left")
        if output.count(letter) > 1:
            raise IRError(f"einsum {equation!r}: {letter!r} is twice on the right")
    terms = list(map(_diagonal, terms))
    inputs = [letters for _, letters in terms]
    terms = [
        _without_own(term, output + "".join(inputs[:i] + inputs[i + 1 :]))
        for i, term in enumerate(terms)
    ]
    result = terms[0]
    for index, term in enumerate(terms[1:], 1):
        wanted = output + "".join(letters for _, letters in terms[index + 1 :])
        result = _product(result, term, wanted, sizes)
    node, letters = result
    return _permuted(node, letters, output)


def _diagonal(term: Term) -> Term:
    """A term with each letter once: where one came twice, its diagonal is taken."""
    node, letters = term
    for letter in letters:
        if letters.count(letter) > 1:
            break
    else:
        return term
    pair = letters.index(letter), letters.rindex(letter)
    rest = [axis for axis in range(len(letters)) if axis not in pair]
    lead, size = [node.shape[axis] for axis in rest], node.shape[pair[0]]
    flat = reshaped(ops.transpose(node, axes=(*rest, *pair)), (*lead, size * size))
    row = ops.iota(shape=(size,), axis=0, dtype="int64")
    places = ops.multiply(row, ops.add(count((size,), INT64), number(1, row)))
    found = ops.gather(flat, places, axis=len(rest))
    return _diagonal((found, "".join(letters[axis] for axis in rest) + letter))


def _parsed(equation: str, operands: Sequence[Node]) -> tuple[list[str], str]:
    left, arrow, output = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(operands) or not operands:
        raise IRError(f"einsum {equation!r}: expected {len(inputs)} operands, got {len(operands)}")
    if not arrow:
        seen = left.replace(",", "").replace("...", "")
        once = "".join(sorted(letter for letter in set(seen) if seen.count(letter) == 1))
        output = ("..." if "..." in left else "") + once
    free = [letter for letter in ascii_letters if letter not in equation]
    longest = _longest_ellipsis(inputs, operands, equation)
    dots = "".join(free[:longest])
    found = []
    for letters, operand in zip(inputs, operands, strict=True):
        count = operand.tensor_type.rank - len(letters.replace("...", ""))
        found.append(letters.replace("...", dots[longest - count :] if count else ""))
    for letters, operand in zip(found, operands, strict=True):
        _check_term(letters, operand, equation)
    return found, output.replace("...", dots)


def _longest_ellipsis(inputs: list[str], operands: Sequence[Node], equation: str) -> int:
    counts = [0]
    for letters, operand in zip(inputs, operands, strict=True):
        if "..." in letters:
            counts.append(operand.tensor_type.rank - len(letters.replace("...", "")))
    if min(counts) < 0:
        raise IRError(f"einsum {equation!r}: an operand has fewer axes than letters")
    return max(counts)


def _check_term(letters: str, operand: Node, equation: str) -> None:
    if not all(letter in ascii_letters for letter in letters):
        raise IRError(f"einsum {equation!r}: expected letters, '...', ',' and '->'")
    if len(letters) != operand.tensor_type.rank:
        raise IRError(
            f"einsum {equation!r}: expected an operand of rank {len(letters)} for {letters!r}, "
            f"got {operand.type}"
        )


def _sizes(terms: Sequence[Term], equation: str) -> dict[str, Size]:
    sizes: dict[str, Size] = {}
    for node, letters in terms:
        for letter, size in zip(letters, node.shape, strict=True):
            known = sizes.setdefault(letter, size)
            if known != size:
                raise IRError(
                    f"einsum {equation!r}: {letter!r} is {known} in one operand and {size} in "
                    f"another, {node.type}"
                )
    return sizes


def _without_own(term: Term, others: str) -> Term:
    """``term`` summed over the letters that nothing else has."""
    node, letters = term
    axes = tuple(i for i, letter in enumerate(letters) if letter not in others)
    if not axes:
        return term
    return ops.sum(node, axes=axes), "".join(letter for letter in letters if letter in others)


def _product(left: Term, right: Term, wanted: str, sizes: dict[str, Size]) -> Term:
    """Two terms as one matrix product: batch letters, kept ones, and those summed over."""
    (x, xs), (y, ys) = left, right
    both = [letter for letter in xs if letter in ys]
    batch = [letter for letter in both if letter in wanted]
    inner = [letter for letter in both if letter not in wanted]
    rows = [letter for letter in xs if letter not in ys]
    columns = [letter for letter in ys if letter not in xs]

    def arranged(node: Node, letters: str, *groups: list[str]) -> Node:
        order = "".join(letter for group in (batch, *groups) for letter in group)
        shape = [*(sizes[letter] for letter in batch), *(_total(g, sizes) for g in groups)]
        return reshaped(_permuted(node, letters, order), shape)

    product = ops.matmul(arranged(x, xs, rows, inner), arranged(y, ys, inner, columns))
    letters = "".join((*batch, *rows, *columns))
    return reshaped(product, [sizes[letter] for letter in letters]), letters


def _total(letters: Sequence[str], sizes: dict[str, Size]) -> Size:
    one: Size = 1
    return reduce(lambda total, letter: total * sizes[letter], letters, one)


def _permuted(node: Node, letters: str, order: str) -> Node:
    if letters == order:
        return node
    return ops.transpose(node, axes=tuple(letters.index(letter) for letter in order))
