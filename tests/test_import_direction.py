"""Imports run one way, frontend -> compiler -> runtime; no cycles, none inside functions."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
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
KERNEL_TEXTS = {"runtime/cpu/walker.py"}

# What the runtime may load: it serves saved programs, without the rest of the compiler.
RUNTIME_NEEDS = {"llvmlite", "ml_dtypes", "numba", "numpy", "platformdirs"}


@dataclass(frozen=True)
class Import:
    """One imported module, as an absolute name, and where."""

    importer: str
    imported: str
    place: str
    inside_function: bool


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
    in_functions = {
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        for target in targets(node, package):
            place = f"{path.relative_to(ROOT)}:{node.lineno}"  # type: ignore[attr-defined]
            yield Import(name, target, place, node in in_functions)


def targets(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = absolute(node, package)
    # `from . import x` imports the module x where there is one, else a name of the package.
    return [
        deeper if (deeper := f"{base}.{alias.name}") in SOURCES else base for alias in node.names
    ]


def absolute(node: ast.ImportFrom, package: str) -> str:
    if node.level == 0:
        return node.module or ""
    parts = package.split(".")[: -(node.level - 1) or None]
    return ".".join([*parts, *filter(None, [node.module])])


def all_imports() -> list[Import]:
    return [
        found
        for name, path in SOURCES.items()
        for found in imports_of(name, path, ast.parse(path.read_text("utf-8"), str(path)))
    ]


IMPORTS = all_imports()


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
    assert not [found for found in IMPORTS if goes_up(found)]


def test_the_direction_is_seen():
    up = "from ..frontend import tensor\nfrom .. import __version__\nfrom ..runtime import dim\n"
    found = imports_of("keraunos.compiler.x", ROOT / "compiler" / "x.py", ast.parse(up))
    assert [goes_up(one) for one in found] == [True, True, False]


def test_imports_are_relative_inside_the_package():
    assert not [found.place for found in IMPORTS if names_the_package(found)]


def names_the_package(found: Import) -> bool:
    path, line = found.place.rsplit(":", 1)
    if path in KERNEL_TEXTS:
        return False
    text = (ROOT / path).read_text("utf-8").splitlines()[int(line) - 1]
    return text.lstrip().startswith(("import keraunos", "from keraunos"))


def test_no_cycles():
    graph = nx.DiGraph(
        (found.importer, found.imported)
        for found in IMPORTS
        if found.imported in SOURCES and found.imported != found.importer
    )
    cycles = [sorted(part) for part in nx.strongly_connected_components(graph) if len(part) > 1]
    assert not cycles


def late_importers() -> set[str]:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    ignores: dict[str, list[str]] = config["tool"]["ruff"]["lint"]["per-file-ignores"]
    return {pattern for pattern, rules in ignores.items() if "PLC0415" in rules}


def test_no_imports_inside_functions_but_of_optional_dependencies_in_named_files():
    named = late_importers()
    wrong = [
        f"{found.place} imports {found.imported}"
        for found in IMPORTS
        if found.inside_function
        and not (
            found.place.rpartition(":")[0] in named
            and found.imported.partition(".")[0] in IMPORTED_LATE
        )
    ]
    assert not wrong


def test_each_optional_dependency_is_imported_late_in_one_file():
    places: dict[str, set[str]] = {}
    for found in IMPORTS:
        if found.inside_function:
            places.setdefault(found.imported.partition(".")[0], set()).add(found.importer)
    assert not {library: files for library, files in places.items() if len(files) > 1}


def test_reports_are_imported_by_nothing_below_the_frontend():
    places = [
        found.place
        for found in IMPORTS
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
        for found in IMPORTS
        if layer_of(found.importer) == "runtime" and not is_stdlib(found.imported)
    }
    assert roots <= RUNTIME_NEEDS | {"keraunos"}


def is_stdlib(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names
