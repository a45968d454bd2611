"""The list of mutations keeps up with the source; `python tests/mutations.py` runs it."""

from collections import Counter
from pathlib import Path

import pytest
from mutations import Mutation, mutations, places, texts

SOURCE = texts()
MUTATIONS = mutations()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_what_it_mutates_stands_once_in_the_source(mutation: Mutation) -> None:
    assert len(places(mutation.old, SOURCE)) == 1
    assert mutation.new != mutation.old
    assert (Path(__file__).parent / mutation.tests.split()[0]).exists()


def test_names_are_told_apart() -> None:
    assert Counter(mutation.name for mutation in MUTATIONS).most_common(1)[0][1] == 1
