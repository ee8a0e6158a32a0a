"""A service of root in its default configuration, which other users may reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.daemon import Daemon, serving
from tests.service.processes import public_folder


@pytest.fixture
def public(world: None) -> Iterator[Path]:
    """A folder that other users may enter."""
    with public_folder() as folder:
        yield folder


@pytest.fixture
def daemon(public: Path) -> Iterator[Daemon]:
    """The service."""
    with serving(public) as made:
        yield made


@pytest.fixture(params=["kernel", "receivers"])
def either(request: pytest.FixtureRequest, public: Path) -> Iterator[Daemon]:
    """The service, where the kernel refuses descriptors, and where it cannot."""
    made = Daemon(public)
    made.start(**({"STRACED_RECEIVERS": "1"} if request.param == "receivers" else {}))
    try:
        yield made
    finally:
        made.stop()
