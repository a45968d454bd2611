"""Tables as text, and numbers for people."""

import pytest

from keraunos.compiler.report.table import Column, Table, TableRow, wrap
from keraunos.compiler.units import (
    count_of,
    format_bytes,
    format_bytes_a_sample,
    format_seconds,
    three_digits,
)
from keraunos.runtime.dim import symbol

pytestmark = pytest.mark.smoke

TABLE = Table(
    "fruit",
    (Column("name", wraps=True), Column("number", right=True), Column("note", minor=True)),
    (
        TableRow(("apples, pears, plums and cherries", "3", "ripe")),
        TableRow(("nuts", "12000", "not a fruit")),
    ),
    ("Counted by hand.",),
)


def test_columns_line_up():
    assert TABLE.text(100) == (
        "fruit\n"
        "\n"
        "name                               number  note\n"
        "─────────────────────────────────  ──────  ───────────\n"
        "apples, pears, plums and cherries       3  ripe\n"
        "nuts                                12000  not a fruit\n"
        "\n"
        "Counted by hand."
    )


def test_what_wraps_is_broken_between_words():
    assert TABLE.text(40).splitlines()[4:6] == [
        "apples, pears,           3  ripe",
        "plums and cherries",
    ]


def test_minor_columns_go_where_nothing_else_helps():
    assert "note" in TABLE.text(33)
    narrow = TABLE.text(32)
    assert "note" not in narrow
    assert max(map(len, narrow.splitlines())) <= 32


def test_a_table_without_rows_is_its_title():
    assert str(Table("fruit", TABLE.columns, ())) == "fruit"


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 8, ("one two", "three")),
        ("conv2d+add+relu", 11, ("conv2d+add+", "relu")),
        ("  max_pool2d_1 x", 12, ("  max_", "  pool2d_1 x")),
        ("abcdefgh", 3, ("abc", "def", "gh")),
        ("", 5, ("",)),
    ],
)
def test_wrapping(text, width, lines):
    assert wrap(text, width) == lines


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.00 KB"),
        (259584, "260 KB"),
        (999_960, "1.00 MB"),
    ],
)
def test_bytes(value, text):
    assert format_bytes(value) == text


def test_bytes_a_sample():
    assert format_bytes_a_sample(259584 * symbol("N")) == "260 KB a sample"
    assert format_bytes_a_sample(symbol("N") * symbol("T") * 4) == "4*T bytes a sample"
    assert format_bytes_a_sample(2048) == "2.05 KB"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.5, "2.50 s"),
        (0.000512, "512 µs"),
        (0.0123, "12.3 ms"),
        (37e-9, "37 ns"),
        (0.9996, "1.00 s"),
    ],
)
def test_seconds(value, text):
    assert format_seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.04123, "0.0412"),
        (4.123, "4.12"),
        (41.23, "41.2"),
        (4123.4, "4123"),
        (9.996, "10.0"),
    ],
)
def test_three_digits(value, text):
    assert three_digits(value) == text


def test_counts():
    assert [count_of(1, "kernel"), count_of(1200, "kernel")] == ["1 kernel", "1,200 kernels"]
