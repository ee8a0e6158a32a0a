"""Draw screens of Textual as SVG: text in runs, and each row once however many pictures have it."""

from __future__ import annotations

import html
from collections.abc import Sequence

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from textual.app import App

WIDTH, LINE, PAD, BAR = 8.43, 18, 14, 30
FONT = 'font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre'
DARK = TerminalTheme(
    (26, 27, 38), (192, 202, 245),
    [(21, 22, 30), (247, 118, 142), (158, 206, 106), (224, 175, 104), (61, 89, 161), (187, 154, 247), (125, 207, 255),
     (169, 177, 214)],
    [(65, 72, 104), (247, 118, 142), (158, 206, 106), (224, 175, 104), (122, 162, 247), (187, 154, 247),
     (125, 207, 255), (224, 230, 255)],
)  # fmt: skip
LIGHT = TerminalTheme(
    (250, 250, 250), (40, 44, 52),
    [(0, 0, 0), (200, 40, 41), (60, 130, 0), (150, 104, 0), (30, 90, 180), (137, 89, 168), (0, 120, 140),
     (110, 110, 110)],
    [(90, 90, 90), (200, 40, 41), (60, 130, 0), (150, 104, 0), (30, 90, 180), (137, 89, 168), (0, 120, 140), (0, 0, 0)],
)  # fmt: skip
"""Colours for pictures only; a terminal has its own."""
Row = tuple[tuple[int, str, Style], ...]
"""Runs of text of one style, with their cell."""


def shot(app: App[None]) -> list[Row]:
    """The rows of the screen as they are now."""
    return [_row(strip._segments) for strip in app.screen._compositor.render_strips()]


def _row(segments: Sequence[Segment]) -> Row:
    runs: list[tuple[int, str, Style]] = []
    cell = 0
    for segment in segments:
        style = segment.style or Style.null()
        if runs and runs[-1][2] == style and runs[-1][0] + len(runs[-1][1]) == cell:
            runs[-1] = (runs[-1][0], runs[-1][1] + segment.text, style)
        else:
            runs.append((cell, segment.text, style))
        cell += segment.cell_length
    return tuple(run for run in runs if run[1].strip() or run[2].reverse or run[2].bgcolor)


class Film:
    """Pictures one after the other, or a single one.

    Args:
        theme: its colours; ``plain``: none but foreground and background, as NO_COLOR has it.
    """

    def __init__(self, theme: TerminalTheme = DARK, *, plain: bool = False) -> None:
        self._theme, self._plain = theme, plain
        self._rows: dict[Row, str] = {}
        self._styles: dict[str, str] = {}
        self._frames: list[tuple[float, list[Row]]] = []

    def add(self, at_s: float, rows: list[Row]) -> None:
        """Another picture, unless nothing changed."""
        if not self._frames or self._frames[-1][1] != rows:
            self._frames.append((at_s, rows))

    def svg(self, columns: int, title: str, end_s: float = 0.0) -> str:
        """All of it; several pictures are shown in turn, again and again."""
        lines = len(self._frames[0][1])
        width, height = round(columns * WIDTH + 2 * PAD), BAR + lines * LINE + PAD
        shown = "".join(self._frame(number, rows, width) for number, (_, rows) in enumerate(self._frames))
        defined = "".join(f'<g id="{name}">{self._drawn(row)}</g>' for row, name in self._rows.items())
        styles = "".join(f".{name}{{{rule}}}" for rule, name in self._styles.items())
        base, text = self._theme.background_color, self._theme.foreground_color
        moves = self._moves(width, end_s) if len(self._frames) > 1 else ""
        dots = "".join(
            f'<circle cx="{PAD + 6 + 18 * n}" cy="15" r="5" fill="{colour}"/>'
            for n, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
        )
        rules = f"text{{{FONT};fill:{text.hex}}}{styles}{moves}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            f' role="img"><title>{html.escape(title)}</title><style>{rules}</style>'
            f'<defs>{defined}</defs><rect width="100%" height="100%" rx="9" fill="{base.hex}"/>{dots}'
            f'<svg y="{BAR}" width="{width}" height="{lines * LINE}"><g class="film">{shown}</g></svg></svg>\n'
        )

    def _moves(self, width: int, end_s: float) -> str:
        steps = "".join(
            f"{100 * at / end_s:.2f}%{{transform:translateX({-number * width}px)}}"
            for number, (at, _) in enumerate(self._frames)
        )
        return f".film{{animation:film {end_s:.1f}s step-end infinite}}@keyframes film{{{steps}}}"

    def _frame(self, number: int, rows: Sequence[Row], width: int) -> str:
        uses = []
        for line, row in enumerate(rows):
            if row:
                name = self._rows.setdefault(row, f"r{len(self._rows)}")
                uses.append(f'<use href="#{name}" y="{line * LINE}"/>')
        return f'<g transform="translate({number * width + PAD},0)">{"".join(uses)}</g>'

    def _drawn(self, row: Row) -> str:
        grounds: list[tuple[int, int, str]] = []
        runs = []
        for cell, text, style in row:
            colour, ground = self._colours(style)
            if ground:
                joined = bool(grounds) and grounds[-1][1:] == (cell, ground)  # no seam between two of one colour
                grounds.append((grounds.pop()[0] if joined else cell, cell + len(text), ground))
            stripped = text.lstrip()
            if stripped:
                start = round((cell + len(text) - len(stripped)) * WIDTH, 1)
                name = self._class(style, colour)
                runs.append(f'<tspan x="{start}"{name}>{html.escape(stripped.rstrip(), quote=False)}</tspan>')
        rects = "".join(
            f'<rect x="{begin * WIDTH:.1f}" width="{(end - begin) * WIDTH:.1f}" height="{LINE}" fill="{fill}"/>'
            for begin, end, fill in grounds
        )
        return rects + (f'<text y="14">{"".join(runs)}</text>' if runs else "")

    def _class(self, style: Style, colour: str) -> str:
        rule = f"fill:{colour}" if colour else ""
        rule += ";font-weight:700" if style.bold else ""
        rule += ";opacity:.6" if style.dim else ""
        rule += ";text-decoration:underline" if style.underline else ""
        rule = rule.lstrip(";")
        return f' class="{self._styles.setdefault(rule, f"s{len(self._styles)}")}"' if rule else ""

    def _colours(self, style: Style) -> tuple[str, str]:
        """Of the text and behind it; empty for the theme's own."""
        colour, ground = self._hex(style.color, "foreground"), self._hex(style.bgcolor, "background")
        if style.reverse:
            back, front = self._theme.foreground_color.hex, self._theme.background_color.hex
            return ground or front, colour or back
        return colour, ground

    def _hex(self, colour: Color | None, of: str) -> str:
        if colour is None or colour.is_default or self._plain:
            return ""
        return str(colour.get_truecolor(self._theme, foreground=of == "foreground").hex)
