"""What a program never did before: a call, or a way in which a call fails. Learnt for a while, then worth an alert."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from straced.config import Alerts
from straced.service.alerts.findings import Finding
from straced.service.samples import ProcessSample
from straced.service.store.series import program_of

PROGRAM, SYSCALL, ERRNO = "program", "syscall", "errno"
MAX_NAMED = 8
MAX_PROGRAMS = 2000
Learnt = tuple[str, str, str]
"""Program (with the user it runs as), kind, and what."""


class Novelty:
    """Knows what each program of each user has done, since it was first seen."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, set[tuple[str, str]]]] = {}
        self._fresh: list[Learnt] = []

    def learn(self, kept: Iterable[tuple[str, str, str, float]]) -> None:
        """Take over what an earlier service learnt: program, kind, what, and when (seconds since the epoch)."""
        rows = list(kept)
        for program, kind, _what, when in rows:
            if kind == PROGRAM:
                self._known[program] = (when, set())
        for program, kind, what, _when in rows:
            if kind != PROGRAM and program in self._known:
                self._known[program][1].add((kind, what))

    def take(self) -> list[Learnt]:
        """What was learnt since the last time, to be kept."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def findings(self, sample: ProcessSample, epoch_s: float, config: Alerts) -> Iterator[Finding]:
        """What is new in a sample, once the program has been observed for long enough."""
        done = [(SYSCALL, call.name) for call in (*(sample.calls or ()), *sample.ended)]
        done += [
            (ERRNO, f"{call.name} {word}")
            for call in (*(sample.calls or ()), *sample.ended)
            for word in call.errno or ()
        ]
        if not done:
            return
        program = f"{program_of(sample.facts)} uid {sample.owner.uid}"
        if program not in self._known:
            if len(self._known) >= MAX_PROGRAMS:
                return
            self._known[program] = (epoch_s, set())
            self._fresh.append((program, PROGRAM, ""))
        first_seen, known = self._known[program]
        new = [each for each in done if each not in known]
        if not new:
            return
        known.update(new)
        self._fresh += [(program, kind, what) for kind, what in new]
        if (epoch_s - first_seen) * 1e9 < config.learn:
            return
        for kind, wanted, said in (
            (SYSCALL, config.new_syscalls, "makes calls it never made before"),
            (ERRNO, config.new_errnos, "fails as it never did before"),
        ):
            names = sorted({what for each, what in new if each == kind})
            if wanted and names:
                more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
                yield Finding(
                    kind=f"new_{kind}",
                    subject=f"{program}: {names[0]}",
                    text=f"{sample.facts.pid} ({sample.facts.comm}) {said}: {', '.join(names[:MAX_NAMED])}{more}",
                    sample=sample,
                    owner=sample.owner,
                    data={"names": ", ".join(names)},
                    once=True,
                )
