"""``python -m straced`` is ``straced``."""

from __future__ import annotations

from straced.commands import main

main()
