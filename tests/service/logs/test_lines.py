"""Log lines: which stream, which level, how they look, and what must never be in them."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog

from trio_runner.service.logs.lines import LogStyle, logging_to, render

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
            yield structlog.get_logger("trio_runner")


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
        log.info("[user code] a\n2026-01-01 ERROR forged\r\x1b[2J", node="x\ny\u2028z")
    (line,) = output.out.getvalue().splitlines()
    assert "a\\n2026-01-01 ERROR forged\\r\\x1b[2J" in line
    assert "node=x\\ny\\u2028z" in line


def test_long_texts_are_cut() -> None:
    line = render({"event": "x" * 10_000, "level": "info"}, colour=False)
    assert line.endswith("x… (6000 more characters)")


def test_text_that_is_not_ascii_stays_readable() -> None:
    assert render({"event": "größer → 東京", "level": "info"}, colour=False).endswith("größer → 東京")


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
    lines = output.out.getvalue().splitlines()
    assert "could not be written" in lines[0]
    assert lines[1].endswith("after")


def test_logging_is_taken_down_again() -> None:
    root = logging.getLogger()
    before = (root.level, root.handlers[:], logging.raiseExceptions)
    with pytest.raises(KeyError), Output().logging():
        assert root.handlers != before[1]
        raise KeyError
    assert (root.level, root.handlers, logging.raiseExceptions) == before
    assert not structlog.is_configured()
