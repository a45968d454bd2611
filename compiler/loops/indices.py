"""Text of where an access is read or written: the index of an element, and whether it is inside."""

from __future__ import annotations

from .kernel import Access, Term


def index_of(terms: tuple[Term, ...]) -> str:
    """The index, in elements, that the loops' axes give."""
    return " + ".join(filter(None, map(_term, terms))) or "0"


def inside_of(access: Access) -> str:
    """The condition under which an access with bounds is inside the array."""
    return " and ".join(_inside(term) for term in access.terms if term.bound)


def _term(term: Term) -> str:
    if term.is_plain:
        if term.axis is None or term.stride == "0":
            return ""
        return term.axis if term.stride == "1" else f"{term.axis} * {term.stride}"
    position = _position(term)
    return position if term.stride == "1" else f"({position}) * {term.stride}"


def _position(term: Term) -> str:
    shifted = _shifted(term)
    return shifted if term.divisor == 1 else f"{shifted} // {term.divisor}"


def _inside(term: Term) -> str:
    text = f"0 <= {_position(term)} < {term.bound}"
    if term.exact and term.divisor > 1:
        text += f" and {_shifted(term)} % {term.divisor} == 0"
    return text


def _shifted(term: Term) -> str:
    axis = f"{term.axis} * {term.scale}" if term.axis else "0"
    return axis if term.offset == "0" and term.axis is None else f"({axis} + {term.offset})"
