"""The browser of the tests: it ends whole, and its end is told."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.support import proc
from tests.support.chromium import Page
from tests.support.world import WORLD

pytestmark = pytest.mark.needs("chromium")


def test_it_reads_a_page_and_tells_what_went_wrong(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<title>t</title><button onclick=\"this.textContent='pressed'\">b</button><script>nope()</script>")
    with Page() as page:
        page.open(path)
        page.click("button")
        assert page.text("button") == "pressed"
        assert page.requests == [path.as_uri()]
        assert any("nope is not defined" in text for text in page.errors)
        with pytest.raises(AssertionError, match="ERR_NAME_NOT_RESOLVED"):
            page.open("http://example.org/")


def test_a_browser_that_dies_leaves_nothing(tmp_path: Path) -> None:
    before = WORLD.processes()
    with Page() as page:
        (keeper,) = [pid for pid in WORLD.processes() - before if proc.parent(pid) == os.getpid()]
        for pid in proc.children(keeper):
            with contextlib.suppress(ProcessLookupError):  # a helper that ended by itself
                os.kill(pid, signal.SIGKILL)
        with pytest.raises(AssertionError, match="the browser ended"):
            page.until("false")
