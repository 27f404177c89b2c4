"""The protocol of the journal, and a journal that is full, gone or started anew."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from trio_runner.service.logs.journal import Journal, journal_entry
from trio_runner.service.logs.redaction import hider


def listen(path: Path) -> socket.socket:
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.bind(str(path))
    journal.settimeout(20)
    return journal


def test_a_value_of_several_lines_is_sent_with_its_length() -> None:
    entry = journal_entry("error", "A fault", {"seconds": 1.5}, "Traceback\nValueError")
    text = b"A fault seconds=1.5\nTraceback\nValueError"
    assert entry == (
        b"MESSAGE\n" + len(text).to_bytes(8, "little") + text + b"\nPRIORITY=3\n"
        b"SYSLOG_IDENTIFIER=trio-runner\nTRIO_RUNNER_SECONDS=1.5\n"
    )


def test_nobody_can_add_fields() -> None:
    entry = journal_entry("info", "a\nPRIORITY=0", {"origin": "user code", "node": "b\nMESSAGE=c"}, "")
    assert entry.splitlines()[0] == b'MESSAGE=[user code] a\\nPRIORITY=0 node="b\\\\nMESSAGE=c"'
    assert [line.partition(b"=")[0] for line in entry.splitlines()] == [
        b"MESSAGE",
        b"PRIORITY",
        b"SYSLOG_IDENTIFIER",
        b"TRIO_RUNNER_ORIGIN",
        b"TRIO_RUNNER_NODE",
    ]


def test_what_a_full_journal_does_not_take_is_counted_and_told(tmp_path: Path) -> None:
    with listen(tmp_path / "socket") as listener:
        journal = Journal(hider([]), str(tmp_path / "socket"))
        while not journal.dropped:
            journal.write("info", "line", {}, "")
        journal.write("info", "line", {}, "")
        assert journal.dropped == 2
        listener.recv(65536)
        listener.recv(65536)
        journal.write("info", "the next", {}, "")
        assert journal.dropped == 0
        listener.setblocking(False)
        received = []
        with pytest.raises(BlockingIOError):
            while True:
                received.append(listener.recv(65536))
        journal.close()
    assert b"MESSAGE=2 log lines were dropped" in received[-2]
    assert b"MESSAGE=the next" in received[-1]


def test_what_is_too_large_for_a_datagram_is_shortened(tmp_path: Path) -> None:
    with listen(tmp_path / "socket") as listener:
        journal = Journal(hider([]), str(tmp_path / "socket"))
        journal.write("error", "A fault", {"task": "t1"}, "frame\n" * 1_000_000)
        entry = listener.recv(1 << 20)
        journal.close()
    assert b"A fault task=t1\nframe\n" in entry
    assert len(entry) < 20_000
    assert journal.dropped == 0


def test_a_journal_that_is_started_anew_is_found_again(tmp_path: Path) -> None:
    first = listen(tmp_path / "socket")
    journal = Journal(hider(["a-secret"]), str(tmp_path / "socket"))
    first.close()
    journal.write("info", "nobody listens", {}, "")
    (tmp_path / "socket").unlink()
    with listen(tmp_path / "socket") as second:
        journal.write("info", "again with a-secret", {"token": "a-secret"}, "")
        entries = second.recv(65536), second.recv(65536)
        journal.close()
    assert b"1 log lines were dropped" in entries[0]
    assert b"MESSAGE=again with *** token=***\n" in entries[1]


def test_there_need_be_no_journal(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Journal(hider([]), str(tmp_path / "none"))
