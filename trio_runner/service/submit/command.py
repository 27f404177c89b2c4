"""The command ``trio-runner submit``: its options and its help screen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import attrs
import click

from ..settings.options import SettingOption, SettingsCommand, options_for, settings_for
from ..settings.submit import ConnectionSettings

__all__ = ["submit_command"]

_ABOUT = """\
Send Python code to a broker and print its result.

The code is the body of a function: FILE, or -c CODE; FILE '-' reads standard input. It sees _items, or _item
with --mode each, and _query; what it returns is the result. Items that are not {"json": {...}} yet are
wrapped, so a column of a CSV row is _item["json"]["name"]. What the code prints goes to standard error as it
comes, the result to standard output. Ctrl-C cancels the task at the broker.
"""

_EPILOG = """\
Flags win over variables. Each N8N_RUNNERS_NAME may also be written TRIO_RUNNER_NAME, which wins, and each
{NAME}_FILE names a file that holds the value.

\b
Examples:
  trio-runner submit -c 'return 6 * 7'
  trio-runner submit clean.py --items orders.csv --split 500 -o jsonl
  cat rows.jsonl | trio-runner submit -c 'return _item["json"]' --mode each -i -

\b
Exit codes:
  0  done                        4    no runner took the task
  1  the task failed             5    timed out, here or at the runner
  2  wrong usage, or input that  6    the result cannot be written
     cannot be read              130  interrupted (143: by SIGTERM)
  3  the broker cannot be        141  the reader of the result went away
     reached, refused us, or was lost
"""

_WORK = "Work"
_RESULT = "Result"

_PARAMS: Mapping[str, list[click.Parameter]] = {
    _WORK: [
        click.Option(["-c", "--code"], metavar="CODE", help="The code itself, instead of a FILE."),
        click.Option(["-i", "--items"], metavar="FILE", help="Items to work on; '-' reads standard input."),
        click.Option(
            ["--items-format"],
            type=click.Choice(["json", "jsonl", "csv"]),
            help="What the items are. Default: by extension (.json, .jsonl, .ndjson, .csv, .tsv), else JSON"
            " or JSON Lines, whichever it is.",
        ),
        click.Option(
            ["--mode"],
            type=click.Choice(["all", "each"]),
            help="Run the code once with the list _items (the default), or once for each _item.",
        ),
        click.Option(
            ["--split"],
            type=click.IntRange(1),
            metavar="N",
            help="A task for every N items, results in order.",
        ),
        click.Option(
            ["--parallel"],
            type=click.IntRange(1),
            metavar="N",
            default=5,
            help="With --split: tasks in flight at once; default 5.",
        ),
        click.Option(
            ["--query"], metavar="TEXT", help="What the code sees as _query: text, or a JSON object."
        ),
        click.Option(
            ["--continue-on-fail"], is_flag=True, help="A failure becomes a result with the error in it."
        ),
        click.Option(
            ["--task-type"],
            metavar="TYPE",
            help="Instead of code: a type that a runner serves with a handler.",
        ),
        click.Option(
            ["--settings"],
            metavar="FILE",
            help="With --task-type: its settings as JSON; '-' is standard input.",
        ),
    ],
    _RESULT: [
        click.Option(
            ["-o", "--output"],
            type=click.Choice(["json", "jsonl"]),
            default="json",
            help="One JSON document (the default), or a line for each entry of the result.",
        ),
        click.Option(
            ["--timeout"],
            type=click.FloatRange(0, min_open=True),
            metavar="SECONDS",
            help="Give up after so long, connecting included, and cancel the task.",
        ),
        click.Option(
            ["--progress/--no-progress"],
            default=True,
            help="Show progress on standard error if it is a terminal (the default), or never.",
        ),
    ],
}


class _SubmitCommand(SettingsCommand):
    """Shows the options in the order in which a person needs them."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the work is first, how to reach the broker last."""
        sections = {heading: _records(ctx, params) for heading, params in _PARAMS.items()}
        sections["Connection"] = _records(ctx, options_for(ConnectionSettings))
        sections["Other"] = [("-h, --help", "Show this message and exit.")]
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records, col_max=24)


def _records(ctx: click.Context, params: list[click.Parameter]) -> list[tuple[str, str]]:
    """Return the two columns of the help screen for some options."""
    records = []
    for param in params:
        if isinstance(param, SettingOption):
            records.append(
                (param.shown, f"{param.about}  {param.variable and f'[{param.variable}]'}".strip())
            )
        elif (record := param.get_help_record(ctx)) is not None:
            records.append((record[0], record[1].split("  [")[0]))
    return records


def _submit(**given: Any) -> int:
    from .plan import SubmitOptions, make_plan  # trio and the rest: only for a command that runs
    from .submission import submit

    reading = settings_for(ConnectionSettings, "submit", click.get_current_context(), os.environ)
    for warning in reading.warnings:
        click.echo(f"trio-runner submit: warning: {warning}", err=True)
    names = [field.name for field in attrs.fields(SubmitOptions)]
    plan = make_plan(SubmitOptions(**{name: given[name] for name in names}))
    return submit(plan, reading.settings)


submit_command: click.Command = _SubmitCommand(
    "submit",
    params=[
        click.Argument(["script"], required=False, metavar="[FILE]"),
        *(param for params in _PARAMS.values() for param in params),
        *options_for(ConnectionSettings),
    ],
    callback=_submit,
    help=_ABOUT,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
