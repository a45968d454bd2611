"""Symbolic sizes out of their text."""

from __future__ import annotations

import ast

from .dim import Size, maximum, symbol


def parse_size(text: str) -> Size:
    """The inverse of ``str``: ``parse_size("(H - 3)//2 + 1")``. Raises ``ValueError``."""
    try:
        return _from_ast(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"expected a size such as 28, N or (H - 3)//2 + 1, got {text!r}"
        ) from error


def _from_ast(node: ast.expr) -> Size:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            return symbol(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_from_ast(operand)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _from_ast(left) + _from_ast(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _from_ast(left) - _from_ast(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _from_ast(left) * _from_ast(right)
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=ast.Constant(value=int(divisor))):
            return _from_ast(left) // divisor
        case ast.Call(func=ast.Name(id="max"), args=[left, right], keywords=[]):
            return maximum(_from_ast(left), _from_ast(right))
    raise TypeError("not a size")
