"""What is wrong with one process or the host at one tick: each kind of trouble is a small class with its own memory."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from straced.config.schema import Alerts
from straced.model.owner import Owner
from straced.model.tick import ProcessSample, Tick
from straced.syscalls.waiting import WAITS_FOR_WORK
from straced.text.units import format_bytes

Value = str | int | float | bool | None
MIN_SPIKE_BYTES = 64 << 20
MEAN_NS = 600 * 10**9
MIN_AGE_NS = 60 * 10**9
"""A mean is worth something after this."""


class Condition(Struct, frozen=True, kw_only=True):
    """Something that is so at this tick."""

    kind: str
    subject: str
    text: str
    sample: ProcessSample | None = None
    owner: Owner | None = None
    data: dict[str, Value] = {}
    once: bool = False
    """It can be found once only, so that there is nothing to wait for after it."""


class Memory(Struct):
    """What is remembered of a process."""

    seen_ns: int
    rss_mean: float
    since_ns: int
    busy_since_ns: int | None = None
    d_since_ns: int | None = None
    stuck_since_ns: int | None = None
    error_share: float = 0.0
    calls_seen: int = 0


def process_findings(sample: ProcessSample, memory: Memory, now_ns: int, config: Alerts) -> list[Condition]:
    """All that is wrong with one process; brings its memory up to date."""
    facts = sample.facts
    step_ns = max(0, now_ns - memory.seen_ns)
    memory.seen_ns = now_ns
    found = [_memory_spike(sample, memory, now_ns, step_ns, config)]
    if facts.cpu_pct or memory.busy_since_ns is not None:
        found.append(_cpu(sample, memory, now_ns, config))
    if facts.fd_limit:
        found.append(_fds(sample, config))
    if facts.state == "D" or memory.d_since_ns is not None:
        found.append(_uninterruptible(sample, memory, now_ns, config))
    if sample.in_flight or memory.stuck_since_ns is not None:
        found.append(_stuck(sample, memory, now_ns, config))
    if sample.calls:
        found.append(_errors(sample, memory, config))
    return [each for each in found if each is not None]


def _name(sample: ProcessSample) -> str:
    return f"{sample.facts.pid} ({sample.facts.comm})"


def _make(kind: str, sample: ProcessSample, text: str, **data: Value) -> Condition:
    subject = f"{sample.facts.pid}.{sample.facts.start_ticks}"
    return Condition(kind=kind, subject=subject, text=text, sample=sample, owner=sample.owner, data=data)


def _memory_spike(sample: ProcessSample, memory: Memory, now_ns: int, step_ns: int, config: Alerts) -> Condition | None:
    rss, mean = sample.facts.rss_bytes, memory.rss_mean
    if rss == mean:
        return None
    old_enough = now_ns - memory.since_ns >= MIN_AGE_NS
    above = rss > mean * (1 + config.memory_spike_pct / 100) and rss - mean > MIN_SPIKE_BYTES
    memory.rss_mean += (rss - mean) * min(1.0, step_ns / MEAN_NS)
    if not (config.memory_spike_pct and old_enough and above):
        return None
    text = f"{_name(sample)} uses {format_bytes(rss)} of memory, {format_bytes(int(mean))} on average"
    return _make("memory_spike", sample, text, rss_bytes=rss, mean_bytes=int(mean))


def _cpu(sample: ProcessSample, memory: Memory, now_ns: int, config: Alerts) -> Condition | None:
    pct = sample.facts.cpu_pct
    if not config.cpu_pct or pct is None or pct < config.cpu_pct:
        memory.busy_since_ns = None
        return None
    if memory.busy_since_ns is None:
        memory.busy_since_ns = now_ns
    if now_ns - memory.busy_since_ns < config.cpu_for:
        return None
    seconds = (now_ns - memory.busy_since_ns) // 10**9
    return _make(
        "cpu", sample, f"{_name(sample)} has used {pct:.0f} % CPU for {seconds} s", cpu_pct=pct, seconds=seconds
    )


def _fds(sample: ProcessSample, config: Alerts) -> Condition | None:
    fds, limit = sample.facts.fds, sample.facts.fd_limit
    if not config.fds_pct or fds is None or not limit or fds < limit * config.fds_pct / 100:
        return None
    return _make("fds", sample, f"{_name(sample)} has {fds} of {limit} descriptors open", fds=fds, limit=limit)


def _uninterruptible(sample: ProcessSample, memory: Memory, now_ns: int, config: Alerts) -> Condition | None:
    if not config.uninterruptible or sample.facts.state != "D":
        memory.d_since_ns = None
        return None
    if memory.d_since_ns is None:
        memory.d_since_ns = now_ns
    seconds = (now_ns - memory.d_since_ns) // 10**9
    if now_ns - memory.d_since_ns < config.uninterruptible:
        return None
    calls = ", ".join(sample.in_flight) or "an unknown call"
    return _make(
        "uninterruptible", sample, f"{_name(sample)} is in state D for {seconds} s, in {calls}", seconds=seconds
    )


def _stuck(sample: ProcessSample, memory: Memory, now_ns: int, config: Alerts) -> Condition | None:
    waits = bool(sample.in_flight) and not WAITS_FOR_WORK & sample.in_flight.keys()
    moves = any(call.calls for call in sample.calls or ()) or (sample.facts.cpu_delta_ns or 0) > STIR_NS
    if not config.stuck or not waits or moves:
        memory.stuck_since_ns = None
        return None
    if memory.stuck_since_ns is None:
        memory.stuck_since_ns = now_ns
    seconds = (now_ns - memory.stuck_since_ns) // 10**9
    if now_ns - memory.stuck_since_ns < config.stuck:
        return None
    calls = ", ".join(sorted(sample.in_flight))
    text = f"{_name(sample)} has completed nothing for {seconds} s; it is in {calls}"
    return _make("stuck", sample, text, seconds=seconds, calls=calls)


STIR_NS = 50 * 10**6
"""Less CPU time than this is no progress: a tracer that attaches, or a signal, makes a waiting process stir."""
MIN_ERRORS = 20
MIN_CALLS = 1000
USUAL_CALLS = 100_000
"""What is usual is the share among all calls until there are so many, and then mostly among the last so many."""


def _errors(sample: ProcessSample, memory: Memory, config: Alerts) -> Condition | None:
    calls = sum(call.calls or 0 for call in sample.calls or ())
    errors = sum(call.errors or 0 for call in sample.calls or ())
    if not calls:
        return None
    share, before = errors / calls, memory.error_share
    known = memory.calls_seen >= MIN_CALLS
    memory.calls_seen += calls
    memory.error_share += (share - before) * min(1.0, calls / min(memory.calls_seen, USUAL_CALLS))
    if not (config.error_shift and known and errors >= MIN_ERRORS and share >= 0.01):
        return None
    if share < config.error_shift * max(before, 0.001):
        return None
    text = f"{share:.1%} of the calls of {_name(sample)} fail, {before:.1%} is usual"
    return _make("error_shift", sample, text, share=share, usual=before, errors=errors)


def host_findings(tick: Tick, config: Alerts) -> Iterator[Condition]:
    """All that is wrong with the host."""
    host = tick.host
    if config.zombies and host.zombies is not None and host.zombies >= config.zombies:
        text = f"{host.zombies} zombie processes"
        yield Condition(kind="zombies", subject="host", text=text, data={"zombies": host.zombies})
    if not config.memory_pressure_pct:
        return
    pressure = host.memory_pressure
    if pressure is not None and pressure.some_pct >= config.memory_pressure_pct:
        text = f"for {pressure.some_pct:.0f} % of the last 10 s some task waited for memory"
        yield Condition(kind="memory_pressure", subject="host", text=text, data={"some_pct": pressure.some_pct})
    elif pressure is None and host.memory_total_bytes and host.memory_available_bytes is not None:
        used = 1 - host.memory_available_bytes / host.memory_total_bytes
        if used > 0.95:
            text = f"{used:.0%} of the memory is in use"
            yield Condition(kind="memory_pressure", subject="host", text=text, data={"used": used})
