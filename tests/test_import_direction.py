"""Imports run one way, frontend -> compiler -> runtime; down the layers; no cycles, none late.

What is imported by a string counts as an import, and so does what only type checkers read.
"""

import ast
import fnmatch
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parent.parent
LAYERS = ("runtime", "compiler", "frontend")  # each may import itself and what stands before it

# What a function may import, since `import keraunos` must not pay for it or it may be missing. The
# files that may do so are those for which pyproject.toml ignores ruff's PLC0415, by name.
IMPORTED_LATE = {"h5py", "onnx", "rich", "tensorboard", "typer"}

# Its text is compiled from the kernel cache, as a generated kernel is, so it names the package.
KERNEL_TEXTS = {"runtime/cpu/interpreter.py"}

# What imports a module by a string, and what that is relative to; None is the caller's package.
LOADERS = {"importlib.import_module": None, "lazy.load": "keraunos.frontend"}
LOADING = {name.rpartition(".")[2] for name in LOADERS}
UNREADABLE = "a name that is not written there"
# A user's module, and what `lazy.load` is given, which is read where it is called.
NAMED_ELSEWHERE = {"keraunos.frontend.cli.references", "keraunos.frontend.lazy"}

# Loaded by a string since the other imports it: the few circles that are left, in the frontend.
CLOSING = {
    ("callbacks.backup_and_restore", "saving.state"),
    ("models.model", "models.summary"),
    ("models.model", "saving.weights"),
    ("training.trainer", "training.loop"),
    ("variable", "initializers"),
}

# Of each layer the modules and folders, the lowest first: imports stay within a line or go up in
# this list. A module that is named itself does not stand where its folder does.
LAYERED = {
    "compiler": (
        "suggest units durations file_names",
        "decisions",
        "ir",
        "ops",
        # They read the op table.
        "ir.parser ir.verify ir.evaluate ir.nonfinite weight_preprocessing autodiff",
        "context engine loops",
        "passes",
        "scheduling",
        "target",
        "pipeline emit sources",
        "cpu cuda",
        "targets program_file",
        "executable",
        "report",
    ),
    "runtime": (
        "forks columns trust threefry erf_inverse host_functions",
        "config dim dim_parser dim_solver memory",
        "arrays records kernels cache_files cache_folders program",
        "program_check program_file placement host_call cache device",
        "native",
        "cpu cuda",
        "devices",
        "executor",
        "profiler finite",
    ),
}

# What is slow to import, or a backend's: loaded when it is first asked for.
LATE_BELOW = {
    f"keraunos.{name}"
    for name in (
        *("compiler.ir.graph", "compiler.targets"),
        *("runtime.devices", "runtime.cpu.toolchain", "runtime.cuda.toolchain"),
    )
}

# Who may know the folder of a target.
KNOW_BACKENDS = {"keraunos.compiler.targets", "keraunos.runtime.devices"}

# What the runtime may load: it serves saved programs, without the rest of the compiler.
RUNTIME_NEEDS = {"llvmlite", "ml_dtypes", "numba", "numpy", "platformdirs"}


@dataclass(frozen=True)
class Import:
    """One imported module, as an absolute name, and where."""

    importer: str
    imported: str
    place: str
    inside_function: bool
    by_string: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("keraunos", *(part for part in parts if part != "__init__")))


def sources() -> dict[str, Path]:
    paths = [ROOT / "__init__.py"]
    for layer in LAYERS:
        paths += sorted((ROOT / layer).rglob("*.py"))
    return {module_name(path): path for path in paths}


SOURCES = sources()


def imports_of(name: str, path: Path, tree: ast.Module) -> Iterator[Import]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node, is_inside in nodes_of(tree):
        for target in targets(node, package):
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            yield Import(name, target, place, is_inside, isinstance(node, ast.Call))


