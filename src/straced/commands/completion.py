"""``straced completion``: the completion script of a shell, on stdout."""

from __future__ import annotations

import os

import click

from straced.commands.group import COMPLETE_VARIABLE, PROGRAM, cli, verb

SHELLS = ("bash", "zsh", "fish")


@verb(
    "completion",
    examples=(
        ('eval "$(straced completion bash)"', "in ~/.bashrc; zsh likewise in ~/.zshrc"),
        ("straced completion fish | source", "in ~/.config/fish/config.fish"),
    ),
)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def command(shell: str | None) -> int:
    """Print the completion script of SHELL, or of your own: verbs, options and running processes."""
    from click.shell_completion import get_completion_class

    shell = shell or os.path.basename(os.environ.get("SHELL", ""))
    if shell not in SHELLS:
        raise click.UsageError(f"for which shell? one of {', '.join(SHELLS)}\ntype: straced completion bash")
    completer = get_completion_class(shell)
    assert completer is not None
    click.echo(completer(cli, {}, PROGRAM, COMPLETE_VARIABLE).source())
    return 0
