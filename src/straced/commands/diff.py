"""``straced diff``: what changed between two recordings."""

from __future__ import annotations

import sys

import click

from straced.commands import options
from straced.commands.group import verb

SEPARATOR = ":"


@verb(
    "diff",
    examples=(
        ("straced diff before.txt after.txt", "two traces, or two saved summaries"),
        ("straced diff a1 a2 a3 : b1 b2 b3", "several runs per side, with the significance of each change"),
        ("straced diff a.json b.json --fail-on 'openat.calls>+10%' --max fsync=0", "a check for CI: status 1"),
    ),
)
@click.argument("files", nargs=-1, required=True, metavar="BEFORE... [:] AFTER...")
@click.option(
    "--fail-on", multiple=True, metavar="RULE", help="Status 1 if it holds: 'openat.calls>+10%'; may be repeated."
)
@click.option(
    "--max", "most", multiple=True, metavar="NAME=N", help="Status 1 beyond N calls: fsync=0; may be repeated."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Number of worker processes; default: all cores.")
@options.json
@options.limit
@options.color
def command(
    files: tuple[str, ...],
    fail_on: tuple[str, ...],
    most: tuple[str, ...],
    jobs: int | None,
    as_json: bool,
    limit: int | None,
    color: str,
) -> int:
    """Say what changed: calls, errors and time of each system call, errno and path, ordered by what matters.

    Each file is a trace (any strace log), or what run and attach save with -o FILE --json. A rule is NAME.FIGURE OP
    VALUE: NAME a call or total; FIGURE calls, errors, time or an errno; VALUE with a sign is a change, with % a
    relative one. Status 1 also where a part of a file is damaged: that is in no figure.
    """
    from straced.traces.diff.checks import check
    from straced.traces.diff.compare import compare
    from straced.views.text import terminal
    from straced.views.text.diff import render
    from straced.workflows.report import profile_of

    before_names, after_names = sides(files)
    progress = sys.stderr if sys.stderr.isatty() else None
    before = [profile_of(name, jobs=jobs, progress=progress) for name in before_names]
    after = [profile_of(name, jobs=jobs, progress=progress) for name in after_names]
    difference = compare(before, after)
    checks = check(difference, after, fail_on, most)
    damaged = any(profile.damage for profile in (*before, *after))
    status = 1 if damaged or any(each.failed for each in checks) else 0
    if as_json:
        import msgspec

        data = {**difference.to_dict(), "checks": msgspec.to_builtins(checks)}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n")
        return status
    lines = render(difference, checks, limit=limit, width=terminal.width_of(sys.stdout))
    terminal.show(lines, sys.stdout, color=options.use_color(sys.stdout, color))
    return status


def sides(files: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """``("a", "b")`` or ``("a1", "a2", ":", "b1")`` -> the two sides."""
    if SEPARATOR in files:
        place = files.index(SEPARATOR)
        before, after = files[:place], files[place + 1 :]
    else:
        before, after = files[:1], files[1:]
        if len(files) != 2:
            raise click.UsageError(
                "two recordings, or several on each side of a colon\ntype: straced diff a1 a2 : b1 b2"
            )
    if (*before, *after).count("-") > 1:
        raise click.UsageError("standard input can be one recording only\ntype: straced diff before.txt -")
    if not before or not after or SEPARATOR in after:
        raise click.UsageError("a recording on each side of the colon\ntype: straced diff a1 a2 : b1 b2")
    return before, after
