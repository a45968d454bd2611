"""Headings of the demonstration."""

from __future__ import annotations

from rich.console import Console
from rich.rule import Rule
from rich.text import Text


def heading(console: Console, title: str, rest: str = "") -> None:
    console.print()
    text = Text.assemble((title, "bold"), f" {rest}" if rest else "")
    console.print(Rule(text, align="left", style="dim"))
    console.print()
