"""``straced run``: what did this command do?"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click

from straced.commands import options
from straced.commands.group import verb
from straced.model.types import Summary


@verb(
    "run",
    examples=(
        ("straced run -- make test", "what did it do? the table goes to stderr"),
        ("straced run -o counts.json --json -- ./job.sh", "keep the figures, for diff or a budget"),
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
@click.option("--require-trace", is_flag=True, help="Do not run CMD when it cannot be traced.")
@click.option("--user", "as_caller", is_flag=True, help="Under sudo: run CMD as the invoking user.")
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
    require_trace: bool,
    as_caller: bool,
    words: tuple[str, ...],
) -> int:
    """Run CMD and count its system calls, from the launching execve to its end.

    The report goes to stderr; stdout, stdin, signals and the terminal are CMD's own, and so is the exit status
    (128+n for a signal). Troubles of straced itself have 125, a CMD that cannot be run 126 or 127. If CMD cannot be
    traced, it runs all the same.
    """
    from straced.commands.output import SummaryOutput, destination
    from straced.workflows.run import Launch, run

    launch = Launch(
        argv=words,
        tracer=tracer,
        follow=follow,
        labels=parse_labels(labels),
        max_overhead_pct=max_overhead,
        require_trace=require_trace,
        as_caller=as_caller,
    )
    report = SummaryOutput(as_json=as_json, sort=sort, limit=limit, color=color)
    with destination(output, overwrite, sys.stderr) as stream:

        def show(summary: Summary) -> None:
            # A stderr that is gone, with its reader or its terminal, is no trouble of the command.
            with contextlib.suppress(*([OSError] if output is None else [])):
                report.write(summary, stream, title=" ".join(words))

        return run(launch, show)


def parse_labels(labels: tuple[str, ...]) -> dict[str, str]:
    """``("job=build-42",)`` -> ``{"job": "build-42"}``."""
    pairs = [label.partition("=") for label in labels]
    for key, equals, _value in pairs:
        if not (equals and key.isidentifier()):
            raise click.UsageError(f"--label {key}{equals}: write it as KEY=VALUE")
    return {key: value for key, _equals, value in pairs}
