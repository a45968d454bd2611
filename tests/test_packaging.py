"""pyproject.toml says what is there: the packages, the version, the data, the changelog."""

import importlib.metadata
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import keraunos

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
SOURCE_FOLDERS = ("compiler", "frontend", "runtime")


def source_files() -> list[Path]:
    return [path for folder in SOURCE_FOLDERS for path in (ROOT / folder).rglob("*.py")]


def test_packages_are_the_folders_that_hold_code():
    folders = {path.parent.relative_to(ROOT) for path in source_files()}
    expected = {"keraunos", *(".".join(("keraunos", *folder.parts)) for folder in folders)}
    assert sorted(SETUPTOOLS["packages"]) == sorted(expected)


def test_every_folder_with_code_is_a_package():
    without = {path.parent for path in source_files()} - {
        path.parent for path in source_files() if path.name == "__init__.py"
    }
    assert not without, f"no __init__.py in {sorted(map(str, without))}"


def test_package_data_patterns_match_and_cover_every_other_file():
    matched = {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in package_folder(package).glob(pattern)
    }
    others = {
        path
        for folder in SOURCE_FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert ROOT / "py.typed" in matched
    assert others <= matched, f"not in the wheel: {sorted(map(str, others - matched))}"


def package_folder(package: str) -> Path:
    return ROOT.joinpath(*package.split(".")[1:])


def test_one_version():
    assert keraunos.__version__ == PROJECT["version"]
    assert keraunos.__version__ == importlib.metadata.version("keraunos")


def test_changelog_has_unreleased_changes_or_the_version():
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    titles = re.findall(r"^## \[(.+?)\]", changelog, flags=re.MULTILINE)
    assert {"Unreleased", PROJECT["version"]} & set(titles[:2])


@pytest.mark.parametrize("extra", ["test", "peers", "bench"])
def test_extras_are_bounded(extra):
    requirements = PROJECT["optional-dependencies"][extra]
    assert all(">=" in line or line.startswith("keraunos[") for line in requirements)


def test_dependencies_are_bounded_on_both_sides():
    assert all(re.search(r">=.+,<", line) for line in PROJECT["dependencies"])


def test_script_points_into_the_frontend():
    assert PROJECT["scripts"] == {"keraunos": "keraunos.frontend.cli.main:main"}


def test_type_checker_sees_the_three_folders_under_the_package_name():
    links = ROOT / ".ci" / "typing" / "keraunos"
    assert {path.name: path.resolve() for path in links.iterdir()} == {
        name: ROOT / name for name in ("__init__.py", *SOURCE_FOLDERS)
    }
