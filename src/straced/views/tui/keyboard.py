"""All keys go one way: each is taken whole before the next one is looked at, in the order in which they came.

Textual gives a key to the widget that has the focus when the key comes, and the widget's queue hands it on later. Of
keys that come in one read the second would find the screen as it was before the first: the letters after ``/`` would
be commands. Here all of them go through the queue of the list, behind the clicks on it, and what a key opened has the
next.
"""

from __future__ import annotations

import time
from collections import deque

from textual import events

from straced.views.tui import key_bindings, reaction
from straced.views.tui.actions import ActionHandlers
from straced.views.tui.click_line import Clicked
from straced.views.tui.dialogs import CLOSING, Box, Painted, RiskBox
from straced.views.tui.filter_line import FILTERS, FilterLine
from straced.views.tui.grid import Grid

FILTER_ACTIONS = ("keep_filter", "clear_filter")


class Keyboard(ActionHandlers):
    """The part of the app that decides whom a key is for: a box, the filter, or the list and the panel."""

    list: Grid
    entry: FilterLine
    unreported: deque[RiskBox]
    """Those whose painting the terminal has not reported yet, in the order in which it will."""
    picks: bool
    """Whether the screen selects a process by itself: nobody has done anything yet."""

    @property
    def table(self) -> Grid:
        """The one that keys move in."""
        raise NotImplementedError

    @property
    def too_small(self) -> bool:
        """Whether nothing but a word about that is on the screen."""
        raise NotImplementedError

    def typed(self, text: str) -> None:
        """Another text stands in the line."""
        raise NotImplementedError

    def entered(self, text: str) -> None:
        """A text was typed to its end."""
        raise NotImplementedError

    def draw_words(self) -> None:
        """Draw the lines around list and panel anew."""
        raise NotImplementedError

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, (events.Key, events.Paste)) and not event.is_forwarded:
            self.app_focus = True  # a terminal that tells of its focus may tell it late
            self.list.call_later(self._take, event)
        elif isinstance(event, events.CursorPosition):
            self.list.call_later(self._reported, event.time)  # behind the keys that came before it
        else:
            await super().on_event(event)

    def on_painted(self, message: Painted) -> None:
        """Ask the terminal to report when it has a question on its screen."""
        box = message.box
        self.draw_words()
        if not isinstance(box, RiskBox):
            return
        if self._driver is None or self.is_headless:  # there is no terminal
            box.seen(message.time)
            return
        self.unreported.append(box)
        self._driver.write(reaction.ASK)
        self._driver.flush()
        self.set_timer(reaction.REPORT_S, lambda: self._give_up(box))

    def _reported(self, at: float) -> None:
        if self.unreported:
            self.unreported.popleft().seen(at)

    def _give_up(self, box: RiskBox) -> None:
        if box in self.unreported:
            self.unreported.remove(box)
            box.seen(time.monotonic())

    def on_clicked(self, message: Clicked) -> None:
        """What was clicked goes the way of the keys, behind those that came before it."""
        message.stop()
        self.list.call_later(self._act, message.action)

    async def _act(self, action: str) -> None:
        if isinstance(self.screen, Box) or self.too_small:
            return
        if self.entry.display and action not in FILTER_ACTIONS:
            self.close_filter()
        await self.run_action(action)

    async def _take(self, event: events.Key | events.Paste) -> None:
        box = self.screen
        self.picks = False
        if self.too_small and not (isinstance(event, events.Key) and event.key in ("q", "ctrl+q", *CLOSING)):
            return
        if isinstance(box, Box):
            if isinstance(event, events.Key):  # a paste answers nothing
                box.press(event)
                self.draw_words()
        elif self.entry.display:
            await self._filter(event)
        elif isinstance(event, events.Paste):
            self.say("pasted text is ignored; press / to filter")
        elif event.key in self.table.KEYS:
            await self.run_action(self.table.KEYS[event.key], self.table)
        elif event.key in key_bindings.ACTIONS:
            await self.run_action(key_bindings.ACTIONS[event.key])

    async def _filter(self, event: events.Key | events.Paste) -> None:
        if isinstance(event, events.Key) and event.key in (*CLOSING, "enter"):
            await self.run_action("keep_filter" if event.key == "enter" else "clear_filter")
        else:
            self.screen.set_focus(self.entry)  # a click may have taken it
            await self.entry.take(event)
            self.typed(self.entry.value)

    def action_filter(self) -> None:
        self.open_line(FILTERS)

    def action_keep_filter(self) -> None:
        """Done typing: what stands in the line counts."""
        self.close_filter()
        self.entered(self.entry.value)

    def action_clear_filter(self) -> None:
        """Done typing, and nothing was meant."""
        self.entry.value = ""
        self.close_filter()
        self.typed("")

    def open_line(self, kind: tuple[str, str], text: str = "") -> None:
        """Every key is the line's from now on."""
        self.entry.open(kind, text)
        self.screen.set_focus(self.entry)

    def close_filter(self) -> None:
        """What is typed next is not for the line."""
        self.entry.close()
        self.screen.set_focus(self.list)
