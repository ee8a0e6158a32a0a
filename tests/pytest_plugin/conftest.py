"""The place for runs of pytest, for all tests of the plugin."""

from __future__ import annotations

from tests.pytest_plugin.inner import inner as inner
