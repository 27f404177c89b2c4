"""The page about settings, made from the tables: ``make docs`` writes it, a test compares it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from .commands import TABLES
from .entry import Setting, settings_of

__all__ = ["markdown_table", "settings_page"]

_INTRODUCTION = """\
# Settings

<!-- Made from the code by `make docs`. Change the tables in trio_runner/service/settings, not this page. -->

`trio-runner config show` prints every setting with its value and where that came from, and warns of what
was given in vain. `trio-runner config example` prints a configuration file to start from.

## Where a setting may be given

The first of these places that holds a value wins, setting by setting:

1. the **flag**; for secrets also `--…-file FILE`, which keeps them out of the list of processes;
2. the **variable** `TRIO_RUNNER_…`, then the file that `TRIO_RUNNER_…_FILE` names;
3. n8n's name for the same, then the file that this name with `_FILE` names;
4. for secrets, a **credential** of the service manager: the file `trio-runner.KEY` or `KEY` in
   `$CREDENTIALS_DIRECTORY`, such as `LoadCredential=auth-token:/etc/trio-runner/auth-token` of systemd
   makes it;
5. the **configuration file**;
6. the default.

What is said for one run stands above what is said for one service, and that above what is said for a
machine. White space around a value never counts, and an empty variable, file or text counts as none,
except where the table says what empty means. Names are separated by commas. Truths are `true`, `1`,
`yes`, `false`, `0`, `no`.

A value that makes no sense is one line that names the place and the remedy, exit code 2, and nothing is
started. A name that nothing reads is a warning with the nearest one that is known: keys and tables of the
configuration file, variables that begin with `TRIO_RUNNER_`, and slips of n8n's `N8N_RUNNERS_…` (n8n has
more of those, for itself, which are left alone).

## The configuration file

TOML, with one table per command: `[run]`, `[broker]`, `[submit]`. It is the file that `--config` names,
else the one that `TRIO_RUNNER_CONFIG` names, else the first of these that exists:

- `$XDG_CONFIG_HOME/trio-runner/config.toml`, usually `~/.config/trio-runner/config.toml`
- `/etc/trio-runner/config.toml`

The working directory is not searched: whoever may write there is not always whoever may decide what a
runner does. Keys are those of the tables below, with dashes or underscores; the name of the flag without
its dashes is good too. A value is a number, a truth, a list of texts, or the text that a variable would
hold. A secret is better named by `KEY-file = "path"` than written down; relative paths begin at the
directory of the file.

```toml
[run]
brokers = ["http://n8n-worker-1:5679", "http://n8n-worker-2:5679"]
auth-token-file = "auth-token"
max-concurrency = 8
stdlib-allow = ["json", "re", "datetime"]
external-allow = ["pandas"]
```

## Changing settings of a running daemon

At SIGHUP a daemon reads all of this again, the files that variables name included; flags and variables
are those it was started with. What the tables mark as *live* changes at once, without losing a task; for
the rest the log says that a restart is needed. A configuration that makes no sense is refused in one
line, and the old one goes on.
"""
_OPENINGS = {
    "run": "`trio-runner run`, and `trio-runner check` with the same",
    "broker": "`trio-runner broker`",
    "submit": "`trio-runner submit`",
}


def settings_page() -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION]
    for table, cls in TABLES.items():
        parts.append(f"## {_OPENINGS[table]}: table `[{table}]`\n")
        for group, entries in groupby(settings_of(cls), key=lambda entry: entry.group):
            parts += [f"### {group}\n", markdown_table(tuple(entries))]
    return "\n".join(parts)


def markdown_table(entries: tuple[Setting, ...]) -> str:
    """Return settings as a Markdown table."""
    rows = ["| key | variables | flag | default | meaning |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*rows, *map(_row, entries)]) + "\n"


def _row(entry: Setting) -> str:
    default = entry.shown_default()
    if default and entry.default_text is None:
        default = f"`{default}`"
    cells = (f"`{entry.key}`", _variables(entry), f"`{entry.flag}`", default, " ".join(_meaning(entry)))
    return f"| {' | '.join(cells)} |"


def _variables(entry: Setting) -> str:
    """Return the variables, the one that wins first, each with `_FILE` where that works."""
    return ", ".join(f"`{name}`" for name in entry.variables)


def _meaning(entry: Setting) -> Iterator[str]:
    yield entry.about
    if not entry.from_file:
        yield "No `_FILE`."
    if entry.secret:
        yield f"Secret; also `{entry.flag}-file`, `{entry.key}-file`, credential `{entry.key}`."
    if entry.live:
        yield "*Live.*"


def write_page() -> None:
    """Write the page to standard output."""
    print(settings_page(), end="")


if __name__ == "__main__":
    write_page()
