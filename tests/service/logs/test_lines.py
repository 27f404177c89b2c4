"""Log lines: which stream, which level, how they look, and what must never be in them."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest

from trio_runner.service.logs.levels import current_level, set_level
from trio_runner.service.logs.lines import LogStyle, logging_to
from trio_runner.service.logs.logger import LOG

TOKEN = "auth-token-0123456789"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Output:
    def __init__(self, stream: type[io.StringIO] = io.StringIO) -> None:
        self.out, self.err = stream(), stream()

    @property
    def both(self) -> str:
        return self.out.getvalue() + self.err.getvalue()

    @contextmanager
    def logging(self, **style: Any) -> Iterator[Any]:
        with logging_to(LogStyle(**style), self.out, self.err):
            yield LOG


def test_warnings_and_errors_go_to_stderr_and_the_rest_to_stdout() -> None:
    output = Output()
    with output.logging(level="debug") as log:
        for level in ("debug", "info", "warning", "error", "critical"):
            getattr(log, level)(f"a {level} line")
    assert [line.split()[-2] for line in output.out.getvalue().splitlines()] == ["debug", "info"]
    assert [line.split()[-2] for line in output.err.getvalue().splitlines()] == [
        "warning",
        "error",
        "critical",
    ]


@pytest.mark.parametrize(
    ("level", "shown"),
    [("debug", 5), ("info", 4), ("warning", 3), ("error", 2), ("critical", 1), ("silent", 0)],
)
def test_the_level(level: str, shown: int) -> None:
    output = Output()
    with output.logging(level=level) as log:
        for name in ("debug", "info", "warning", "error", "critical"):
            getattr(log, name)("line")
    assert len(output.both.splitlines()) == shown


def test_a_line_has_time_level_message_and_pairs() -> None:
    output = Output()
    with output.logging() as log:
        log.info("Task completed", task="t1", seconds=1.5, node="Clean up (n1)", empty="", quote='say "x"')
    time, _, rest = output.out.getvalue().partition(" ")
    assert len(time) == len("2026-01-01T00:00:00.000Z")
    assert rest == (
        'INFO    Task completed task=t1 seconds=1.5 node="Clean up (n1)" empty="" quote="say \\"x\\""\n'
    )


def test_lines_of_other_libraries_look_the_same() -> None:
    output = Output()
    with output.logging():
        logging.getLogger("some.library").warning("it is %s", "late")
        logging.getLogger("some.library").debug("noise")
        logging.getLogger("trio-websocket").info("noise")
    assert output.err.getvalue().endswith(" WARNING it is late\n")
    assert not output.out.getvalue()


def test_nobody_can_write_lines_in_our_name() -> None:
    output = Output()
    with output.logging() as log:
        log.info("a\n2026-01-01 ERROR forged\r\x1b[2J", origin="user code", node="x\ny\u2028z")
    (line,) = output.out.getvalue().splitlines()
    assert " [user code] a\\n2026-01-01 ERROR forged\\r\\x1b[2J" in line
    assert "node=x\\ny\\u2028z" in line


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
@pytest.mark.parametrize("no_color", [False, True])
def test_colours_only_on_a_terminal_and_not_when_unwanted(stream: type[io.StringIO], no_color: bool) -> None:
    output = Output(stream)
    with output.logging(no_color=no_color) as log:
        log.info("line", key="value")
        log.error("line")
    coloured = stream is Terminal and not no_color
    assert ("\x1b[" in output.out.getvalue()) is coloured
    assert ("\x1b[" in output.err.getvalue()) is coloured


def test_secrets_are_never_written() -> None:
    output = Output(Terminal)
    odd = 'quo"te\\back'
    with output.logging(level="debug", secrets=(TOKEN, odd, "")) as log:
        log.info(f"connecting with {TOKEN}", token=TOKEN, header=f"Bearer {TOKEN}", odd=odd)
        log.info("another's header", header="Authorization: Bearer grant-token-of-the-moment")
        logging.getLogger("library").debug("sent %r", {"token": TOKEN})
        try:
            raise ValueError(f"bad token {TOKEN}")
        except ValueError:
            log.exception("fault")
    assert output.both.count("***") >= 6
    for secret in (TOKEN, "grant-token-of-the-moment", odd, 'quo\\"te'):
        assert secret not in output.both


def test_an_error_with_a_traceback() -> None:
    output = Output()
    with output.logging() as log:
        try:
            raise ExceptionGroup("several", [ValueError("first"), OSError("second")])
        except ExceptionGroup:
            log.exception("A fault")
    text = output.err.getvalue()
    assert " ERROR   A fault\n" in text
    assert "Traceback (most recent call last)" in text or "Exception Group Traceback" in text
    assert "ValueError: first" in text
    assert "OSError: second" in text


def test_a_line_that_cannot_be_written_ends_nothing() -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("no")

    output = Output()
    with output.logging() as log:
        log.info("before", what=Hostile())
        log.info("after")
    assert "could not be written" in output.err.getvalue()
    assert output.out.getvalue().endswith("after\n")


def test_logging_is_taken_down_again() -> None:
    root = logging.getLogger()
    before = (root.level, root.handlers[:], logging.raiseExceptions)
    with pytest.raises(KeyError), Output().logging():
        assert root.handlers != before[1]
        raise KeyError
    assert (root.level, root.handlers, logging.raiseExceptions) == before
    assert LOG.write is None


def test_json_is_one_object_a_line() -> None:
    output = Output()
    with output.logging(format="json", secrets=(TOKEN,)) as log:
        log.info("hello\nworld", origin="user code", task="t1", seconds=0.1234567, token=TOKEN)
        log.warning("half of a pair \ud83d", what={1, 2}.__class__)
        try:
            raise ValueError("bad")
        except ValueError:
            log.exception("fault")
    first = json.loads(output.out.getvalue())
    assert list(first) == ["timestamp", "level", "message", "origin", "task", "seconds", "token"]
    assert (first["message"], first["origin"]) == ("hello\nworld", "user code")
    assert (first["seconds"], first["token"]) == (0.123457, "***")
    warning, error = map(json.loads, output.err.getvalue().splitlines())
    assert (warning["message"], warning["what"]) == ("half of a pair \ud83d", "<class 'set'>")
    assert error["exception"].endswith("ValueError: bad")


def test_the_level_changes_live_for_our_lines_and_those_of_libraries() -> None:
    output = Output()
    with output.logging(level="warning") as log:
        for level in ("debug", "silent", "info"):
            assert current_level() != level
            set_level(level)
            assert current_level() == level
            log.debug(f"ours at {level}")
            log.info(f"ours at {level}")
            logging.getLogger("library").debug(f"theirs at {level}")
    lines = [line.split(maxsplit=2)[1:] for line in output.out.getvalue().splitlines()]
    assert lines == [
        ["DEBUG", "ours at debug"],
        ["INFO", "ours at debug"],
        ["DEBUG", "theirs at debug"],
        ["INFO", "ours at info"],
    ]


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A journal."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(path))
        journal.settimeout(20)
        yield journal


@contextmanager
def stderr_into_the_journal(tmp_path: Path) -> Iterator[tuple[TextIO, dict[str, str]]]:
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        yield stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


def test_under_systemd_lines_go_to_the_journal_with_their_fields(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with listening(path) as journal, stderr_into_the_journal(tmp_path) as (stream, environ):
        style = LogStyle(secrets=(TOKEN,))
        with logging_to(style, stream, stream, environ=environ, journal_socket=str(path)):
            log = LOG
            log.warning(f"it failed with {TOKEN}", task="t1", remedy="mend it")
        entry = journal.recv(65536).decode()
    assert entry == (
        'MESSAGE=it failed with *** task=t1 remedy="mend it"\nPRIORITY=4\nSYSLOG_IDENTIFIER=trio-runner\n'
        "TRIO_RUNNER_TASK=t1\nTRIO_RUNNER_REMEDY=mend it\n"
    )
    assert not (tmp_path / "stream").read_text()


@pytest.mark.parametrize(("there", "style"), [(False, "auto"), (False, "journal"), (True, "text")])
def test_without_a_journal_or_when_unwanted_lines_go_to_the_streams(
    there: bool, style: str, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    with listening(path), stderr_into_the_journal(tmp_path) as (stream, environ):
        where = str(path if there else tmp_path / "none")
        with logging_to(LogStyle(format=style), stream, stream, environ=environ, journal_socket=where):
            LOG.warning("hello")
    assert (tmp_path / "stream").read_text().endswith(" WARNING hello\n")


def test_a_terminal_below_a_service_is_not_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    output = Output(Terminal)
    with (
        listening(path),
        stderr_into_the_journal(tmp_path) as (_, environ),
        logging_to(LogStyle(), output.out, output.err, environ=environ, journal_socket=str(path)),
    ):
        LOG.info("hello")
    assert "hello" in output.out.getvalue()
