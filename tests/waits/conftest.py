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
def world(world: None, tmp_path: Path, roles: Path) -> Iterator[World]:
    """A stage whose processes are gone after the test; the world of all tests is around it, and looked at then."""
    with World(tmp_path, roles) as staged:
        yield staged
