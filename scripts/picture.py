"""Make docs/img/first-screen.svg from a real run: ``picture.py [CMD...]``. What it shows is what straced printed."""

from __future__ import annotations

import html
import re
import shlex
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
OUTPUT = HOME / "docs/img/first-screen.svg"
COMMAND = ["du", "-sh", "/usr/bin"]
ROWS = "12"
WIDTH, LINE, PAD, BAR = 8.43, 19, 18, 34
SGR = re.compile(r"\x1b\[([0-9;]*)m")
STYLE = """
  text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d6dbe1;
         white-space: pre; }
  .b { font-weight: 700; fill: #f5f7fa; }
  .d { fill: #8c97a5; }
  .r { fill: #ff7b72; }
  .u { text-decoration: underline; }
  .p { fill: #7ee787; }
"""


def main(words: list[str]) -> None:
    """Run straced on a command and draw what it says."""
    straced = [sys.executable, "-m", "straced", "run", "--color", "always", "-n", ROWS, "--"]
    command = words or COMMAND
    done = subprocess.run([*straced, *command], capture_output=True, check=False)
    typed = f"straced run -- {shlex.join(command)}"
    lines = [spans(line) for line in done.stderr.decode().splitlines()]
    shown = [[("p", "$ "), ("", typed)], *([("", line)] for line in done.stdout.decode().splitlines()[:3]), *lines]
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(svg(shown))
    print(OUTPUT.relative_to(HOME))


def spans(line: str) -> list[tuple[str, str]]:
    """Text with the classes of its SGR codes (ECMA-48): bold, dim, underline, red."""
    found, classes = [], ""
    for number, piece in enumerate(SGR.split(line)):
        if number % 2 == 0:
            if piece:
                found.append((classes, piece))
        else:
            names = {"1": "b", "2": "d", "4": "u", "31": "r"}
            classes = " ".join(names[code] for code in piece.split(";") if code in names)
    return found


def svg(lines: list[list[tuple[str, str]]]) -> str:
    """A terminal window of the size of what it shows."""
    columns = max(sum(len(text) for _, text in line) for line in lines)
    width, height = round(columns * WIDTH + 2 * PAD), BAR + len(lines) * LINE + PAD
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    dots = "".join(
        f'<circle cx="{PAD + 18 * n}" cy="17" r="5.5" fill="{colour}"/>'
        for n, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    body = "".join(
        f'<text x="{PAD}" y="{BAR + LINE * (number + 1) - 5}" xml:space="preserve">{tspans(line)}</text>\n'
        for number, line in enumerate(lines)
    )
    title = "<title>The first screen of straced run</title>"
    window = '<rect width="100%" height="100%" rx="9" fill="#16191d"/>'
    return f"{head}{title}<style>{STYLE}</style>{window}{dots}\n{body}</svg>\n"


def tspans(line: list[tuple[str, str]]) -> str:
    """Escaped text, a tspan a style."""
    return "".join(f'<tspan class="{name}">{html.escape(text)}</tspan>' for name, text in line)


if __name__ == "__main__":
    main(sys.argv[1:])
