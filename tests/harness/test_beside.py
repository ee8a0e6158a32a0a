"""Of `support/beside.py`: what a second run reports is part of the one report, and what it cannot is run here."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.harness.test_harness import nested
from tests.support.needs import unavailable
from tests.support.world import WORLD

pytestmark = pytest.mark.limit(120)
HERE = """
    from pathlib import Path
    from tests.support import beside
    beside.TESTS, beside.MODULES = Path(__file__), ("",)
    there = "STRACED_TEST_PACE" in os.environ

    def test_there():
        assert there

    def test_fails_there():
        assert not there, "it is said"

    @pytest.fixture
    def late():
        yield
        assert not there, "and at the end"

    def test_fails_at_the_end_there(late):
        pass

    def test_skipped():
        pytest.skip("for a reason" if there else "here")

    def test_left():
        subprocess.Popen(["sleep", "600"])

    def test_kills_it():
        if there:
            os.kill(os.getpid(), signal.SIGKILL)

    def test_after():
        assert not there
    """


def test_it_is_one_report(tmp_path: Path) -> None:
    if not WORLD.cgroup:
        unavailable("cgroup", "none can be made here")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tests.conftest"]\n')
    status, said = nested(tmp_path, textwrap.dedent(HERE), "-rs", STRACED_TEST_PATIENCE="0.1")
    assert status == 1, said
    assert "1 failed, 5 passed, 1 skipped, 2 errors" in said
    for words in ("AssertionError: it is said", "and at the end", "for a reason", "left running"):
        assert words in said, (words, said)
    assert "ended early; 2 of its tests ran here, from test_nested.py::test_kills_it" in said
