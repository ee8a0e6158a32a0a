"""The book of alerts: each opens once, is brought up to date, closes once, and rests for a while after that."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator

import msgspec

from straced.config.schema import Alerts
from straced.linux.credentials import Peer
from straced.model.alerts import AlertRow
from straced.model.tick import Tick
from straced.service.alerts.novelty import Learnt, Novelty
from straced.service.alerts.rules import Condition, Memory, host_findings, process_findings

UPDATE_S = 60.0
"""An alert that stays open is written again at most this often."""
Key = tuple[str, str]


class AlertBook:
    """Judges ticks.

    Args:
        config: thresholds.
    """

    def __init__(self, config: Alerts) -> None:
        self._config = config
        self._open: dict[Key, AlertRow] = {}
        self._written_s: dict[Key, float] = {}
        self._resting: dict[Key, int] = {}
        self._memory: dict[tuple[int, int], Memory] = {}
        self._novelty = Novelty()
        self._verdicts: dict[Key, str] = {}

    def explain(self, alert: AlertRow, verdict: str) -> AlertRow | None:
        """Add what is behind an alert, which took a while to find out; ``None`` when it has closed meanwhile."""
        key = (alert.kind, alert.subject)
        known = self._open.get(key)
        if known is None or known.id != alert.id or not verdict:
            return None
        self._verdicts[key] = verdict
        self._open[key] = known = _explained(known, verdict)
        return known

    def configure(self, config: Alerts) -> None:
        """Judge by other thresholds from now on."""
        self._config = config

    def learn(self, kept: Iterable[tuple[str, str, str, float]]) -> None:
        """Take over what an earlier service knew of programs."""
        self._novelty.learn(kept)

    def take_learnt(self) -> list[Learnt]:
        """What was learnt since the last time."""
        return self._novelty.take()

    def count_open(self, peer: Peer | None = None) -> int:
        """Open alerts, those that ``peer`` may see."""
        return sum(peer is None or each.owner is None or peer.may_see(each.owner) for each in self._open.values())

    def open_by_kind(self) -> dict[str, int]:
        """How many of each kind are open."""
        counts: dict[str, int] = {}
        for kind, _subject in self._open:
            counts[kind] = counts.get(kind, 0) + 1
        return counts

    def judge(self, tick: Tick, more: Iterable[Condition] = ()) -> list[AlertRow]:
        """The alerts that opened, changed or closed by this tick.

        Args:
            tick: the sample.
            more: what else was found; of two that are about the same, the sample's own counts.
        """
        changes = []
        current: set[Key] = set()
        findings = {(each.kind, each.subject): each for each in more} if self._config.enabled else {}
        findings |= {(each.kind, each.subject): each for each in self._findings(tick)} if self._config.enabled else {}
        for key, finding in findings.items():
            current.add(key)
            change = self._found(key, finding, tick)
            if change is not None:
                changes.append(change)
        for key in [key for key in self._open if key not in current]:
            closed = msgspec.structs.replace(self._open.pop(key), updated_s=tick.epoch_s, closed_s=tick.epoch_s)
            self._written_s.pop(key, None)
            self._verdicts.pop(key, None)
            self._resting[key] = tick.monotonic_ns + self._config.cooldown
            changes.append(closed)
        if len(self._resting) > 1000:
            self._resting = {key: until for key, until in self._resting.items() if until > tick.monotonic_ns}
        return changes

    def _findings(self, tick: Tick) -> Iterator[Condition]:
        yield from host_findings(tick, self._config)
        memory, self._memory = self._memory, {}
        for sample in tick.processes:
            if sample.calls or sample.ended:
                yield from self._novelty.findings(sample, tick.epoch_s, self._config)
            if sample.facts.state == "X":
                continue
            known = memory.get(sample.facts.key)
            if known is None:
                known = Memory(seen_ns=tick.monotonic_ns, rss_mean=sample.facts.rss_bytes, since_ns=tick.monotonic_ns)
            self._memory[sample.facts.key] = known
            yield from process_findings(sample, known, tick.monotonic_ns, self._config)

    def _found(self, key: Key, finding: Condition, tick: Tick) -> AlertRow | None:
        known = self._open.get(key)
        if known is not None:
            changed = msgspec.structs.replace(known, text=finding.text, updated_s=tick.epoch_s, data=finding.data)
            changed = _explained(changed, self._verdicts.get(key, ""))
            self._open[key] = changed
            if tick.epoch_s - self._written_s[key] < UPDATE_S:
                return None
        else:
            if not finding.once and self._resting.get(key, 0) > tick.monotonic_ns:
                return None
            changed = self._open[key] = _opened(finding, tick)
        self._written_s[key] = tick.epoch_s
        return changed


def _explained(alert: AlertRow, verdict: str) -> AlertRow:
    if not verdict:
        return alert
    sentence = verdict.split("\n", 1)[0]
    return msgspec.structs.replace(alert, text=f"{alert.text}; {sentence}", data={**alert.data, "why": verdict})


def _opened(finding: Condition, tick: Tick) -> AlertRow:
    facts = finding.sample.facts if finding.sample is not None else None
    return AlertRow(
        id=uuid.uuid4().hex,
        kind=finding.kind,
        subject=finding.subject,
        text=finding.text,
        opened_s=tick.epoch_s,
        updated_s=tick.epoch_s,
        pid=facts.pid if facts is not None else None,
        start_ticks=facts.start_ticks if facts is not None else None,
        comm=facts.comm if facts is not None else "",
        job=facts.labels.get("job", "") if facts is not None else "",
        owner=finding.owner,
        data=finding.data,
    )
