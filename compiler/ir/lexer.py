"""IR text cut into tokens, and errors that show the line with a caret under the place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from .node import IRError

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<comment>\#[^\n]*)
      | (?P<ref>[%$](?:"(?:[^"\\\n]|\\.)*"|[^\W\d][\w./-]*|[0-9]+(?:\.[0-9]+)*))
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<open>[%$]?")
      | (?P<number>[0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|[0-9]+)
      | (?P<name>[^\W\d]\w*)
      | (?P<mark>->|//|\.\.\.|.)
    """,
    re.VERBOSE,
)

SURROGATE = re.compile("[\ud800-\udfff]")  # halves of characters, which no file can hold

EXCERPT = 120  # characters of a long line that an error shows
MOST_NESTED = 100  # brackets within each other: the parser calls itself for each


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text: ``kind`` is ref, string, number, name, mark or end."""

    kind: str
    text: str
    offset: int
    line: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end of the text"
        return repr(self.text) if len(self.text) <= EXCERPT else f"{self.text[:EXCERPT]!r}..."


@dataclass
class Tokens:
    """A reading position in the tokens of a text."""

    source: str
    tokens: Sequence[Token]
    comments: dict[int, str]
    index: int = field(default=0)
    depth: int = field(default=0)

    @property
    def next(self) -> Token:
        return self.tokens[self.index]

    @property
    def after_next(self) -> Token:
        return self.tokens[min(self.index + 1, len(self.tokens) - 1)]

    def take(self) -> Token:
        token = self.next
        self.index = min(self.index + 1, len(self.tokens) - 1)
        return token

    def accept(self, text: str) -> bool:
        """Takes the next token if it is the mark or name ``text``."""
        found = self.next.text == text and self.next.kind in ("mark", "name")
        if found:
            self.take()
        return found

    def expect(self, text: str) -> Token:
        if self.next.text != text or self.next.kind not in ("mark", "name"):
            raise self.error(f"expected {text!r}, got {self.next}")
        return self.take()

    def expect_kind(self, kind: str, what: str) -> Token:
        if self.next.kind != kind:
            raise self.error(f"expected {what}, got {self.next}")
        return self.take()

    def text_until(self, mark: str) -> str:
        """The raw text from here to ``mark``, which becomes the next token."""
        start = self.next.offset
        while self.next.text != mark and self.next.kind != "end":
            self.take()
        return self.source[start : self.next.offset].strip()

    def comment(self) -> str:
        """The comment on the line of the last token taken."""
        return self.comments.get(self.tokens[self.index - 1].line, "")

    @contextmanager
    def nested(self) -> Iterator[None]:
        """What is read inside stands in a pair of brackets."""
        self.depth += 1
        if self.depth > MOST_NESTED:
            raise self.error(f"expected at most {MOST_NESTED} brackets within each other")
        yield
        self.depth -= 1

    def unquoted(self, token: Token, text: str) -> str:
        """What the quoted ``text`` in ``token`` says."""
        try:
            said = str(json.loads(text))
        except json.JSONDecodeError as error:
            raise self.error(f"expected a string as in JSON: {error.msg}", token) from error
        if SURROGATE.search(said):
            raise self.error("expected whole characters, got half a surrogate pair", token)
        return said

    def error(self, message: str, token: Token | None = None) -> IRError:
        """An ``IRError`` that points at ``token`` (the next one by default)."""
        at = token or self.next
        start = self.source.rfind("\n", 0, at.offset) + 1
        text = self.source[start:].partition("\n")[0]
        column = at.offset - start
        shown, indent = _excerpt(text, column)
        caret = " " * indent + "^" * min(max(1, len(at.text)), EXCERPT)
        return IRError(f"line {at.line}, column {column + 1}: {message}\n  {shown}\n  {caret}")


def _excerpt(text: str, column: int) -> tuple[str, int]:
    """The part of a long line around ``column``, and the column's place in it."""
    start = max(0, column - EXCERPT // 2) if len(text) > EXCERPT else 0
    end = start + EXCERPT
    head, tail = "..." * (start > 0), "..." * (end < len(text))
    return f"{head}{text[start:end]}{tail}", len(head) + column - start


def tokenize(source: str) -> Tokens:
    """The tokens of ``source``, comments aside: those are kept by line."""
    tokens = []
    comments = {}
    line = 1
    for match in _TOKEN.finditer(source):
        kind, text = match.lastgroup or "mark", match.group()
        if kind == "comment":
            comments[line] = text[1:].strip()
        elif kind != "space":
            tokens.append(Token(kind, text, match.start(), line))
        line += text.count("\n")
    end = len(source.rstrip())
    tokens.append(Token("end", "", end, source.count("\n", 0, end) + 1))
    found = Tokens(source, tokens, comments)
    _check(found)
    return found


def _check(found: Tokens) -> None:
    half = SURROGATE.search(found.source)
    if half:
        line = found.source.count("\n", 0, half.start()) + 1
        at = Token("mark", half.group(), half.start(), line)
        raise found.error("expected whole characters, got half a surrogate pair", at)
    for token in found.tokens:
        if token.kind == "open":
            raise found.error("expected the end of this string on its line", token)