def nodes_of(tree: ast.Module) -> Iterator[tuple[ast.Import | ast.ImportFrom | ast.Call, bool]]:
    """The nodes that may import something, each with whether it stands inside a function."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    for node, is_inside in waiting:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Call):
            yield node, is_inside
        is_inside |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        waiting += [(child, is_inside) for child in ast.iter_child_nodes(node)]


def targets(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.Call):
        return named_in_call(node, package)
    if not isinstance(node, ast.ImportFrom):
        return []
    base = absolute(node, package)
    # `from . import x` imports the module x where there is one, else a name of the package.
    return [
        deeper if (deeper := f"{base}.{alias.name}") in SOURCES else base for alias in node.names
    ]


def named_in_call(node: ast.Call, package: str) -> list[str]:
    """The modules that a call imports by a string: what stands in braces may be anything."""
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in LOADING:
        return []  # without spelling the function out, which takes its time
    base = LOADERS.get(ast.unparse(node.func), "")
    if base is None:
        base = package
    if not base or not node.args:
        return []
    name = pattern(node.args[0])
    if not name.startswith("."):
        return [name]
    above = len(name) - len(name.lstrip(".")) - 1
    parts = base.split(".")
    full = ".".join([*parts[: len(parts) - above], name.lstrip(".")])
    return fnmatch.filter(SOURCES, full) or [full]


def pattern(argument: ast.expr) -> str:
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    if not isinstance(argument, ast.JoinedStr):
        return UNREADABLE
    return "".join(
        "*" if isinstance(v, ast.FormattedValue) else pattern(v) for v in argument.values
    )


def absolute(node: ast.ImportFrom, package: str) -> str:
    if node.level == 0:
        return node.module or ""
    parts = package.split(".")[: -(node.level - 1) or None]
    return ".".join([*parts, *filter(None, [node.module])])


@cache
def all_imports() -> list[Import]:
    """Those of the whole package, read when a test first asks for them."""
    return [
        found
        for name, path in SOURCES.items()
        for found in imports_of(name, path, ast.parse(path.read_text("utf-8"), str(path)))
    ]


def layer_of(module: str) -> str | None:
    """ "frontend", "compiler" or "runtime", or None for the root and for other packages."""
    parts = module.split(".")
    return parts[1] if parts[0] == "keraunos" and len(parts) > 1 else None


def goes_up(found: Import) -> bool:
    importer = layer_of(found.importer)
    if importer is None or not is_ours(found.imported):
        return False
    imported = layer_of(found.imported)
    return imported is None or LAYERS.index(imported) > LAYERS.index(importer)


def is_ours(module: str) -> bool:
    return module.partition(".")[0] == "keraunos"


def test_imports_go_down():
    assert not [found for found in all_imports() if goes_up(found)]


def test_the_direction_is_seen():
    up = "from ..frontend import tensor\nfrom .. import __version__\nfrom ..runtime import dim\n"
    found = imports_of("keraunos.compiler.x", ROOT / "compiler" / "x.py", ast.parse(up))
    assert [goes_up(one) for one in found] == [True, True, False]


def test_imports_are_relative_inside_the_package():
    assert not [found.place for found in all_imports() if names_the_package(found)]


def names_the_package(found: Import) -> bool:
    path, line = found.place.rsplit(":", 1)
    if path in KERNEL_TEXTS:
        return False
    text = (ROOT / path).read_text("utf-8").splitlines()[int(line) - 1]
    return text.lstrip().startswith(("import keraunos", "from keraunos"))


def test_no_cycles():
    graph = nx.DiGraph(
        (found.importer, found.imported)
        for found in all_imports()
        if found.imported in SOURCES and found.imported != found.importer
    )
    late = {(f"keraunos.frontend.{one}", f"keraunos.frontend.{other}") for one, other in CLOSING}
    assert late <= set(graph.edges)
    graph.remove_edges_from(late)
    cycles = [sorted(part) for part in nx.strongly_connected_components(graph) if len(part) > 1]
    assert not cycles


def test_what_is_imported_by_a_string_is_seen():
    code = """
