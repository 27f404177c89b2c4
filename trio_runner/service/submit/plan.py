"""What one call of ``trio-runner submit`` is to do: options checked, files read, before any network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast

import attrs

from ...errors import ConfigError
from ...protocol.raw_json import RawJson
from ...requester.settings import Mode, python_settings
from .items import STANDARD_INPUT, read_items, read_source

__all__ = ["Piece", "SubmitOptions", "SubmitPlan", "make_plan"]

OutputFormat = Literal["json", "jsonl"]


@attrs.frozen(kw_only=True)
class SubmitOptions:
    """What the command line says about the work, as click hands it over: nothing is read yet."""

    script: str | None = None
    code: str | None = None
    items: str | None = None
    items_format: str | None = None
    mode: str | None = None
    split: int | None = None
    parallel: int = 5
    query: str | None = None
    continue_on_fail: bool = False
    timeout: float | None = None
    output: str = "json"
    task_type: str | None = None
    settings: str | None = None
    progress: bool = True


@attrs.frozen
class Piece:
    """One task of the work.

    Attributes:
        number: which one, from 1.
        first: the number of its first item, from 1.
        count: how many items it has.
        settings: what the runner is told.
    """

    number: int
    first: int
    count: int
    settings: RawJson


@attrs.frozen(kw_only=True)
class SubmitPlan:
    """The work, ready to be sent.

    Attributes:
        task_type: what a runner must serve.
        code: the person's code, to show where it failed; empty for other task types.
        code_name: what to call it: the file's name.
        items: all of them.
        mode: of the code.
        split: items per task; None: one task.
        parallel: tasks in flight at once.
        extra: further settings by their wire names.
        settings: the whole settings instead, for other task types.
        timeout: seconds for everything; None: no limit.
        output: how the result is written.
        progress: show it, if there is a terminal.
    """

    task_type: str = "python"
    code: str = ""
    code_name: str = ""
    items: list[Any] = attrs.field(factory=list)
    mode: Mode = "all"
    split: int | None = None
    parallel: int = 5
    extra: dict[str, Any] = attrs.field(factory=dict)
    settings: RawJson | None = None
    timeout: float | None = None
    output: OutputFormat = "json"
    progress: bool = True

    @property
    def pieces_in_all(self) -> int:
        """How many tasks the work is split into."""
        return -(-len(self.items) // self.split) if self.split else 1

    def pieces(self) -> Iterator[Piece]:
        """Yield the tasks in order. Each is written as JSON when asked for, not all of them ahead."""
        if self.settings is not None:
            yield Piece(1, 1, 0, self.settings)
            return
        size = self.split or max(len(self.items), 1)
        for number in range(1, self.pieces_in_all + 1):
            start = (number - 1) * size
            items = self.items[start : start + size]
            settings = python_settings(self.code, items, mode=self.mode, **self.extra)
            yield Piece(number, start + 1, len(items), settings)


def make_plan(options: SubmitOptions) -> SubmitPlan:
    """Check the options against each other and read what they name.

    Raises:
        ConfigError: they make no sense together, or something cannot be read.
    """
    if options.task_type is not None or options.settings is not None:
        return _plan_for_handler(options)
    _check(options)
    code, code_name = _code(options)
    items = read_items(options.items, options.items_format) if options.items is not None else []
    return SubmitPlan(
        code=code,
        code_name=code_name,
        items=items,
        mode=cast("Mode", options.mode or "all"),
        split=options.split,
        parallel=options.parallel,
        extra={"query": _query(options.query), "continueOnFail": options.continue_on_fail or None},
        timeout=options.timeout,
        output=cast("OutputFormat", options.output),
        progress=options.progress,
    )


def _check(options: SubmitOptions) -> None:
    if options.script is None and options.code is None:
        raise ConfigError("no code: name a FILE, or give the code itself with -c CODE")
    if options.script is not None and options.code is not None:
        raise ConfigError(
            f"code is given twice: as the file {options.script!r} and with -c; give one of them"
        )
    if options.script == "-" and options.items == "-":
        raise ConfigError("code and items cannot both come from standard input; give one of them as a file")
    if options.items is None:
        for flag, value in (("--split", options.split), ("--items-format", options.items_format)):
            if value is not None:
                raise ConfigError(f"{flag} needs --items")
        if options.mode == "each":
            raise ConfigError("--mode each needs --items: the code runs once for each of them")


def _code(options: SubmitOptions) -> tuple[str, str]:
    """Return the code and what to call it."""
    if options.code is not None:
        code, name = options.code, "the code"
    else:
        source = cast("str", options.script)
        code, name = read_source(source), STANDARD_INPUT if source == "-" else Path(source).name
    if not code.strip():
        raise ConfigError(f"{name} is empty; it needs at least a line such as: return _items")
    return code, name


def _query(text: str | None) -> object:
    """Return the query as tasks know it: an object if it is written as one, else the text."""
    if text is None or not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as exc:
        raise ConfigError(f"--query begins like a JSON object but is none: {exc}") from exc


def _plan_for_handler(options: SubmitOptions) -> SubmitPlan:
    """Plan a task for a handler: everything it needs is in its settings."""
    if options.task_type is None or options.settings is None:
        given, missing = (
            ("--settings", "--task-type TYPE") if options.settings else ("--task-type", "--settings FILE")
        )
        raise ConfigError(f"{given} needs {missing} beside it")
    rest = {
        "a code file": options.script,
        "-c": options.code,
        "--items": options.items,
        "--items-format": options.items_format,
        "--mode": options.mode,
        "--split": options.split,
        "--query": options.query,
        "--continue-on-fail": options.continue_on_fail or None,
    }
    for name, value in rest.items():
        if value is not None:
            raise ConfigError(
                f"{name} is for Python tasks; with --task-type everything goes into --settings FILE"
            )
    return SubmitPlan(
        task_type=options.task_type,
        settings=_settings(options.settings),
        timeout=options.timeout,
        output=cast("OutputFormat", options.output),
        progress=options.progress,
    )


def _settings(source: str) -> RawJson:
    text = read_source(source)
    try:
        return RawJson.checked(text.strip().encode())
    except ValueError as exc:
        name = STANDARD_INPUT if source == "-" else source
        raise ConfigError(f"{name}: the settings are not JSON: {exc}") from exc
