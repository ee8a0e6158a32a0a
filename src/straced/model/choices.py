"""What a caller may choose from, by name: for annotations, so that a type checker refuses what would be refused."""

from __future__ import annotations

from typing import Literal, TypeAlias

TracerName: TypeAlias = Literal["auto", "ebpf", "strace", "sampler"]
"""A tracer, or ``auto``: the first of them that can serve, from left to right."""
TraceTracer: TypeAlias = Literal["auto", "ebpf", "strace"]
"""Who writes a full trace; ``auto``: eBPF where it may, else strace."""
TimeKind: TypeAlias = Literal["wall", "cpu"]
"""What times are measured in: ``wall``, or ``cpu`` for CPU time in the kernel, as plain ``strace -c`` has it."""
Timestamps: TypeAlias = Literal["s", "us"]
"""How a full trace tells the time: ``s`` for ``strace -t``, ``us`` for ``strace -ttt -T``, with durations."""
