"""The outputs of a model by path and by name, and what users say about them brought into order."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import tree
from ..errors import UsageError

Path = tuple[Any, ...]


@dataclass(frozen=True)
class Outputs:
    """The places of a model's outputs, in order.

    Attributes:
        paths: the keys and indices that lead to each; one output that is not nested has ``()``.
        names: of the layers that make them, or their keys; None where there are none.
    """

    paths: tuple[Path, ...]
    names: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def is_flat(self) -> bool:
        """Whether they are in one list, tuple or dict, or a single one."""
        return all(len(path) <= 1 for path in self.paths)

    def labels(self) -> list[str]:
        """What messages call the outputs."""
        return [name or shown(path) for name, path in zip(self.names, self.paths, strict=True)]


def shown(path: Path) -> str:
    """A path as text: ``a/0``."""
    return "/".join(map(str, path)) or "the output"


def outputs_of(y_pred: Any, names: Sequence[str] | None) -> Outputs:
    """The outputs in ``y_pred``; ``names`` are those of the layers that make them, if known."""
    paths = tuple(_paths(y_pred, ()))
    known = list(names) if names is not None and len(names) == len(paths) else [None] * len(paths)
    found = [_name(path, name) for path, name in zip(paths, known, strict=True)]
    return Outputs(paths, tuple(found))


def _name(path: Path, name: str | None) -> str | None:
    """A key of a dict is a name by itself; further ones lead to it."""
    if len(path) <= 1:
        return path[0] if path and isinstance(path[0], str) else name
    last = path[-1] if isinstance(path[-1], str) or name is None else name
    return shown((*path[:-1], last))


def _paths(structure: Any, path: Path) -> Any:
    if isinstance(structure, dict):
        for key in sorted(structure):
            yield from _paths(structure[key], (*path, key))
    elif isinstance(structure, (list, tuple)):
        for index, item in enumerate(structure):
            yield from _paths(item, (*path, index))
    else:
        yield path


def is_nested(value: Any) -> bool:
    """Whether a value is a dict, list or tuple."""
    return isinstance(value, (dict, list, tuple))


def per_output(value: Any, outputs: Outputs, what: str) -> list[Any]:
    """One entry of ``value`` for each output; None where there is none.

    ``value`` is a dict by names, a list in order, or nested as the outputs are.

    Raises:
        ValueError: it has another number of entries, or a name that no output has.
    """
    if isinstance(value, Mapping):
        return _by_name(value, outputs, what)
    if isinstance(value, (list, tuple)):
        if outputs.is_flat and len(value) == len(outputs):
            return list(value)
        if not outputs.is_flat:
            return _by_path(value, outputs, what)
    raise UsageError(
        f"{what}: expected one entry for each output, {_listed(outputs)}; received {_shown(value)}"
    )


def _shown(value: Any) -> str:
    """A value in a message; arrays by their shapes."""
    return repr(tree.map_structure(lambda leaf: getattr(leaf, "shape", leaf), value))


def _by_name(value: Mapping[str, Any], outputs: Outputs, what: str) -> list[Any]:
    unknown = [key for key in value if key not in outputs.names]
    if not unknown:
        return [None if name is None else value.get(name) for name in outputs.names]
    if not outputs.is_flat:
        return _by_path(value, outputs, what)
    known = [name for name in outputs.names if name is not None]
    close = difflib.get_close_matches(str(unknown[0]), known, n=1)
    hint = f". Did you mean {close[0]!r}?" if close else ""
    expected = f"keys among the outputs, {', '.join(map(repr, known))}" if known else "a list"
    raise UsageError(f"{what}: expected {expected}; received {', '.join(map(repr, unknown))}{hint}")


def _by_path(value: Any, outputs: Outputs, what: str) -> list[Any]:
    _check_keys(value, outputs, (), what)
    return [_reached(value, path) for path in outputs.paths]


def _reached(value: Any, path: Path) -> Any:
    """What ``path`` leads to, or what there is on the way; None where nothing is."""
    for key in path:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, (list, tuple)) and isinstance(key, int):
            value = value[key]
        else:
            return value
    return value


def _check_keys(value: Any, outputs: Outputs, path: Path, what: str) -> None:
    places = [p for p in outputs.paths if p[: len(path)] == path and len(p) > len(path)]
    keys = {place[len(path)] for place in places}
    if not keys or not is_nested(value):
        return
    given = set(value) if isinstance(value, Mapping) else set(range(len(value)))
    if not given <= keys or (isinstance(value, (list, tuple)) and given != keys):
        names = ", ".join(map(repr, given - keys))
        where = f" at {shown(path)}" if path else ""
        raise UsageError(
            f"{what}: expected keys{where} among {', '.join(map(repr, sorted(keys, key=str)))}; "
            f"received {names or f'{len(value)} entries'}. The outputs are {_listed(outputs)}"
        )
    for key in given:
        _check_keys(value[key], outputs, (*path, key), what)


def _listed(outputs: Outputs) -> str:
    return ", ".join(map(repr, outputs.labels()))


def at(structure: Any, path: Path) -> Any:
    """What ``path`` leads to."""
    for key in path:
        structure = structure[key]
    return structure


def flat_targets(y_true: Any, outputs: Outputs, wanted: Sequence[bool]) -> list[Any]:
    """The targets of the outputs in order; None where there are none.

    Targets are nested as the outputs are; or a dict by names, or a list in order, of all outputs
    or of those that are ``wanted``.

    Raises:
        ValueError: they are nested in another way.
    """
    if y_true is None:
        return [None] * len(outputs)
    if not is_nested(y_true):
        return _single(y_true, outputs, wanted)
    leaves = tree.flatten(y_true)
    if outputs.names == (None,) and len(leaves) == 1:
        return leaves
    if isinstance(y_true, (list, tuple)) and len(leaves) == len(y_true):
        if len(leaves) == len(outputs):
            return leaves
        if len(leaves) == sum(wanted):
            return _spread(leaves, wanted)
    return per_output(y_true, outputs, "targets")


def _single(target: Any, outputs: Outputs, wanted: Sequence[bool]) -> list[Any]:
    if len(outputs) == 1:
        return [target]
    if sum(wanted) == 1:
        return _spread([target], wanted)
    raise UsageError(
        f"expected targets for {len(outputs)} outputs, {_listed(outputs)}, as a list or a dict; "
        "received one array"
    )


def _spread(values: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
    remaining = iter(values)
    return [next(remaining) if is_wanted else None for is_wanted in wanted]


def flat_weights(sample_weight: Any, outputs: Outputs) -> list[Any]:
    """The weights of the samples for each output; one array counts for all of them.

    Raises:
        ValueError: they are nested, but not as the outputs are.
    """
    if not is_nested(sample_weight):
        return [sample_weight] * len(outputs)
    leaves = tree.flatten(sample_weight)
    if len(leaves) == len(sample_weight) == 1:
        return leaves * len(outputs)
    return per_output(sample_weight, outputs, "sample_weight")


__all__ = [
    "Outputs", "at", "flat_targets", "flat_weights", "is_nested", "outputs_of",
    "per_output", "shown",
]  # fmt: skip
