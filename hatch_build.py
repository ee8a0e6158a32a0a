"""The build hook of the wheel: the native core of the reader of traces, where there is a C compiler.

With it the wheel is for this platform (any Python 3), and without it a pure one.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = "src/straced/traces/native/libstraced_reader.so"


class NativeReaderHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the core before the wheel is packed, or the checkout is installed."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it into the package, and say of what kind the wheel is."""
        root = Path(self.root)
        sys.path.insert(0, str(root / "native"))
        try:
            import build
        finally:
            sys.path.pop(0)
        if not build.build(root / LIBRARY) or version == "editable":
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["artifacts"].append(f"/{LIBRARY}")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
