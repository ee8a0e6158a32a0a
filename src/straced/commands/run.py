"""``straced run``: what did this command do?"""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path

import click

from straced.commands import options, slow_options
from straced.commands.group import verb
from straced.commands.habits import noted
from straced.errors import InvalidArgument
from straced.model.budgets import BudgetVerdict, parse_limits
from straced.model.types import Summary

EXAMPLE = "straced run --max fsync=0 --max total=9000 -- CMD"


@verb(
    "run",
    examples=(
        ("straced run -- make test", "what did it do? the table goes to stderr"),
        ("straced run --max fsync=0 --max total=9000 -- ./job.sh", "a budget: status 1 when it makes more"),
        ("straced run -o counts.json --json -- ./job.sh", "keep the figures, for diff"),
    ),
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
)
@options.tracer
@options.follow
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the report to FILE instead of stderr.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@options.json
@options.sort
@options.limit
@options.color
@click.option(
    "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label stored with the summary; may be repeated."
)
@click.option(
    "--max-overhead", type=click.FloatRange(min=0), metavar="PCT", help="Detach if the slowdown exceeds PCT percent."
)
@click.option(
    "--max",
    "most",
    multiple=True,
    metavar="NAME=N",
    help="Status 1 beyond N: of a call (fsync=0), total, errors, an errno; may be repeated.",
)
@click.option(
    "--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write each --max as a test (JUnit XML)."
)
@click.option(
    "--summary", type=click.Path(path_type=Path), metavar="FILE", help="Append a summary in Markdown to FILE, for CI."
)
@slow_options.slower
@slow_options.files
@slow_options.io_uring
@click.option("--require-trace", is_flag=True, help="Do not run CMD when it cannot be traced.")
@click.option("--user", "as_caller", is_flag=True, help="Under sudo: run CMD as the invoking user.")
@noted(f="-f is on by default; --no-follow leaves children out", c="-c is what run does", q="")
@click.argument("words", nargs=-1, required=True, metavar="CMD [ARG...]", type=click.UNPROCESSED)
def command(
    tracer: str,
    follow: bool,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    sort: str,
    limit: int | None,
    color: str,
    labels: tuple[str, ...],
    max_overhead: float | None,
    most: tuple[str, ...],
    junit: Path | None,
    summary: Path | None,
    slower_ns: int | None,
    waits: bool,
    files: bool,
    io_uring: bool,
    require_trace: bool,
    as_caller: bool,
    words: tuple[str, ...],
) -> int:
    """Run CMD and count its system calls, from the launching execve to its end.

    The report goes to stderr; stdout, stdin, signals and the terminal are CMD's own, and so is the exit status
    (128+n for a signal). Troubles of straced itself have 125, a CMD that cannot be run 126 or 127. If CMD cannot be
    traced, it runs all the same.

    With --max, a CMD that ends with status 0 gives 1 when a limit was broken, and 125 when that is not known.
    """
    from straced.commands.output import SummaryOutput, destination
    from straced.workflows import budget
    from straced.workflows.run import Launch, run

    limits = _limits(most)
    if junit is not None and not limits:
        raise click.UsageError(
            "--junit tells of limits, so give some\ntype: straced run --max fsync=0 --junit FILE -- CMD"
        )
    launch = Launch(
        argv=words,
        tracer=tracer,
        follow=follow,
        labels=parse_labels(labels),
        max_overhead_pct=max_overhead,
        slower_ns=slow_options.limit_of_slow(slower_ns, waits, tracer),
        slow_waits=waits,
        files=slow_options.check_files(files, None, tracer),
        io_uring=slow_options.check_io_uring(io_uring, None, tracer),
        require_trace=require_trace,
        as_caller=as_caller,
    )
    report = SummaryOutput(as_json=as_json, sort=sort, limit=limit, color=color)
    title = shlex.join(words)
    written = budget.BudgetFiles(junit=junit, markdown=summary, overwrite=overwrite)

    def say(verdict: BudgetVerdict) -> None:
        from straced.views.text import budget as table
        from straced.views.text import terminal

        with contextlib.suppress(OSError, ValueError):
            terminal.show([(), *table.lines(limits, verdict)], sys.stderr, color=options.use_color(sys.stderr, color))

    with destination(output, overwrite, sys.stderr) as stream, budget.told(title, limits, written, say) as tell:
        seen: list[Summary] = []

        def show(figures: Summary) -> None:
            seen.append(figures)
            # A stderr that is gone, with its reader or its terminal, is no trouble of the command.
            with contextlib.suppress(*([OSError] if output is None else [])):
                report.write(figures, stream, title=title, apart=stream.isatty())

        status = run(launch, show)
        return budget.status_with(status, tell(seen[0] if seen else None)) if limits or summary else status


def _limits(most: tuple[str, ...]) -> dict[str, int]:
    try:
        return parse_limits(most)
    except InvalidArgument as error:
        raise click.UsageError(f"--max: {error.reason}; {error.hint}\ntype: {EXAMPLE}") from error


def parse_labels(labels: tuple[str, ...]) -> dict[str, str]:
    """``("job=build-42",)`` -> ``{"job": "build-42"}``."""
    pairs = [label.partition("=") for label in labels]
    for key, equals, _value in pairs:
        if not (equals and key.isidentifier()):
            raise click.UsageError(f"--label {key}{equals}: write it as KEY=VALUE")
    return {key: value for key, _equals, value in pairs}
