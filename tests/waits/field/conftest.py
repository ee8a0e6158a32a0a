"""Servers that all scenarios of a module share, and a world that is as clean after each test as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from field_world import Field
from why_world import World


@pytest.fixture(scope="module")
def field(roles: Path) -> Iterator[Field]:
    with Field(roles) as servers:
        yield servers


@pytest.fixture
def world(field: Field, tmp_path: Path, roles: Path) -> Iterator[World]:
    """The processes of one scenario; those of the servers stay."""
    with World(tmp_path, roles) as staged:
        yield staged
