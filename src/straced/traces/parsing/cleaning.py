"""Makes of the blocks of any log what ``strace -f -o FILE`` would have written, for the passes and the exports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from straced.traces.parsing.argument_names import without_names
from straced.traces.parsing.foreign_prefix import stripper
from straced.traces.parsing.line_format import Form
from straced.traces.parsing.terminal_pids import TerminalPids
from straced.traces.parsing.torn_lines import TornLines


class LineCleaner:
    """Cleans the blocks of one log, in order; the number of lines and their order stay."""

    def __init__(self, form: Form) -> None:
        self.pids = TerminalPids(form) if form.pid != "plain" else None
        """Gives lines the pid that strace leaves out on a terminal."""
        self._torn = TornLines(form)
        self._before: list[Callable[[bytes], bytes]] = []
        if form.crlf:
            self._before.append(lambda block: block.replace(b"\r\n", b"\n"))
        if form.prefix_kind:
            self._before.append(stripper(form.prefix_kind))
        self._names = form.argument_names

    def clean(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield each block cleaned."""
        for raw in blocks:
            block = raw
            for step in self._before:
                block = step(block)
            block = self._torn.feed(block)
            if len(block) > 1:
                yield self._finished(block)
        if len(block := self._torn.finish()) > 1:
            yield self._finished(block)

    def _finished(self, block: bytes) -> bytes:
        if self._names:
            block = without_names(block)
        return block if self.pids is None else self.pids.feed(block)
