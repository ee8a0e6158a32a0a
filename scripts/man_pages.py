"""Manual pages and completions, from the help of the verbs: ``man_pages.py FOLDER`` writes them as below ``share/``.

The build hook of the wheel puts them into its data, so that ``man straced-run`` works in the environment that it is
installed into, and a shell that looks below ``share/`` completes verbs, options and pids.
"""

from __future__ import annotations

import sys
from pathlib import Path

from click.shell_completion import get_completion_class
from verbs import commands, examples_of

from straced import __version__
from straced.commands.group import COMPLETE_VARIABLE, EXAMPLES, INTRO, PROGRAM, STATUSES, cli
from straced.commands.registry import available

COMPLETIONS = {
    "bash": f"share/bash-completion/completions/{PROGRAM}",
    "zsh": f"share/zsh/site-functions/_{PROGRAM}",
    "fish": f"share/fish/vendor_completions.d/{PROGRAM}.fish",
}


def files() -> dict[str, str]:
    """Every file by its path below the prefix of an installation."""
    made = {f"share/man/man1/{PROGRAM}.1": main_page()}
    for verb in available():
        made[f"share/man/man1/{PROGRAM}-{verb.name}.1"] = verb_page(verb.name)
    for shell, place in COMPLETIONS.items():
        kind = get_completion_class(shell)
        assert kind is not None
        made[place] = kind(cli, {}, PROGRAM, COMPLETE_VARIABLE).source().lstrip("\n")
    return made


def main_page() -> str:
    """``straced(1)``."""
    parts = [_title(PROGRAM, INTRO), _section("SYNOPSIS", f".B {PROGRAM}\n.I VERB\n[OPTIONS] [ARGS]...\n")]
    parts.append(_examples(list(EXAMPLES)))
    for section in dict.fromkeys(verb.section for verb in available()):
        verbs = [(f"{PROGRAM}-{verb.name}(1)", verb.line) for verb in available() if verb.section == section]
        parts.append(_section(section.upper(), _definitions(verbs)))
    statuses = [(number, words) for number, _, words in (each.partition(" ") for each in STATUSES.split(", "))]
    return "".join([*parts, _section("EXIT STATUS", _definitions(statuses))])


def verb_page(name: str) -> str:
    """``straced-VERB(1)``, with the verbs below it."""
    line = next(verb.line for verb in available() if verb.name == name)
    parts = [_title(f"{PROGRAM}-{name}", line)]
    for typed, each, context in commands(name):
        title = typed.removeprefix(f"{PROGRAM} {name}").upper()
        usage = each.get_usage(context).removeprefix("Usage: ")
        parts.append(_section(f"SYNOPSIS{title}", f"{_text(' '.join(usage.split()))}\n"))
        parts.append(_section(f"DESCRIPTION{title}", _paragraphs(each.help or "")))
        parts.append(_examples(examples_of(each, context)))
        records = [parameter.get_help_record(context) for parameter in each.get_params(context)]
        parts.append(_section(f"OPTIONS{title}", _definitions([each for each in records if each is not None])))
    return "".join([*parts, _section("SEE ALSO", f".BR {PROGRAM} (1)\n")])


# --- troff ---


def _text(words: str) -> str:
    """Text of which nothing is a request or an escape."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\n".join(f"\\&{line}" if line.startswith(".") else line for line in escaped.splitlines())


def _title(name: str, line: str) -> str:
    head = f'.TH {name.upper()} 1 "" "{PROGRAM} {__version__}"\n'
    return head + _section("NAME", f"{_text(name)} \\- {_text(line.rstrip('.'))}\n")


def _section(title: str, body: str) -> str:
    return f".SH {title}\n{body}" if body else ""


def _paragraphs(text: str) -> str:
    parts = (" ".join(part.replace("\b", "").split()) for part in text.split("\n\n"))
    return "".join(f".PP\n{_text(part)}\n" for part in parts if part)


def _definitions(pairs: list[tuple[str, str]]) -> str:
    return "".join(f".TP\n.B {_text(term)}\n{_text(' '.join(words.split()))}\n" for term, words in pairs)


def _examples(pairs: list[tuple[str, str]]) -> str:
    return _section("EXAMPLES", "".join(f".TP\n.B {_text(line)}\n{_text(words)}\n" for line, words in pairs))


def main() -> int:
    """Write all files below the given folder."""
    for place, text in files().items():
        path = Path(sys.argv[1]) / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
