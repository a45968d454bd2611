"""IR text back into the graph that ``printer.format_graph`` wrote: dump, edit, reload, run.

Types are inferred anew. An annotation may be left out; where it stands it must agree.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any

from ...runtime.dim import limited_work
from ..ops.core import CONSTANT, INPUT, PARAMETER
from ..ops.registry import get_op
from ..suggest import did_you_mean
from .graph import REQUIRED, Graph, IRError, Node, Op, apply, origin_scope
from .lexer import Token, Tokens, tokenize
from .origin_text import parse_origins
from .parse_values import Values
from .types import TensorType, TupleType, Type
from .verify import verify

# Parts of symbolic sizes that a text may make the parser multiply out: a few seconds, and more
# for a text that is long.
SIZE_WORK = 2_000_000
SIZE_WORK_OF_A_CHARACTER = 100


def parse_ir(text: str) -> Graph:
    """The graph written in ``text``, well formed as ``verify`` wants it.

    Files in the comments come back as the base names that were printed. Whatever the text is, time
    and memory are bounded by its length.

    Raises:
        IRError: with line, column, the line itself, what was expected and what came.
    """
    if not isinstance(text, str):
        raise IRError(f"expected IR text as a str, got {type(text).__name__}; decode bytes first")
    tokens = tokenize(text)
    with limited_work(SIZE_WORK + SIZE_WORK_OF_A_CHARACTER * len(text)):
        graph = _Parser(tokens).graph()
        if tokens.next.kind != "end":
            raise tokens.error(f"expected the end of the text, got {tokens.next}")
        verify(graph)
    return graph


@dataclass
class _Call:
    """The right-hand side of a statement, read but not yet built."""

    op: Op
    at: Token
    operands: list[Node] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    attrs: dict[str, Any] = field(default_factory=dict)
    data: Any = None


class _Parser:
    """Recursive descent over one scope of names; each body has a parser of its own."""

    def __init__(self, tokens: Tokens, owner: str = "", sizes: Set[str] = frozenset()) -> None:
        self.tokens = tokens
        self.scope: dict[str, Node] = {}
        self.owner = owner  # the region whose body this is
        self.sizes = sizes  # the symbols that the inputs of the graph determine
        self.values = Values(tokens)
        self.names: set[tuple[Op, str]] = set()  # of inputs and parameters

    # Statements

    def graph(self) -> Graph:
        self.tokens.expect("graph")
        name = self.name()
        inputs = self.inputs()
        self.sizes = frozenset().union(*(node.tensor_type.symbols for node in inputs))
        marked = self.tokens.accept("->")
        at = self.tokens.next
        types = self.tuple_of_types() if marked else None
        self.tokens.expect("{")
        graph = self.block(name, inputs)
        self.check_type(types, tuple(node.type for node in graph.returned), at, "the graph")
        return graph

    def name(self) -> str:
        if self.tokens.next.kind == "string":
            at = self.tokens.take()
            return self.tokens.unquoted(at, at.text)
        start = self.tokens.expect_kind("name", "the name of the graph")
        return start.text + self.tokens.text_until("(")

    def inputs(self) -> tuple[Node, ...]:
        """``(%x: f32[2], %y: f32[3])``: fresh inputs, entered in the scope."""
        self.tokens.expect("(")
        found = []
        while not self.tokens.accept(")"):
            at = self.tokens.next
            self.tokens.expect_kind("ref", "an input such as %x: f32[N, 4]")
            self.tokens.expect(":")
            found.append(self.leaf(INPUT, at))
            if not self.tokens.accept(","):
                self.tokens.expect(")")
                break
        return tuple(found)

    def leaf(self, op: Op, at: Token) -> Node:
        """The input or parameter called ``at``, whose type comes next."""
        type_ = self.values.tensor_type()
        name = self.plain(at)
        if (op, name) in self.names:
            raise self.tokens.error(f"another {op.name} is called {name!r} already", at)
        self.names.add((op, name))
        with origin_scope(*parse_origins(self.tokens.comment())):
            node = apply(op, (), {"name": name, "type": type_})
        return self.define(at, node)

    def plain(self, at: Token) -> str:
        """The name within ``%name`` or ``$"odd name"``."""
        return self.tokens.unquoted(at, at.text[1:]) if at.text[1] == '"' else at.text[1:]

    def define(self, at: Token, node: Node) -> Node:
        if at.text in self.scope:
            raise self.tokens.error(f"{at.text} is defined twice", at)
        self.scope[at.text] = node
        return node

    def block(self, name: str, inputs: tuple[Node, ...]) -> Graph:
        """Statements up to ``return`` and the closing brace."""
        updates: dict[Node, Node] = {}
        while not self.tokens.accept("return"):
            if self.tokens.accept("update"):
                self.update(updates)
            else:
                self.statement()
        outputs = []
        if self.tokens.next.text != "}":
            outputs.append(self.result())
        while self.tokens.accept(","):
            outputs.append(self.result())
        self.tokens.expect("}")
        return Graph(name, inputs, (*outputs, *updates.values()), tuple(updates))

    def result(self) -> Node:
        """An operand of ``return``."""
        at = self.tokens.next
        node = self.operand()
        if isinstance(node.type, TupleType):
            several = f"{at} has several results; pick one with item(index=...)"
            raise self.tokens.error(several, at)
        return node

    def update(self, found: dict[Node, Node]) -> None:
        """``$kernel = %12``: the next value of a parameter."""
        at = self.tokens.next
        parameter = self.operand()
        if parameter.op is not PARAMETER or self.owner:
            raise self.tokens.error(f"expected a parameter of the graph to update, got {at}", at)
        if parameter in found:
            raise self.tokens.error(f"{at.text} is updated twice", at)
        self.tokens.expect("=")
        value_at = self.tokens.next
        found[parameter] = self.operand()
        if found[parameter].type != parameter.type:
            wrong = f"expected a value of {parameter.type}, as {at.text} is; got "
            raise self.tokens.error(f"{wrong}{found[parameter].type}", value_at)

    def statement(self) -> None:
        at = self.tokens.next
        if at.kind != "ref":
            raise self.tokens.error(f"expected a statement such as %0 = relu(%x), got {at}")
        self.tokens.take()
        if at.text.startswith("$"):
            if self.owner:
                inside = "a body gets parameters as operands of its region"
                raise self.tokens.error(f"{inside}; got {at.text} in that of {self.owner}", at)
            self.tokens.expect(":")
            self.check_sizes(self.leaf(PARAMETER, at), at)
            return
        self.tokens.expect("=")
        call = self.call()
        self.bodies(call, at.text)
        marked = self.tokens.accept(":")
        type_at = self.tokens.next
        type_ = self.type() if marked else None
        with origin_scope(*parse_origins(self.tokens.comment())):
            node = self.build(call, type_)
        self.check_type(type_, node.type, type_at, call.op.name)
        self.check_sizes(node, call.at)
        self.define(at, node)

    def check_sizes(self, node: Node, at: Token) -> None:
        types = node.type.items if isinstance(node.type, TupleType) else (node.type,)
        for name in sorted(frozenset().union(*(type_.symbols for type_ in types)) - self.sizes):
            raise self.tokens.error(f"no input of the graph determines the size {name}", at)

    def check_type(self, said: Any, found: Any, at: Token, what: str) -> None:
        if said is None or said == found:
            return
        texts = (_types_text(said), _types_text(found))
        raise self.tokens.error(
            f"the annotation says {texts[0]}, but {what} gives {texts[1]}; "
            "correct the annotation, or delete it and those that depend on it",
            at,
        )

    # Calls

    def call(self) -> _Call:
        at = self.tokens.expect_kind("name", "the name of an op")
        call = _Call(self.op(at), at)
        if self.tokens.next.text != "(" and "label" in call.op.attrs:
            call.attrs["label"] = self.tokens.text_until("(")
        self.tokens.expect("(")
        while not self.tokens.accept(")"):
            self.argument(call)
            if not self.tokens.accept(","):
                self.tokens.expect(")")
                break
        return call

    def op(self, at: Token) -> Op:
        try:
            return get_op(at.text)
        except KeyError as error:
            raise self.tokens.error(str(error.args[0]), at) from error

    def argument(self, call: _Call) -> None:
        if call.op is CONSTANT:
            call.data = self.values.data()
        elif self.tokens.next.kind == "name" and self.tokens.after_next.text == "=":
            self.attribute(call)
        else:
            call.names.append(self.tokens.next.text)
            call.operands.append(self.operand())

    def attribute(self, call: _Call) -> None:
        at = self.tokens.take()
        if at.text not in call.op.attrs:
            known = ", ".join(call.op.attrs) or "none"
            hint = did_you_mean(at.text, call.op.attrs)
            message = f"{call.op.name} takes attributes: {known}; got {at.text!r}{hint}"
            raise self.tokens.error(message, at)
        if at.text in call.attrs:
            raise self.tokens.error(f"the attribute {at.text} is given twice", at)
        self.tokens.expect("=")
        call.attrs[at.text] = self.values.value()

    def operand(self) -> Node:
        at = self.tokens.next
        if at.kind != "ref":
            return apply(CONSTANT, (), {"value": self.values.scalar()})
        self.tokens.take()
        if at.text not in self.scope:
            raise self.tokens.error(self.unknown(at.text), at)
        return self.scope[at.text]

    def unknown(self, name: str) -> str:
        hint = did_you_mean(name, self.scope)
        if self.owner:
            known = ", ".join(self.scope) or "none"
            return f"{name} is neither an operand of {self.owner} nor in its body: {known}{hint}"
        example = f"{name} : f32[4]" if name.startswith("$") else f"{name} = relu(%x)"
        return f"{name} is not defined above, as by a line {example!r}{hint}"

    def bodies(self, call: _Call, owner: str) -> None:
        """``{ ... }``, or ``condition { ... }`` for an attribute that is not called body."""
        while self.tokens.next.text == "{" or self.tokens.after_next.text == "{":
            at = self.tokens.next
            key = "body" if at.text == "{" else self.tokens.take().text
            if key not in call.op.attrs:
                raise self.tokens.error(f"{call.op.name} takes no {key}", at)
            if key in call.attrs:
                raise self.tokens.error(f"the attribute {key} is given twice", at)
            self.tokens.expect("{")
            with self.tokens.nested():
                call.attrs[key] = self.body(key, call, owner)

    def body(self, name: str, call: _Call, owner: str) -> Graph:
        inner = _Parser(self.tokens, owner, self.sizes)
        if self.tokens.next.text == "(":
            at = self.tokens.next
            inputs = inner.inputs()
            for node in inputs:
                self.check_sizes(node, at)
            return inner.block(name, inputs)
        return inner.block(name, self.borrowed(call, inner.scope))

    def borrowed(self, call: _Call, scope: dict[str, Node]) -> tuple[Node, ...]:
        """Inputs of a body that go by the names of the operands of its region."""
        inputs = []
        for index, (text, operand) in enumerate(zip(call.names, call.operands, strict=True)):
            type_ = operand.type
            if isinstance(type_, TupleType):
                several = f"{text} has several results; pick one with item(index=...)"
                raise self.tokens.error(several, call.at)
            inputs.append(apply(INPUT, (), {"name": f"a{index}", "type": type_}))
            scope[text] = inputs[-1]
        return tuple(inputs)

    def build(self, call: _Call, type_: Type | None) -> Node:
        if call.op is CONSTANT:
            return self.constant(call, type_)
        missing = [
            key for key, v in call.op.attrs.items() if v is REQUIRED and key not in call.attrs
        ]
        if missing:
            message = f"{call.op.name} needs the attributes {', '.join(missing)}"
            raise self.tokens.error(message, call.at)
        try:
            return apply(call.op, call.operands, call.attrs)
        except IRError as error:
            raise self.tokens.error(str(error), call.at) from error

    def constant(self, call: _Call, type_: Type | None) -> Node:
        if type_ is not None and not isinstance(type_, TensorType):
            raise self.tokens.error("expected the type of an array after a constant", call.at)
        literal = self.values.literal(call.data, type_, call.at)
        return apply(CONSTANT, (), {"value": literal})

    # Types

    def type(self) -> Type:
        if self.tokens.next.text != "(":
            return self.values.tensor_type()
        return TupleType(self.tuple_of_types())

    def tuple_of_types(self) -> tuple[TensorType, ...]:
        if not self.tokens.accept("("):
            return (self.values.tensor_type(),)
        return self.values.separated(")", self.values.tensor_type)


def _types_text(types: Any) -> str:
    if not isinstance(types, tuple):
        return str(types)
    return str(types[0]) if len(types) == 1 else f"({', '.join(map(str, types))})"
