"""What people type who know strace, perf, top or systemctl: what they meant, as the line to type here."""

from __future__ import annotations

import getopt
import shutil
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from straced.commands import foreign_words
from straced.errors import AmbiguousTarget, CommandNotFound, InvalidArgument
from straced.linux import targets
from straced.linux.targets import TargetSpec

Function = TypeVar("Function", bound=Callable[..., Any])
_STRACE_OPTIONS = "e:o:p:s:a:b:E:u:S:I:O:P:X:U:cCdDfFhiknqrtTvVwxyYzZN"
"""Of strace(1), for getopt(3): those with a colon take a value."""
_LONG = ["attach=", "pid=", "output=", "trace=", "follow-forks"]


def noted(**notes: str) -> Callable[[Function], Function]:
    """Accept options of strace that ask for what is done anyhow, and say so on stderr.

    Args:
        notes: by letter, what to say; ``""``: it goes without saying.
    """

    def decorate(function: Function) -> Function:
        for letter, text in notes.items():

            def told(ctx: click.Context, param: click.Parameter, count: int, text: str = text) -> None:
                if count and text:
                    click.echo(f"straced: {text}", err=True)

            function = click.option(f"-{letter}", count=True, hidden=True, expose_value=False, callback=told)(function)
        return function

    return decorate


def without_verb(argv: Sequence[str]) -> str | None:
    """The line for a command line of strace: options first, no verb."""
    try:
        options, words = getopt.getopt(list(argv), _STRACE_OPTIONS, _LONG)
    except getopt.GetoptError:
        return None
    given = dict(options)
    pids = [value for name, value in options if name in ("-p", "--attach", "--pid")]
    wants_lines = any(name in given for name in ("-e", "-o", "--output", "--trace", "-t", "-T", "-y", "-P"))
    further = [f"-e {given['-e']}"] if "-e" in given else []
    further += [f"-o {given['-o']}"] if "-o" in given else []
    if not pids:
        verb = ["trace", *further] if wants_lines and "-c" not in given else ["run"]
        return " ".join(["straced", *verb, "--", *words]) if words else None
    who = " ".join(pid for text in pids for pid in text.replace(",", " ").split())
    if "-c" in given or not wants_lines:
        return f"straced attach {who}"
    return " ".join(["straced trace", who, *further])


def verb_of_others(args: Sequence[str]) -> str | None:
    """The line for a verb of another tool; words behind it go where its own would."""
    line = foreign_words.VERBS.get(args[0])
    if line is None:
        return None
    words = [word for word in args[1:] if not word.startswith("-")]
    pid = next((word for word in words if word.isdecimal()), "")
    if args[0] == "help" and words:
        return f"straced {words[0]} --help"
    if args[0] == "stat" and pid:
        return f"straced attach {pid}"
    if words and not pid:
        line = line.replace("CMD", " ".join(args[1:])).replace("FILE FILE", " ".join(words))
        line = line.replace("PID", f"name:{words[0]}").replace("FILE", words[0])
    return f"straced {line.replace('PID', pid or 'PID')}"


def for_option(verb: str, option: str, argv: Sequence[str]) -> str | None:
    """What to say of an option that a verb does not have."""
    if not verb:
        line = without_verb(argv)
        return None if line is None else f"type: {line}"
    answer = foreign_words.OPTIONS.get(verb, {}).get(option)
    if answer is None:
        return None
    answer = answer if ": " in answer else f"type: {answer}"
    words = list(argv[argv.index(verb) + 1 :]) if verb in argv else []
    kinds = ("name:", "unit:", "cgroup:", "container:", "pod:")
    target = next((word for word in words if word.isdecimal() or word.startswith(kinds)), None)
    rest = " ".join(words[words.index("--") + 1 :]) if "--" in words else ""
    return answer.replace("PID", target or "PID").replace("CMD", rest or "CMD")


def for_word(word: str, verb: str) -> InvalidArgument | None:
    """The error of a word that is no target but the name of a process, or of a program."""
    if not word or word[0] in "-0123456789" or ":" in word or not word.isprintable():
        return None
    name = word.rpartition("/")[2]
    if name and targets.matching(TargetSpec("name", name)):
        return InvalidArgument(f"{word!r} is not a target", hint=f"type: straced {verb} name:{name}")
    if shutil.which(word.split()[0]):
        return InvalidArgument(f"no process is called {word!r}", hint=f"to start it: straced run -- {word}")
    return None


def for_group(verb: str, word: str) -> str:
    """What to type in place of a word that is no verb of ``straced watch``."""
    if word in foreign_words.OF_WATCH:
        return f"type: straced {verb} {foreign_words.OF_WATCH[word]}"
    return f"type: straced {verb} add {word if word.isdecimal() or ':' in word else f'name:{word}'}"


def hint_of(error: Exception, verb: str) -> str:
    """A line to type for an error of which the library only knows what is wrong; ``""``: it says it all itself."""
    if isinstance(error, AmbiguousTarget) and error.candidates and verb in ("attach", "trace", "doctor", "top"):
        pids = error.candidates if verb != "trace" else error.candidates[:1]
        name = error.reason.partition(" is ")[0]
        all_of_them = f", or all of them: straced attach '{name}' --all" if verb == "attach" else ""
        return f"type: straced {verb} {' '.join(map(str, pids[:20]))}{all_of_them}"
    if isinstance(error, CommandNotFound):
        words = error.reason.rpartition(": ")[0].split()
        if len(words) > 1 and shutil.which(words[0]):
            return f"type: straced run -- {' '.join(words)}"
    return ""


def explained(error: click.NoSuchOption, verb: str, argv: Sequence[str]) -> click.UsageError:
    """The error of an option that there is not, with what to type instead, where that is known."""
    answer = for_option(verb, error.option_name, argv)
    return (
        error if answer is None else click.UsageError(f"no such option: {error.option_name}\n{answer}", ctx=error.ctx)
    )
