"""Fixtures of the service's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.processes import public_folder


@pytest.fixture
def public(world: None) -> Iterator[Path]:
    """A folder that other users may enter."""
    with public_folder() as folder:
        yield folder
