"""Fixtures of the staged situations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from why_world import World, build_roles


@pytest.fixture(scope="session")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """roles.c, compiled."""
    return build_roles(tmp_path_factory.mktemp("roles"))


@pytest.fixture
def world(tmp_path: Path, roles: Path) -> Iterator[World]:
    """A stage whose processes are gone after the test."""
    with World(tmp_path, roles) as staged:
        yield staged
