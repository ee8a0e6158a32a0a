"""The eBPF tracer."""

from __future__ import annotations

from straced.tracers.ebpf.tracer import EbpfTracer

__all__ = ["EbpfTracer"]
