"""Servers that all scenarios of a module share, and that are gone with all they started when the module is done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from field_world import Field
from tests.support.world import Snapshot, assert_world_clean
from why_world import World


@pytest.fixture(scope="module")
def field(roles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    before = Snapshot()
    with Field(roles) as servers:
        yield servers
    assert not servers.directory.exists()
    assert_world_clean(before, tmp_path_factory.mktemp("left"))


@pytest.fixture
def world(field: Field, tmp_path: Path, roles: Path) -> Iterator[World]:
    """The processes of one scenario; those of the servers stay."""
    with World(tmp_path, roles) as staged:
        yield staged
