"""Names of files made of names that somebody gave: of graphs and machines, and what logs hold."""

from __future__ import annotations

import hashlib
from string import Formatter
from typing import Any

MOST = 100  # bytes of a name; most file systems take 255, and endings are added


def file_name(name: str) -> str:
    """The name of one file or folder for whatever ``name`` is.

    A name that can be one stays as it is. Else ``_`` stands for what cannot be in it (slashes, what
    does not print) or cannot begin it (a dot, which hides a file or leads out of its folder; a
    dash, which commands read as an option), and the end of a long one is a hash.
    """
    told = _in_one_folder(name).strip() or "unnamed"
    if told[0] in ".-~":
        told = f"_{told[1:]}"
    content = told.encode()
    if len(content) <= MOST:
        return told
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{content[: MOST - 9].decode(errors='ignore')}-{digest}"


def filled(template: str, values: dict[str, Any]) -> str:
    """``template.format(**values)``, where no value adds folders to the path.

    Raises:
        KeyError: the template names another value.
    """
    return _PathFormatter().vformat(template, (), values)


class _PathFormatter(Formatter):
    def format_field(self, value: Any, form: str) -> str:
        text = _in_one_folder(super().format_field(value, form))
        return text.replace(".", "_") if set(text) == {"."} else text


def _in_one_folder(name: str) -> str:
    return "".join("_" if each in "/\\" or not each.isprintable() else each for each in name)