from . import lazy
lazy.load(".saving.state")
importlib.import_module(".cpu.host", __package__)
importlib.import_module(f".{kind}.host", __package__)
importlib.import_module("networkx")
importlib.import_module(chosen)
"""
    found = imports_of("keraunos.runtime.x", ROOT / "runtime" / "x.py", ast.parse(code))
    host = "keraunos.runtime.cpu.host"
    expected = ["keraunos.frontend.saving.state", host, host, "networkx", UNREADABLE]
    assert [each.imported for each in found][1:] == expected


def test_what_is_imported_is_written_where_it_is():
    assert {
        each.importer for each in all_imports() if each.imported == UNREADABLE
    } == NAMED_ELSEWHERE


def test_below_the_frontend_few_load_anything_late():
    late = {each.importer for each in all_imports() if each.by_string}
    assert {name for name in late if layer_of(name) != "frontend"} == LATE_BELOW


def test_arrows_point_down_the_layers():
    wrong = [
        f"{found.place} imports {found.imported}"
        for layer, names in LAYERED.items()
        for found in all_imports()
        if goes_up_within(found, layer, names)
    ]
    assert not wrong


def goes_up_within(found: Import, layer: str, names: tuple[str, ...]) -> bool:
    importer, imported = (place_in(each, layer, names) for each in (found.importer, found.imported))
    return importer is not None and imported is not None and imported > importer


def place_in(module: str, layer: str, names: tuple[str, ...]) -> int | None:
    """The number of the line of ``names`` that has ``module``, 0 for the lowest; None if none."""
    base = f"keraunos.{layer}."
    if not module.startswith(base) or module.removeprefix(base) not in INSIDE[layer]:
        return None
    inner = module.removeprefix(base)
    lines = [line.split() for line in names]
    found = [i for i, line in enumerate(lines) if inner in line]
    folder = inner.partition(".")[0]
    found = found or [i for i, line in enumerate(lines) if folder in line]
    assert found, f"give {module} a place in LAYERED"
    return found[0]


INSIDE = {
    layer: {
        name.removeprefix(f"keraunos.{layer}.")
        for name in SOURCES
        if name.startswith(f"keraunos.{layer}.")
    }
    for layer in LAYERED
}


@pytest.mark.parametrize("layer", LAYERED)
def test_all_that_the_layers_name_is_there(layer: str):
    named = {name for line in LAYERED[layer] for name in line.split()}
    assert named <= INSIDE[layer]


def backend_of(module: str) -> str | None:
    """The target whose folder of the compiler or the runtime has ``module``."""
    parts = module.split(".")
    inside = len(parts) > 2 and parts[0] == "keraunos" and parts[1] in ("compiler", "runtime")
    return parts[2] if inside and parts[2] in BACKENDS else None


BACKENDS = {path.parent.name for path in (ROOT / "compiler").glob("*/target.py")}


def test_backends_are_known_by_name_in_one_module_a_layer():
    wrong = [
        f"{found.place} imports {found.imported}"
        for found in all_imports()
        if backend_of(found.imported) not in (None, backend_of(found.importer))
        and found.importer not in KNOW_BACKENDS
    ]
    assert "cpu" in BACKENDS
    assert not wrong


def test_backends_are_seen():
    names = ("keraunos.compiler.cpu.emit.nest", "keraunos.runtime.cpu", "keraunos.compiler.ir.node")
    assert [backend_of(name) for name in names] == ["cpu", "cpu", None]


def late_importers() -> set[str]:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    ignores: dict[str, list[str]] = config["tool"]["ruff"]["lint"]["per-file-ignores"]
    return {pattern for pattern, rules in ignores.items() if "PLC0415" in rules}


def test_no_imports_inside_functions_but_of_optional_dependencies_in_named_files():
    named = late_importers()
    wrong = [
        f"{found.place} imports {found.imported}"
        for found in all_imports()
        if found.inside_function
        and not found.by_string
        and not (
            found.place.rpartition(":")[0] in named
            and found.imported.partition(".")[0] in IMPORTED_LATE
        )
    ]
    assert not wrong


def test_each_optional_dependency_is_imported_late_in_one_file():
    places: dict[str, set[str]] = {}
    for found in all_imports():
        if found.inside_function and not found.by_string:
            places.setdefault(found.imported.partition(".")[0], set()).add(found.importer)
    assert not {library: files for library, files in places.items() if len(files) > 1}


def test_reports_are_imported_by_nothing_below_the_frontend():
    places = [
        found.place
        for found in all_imports()
        if is_report(found.imported)
        and layer_of(found.importer) in ("compiler", "runtime")
        and not is_report(found.importer)
    ]
    assert not places


def is_report(module: str) -> bool:
    return f"{module}.".startswith("keraunos.compiler.report.")


def test_the_runtime_needs_little():
    roots = {
        found.imported.partition(".")[0]
        for found in all_imports()
        if layer_of(found.importer) == "runtime" and not is_stdlib(found.imported)
    }
    assert roots <= RUNTIME_NEEDS | {"keraunos"}


def is_stdlib(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names
