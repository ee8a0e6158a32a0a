"""The build hook of the wheel: manual pages, completions, and the native core of the reader of traces.

With the core, which needs a C compiler, the wheel is for this platform (any Python 3), and without it a pure one.
``STRACED_WHEEL=pure`` leaves it out; ``STRACED_WHEEL=TAG`` with a ``CC`` that builds for it makes a wheel of that
platform (``scripts/wheels``).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = "src/straced/traces/native/libstraced_reader.so"
MAN_PAGES = "import sys; sys.path[:0] = sys.argv[1:3]; del sys.argv[1:3]; import man_pages; man_pages.main()"
"""Not by PYTHONPATH: pip takes out of that what the environment which it builds from has installed as editable."""


class WheelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds what a wheel holds besides the sources, or a checkout needs that is installed."""

    PLUGIN_NAME = "custom"
    _shared = ""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it, and say of what kind the wheel is."""
        root = Path(self.root)
        if version != "editable":
            self._share(root, build_data)
        wanted = os.environ.get("STRACED_WHEEL", "")
        if wanted == "pure" and version != "editable":
            return
        sys.path.insert(0, str(root / "native"))
        try:
            import build
        finally:
            sys.path.pop(0)
        library = Path(self._shared, Path(LIBRARY).name) if wanted and self._shared else root / LIBRARY
        if not build.build(library):
            if wanted and self._shared:
                raise RuntimeError(f"no native core for {wanted}")
            return
        if version == "editable":
            return
        build_data["force_include"][str(library)] = LIBRARY.removeprefix("src/")
        build_data["pure_python"] = False
        platform = wanted or sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"

    def _share(self, root: Path, build_data: dict[str, Any]) -> None:
        """Make the manual pages and completions, from the help: so the build needs what straced itself needs."""
        self._shared = tempfile.mkdtemp(prefix="straced-share-")
        folders = [str(root / name) for name in ("src", "scripts")]
        subprocess.run([sys.executable, "-c", MAN_PAGES, *folders, self._shared], check=True)
        build_data["shared_data"][os.path.join(self._shared, "share")] = "share"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        if self._shared:
            shutil.rmtree(self._shared, ignore_errors=True)
