"""What the keys ask of a process: why it waits, a signal, a full trace. Everything that is risky asks first."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from straced.errors import InvalidArgument, StracedError
from straced.live.spared import spared
from straced.text import moments
from straced.text.sanitize import scrub
from straced.text.units import format_bytes
from straced.views.text.summary import sentence, signal_name
from straced.views.tui.dialogs import HelpBox, TraceBox, WhyBox
from straced.views.tui.signal_box import SignalBox

if TYPE_CHECKING:
    from textual.app import App

    from straced.live.protocols import ScreenFeed
    from straced.model.frame import Key, ProcessRow

    _Base = App[None]
else:
    _Base = object

Result = TypeVar("Result")
ONLY_NOW = "This view is live. For the past: straced top --history 1h"


class ActionHandlers(_Base):
    """The part of the app that asks for things and says what came of it."""

    feed: ScreenFeed

    @property
    def chosen(self) -> ProcessRow | None:
        raise NotImplementedError

    @property
    def nobody(self) -> str:
        """Why no process selected."""
        raise NotImplementedError

    @property
    def past(self) -> str:
        """Why what is on the screen is no picture of now, or nothing."""
        raise NotImplementedError

    def say(self, text: str, *, bad: bool = False) -> None:
        """A line that goes away by itself, one that is ``bad`` instead of those before it. Never markup."""
        if bad:
            self.clear_notifications()
        self.notify(scrub(text, 500), severity="error" if bad else "information", markup=False, timeout=8)

    def subject(self, *, now: bool = False) -> ProcessRow | None:
        """The process that a key is about, or a word about why there is none.

        Args:
            now: to do something to it, which a picture of the past is no ground for.
        """
        row = self.chosen
        if row is None:
            self.say(sentence(self.nobody), bad=True)
        return None if now and self._is_past() else row

    def _is_past(self) -> bool:
        if self.past:
            self.say(sentence(self.past), bad=True)
        return bool(self.past)

    def action_travel(self, steps: int) -> None:
        self.run_worker(self._travel(steps), group="travel")

    def go_to(self, text: str) -> None:
        """Show the time that somebody wrote."""
        try:
            moment, said = moments.parse(text, time.time())
        except InvalidArgument as error:
            self.say_error(error)
            return
        if said:
            self.say(sentence(said))
        self.run_worker(self._travelled(self.feed.go_to(moment)), group="travel")

    async def _travel(self, steps: int) -> None:
        await self._travelled(self.feed.move(steps))

    async def _travelled(self, asked: Future[bool]) -> None:
        if not await asyncio.wrap_future(asked):
            self.say(ONLY_NOW)

    def action_suspend(self) -> None:
        """Give the terminal back to the shell until ``fg``; whoever sleeps could not end a full trace in time."""
        running = next((each for each in self.feed.traces() if each.running), None)
        if running is not None:
            self.say(f"Not suspended: a full trace of {running.pid} is running; press t on it to stop it.", bad=True)
        else:
            self.action_suspend_process()

    def action_help(self) -> None:
        self.push_screen(HelpBox())

    def action_why(self) -> None:
        row = self.subject()
        if row is None:
            return
        box = WhyBox(row)
        self.push_screen(box)
        self.run_worker(self._ask_why(row.key, box), exclusive=True, group="why")

    async def _ask_why(self, key: Key, box: WhyBox) -> None:
        try:
            answer = await asyncio.wrap_future(self.feed.why(key))
        except StracedError as error:
            box.show([line for line in (error.reason, error.hint) if line])
        else:
            from straced.views.why.report import report

            box.show(report(answer, box.room(self.size.width)).splitlines())

    def action_signal(self) -> None:
        row = self.subject(now=True)
        if row is None:
            return
        if (refusal := spared(row.pid)) is not None:
            self.say_error(refusal)
            return

        def answered(number: int | None) -> None:
            if number is not None and not self._is_past():  # the service may have gone meanwhile
                done = f"{signal_name(number)} sent to {row.pid}"
                self.run_worker(self._tell(self.feed.signal(row.key, number), done))

        self.push_screen(SignalBox(row), answered)

    def action_trace(self) -> None:
        row = self.subject(now=True)
        if row is None:
            return
        running = next((each for each in self.feed.traces() if each.pid == row.pid and each.running), None)
        if running is not None:
            self.run_worker(self._stop_trace(row.key))
            return

        def answered(number: int | None) -> None:
            if number is not None and not self._is_past():
                self.run_worker(self._start_trace(row.key))

        self.push_screen(TraceBox(row, self.feed.folder, self.feed.trace_limits), answered)

    async def _start_trace(self, key: Key) -> None:
        try:
            state = await asyncio.wrap_future(self.feed.start_trace(key))
        except StracedError as error:
            self.say_error(error)
            return
        limits = f"{format_bytes(state.max_bytes)} or {state.max_seconds:.0f} s"
        self.say(f"tracing {state.pid} into {state.path}, at most {limits}; press t to stop")

    async def _stop_trace(self, key: Key) -> None:
        try:
            state = await asyncio.wrap_future(self.feed.stop_trace(key))
        except StracedError as error:
            self.say_error(error)
            return
        self.say(f"trace of {state.pid} finished: {format_bytes(state.bytes)} in {state.path}")

    async def _tell(self, asked: Future[Result], done: str) -> None:
        try:
            await asyncio.wrap_future(asked)
        except StracedError as error:
            self.say_error(error)
        else:
            self.say(done)

    def say_error(self, error: StracedError) -> None:
        self.say(" ".join(sentence(part) for part in (error.reason, error.hint) if part), bad=True)
