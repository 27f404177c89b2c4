"""The command ``trio-runner demo``: real work through a broker and a runner of its own, on this machine."""

from __future__ import annotations

import click

__all__ = ["demo_command"]


@click.command("demo", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--slots",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    metavar="N",
    help="Tasks that the runner works on at once.",
)
def demo_command(slots: int) -> int:
    """Run real work through a broker and a runner on this machine.

    Starts both on free loopback ports, cleans and adds up a few thousand orders in many tasks, lets one task
    fail and cancels another, shows what came of each, and leaves nothing running. Needs no set-up and no
    network. Exits 0 if every answer was right.
    """
    from .run import run_demo  # trio and the rest: only for a command that runs

    return run_demo(slots)
