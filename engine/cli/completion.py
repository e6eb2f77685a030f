"""``headrace completion``: what a shell needs to complete our commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from engine.cli.common import say

if TYPE_CHECKING:
    from engine.cli import House


def put(app: App, house: House) -> None:  # noqa: ARG001 - every command is put on alike
    """Put ``completion`` on *app*."""

    @app.command(name="completion")
    def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="Which shell.")], /) -> int:
        """Print a script that completes commands and options in a shell.

        Example: headrace completion bash > ~/.local/share/bash-completion/completions/headrace

        Args:
            shell: Which shell.
        """
        say(app.generate_completion(shell=shell))
        return 0
