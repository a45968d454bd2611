"""Names of files made of names that anybody may have given."""

import os

import pytest

from keraunos.compiler.file_names import MOST, file_name, filled

pytestmark = pytest.mark.smoke

UNSAFE = [
    "../../x",
    "/etc/passwd",
    "..",
    ".",
    "",
    " ",
    "a\0b",
    "a\nb",
    "\x1b[31mred",
    "-rf",
    "~root",
    ".hidden",
    "a\\b",
    "\udcff",
    "x" * 5000,
    "ß" * 5000,
    "../" * 200,
]


@pytest.mark.parametrize("name", ["cnn", "model_1", "my model", "a.b-c", "größe", "100%", "a..b"])
def test_a_name_that_can_be_one_stays(name):
    assert file_name(name) == name


@pytest.mark.parametrize("name", UNSAFE)
def test_any_name_gives_one_file_in_the_folder(name, tmp_path):
    made = file_name(name)
    assert made == os.path.basename(made) != ""
    assert made[0] not in ".-~"
    assert made.isprintable()
    assert len(made.encode()) <= MOST
    path = tmp_path / f"{made}-dump"
    path.mkdir()
    assert os.listdir(tmp_path) == [path.name]


def test_what_it_becomes():
    assert file_name("../../x") == "_._.._x"
    assert file_name("/tmp/x") == "_tmp_x"
    assert file_name("") == "unnamed"
    assert file_name("..") == "_."


def test_long_names_stay_apart():
    names = {file_name("x" * 300 + ending) for ending in "abc"}
    assert len(names) == 3


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("best-{epoch:02d}-{val_loss:.2f}.weights.h5", {"epoch": 3, "val_loss": -0.254}),
        ("{a:.1%}-{b}", {"a": 0.5, "b": float("nan")}),
        ("logs/{epoch}/{x!r}.h5", {"epoch": 1, "x": "text"}),
        ("{{x}}-{x:>4}", {"x": 1e-5}),
    ],
)
def test_a_template_is_filled_as_by_format(template, values):
    assert filled(template, values) == template.format(**values)


def test_values_add_no_folders():
    assert filled("a/{x}.h5", {"x": "../../b"}) == "a/.._.._b.h5"
    assert filled("a/{x}/b", {"x": ".."}) == "a/__/b"
    assert filled("{x}", {"x": "/etc/passwd"}) == "_etc_passwd"
    with pytest.raises(KeyError, match="y"):
        filled("{y}", {"x": 1})
