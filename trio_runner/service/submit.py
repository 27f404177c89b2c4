"""The command ``trio-runner submit``: its options, checked and turned into one frozen plan."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

if TYPE_CHECKING:
    from .submission import SubmitPlan

__all__ = ["SubmitOptions", "make_plan", "submit_command"]

DEFAULT_BROKER = "http://127.0.0.1:5679"
BROKER_VARIABLES = ("TRIO_RUNNER_TASK_BROKER_URI", "N8N_RUNNERS_TASK_BROKER_URI")
AUTH_VARIABLES = ("TRIO_RUNNER_AUTH_TOKEN", "N8N_RUNNERS_AUTH_TOKEN")
GRANT_VARIABLES = ("TRIO_RUNNER_GRANT_TOKEN", "N8N_RUNNERS_GRANT_TOKEN")

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


@attrs.frozen(kw_only=True)
class SubmitOptions:
    """What the command line says, as click hands it over: texts and paths, nothing read yet."""

    script: str | None = None
    code: str | None = None
    items: str | None = None
    items_format: str | None = None
    mode: str = "all"
    split: int | None = None
    parallel: int = 5
    query: str | None = None
    continue_on_fail: bool = False
    timeout: float | None = None
    output: str = "json"
    task_type: str | None = None
    settings: str | None = None
    broker: str | None = None
    auth_token: str | None = attrs.field(default=None, repr=False)
    auth_token_file: str | None = None
    grant_token: str | None = attrs.field(default=None, repr=False)
    progress: bool = True


@click.command("submit", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("script", required=False, metavar="[FILE]")
@click.option("-c", "--code", metavar="CODE", help="The code itself, instead of a FILE.")
@click.option("-i", "--items", metavar="FILE", help="Items to work on; '-' reads standard input.")
@click.option(
    "--items-format",
    type=click.Choice(["json", "jsonl", "csv"]),
    help="What the items are, if the file name does not say it (.json, .jsonl, .ndjson, .csv, .tsv).",
)
@click.option(
    "--mode",
    type=click.Choice(["all", "each"]),
    default="all",
    show_default=True,
    help="Run the code once with the list _items, or once for each _item.",
)
@click.option(
    "--split", type=click.IntRange(min=1), metavar="N", help="One task for every N items, results in order."
)
@click.option(
    "--parallel",
    type=click.IntRange(min=1),
    metavar="N",
    default=5,
    show_default=True,
    help="With --split: tasks in flight at once.",
)
@click.option("--query", metavar="TEXT", help="What the code sees as _query: text, or a JSON object.")
@click.option("--continue-on-fail", is_flag=True, help="A failure becomes a result with the error in it.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up, and cancel at the broker, after so long in all.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["json", "jsonl"]),
    default="json",
    show_default=True,
    help="One JSON document, or one line for each entry of the result.",
)
@click.option("--task-type", metavar="TYPE", help="A type that a runner serves with a handler of its own.")
@click.option(
    "--settings", metavar="FILE", help="With --task-type: the settings, a JSON file; '-' reads standard input."
)
@click.option(
    "--broker",
    metavar="URL",
    help=f"Base URL of the broker.  [default: {DEFAULT_BROKER}; or {' / '.join(BROKER_VARIABLES)}]",
)
@click.option(
    "--auth-token",
    metavar="TOKEN",
    help=f"The broker's shared secret; better in {' / '.join(AUTH_VARIABLES)}, each also with _FILE.",
)
@click.option("--auth-token-file", metavar="FILE", help="A file that holds the shared secret.")
@click.option(
    "--grant-token", metavar="TOKEN", help=f"A single-use token instead; or {' / '.join(GRANT_VARIABLES)}."
)
@click.option(
    "--progress/--no-progress",
    default=True,
    help="Show progress on standard error, if it is a terminal.  [default: progress]",
)
def submit_command(**options: Any) -> None:
    """Send Python code to a broker and print its result.

    The code is the body of a function: FILE, or -c CODE; FILE '-' reads standard input. It sees _items (or
    _item with --mode each) and _query, and its return value is the result. Items that are not {"json": ...}
    are wrapped. What the code prints goes to standard error as it comes, the result to standard output.

    \b
    Examples:
      trio-runner submit -c 'return 6 * 7'
      trio-runner submit clean.py --items orders.csv --split 500 -o jsonl
      cat rows.jsonl | trio-runner submit -c 'return _item["json"]' --mode each -i -

    \b
    Exit codes:
      0    done                            4    no runner took the task in time
      1    the task failed                 5    timed out
      2    wrong usage or unreadable input 130  interrupted (143 by SIGTERM)
      3    no broker there, it refused us, 141  the reader of standard output
           or the connection was lost           went away
    """
    from ..errors import ConfigError  # noqa: PLC0415
    from .submission import perform_plan  # noqa: PLC0415 - heavy: only for a command that runs

    try:
        plan = make_plan(SubmitOptions(**options), os.environ)
    except ConfigError as exc:
        click.echo(f"Error: {exc}", err=True)
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(perform_plan(plan))
