"""Every key, pressed.

Of `views/tui/actions.py`, `views/tui/dialogs.py` and `views/tui/filter_line.py`.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import Future

import msgspec
import pytest

from straced.errors import AttachError, NotPermitted
from straced.views.tui import key_bindings
from straced.views.tui.rows import SORTS, ProcessRows
from straced.waits.model import Why
from tests.views.tui import frames
from tests.views.tui.frames import ScriptedFeed, row
from tests.views.tui.screen import all_of, appears, lines_of, running, text_of

NOW = frames.machine_of_three()


def cursor_pid(app: object) -> int | None:
    chosen = app.chosen  # type: ignore[attr-defined]
    return chosen.pid if chosen is not None else None


@pytest.mark.parametrize(
    ("pressed", "pid"),
    [
        (["down"], 4243),
        (["j", "j"], 4244),
        (["j", "k"], 4242),
        (["down", "down", "up"], 4243),
        (["end"], 77),
        (["G"], 77),
        (["G", "g"], 4242),
        (["end", "home"], 4242),
        (["pagedown"], 77),
        (["end", "pageup"], 4242),
        (["up"], 4242),
        (["end", "down"], 77),
    ],
)
async def test_moving_chooses_a_process_and_asks_for_its_detail(pressed: list[str], pid: int) -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press(*pressed)
        await pilot.pause()
        assert cursor_pid(app) == pid
        assert feed.choices[-1] == (pid, pid * 10)
        assert any(line.startswith(f"── {pid} ") for line in text_of(app))
        marked = next(line for line in text_of(app) if line.startswith("▸"))
        assert marked.split()[1] == str(pid)


async def test_a_click_chooses() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.click("#list", offset=(5, 3))
        assert cursor_pid(app) == 4244


async def test_enter_opens_the_process_and_escape_comes_back() -> None:
    async with running(ScriptedFeed(NOW), (80, 24)) as (app, pilot):
        assert not app.panel.display
        await pilot.press("j", "enter")
        await pilot.pause()
        assert app.panel.display
        assert not app.list.display
        assert "EAGAIN 3" in all_of(app)
        await pilot.press("escape")
        await pilot.pause()
        assert app.list.display
        assert not app.panel.display
        await pilot.press("enter", "enter")
        await pilot.pause()
        assert app.list.display


async def test_tab_gives_the_keys_to_the_panel_and_back() -> None:
    async with running(ScriptedFeed(NOW), rows=ProcessRows("cpu")) as (app, pilot):
        await pilot.press("tab", "j")
        await pilot.pause()
        assert app.panel.grid.has_focus
        assert app.panel.grid.cursor == 1
        assert cursor_pid(app) == 4242
        assert any(re.match("epoll_wait +█", line) for line in lines_of(app))  # its histogram
        await pilot.press("tab", "j")
        assert app.list.has_focus
        assert cursor_pid(app) == 4243


async def test_tab_does_nothing_where_only_the_list_is_shown() -> None:
    async with running(ScriptedFeed(NOW), (80, 24)) as (app, pilot):
        await pilot.press("tab", "j")
        assert cursor_pid(app) == 4243


@pytest.mark.parametrize(
    ("pressed", "seen"),
    [
        (["1"], "syscall  "),
        (["2"], "in call ≥"),
        (["3"], "0.0.0.0:80 listen"),
        (["G", "4"], "another user's process"),
        (["right"], "in call ≥"),
        (["5"], "no slow calls here"),
        (["left"], "counting begins"),
        (["right", "right", "right", "right", "right", "right"], "syscall  "),
    ],
)
async def test_panels(pressed: list[str], seen: str) -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press(*pressed)
        await pilot.pause()
        assert seen in all_of(app)


async def test_slash_filters_while_typing_and_enter_keeps_it() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("slash", *"postg")
        await pilot.pause()
        assert "4243" not in "\n".join(text_of(app)[5:12])
        await pilot.press("enter")
        await pilot.pause()
        assert 'filter "postg"' in text_of(app)[0]
        assert app.list.has_focus
        assert app.list.count == 1
        await pilot.press("escape")
        await pilot.pause()
        assert app.list.count == 4
        assert "filter" not in text_of(app)[0]


async def test_escape_in_the_filter_clears_it() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("slash", *"qq")
        assert app.list.count == 0
        await pilot.press("escape")
        await pilot.pause()
        assert app.list.count == 4
        assert app.list.has_focus


async def test_keys_typed_into_the_filter_do_nothing_else() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("slash", *"xtypqhs")
        await pilot.pause()
        assert app.is_running
        assert len(app.screen_stack) == 1
        assert app.rows.filter == "xtypqhs"


async def test_s_goes_through_all_sorts_and_shift_s_back() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        seen = []
        for _ in SORTS:
            await pilot.press("s")
            seen.append(app.rows.sort)
        assert sorted(seen) == sorted(SORTS)
        assert seen[-1] == "calls"
        await pilot.press("S")
        assert app.rows.sort == SORTS[SORTS.index("calls") - 1]


async def test_sorting_by_errors_puts_most_errors_first() -> None:
    async with running(ScriptedFeed(NOW), rows=ProcessRows("calls")) as (app, pilot):
        await pilot.press("s")
        await pilot.pause()
        assert "postgres" in text_of(app)[5]
        assert "sorted by errors" in text_of(app)[0]


async def test_w_goes_from_working_to_waiting_to_wall() -> None:
    async with running(ScriptedFeed(NOW), rows=ProcessRows("cpu")) as (app, pilot):
        for word, first in (("waiting", "epoll_wait"), ("wall", "epoll_wait"), ("on-CPU", "read")):
            await pilot.press("w")
            await pilot.pause()
            assert f"showing {word} time" in text_of(app)[0]
            lines = lines_of(app)
            at = next(n for n, line in enumerate(lines) if line.startswith("syscall"))
            assert lines[at + 1].startswith(first)


async def test_l_makes_the_tree_flat() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        assert "├" in all_of(app)
        await pilot.press("l")
        await pilot.pause()
        assert "├" not in all_of(app)
        order = [line.split()[0] for line in lines_of(app)[5:9]]
        assert order == ["4243", "4244", "77", "4242"]


async def test_p_holds_the_screen_and_lets_it_go_on() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("p")
        feed.give(msgspec.structs.replace(NOW, calls_s=55555.0))
        await pilot.pause()
        assert "PAUSED" in all_of(app)
        assert "55,555" not in all_of(app)
        await pilot.press("p")
        feed.give(msgspec.structs.replace(NOW, calls_s=66666.0))
        await pilot.pause()
        assert "66,666" in all_of(app)
        assert "PAUSED" not in all_of(app)


@pytest.mark.parametrize("key", ["h", "question_mark"])
async def test_help_names_every_key(key: str) -> None:
    async with running(ScriptedFeed(NOW), (80, 26)) as (app, pilot):
        await pilot.press(key)
        await pilot.pause()
        shown = all_of(app)
        for each in key_bindings.KEYS:
            assert each.meaning in shown, each
        await pilot.press("escape")
        await pilot.pause()
        assert len(app.screen_stack) == 1


async def test_y_asks_why_and_shows_the_answer() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("j", "y")
        await appears(pilot, lambda: "waits for work" in all_of(app), "the answer")
        await pilot.press("escape")
        await pilot.pause()
        assert len(app.screen_stack) == 1


async def test_an_answer_that_comes_after_its_box_was_closed_changes_nothing() -> None:
    feed = ScriptedFeed(NOW)
    late: Future[Why] = Future()
    feed.why = lambda key: late  # type: ignore[method-assign]
    async with running(feed) as (app, pilot):
        await pilot.press("y", "escape", "x")
        late.set_result(feed.answer)
        await pilot.pause()
        assert "waits for work" not in all_of(app)
        assert "Send a signal to 4242" in all_of(app)


async def test_y_says_what_is_in_the_way() -> None:
    feed = ScriptedFeed(NOW)
    feed.error = AttachError("this build cannot tell [red]why[/red]")
    async with running(feed) as (app, pilot):
        await pilot.press("y")
        await appears(pilot, lambda: "cannot tell [red]why[/red]" in all_of(app), "the reason")


async def test_x_asks_and_sends_the_signal_that_was_chosen() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("j", "x")
        await pilot.pause()
        assert "Send a signal to 4243 (nginx)?" in all_of(app)
        assert feed.signals == []
        await pilot.press("down", "down", "y")
        await appears(pilot, lambda: bool(feed.signals), "a signal")
        assert feed.signals == [((4243, 42430), 1)]
        await appears(pilot, lambda: "SIGHUP sent to 4243" in all_of(app), "a word about it")


async def test_x_and_escape_sends_nothing() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("x", "escape")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        assert feed.signals == []


async def test_x_refused_says_why() -> None:
    feed = ScriptedFeed(NOW)
    feed.error = NotPermitted("4242 is another user's process")
    async with running(feed) as (app, pilot):
        await pilot.press("x", "y")
        await appears(pilot, lambda: "another user's process." in all_of(app), "the reason")


async def test_t_asks_starts_a_trace_says_where_and_stops_it() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("t")
        await pilot.pause()
        asked = " ".join(all_of(app).split())
        assert "100.0 MB or 60 s" in asked
        assert "/traces" in asked
        assert feed.running == []
        await pilot.press("enter")
        await appears(pilot, lambda: "TRACING 4242 into /traces/straced-4242.strace" in all_of(app), "a running trace")
        assert "0 B of 100.0 MB, at most 60 s; select it and press t to stop" in all_of(app)
        await pilot.press("t")
        await appears(pilot, lambda: "52.4 MB" in all_of(app), "the end of the trace")
        assert feed.running == []


async def test_t_and_escape_traces_nothing() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (_, pilot):
        await pilot.press("t", "escape")
        await pilot.pause()
        assert feed.running == []


async def test_brackets_go_through_time_where_there_is_any() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("left_square_bracket")
        await appears(pilot, lambda: "This view is live" in all_of(app), "a word about that")
        feed.can_move = True
        await pilot.press("left_square_bracket", "right_square_bracket")
        await appears(pilot, lambda: feed.moves == [-1, -1, 1], "three moves")


PAST = msgspec.structs.replace(NOW, source="history", kept_since=NOW.epoch_s - 7200)


async def test_colon_goes_to_a_time_of_history() -> None:
    feed = ScriptedFeed(PAST)
    feed.can_move = True
    async with running(feed) as (app, pilot):
        assert " · kept since " in text_of(app)[0]
        await pilot.press("colon", *"08:12")
        await pilot.pause()
        assert text_of(app)[-1].split() == ["go", "to", "08:12"]
        assert "Enter go there" in text_of(app)[-2]
        await pilot.press("enter")
        await appears(pilot, lambda: bool(feed.times), "a moment")
        assert time.strftime("%H:%M", time.localtime(feed.times[0])) == "08:12"
        assert app.rows.filter == ""
        await pilot.press("colon", *"-2h", "enter")
        await appears(pilot, lambda: len(feed.times) == 2, "another one")
        assert feed.times[1] == pytest.approx(time.time() - 7200, abs=60)


@pytest.mark.parametrize(("text", "told"), [("25:00", "there is no 25:00"), ("soon", "is no time")])
async def test_what_is_no_time_is_said(text: str, told: str) -> None:
    feed = ScriptedFeed(PAST)
    async with running(feed) as (app, pilot):
        await pilot.press("colon", *text, "enter")
        await appears(pilot, lambda: told in " ".join(all_of(app).split()).casefold(), told)
        assert feed.times == []


async def test_colon_and_escape_goes_nowhere_and_a_filter_stays() -> None:
    feed = ScriptedFeed(PAST)
    async with running(feed, rows=ProcessRows(filter_text="nginx")) as (app, pilot):
        await pilot.press("colon", *"08", "escape")
        await pilot.pause()
        assert (feed.times, app.rows.filter, app.entry.display) == ([], "nginx", False)


async def test_colon_says_that_there_is_only_now() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("colon")
        await appears(pilot, lambda: "This view is live" in all_of(app), "a word about that")
        assert not app.entry.display


async def test_it_is_not_suspended_while_a_full_trace_needs_its_end() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("ctrl+z")
        assert "Not suspended" not in all_of(app)
        await pilot.press("t", "enter")
        await appears(pilot, lambda: bool(feed.running), "a running trace")
        await pilot.press("ctrl+z")
        await appears(pilot, lambda: "Not suspended: a full trace of 4242" in " ".join(all_of(app).split()), "a word")


async def test_a_box_says_how_to_leave_it_and_the_last_line_has_its_keys() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        for key in ("h", "y", "x", "t"):
            await pilot.press(key)
            await appears(pilot, lambda: text_of(app)[-1].split() == ["Esc", "close", "Up", "Down", "move"], key)
            assert len(re.findall(r"Esc (?:closes|nothing|to cancel)", all_of(app))) == 1, key
            await pilot.press("escape")
            await appears(pilot, lambda: text_of(app)[-1].startswith(" q quit  h help"), key)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_q_and_ctrl_c_quit_and_close_the_feed(key: str) -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press(key)
        await pilot.pause()
        assert not app.is_running
    assert feed.closed


async def test_the_clock_may_tick_once_more_when_the_screen_is_gone() -> None:
    async with running(ScriptedFeed(NOW)) as (app, _):
        pass
    assert app.screen_stack == []
    app.draw_words()
    app.lay_out()


async def test_no_key_falls_over_an_empty_list() -> None:
    feed = ScriptedFeed(frames.frame())
    async with running(feed) as (app, pilot):
        for key in ("j", "k", "enter", "y", "x", "t", "2", "3", "4", "1", "tab", "s", "w", "l", "p", "escape"):
            await pilot.press(key)
        await pilot.pause()
        assert app.is_running
        assert feed.signals == []


async def test_a_process_that_ends_while_it_is_looked_at_stays_and_says_so() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("j")
        left = [each for each in NOW.processes if each.pid != 4243]
        feed.give(msgspec.structs.replace(NOW, processes=tuple(left)))
        assert feed.listener is not None
        feed.listener.detail_ready(frames.detail_of(NOW.processes[1], gone=True, calls=None, threads=None, files=None))
        await pilot.pause()
        shown = all_of(app)
        assert "ENDED nginx: worker process" in shown
        assert "ENDED 4243" in shown
        assert "EAGAIN 3" in shown  # what it did last
        assert "9,800" in next(line for line in shown.splitlines() if "ENDED nginx" in line)
        await pilot.press("j", "k", "k", "j")
        await pilot.pause()
        assert "ENDED" not in all_of(app)


async def test_the_cursor_stays_on_its_process_when_the_order_changes() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("G")
        busy = tuple(row(5000 + n, cpu_pct=99.0) for n in range(30))
        feed.give(msgspec.structs.replace(NOW, processes=busy + NOW.processes))
        await pilot.pause()
        assert cursor_pid(app) == 77
        assert any(line.startswith("77 D") for line in lines_of(app))


async def test_jobs_have_a_line_of_their_own() -> None:
    rows = tuple(msgspec.structs.replace(each, job="build-42" if each.pid != 77 else None) for each in NOW.processes)
    async with running(ScriptedFeed(msgspec.structs.replace(NOW, processes=rows))) as (app, _):
        lines = lines_of(app)[5:10]
        assert lines[0] == "▾ build-42"
        assert lines[1].startswith("4242")
        assert lines[4].startswith("77")
