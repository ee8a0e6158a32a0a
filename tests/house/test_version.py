"""The version that the program tells is the one that is built and published."""

from __future__ import annotations

import pytest
from scripts import release

import straced


@pytest.mark.parametrize("place", release.PLACES)
def test_it_stands_in_each_place_and_is_set_there(place: str) -> None:
    assert release.versions()[place] == straced.__version__
    text = (release.ROOT / place).read_text()
    changed = release.written(place, text, "12.34.56")
    assert changed != text
    assert release.written(place, changed, straced.__version__) == text
