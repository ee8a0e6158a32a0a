"""straced: what running processes ask of the kernel, and why a process is stuck."""

from __future__ import annotations

__version__ = "0.1.0"
