"""Every argument that a public function or method takes is read: none is accepted in vain."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "frontend"

# Methods that are called with what somebody may want: hardly any wants all of it.
CALLED_BACK = {
    "build", "call", "compute_loss", "compute_mask", "compute_metrics", "load_own_variables",
}  # fmt: skip

# Keras's arguments that mean something where there is more than there is here.
EXCEPTIONS = {
    "Variable.__init__": {"autocast"},  # floats of two widths in one layer
    "BatchNormalization.__init__": {"synchronized"},  # several devices
    "Lambda.__init__": {"output_shape"},  # the trace tells it
    "Adafactor.__init__": {"relative_step"},  # Keras takes the least rate either way
    "TensorBoard.__init__": {"write_graph"},  # True unless given, so it cannot be refused
    "Regularizer.__call__": {"x"},  # the base, which penalizes nothing
}

Function = tuple[str, ast.FunctionDef, str]


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(FOLDER.rglob("*.py")):
        yield str(path.relative_to(FOLDER)), ast.parse(path.read_text("utf-8"))


def public(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods that users call, by name."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and is_called_by_users(inner.name):
                    yield f"{node.name}.{inner.name}", inner


def is_called_by_users(name: str) -> bool:
    if name.startswith("_"):
        return name in ("__init__", "__call__")
    return name not in CALLED_BACK and not name.startswith("on_")


def has_a_body(function: ast.FunctionDef) -> bool:
    """Whether there is more in it than a docstring, or an error that says to define it."""
    idle = (ast.Pass, ast.Raise, ast.Expr)
    return not all(isinstance(node, idle) for node in function.body)


def parameters(function: ast.FunctionDef) -> set[str]:
    taken = function.args
    names = {arg.arg for arg in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)}
    return {name for name in names - {"self", "cls"} if not name.startswith("_")}


def names_in(node: ast.AST, function: ast.FunctionDef) -> set[str]:
    """Names that occur in a part of a function; ``locals()`` hands on every parameter."""
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names | parameters(function) if "locals" in names else names


def unread(function: ast.FunctionDef) -> set[str]:
    """Parameters whose names do not occur in the function."""
    return parameters(function) - names_in(function, function)


def only_kept(function: ast.FunctionDef, known: set[str]) -> set[str]:
    """Parameters that go into attributes which nothing in the package reads."""
    kept: set[str] = set()
    read: set[str] = set()
    for node in function.body:
        names = names_in(node, function)
        (kept if is_in_vain(node, known) else read).update(names)
    return (kept - read) & parameters(function)


def is_in_vain(node: ast.stmt, known: set[str]) -> bool:
    """Whether a statement sets an attribute, of one's own, that nothing reads."""
    if not isinstance(node, (ast.Assign, ast.AnnAssign)):
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return all(isinstance(t, ast.Attribute) and t.attr not in known for t in targets)


def names_read() -> set[str]:
    """Attributes that are read somewhere, by name or by ``getattr``."""
    names: set[str] = set()
    for _, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                names.add(node.attr)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
                names |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    return names


def in_vain(tree: ast.Module, known: set[str]) -> dict[str, set[str]]:
    """The arguments of each public function that change nothing."""
    found: dict[str, set[str]] = {}
    for name, function in public(tree):
        if has_a_body(function):
            vain = unread(function) | only_kept(function, known)
            if vain:
                found[name] = vain
    return found


def test_no_argument_is_accepted_in_vain():
    known = names_read()
    found = {
        f"{path}: {name}": vain - EXCEPTIONS.get(name, set())
        for path, tree in modules()
        for name, vain in in_vain(tree, known).items()
    }
    assert {place: vain for place, vain in found.items() if vain} == {}


def test_every_exception_is_one():
    known = names_read()
    found = {name: vain for _, tree in modules() for name, vain in in_vain(tree, known).items()}
    assert {name: found.get(name) for name in EXCEPTIONS} == EXCEPTIONS


@pytest.mark.parametrize(
    ("text", "vain"),
    [
        ("def f(a, b): return a", {"b"}),
        ("def f(a): return a", set()),
        ("class C:\n def __init__(self, a): self.kept = a", {"a"}),
        ("class C:\n def __init__(self, a): self.used = a", set()),
        ("class C:\n def on_epoch_end(self, epoch): self.used = 1", set()),
        ("def f(a): raise NotImplementedError", set()),
        ("def f(a, b):\n a = 1\n return g(locals())", set()),
    ],
)
def test_the_scan_finds_what_is_not_read(text, vain):
    assert set().union(*in_vain(ast.parse(text), {"used"}).values()) == vain
