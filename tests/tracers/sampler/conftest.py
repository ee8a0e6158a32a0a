"""The workloads of the eBPF tests, in which each thread stays in one call."""

from __future__ import annotations

from tests.tracers.ebpf.conftest import programs, start

__all__ = ["programs", "start"]
