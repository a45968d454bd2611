"""NUMERICS.md shows the tables of deviations, and they name what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from keraunos.compiler.ops import all_ops
from keraunos.compiler.ops.deviations import GRADIENTS, VALUES, markdown

TEXT = (Path(__file__).parent.parent / "NUMERICS.md").read_text()
TABLES = {"values": VALUES, "gradients": GRADIENTS}

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize("name", TABLES)
def test_the_document_shows_the_table(name: str) -> None:
    shown = TEXT.split(f"<!-- {name} -->\n")[1].split("<!-- end -->")[0]
    assert shown.splitlines() == list(markdown(TABLES[name])), "write it again from the table"


@pytest.mark.parametrize("name", TABLES)
def test_deviations_are_of_ops_and_have_reasons(name: str) -> None:
    names = {op.name for op in all_ops()}
    for each in TABLES[name]:
        assert set(each.ops) <= names
        assert each.what.endswith(".") and each.why.endswith(".")
